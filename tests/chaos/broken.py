"""A broken disk under the real process: system calls that fail, no descriptors left, a disk that is read-only, and a
directory that Apache Kafka holds. `strace` makes the calls fail while it is attached."""

import os
import pathlib
import resource
import shutil
import signal
import subprocess

from confluent_kafka.admin import AdminClient, NewTopic

from clients.apache import Apache
from harness import raw
from harness.broker import Highwater, Kafka
from harness.process import free_port
from harness.waiting import wait_until

from . import topics
from .disk import mount
from .ledger import Ledger

# Not `write`: sockets and standard output are written with it.
WRITES = "pwrite64,pwritev,pwritev2"
SYNCS = "fsync,fdatasync"
PLAIN = {"acks": "all", "retries": 0, "compression.type": "none"}
# On a synced topic a batch goes into its segment and then into the journal, whose write is its sync; without a journal
# its segment is synced.
KINDS = {
    "synced": ("synced", {}),
    "synced, no journal": ("synced", {"highwater.journal.bytes": "0"}),
    "replicated": ("replicated", {}),
}


def part(report, kind, folder, _asked):
    """Everything, each with a broker of its own."""
    for number, (column, (durability, settings)) in enumerate(KINDS.items()):
        with kind(folder / f"calls-{number}", {"log.retention.ms": "-1", **settings}) as broker:
            failing_calls(report, column, broker, durability)
    with kind(folder / "few", {"log.retention.ms": "-1"}) as broker:
        few_descriptors(report, broker)
    read_only(report, kind, folder / "readonly")
    held_by_kafka(report, folder)


class Failing:
    """While entered, these system calls of the broker fail, in all its threads."""

    def __init__(self, broker, calls, error):
        self.broker, self.calls, self.error = broker, calls, error
        self.strace = None

    def __enter__(self):
        log = self.broker.folder / "strace.log"
        command = ["strace", "-f", "-qq", "-o", str(log), "-p", str(self.broker.process.pid)]
        command += ["-e", f"trace={self.calls}", "-e", f"inject={self.calls}:error={self.error}"]
        self.strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until("strace to hold every thread", self._attached, 20)
        return self

    def _attached(self):
        assert self.strace.poll() is None, "strace ended"
        tasks = pathlib.Path(f"/proc/{self.broker.process.pid}/task")
        states = [(task / "status").read_text() for task in tasks.iterdir()]
        return all(f"TracerPid:\t{self.strace.pid}\n" in state for state in states)

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait(20)


def failing_calls(report, column, broker, durability):
    """The story of one topic: writes fail and come back, then syncs fail, then a restart."""
    why = None if shutil.which("strace") else "there is no strace"
    if why:
        report.skip("EIO", column, why)
        return
    broker.start()
    topics.create(broker, "broken", remote=False, **{"highwater.durability": durability})
    ledger = Ledger(broker.address, "broken", 1, PLAIN, seconds=20)
    report.check("it works at first", column, lambda: acknowledged(ledger, 200))
    if settings_have_no_journal(broker):
        report.check("EIO on sync: refused, nothing acknowledged", column, lambda: refuses(broker, ledger, SYNCS))
        # Nobody knows what is on the media: another sync would say that all is well.
        report.check("a sync that failed is not tried again", column, lambda: still_refuses(ledger))
    else:
        report.check("EIO on write: refused, nothing acknowledged", column, lambda: refuses(broker, ledger, WRITES))
    if durability == "replicated":
        # No sync has failed: what was refused left the log as it was.
        report.check("EIO on write is over: served again", column, lambda: served_again(ledger))
    report.check("what was acknowledged is read", column, lambda: ledger.compare(broker.address))
    report.check("it is there and answers", column, lambda: broker.alive() and raw.ready(broker.address) or 1 / 0)
    broker.kill()
    report.check("it starts again", column, broker.start)
    ledger.errors.clear()
    report.check("what was acknowledged is there after it", column, lambda: ledger.compare(broker.address))
    report.check("it is written on", column, lambda: acknowledged(ledger, 100))


def settings_have_no_journal(broker):
    """Whether commits sync files."""
    return broker.settings.get("highwater.journal.bytes") == "0"


def acknowledged(ledger, count):
    """All of these are taken."""
    before = ledger.count()
    ledger.write(count)
    ledger.settle(60)
    assert ledger.count() == before + count and not ledger.errors, ledger.errors[:3]


def refuses(broker, ledger, calls):
    """While the calls fail nothing is acknowledged, and the client is told."""
    before = ledger.count()
    with Failing(broker, calls, "EIO"):
        ledger.write(50)
        ledger.settle(60)
    assert ledger.count() == before, f"{ledger.count() - before} were acknowledged"
    names = {name for _, name in ledger.errors}
    assert names == {"KAFKA_STORAGE_ERROR"}, f"refused with {names or 'nothing'}"
    ledger.errors.clear()


