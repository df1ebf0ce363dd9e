"""Transactions over kill -9: what was open is committed, aborted, replaced or timed out afterwards, and a reader of
committed records sees exactly that, on the local disk as in the bucket."""

import contextlib

from harness import raw
from harness.records import Record
from harness.waiting import wait_until

from . import transactional

try:
    import confluent_kafka
except ImportError:
    confluent_kafka = None

SETTINGS = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "log.local.retention.ms": "3600000",
    "log.retention.check.interval.ms": "300",
    "remote.log.manager.task.interval.ms": "300",
}
DROP = {"log.local.retention.ms": "1000"}
# Longer than it takes to start the broker again; nobody waits for the longer of the two.
SOON, NEVER = 8_000, 600_000
COMMITTED, UNCOMMITTED = "read_committed", "read_uncommitted"


def all_of_it(report, broker, writer):
    """Every client that has transactions."""
    kinds = [kind for kind in transactional.KINDS if not kind.missing()]
    if not kinds:
        report.skip("transactions over kill -9", "all", "no client that has any")
        return
    broker.settings |= SETTINGS
    broker.start()
    stories = [Story(kind, broker, writer) for kind in kinds]
    with contextlib.ExitStack() as stack:
        for story in stories:
            stack.callback(story.close)
            report.check("open transactions of four producers", story.kind.name, story.opens)
        writer.close()
        broker.kill()
        broker.start()
        for story in stories:
            name = story.kind.name
            report.check("commit over kill -9", name, story.commits)
            report.check("abort over kill -9", name, story.aborts)
            report.check("a successor over kill -9", name, story.is_succeeded)
            report.check("time-out over kill -9", name, story.times_out)
            report.check("both isolations, local", name, story.reads)
        for story in stories:
            story.push_out()
    writer.close()
    broker.stop()
    broker.settings |= DROP
    broker.start()
    for story in stories:
        report.check("both isolations, from the bucket", story.kind.name, story.reads_from_the_bucket)
    broker.kill()
    broker.start()
    for story in stories:
        report.check("both isolations, from the bucket after kill -9", story.kind.name, story.reads_from_the_bucket)
    broker.stop()


class Story:
    """Four producers and a plain one, on one partition of a topic of their own. Every write waits for its
    acknowledgement, so the order in the log is known."""

    def __init__(self, kind, broker, writer):
        self.kind, self.broker, self.writer = kind, broker, writer
        slug = kind.name.split()[0]
        self.topic, self.group = f"transactions-{slug}", f"group-{slug}"
        # [(owner, value)] as they lie in the log; the owners whose records nobody is to see as committed.
        self.log, self.aborted, self.pushed = [], set(), 0
        self.producers = {}

    def opens(self):
        """Each has a transaction with records in it, two have committed before and two have offsets pending."""
        self.writer.create(self.topic, {"segment.bytes": "1048576", **self.broker.remote_topic_settings})
        for owner in ("commits", "aborts", "is replaced", "times out"):
            timeout = SOON if owner == "times out" else NEVER
            self.producers[owner] = self.kind(self.broker.address, f"{self.topic} {owner}", timeout)
        for owner in ("commits", "aborts"):
            self.producers[owner].begin()
            self.send(owner, owner + " before", 20)
            self.producers[owner].commit()
        # The impatient one last: its time is running.
        for owner, producer in self.producers.items():
            producer.begin()
            self.send(owner, owner, 30)
            self.plain(5)
        self.producers["commits"].send_offset(self.group, self.topic, 7)
        self.producers["aborts"].send_offset(self.group + "-aborted", self.topic, 8)

    def commits(self):
        """The one that goes on after the kill."""
        self.send("commits", "commits", 30)
        self.producers["commits"].commit()
        assert self.committed(self.group) == 7, self.committed(self.group)

    def aborts(self):
        """The one that gives up, and then goes on with the next."""
        self.producers["aborts"].abort()
        self.aborted.add("aborts")
        assert self.committed(self.group + "-aborted") < 0, self.committed(self.group + "-aborted")
        self.producers["aborts"].begin()
        self.send("aborts", "aborts after", 10)
        self.producers["aborts"].commit()

    def is_succeeded(self):
        """Another process takes the transactional id: what the first had open is aborted, and it may not commit it."""
        owner = "is replaced"
        first = self.producers[owner]
        second = self.producers["replaces"] = self.kind(self.broker.address, f"{self.topic} {owner}", NEVER)
        self.aborted.add(owner)
        second.begin()
        self.send("replaces", "replaces", 10)
        self.refused(first.commit)
        second.commit()

    def times_out(self):
        """Nobody ends it: the broker does."""
        owner = "times out"
        self.aborted.add(owner)
        wait_until(
            "the last transaction to be over",
            lambda: self.end(COMMITTED) == self.end(UNCOMMITTED),
            not_yet=(raw.Answered,),
        )
        self.refused(self.producers[owner].commit)

    def reads(self):
        """Both isolations, to the end."""
        everything = [value for _, value in self.log]
        committed = [value for owner, value in self.log if owner not in self.aborted]
        for isolation, expected in ((COMMITTED, committed), (UNCOMMITTED, everything)):
            found = self.read(isolation)
            wrong = next((n for n, pair in enumerate(zip(found, expected)) if pair[0] != pair[1]), "end")
            assert found == expected, f"{isolation}: {len(found)} read, {len(expected)} written, differ at {wrong}"

    def push_out(self):
        """Fills the segment that holds all of it, so that it can go to the bucket."""
        self.pushed = self.end(UNCOMMITTED)
        self.writer.produce(self.topic, [Record(b"filler", bytes(400_000)) for _ in range(4)])

    def reads_from_the_bucket(self):
        """The same, with nothing of it on the local disk."""
        wait_until(
            "the local copies to go",
            lambda: raw.list_offset(self.broker.address, self.topic, 0, raw.EARLIEST_LOCAL)[0] >= self.pushed,
            90,
            not_yet=(raw.Answered,),
        )
        self.reads()

    def send(self, owner, kind, count):
        """Of one producer, in its transaction. Records of a transaction that began before have the kind as owner."""
        values = [b"%s %d %s" % (kind.encode(), n, b"x" * 100) for n in range(count)]
        self.producers[owner].send(self.topic, values)
        self.log += [(kind, value) for value in values]

    def plain(self, count):
        """Of nobody's transaction."""
        values = [b"plain %d" % n for n in range(len(self.log), len(self.log) + count)]
        self.writer.produce(self.topic, [Record(None, value) for value in values])
        self.log += [("plain", value) for value in values]

    def refused(self, work):
        """Fails unless the client says no."""
        try:
            work()
        except self.kind.refusals:
            return
        raise AssertionError("a producer that has lost its id could commit")

    def committed(self, group):
        """The group's offset; negative without one."""
        reader = confluent_kafka.Consumer({"bootstrap.servers": self.broker.address, "group.id": group})
        with contextlib.closing(reader):
            (found,) = reader.committed([confluent_kafka.TopicPartition(self.topic, 0)], 30)
            return found.offset

    def end(self, isolation):
        """One past the last that a reader is shown."""
        return raw.list_offset(self.broker.address, self.topic, 0, raw.LATEST, isolation == COMMITTED)[0]

    def read(self, isolation):
        """Every value up to the end, or to what pushed it out."""
        found = self.writer.read_to_end(self.topic, isolation)
        return [record.value for record in found if record.key != b"filler"]

    def close(self):
        """Leaves what is open behind, as a process that dies does."""
        for producer in self.producers.values():
            producer.close()
