"""kcat, on the librdkafka that Debian ships with it."""

import os
import re
import signal
import subprocess

from steps import CODECS, SECONDS, NotApplicable, Steps, Story, same, until, values


def main():
    """Every step."""
    steps.step("create a topic", create)
    for codec in CODECS:
        steps.step(f"produce {codec}", lambda codec=codec: round_trip(codec, "-z", codec))
    steps.step("produce idempotently", lambda: round_trip("idempotent", "-X", "enable.idempotence=true"))
    steps.step("commit a transaction", commits)
    steps.step("abort a transaction", aborts)
    steps.step("offsets in a transaction", lambda: lacks("no consumer in its transactions"))
    for partition in Story.PARTITIONS:
        write(steps.topic("group"), [b"before"], "-p", str(partition))
    Story(Member, lambda partition, what: write(steps.topic("group"), what, "-p", str(partition))).tell(steps)
    steps.step("new group protocol", lambda: lacks("its librdkafka has only the classic protocol"))
    steps.step("look up a time", looks_up)
    if steps.past:
        steps.step("read the bucket", lambda: same(read(steps.past[0], steps.past[1]), values(steps.past[1], "past")))


def lacks(what):
    """The client has no such thing."""
    raise NotApplicable(what)


def run(arguments, given=b""):
    """What it printed; fails when it complained."""
    command = ["kcat", "-b", steps.bootstrap, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, timeout=SECONDS, check=False)
    said = done.stderr.decode(errors="replace")
    assert not (done.returncode or "ERROR" in said or "Delivery failed" in said), said.strip()[-300:]
    return done.stdout


def version():
    """Of kcat and of the library."""
    shown = subprocess.run(["kcat", "-V"], capture_output=True, text=True, check=False).stdout
    return re.search(r"Version (\S+)", shown)[1]


def create():
    """By writing to it, as it has no other way."""
    topic = steps.topic("created")
    write(topic, [b"first"])
    assert f'topic "{topic}"' in run(["-L", "-t", topic]).decode()


def round_trip(name, *settings):
    """Writes and reads back."""
    write(steps.topic(name), values(), *settings)
    same(read(steps.topic(name), len(values())), values())


def write(topic, what, *settings):
    """Returns once all is acknowledged."""
    run(["-P", "-t", topic, "-p", "0", "-X", "linger.ms=20", "-X", "acks=all", *settings], b"\n".join(what) + b"\n")


def read(topic, count, isolation="read_committed"):
    """The first `count` records."""
    shown = run(["-C", "-t", topic, "-p", "0", "-o", "beginning", "-c", str(count), "-q", "-X", f"isolation.level={isolation}"])
    return shown.splitlines()


def commits():
    """Each run is one transaction."""
    topic = steps.topic("committed")
    for half in (values()[:30], values()[30:]):
        write(topic, half, "-X", f"transactional.id={steps.topic('commits')}")
    same(read(topic, len(values())), values())


def aborts():
    """The next run under its id aborts what a killed one left open; only who asks for it reads that."""
    topic, settings = steps.topic("aborted"), ["-X", f"transactional.id={steps.topic('aborts')}"]
    write(topic, [b"before"])
    command = ["kcat", "-b", steps.bootstrap, "-P", "-t", topic, "-p", "0", *settings]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        writer.stdin.write(b"\n".join(values(2000, "aborted")) + b"\n")
        writer.stdin.flush()

        def arrived():
            shown = run(["-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_uncommitted"])
            return b"aborted" in shown

        until("the open transaction's records", arrived)
        writer.kill()
    write(topic, values(5), *settings)
    same(read(topic, 6), [b"before"] + values(5))


class Member:
    """A member of a group: a process that commits what it printed. The topic was made by writing to it, so the broker
    must give new topics four partitions."""

    def __init__(self):
        command = ["kcat", "-b", steps.bootstrap, "-u", "-G", steps.topic("group"), "-X", "auto.offset.reset=earliest"]
        command += ["-X", "auto.commit.interval.ms=100"]
        command += [steps.topic("group")]
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out, self.said = Lines(self.process.stdout), Lines(self.process.stderr)
        self.held = set()

    def poll(self):
        """Values."""
        return [line for line in self.out.more() if line != b"before"]

    def assignment(self):
        """The partitions that it was given last."""
        for line in self.said.more():
            if b"assigned:" in line:
                self.held = {int(number) for number in re.findall(rb"\[(\d)\]", line.split(b"assigned:")[1])}
            elif b"revoked:" in line:
                self.held = set()
        return self.held

    def commit(self):
        """It does so by itself, at the latest when it leaves."""

    def close(self):
        """Leaves."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=SECONDS)


class Lines:
    """Whole lines of a pipe, without waiting long for them."""

    def __init__(self, pipe):
        self.pipe, self.rest = pipe, b""
        os.set_blocking(pipe.fileno(), False)

    def more(self):
        """What came since."""
        *lines, self.rest = (self.rest + (self.pipe.read() or b"")).split(b"\n")
        return lines


def looks_up():
    """The first record at or after a time. It cannot set a time, so it asks for those that it got."""
    topic = steps.topic("time")
    for number in range(3):
        write(topic, values(2, f"run{number}"))
    times = [int(line) for line in run(["-C", "-t", topic, "-p", "0", "-o", "beginning", "-c", "6", "-q", "-f", "%T\n"]).split()]
    for at in times:
        first = next(number for number, time in enumerate(times) if time >= at)
        shown = run(["-Q", "-t", f"{topic}:0:{at}"]).decode()
        assert shown.split()[-1] == str(first), f"{shown}, not {first}"


steps = Steps(version())
main()