def served_again(ledger):
    """The next records are taken, without a restart."""

    def taken():
        before = ledger.count()
        ledger.errors.clear()
        ledger.write(10)
        ledger.settle(60)
        return ledger.count() == before + 10

    wait_until("records to be taken again", taken, 30)
    ledger.errors.clear()


def still_refuses(ledger):
    """The calls work again, and nothing is taken until a restart."""
    before = ledger.count()
    ledger.write(10)
    ledger.settle(60)
    names = {name for _, name in ledger.errors}
    assert ledger.count() == before and names == {"KAFKA_STORAGE_ERROR"}, (ledger.count() - before, names)
    ledger.errors.clear()


def few_descriptors(report, broker):
    """No descriptor is left for new topics; what is open goes on, and all is well when there are some again."""
    broker.start()
    topics.create(broker, "before", remote=False)
    ledger = Ledger(broker.address, "before", 1, PLAIN, seconds=20)
    report.check("it works at first", "EMFILE", lambda: acknowledged(ledger, 100))
    pid = broker.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def without():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), hard))
        acknowledged(ledger, 100)
        try:
            admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 1})
            admin.create_topics([NewTopic("during", 3, 1)], request_timeout=4)["during"].result(6)
        except Exception as error:  # pylint: disable=broad-except
            print(f"         a new topic: {error}")
        assert broker.alive(), "the process has ended"

    report.check("open logs are written on", "EMFILE", without)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    report.check("new topics when there are some again", "EMFILE", lambda: topics.create(broker, "after", 3, remote=False))
    report.check("what was acknowledged is read", "EMFILE", lambda: ledger.compare(broker.address))
    report.check("clean stop", "EMFILE", broker.stop)


def read_only(report, kind, folder):
    """A data directory that nothing can be written to: it says so and ends; nothing is lost by that."""
    data = folder / "data"
    data.mkdir(parents=True)
    why = mount(data)
    if why:
        report.skip("a read-only disk", "read-only", why)
        return
    try:
        with kind(folder, {"log.retention.ms": "-1"}) as broker:
            broker.start()
            topics.create(broker, "kept", remote=False)
            ledger = Ledger(broker.address, "kept", 1, PLAIN, seconds=20)
            report.check("it works at first", "read-only", lambda: acknowledged(ledger, 100))
            broker.kill()
            subprocess.run(["mount", "-o", "remount,ro", data], check=True)
            report.check("it says why it does not start", "read-only", lambda: refused(broker, str(data)))
            subprocess.run(["mount", "-o", "remount,rw", data], check=True)
            report.check("it starts when the disk is writable", "read-only", broker.start)
            report.check("what was acknowledged is read", "read-only", lambda: ledger.compare(broker.address))
            broker.kill()
    finally:
        subprocess.run(["umount", "-l", data], check=False)


def refused(broker, names):
    """It ends by itself, with a failure that names this."""
    arguments, _ = broker.command()
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=30, check=False)
    said = done.stdout + done.stderr
    assert done.returncode not in (0, 101) and done.returncode > 0, f"it ended with {done.returncode}: {said}"
    assert names in said and "panicked" not in said, f"it does not name {names}: {said}"
    print(f"         {said.strip().splitlines()[-1][:180]}")


def held_by_kafka(report, folder):
    """Apache Kafka runs on the directory: ours is refused; and the other way round."""
    why = Apache.missing()
    if why:
        report.skip("a directory that Kafka holds", "Kafka", why)
        return
    with Kafka(folder / "kafka") as kafka:
        kafka.start()
        ours = Highwater(folder / "ours", {"log.dirs": str(kafka.data)})
        report.check("ours is refused where Kafka runs", "Kafka", lambda: refused(ours, str(kafka.data)))
        report.check("Kafka is not disturbed", "Kafka", lambda: kafka.alive() or 1 / 0)
    with Highwater(folder / "mine") as ours:
        ours.start()
        kafka = Kafka(folder / "theirs", {"log.dirs": str(ours.data)})
        kafka.settings["listeners"] = f"PLAINTEXT://{kafka.address},CONTROLLER://127.0.0.1:{free_port()}"
        arguments, variables = Kafka.command(kafka) if kafka.data.exists() else formatted(kafka)
        done = subprocess.run(
            [str(a) for a in arguments], env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False
        )
        report.check("Kafka is refused where ours runs", "Kafka", lambda: lock_is_named(done))
        report.check("ours is not disturbed", "Kafka", lambda: raw.ready(ours.address) or 1 / 0)


def lock_is_named(done):
    """Kafka has ended because of the lock, and for no other reason."""
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "lock" in said.lower(), f"Kafka ended with {done.returncode}: {said[-2000:]}"


def formatted(kafka):
    """Kafka's command line for a directory that is there already: nothing is formatted."""
    kafka.data.mkdir()
    return kafka.command()
