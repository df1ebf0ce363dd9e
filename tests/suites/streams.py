"""Kafka Streams counts words exactly once, while it and the broker are killed: every change of every count is there
once, in order. Its topics for repartitioning are purged as it goes, its state is in a compacted topic."""

import collections
import random

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harness import raw

from . import programs

PARTITIONS = 4
WORDS = 150
LINES, EACH = 500, 8


def begin(broker, stack, folder):
    """The steps."""
    counting = Counting(broker, stack, folder)
    return [
        ("counts words", counting.counts),
        ("exactly once over a kill of the application", counting.killed),
        ("exactly once over a kill of the broker", counting.broker_killed),
        ("what was repartitioned is purged", counting.purged),
    ]


class Counting:
    """What was written and what a reader of committed records has seen so far."""

    def __init__(self, broker, stack, folder):
        self.broker = broker
        self.chance = random.Random(7)
        self.written = collections.Counter()
        self.seen = collections.defaultdict(list)
        admin = AdminClient({"bootstrap.servers": broker.address})
        for made in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in ("lines", "counts")]).values():
            made.result(30)
        settings = {"bootstrap.servers": broker.address, "log_level": 1, "error_cb": lambda error: None}
        self.producer = Producer(settings | {"enable.idempotence": True})
        self.reader = Consumer(settings | {"group.id": "reader", "enable.auto.commit": False})
        stack.callback(self.reader.close)
        self.reader.assign([TopicPartition("counts", partition, 0) for partition in range(PARTITIONS)])
        arguments = [broker.address, folder / "state", "classic"]
        self.program = stack.enter_context(programs.Java(folder, "WordCount", *arguments))

    def counts(self):
        """From the first start, with its internal topics to be made."""
        self.write()
        self.program.start()
        self.all_is_seen()

    def killed(self):
        """In the middle of it, with transactions open; what was half done is done again, and seen once."""
        self.write()
        self.some_is_seen()
        self.program.kill()
        self.program.start()
        self.write()
        self.all_is_seen()

    def broker_killed(self):
        """In the middle of it, with transactions open."""
        self.write()
        self.some_is_seen()
        self.broker.kill()
        self.broker.start()
        self.write()
        self.all_is_seen()

    def purged(self):
        """The program deletes the records that it has repartitioned and processed."""
        topic = "word-count-KSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition"
        self.program.wait(
            "a later start of the repartitioned records",
            lambda: any(raw.list_offset(self.broker.address, topic, n, raw.EARLIEST)[0] for n in range(PARTITIONS)),
            seconds=90,
        )

    def write(self):
        """Lines of words drawn at random."""
        for number in range(LINES):
            words = [f"word{self.chance.randrange(WORDS)}" for _ in range(EACH)]
            self.written.update(words)
            self.producer.produce("lines", " ".join(words), partition=number % PARTITIONS)
        assert self.producer.flush(60) == 0

    def some_is_seen(self):
        """A part of what was written is counted, and not all of it."""
        before = self.count()
        self.program.wait("some counts", lambda: self.poll() and before < self.count())
        assert self.count() < sum(self.written.values()), "all was counted before anything was killed"

    def all_is_seen(self):
        """Each word was counted from one to the number of times it was written, without a gap or a repetition."""
        self.program.wait("all counts", lambda: self.poll() and self.count() >= sum(self.written.values()))
        for word, times in self.written.items():
            found = self.seen[word]
            wrong = next((n for n, count in enumerate(found, 1) if n != count), None)
            assert wrong is None, f"{word}: {found[max(wrong - 3, 0) : wrong + 2]} around change {wrong}"
            assert len(found) == times, f"{word}: {len(found)} changes for {times} words"

    def poll(self):
        """Takes what there is."""
        for message in self.reader.consume(200, 0.2):
            if not message.error():
                self.seen[message.key().decode()].append(int(message.value()))
        return True

    def count(self):
        """How many changes were seen."""
        return sum(len(found) for found in self.seen.values())


if __name__ == "__main__":
    programs.main("streams", "Kafka Streams 4.3.1", "word count", begin)
