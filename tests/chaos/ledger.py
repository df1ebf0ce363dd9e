"""A producer that writes down what was acknowledged, and the comparison with what a reader finds."""

import hashlib
import threading

from confluent_kafka import Consumer, Producer, TopicPartition

from harness import raw
from harness.waiting import wait_until

VALUE_SIZE = 600


def value_of(number):
    """The value of the record with this number: recognizable, and different in every byte from any other's."""
    return b"%012d" % number + hashlib.shake_256(b"%d" % number).digest(VALUE_SIZE - 12)


class Ledger:
    """Writes numbered records to every partition of one topic and knows where each acknowledged one lies."""

    def __init__(self, address, topic, partitions, settings, seconds=300):
        self.topic, self.partitions = topic, partitions
        self.idempotent = settings.get("enable.idempotence", False)
        self.lock = threading.Lock()
        self.acknowledged = [{} for _ in range(partitions)]  # offset -> number
        self.errors = []
        self.next = 0
        self.producer = Producer(
            {
                "bootstrap.servers": address,
                "linger.ms": 5,
                "message.timeout.ms": seconds * 1000,
                "reconnect.backoff.max.ms": 200,
                "log_level": 1,
                "compression.type": "lz4",
                **settings,
            }
        )

    def write(self, count):
        """Hands over `count` records; they are acknowledged when the broker gets to it."""
        for _ in range(count):
            number, partition = self.next, self.next % self.partitions
            self.next += 1
            self.producer.produce(
                self.topic, value_of(number), b"%d" % number, partition, on_delivery=self._delivered(number)
            )
        self.producer.poll(0)

    def _delivered(self, number):
        def callback(error, message):
            with self.lock:
                if error:
                    self.errors.append((number, error.name()))
                    return
                known = self.acknowledged[message.partition()]
                assert message.offset() not in known, f"offset {message.offset()} was acknowledged twice"
                known[message.offset()] = number

        return callback

    def settle(self, seconds=120):
        """Waits until nothing is in flight."""
        left = self.producer.flush(seconds)
        assert left == 0, f"{left} records of {self.topic} are neither acknowledged nor refused after {seconds} s"

    def count(self):
        """How many records were acknowledged."""
        with self.lock:
            return sum(len(known) for known in self.acknowledged)

    def compare(self, address):
        """Reads all of the topic and compares. Returns (records read, of them acknowledged, only in the bucket)."""
        read = acknowledged = remote = 0
        for partition in range(self.partitions):
            end = raw.list_offset(address, self.topic, partition, raw.LATEST)[0]
            assert raw.list_offset(address, self.topic, partition, raw.EARLIEST)[0] == 0, "the log's start moved"
            local = raw.list_offset(address, self.topic, partition, raw.EARLIEST_LOCAL)[0]
            found = read_all(address, self.topic, partition, end)
            self._compare_partition(partition, found)
            read += len(found)
            acknowledged += len(self.acknowledged[partition])
            remote += local
        return read, acknowledged, remote

    def _compare_partition(self, partition, found):
        where = f"{self.topic}-{partition}"
        assert [offset for offset, _, _ in found] == list(range(len(found))), f"{where} has a gap"
        numbers = []
        for offset, key, value in found:
            number = int(key)
            assert value == value_of(number), f"{where}: other bytes at {offset} than were written as {number}"
            numbers.append(number)
        for offset, number in self.acknowledged[partition].items():
            assert offset < len(numbers), f"{where}: {number}, acknowledged at {offset}, is gone; end {len(numbers)}"
            assert numbers[offset] == number, f"{where}: {offset} was acknowledged for {number}, has {numbers[offset]}"
        if self.idempotent:
            assert len(set(numbers)) == len(numbers), f"{where}: {len(numbers) - len(set(numbers))} duplicates"
            assert numbers == sorted(numbers), f"{where} is out of order"
        missing = set(self.acknowledged[partition].values()) - set(numbers)
        assert not missing, f"{where}: {len(missing)} acknowledged records are gone"


def read_all(address, topic, partition, end):
    """[(offset, key, value)] from the beginning to `end`, with checksums verified by the client. Errors that name no
    topic are of the group that the client looks for because its library insists on a `group.id`."""
    if end == 0:
        return []
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "faults",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "log_level": 1,
        }
    )
    found = []

    def arrived():
        for message in consumer.consume(5000, 0.2):
            if not message.error():
                found.append((message.offset(), message.key(), message.value()))
            elif message.topic() and not message.error().retriable():
                raise AssertionError(f"{topic}-{partition} at {len(found)} of {end}: {message.error()}")
        return len(found) >= end

    try:
        consumer.assign([TopicPartition(topic, partition, 0)])
        wait_until(f"{end} records of {topic}-{partition}", arrived, 120, pause=0)
    finally:
        consumer.close()
    return found
