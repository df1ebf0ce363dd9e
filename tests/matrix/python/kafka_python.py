"""kafka-python of PyPI: its own protocol, in Python."""

import concurrent.futures
import contextlib
import queue
import threading
import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata
from steps import CODECS, SECONDS, NotApplicable, Steps, Story, same, until, values

steps = Steps(kafka.__version__)
base = {"bootstrap_servers": steps.bootstrap}
admin = KafkaAdminClient(**base)
GROUP = {"auto_offset_reset": "earliest", "enable_auto_commit": False}


def main():
    """Every step."""
    steps.step("create a topic", create)
    for codec in CODECS:
        settings = {"compression_type": None if codec == "none" else codec, "enable_idempotence": False}
        steps.step(f"produce {codec}", lambda codec=codec, settings=settings: round_trip(codec, settings))
    steps.step("produce idempotently", lambda: round_trip("idempotent", {"enable_idempotence": True}))
    steps.step("commit a transaction", commits)
    steps.step("abort a transaction", aborts)
    steps.step("offsets in a transaction", offsets_in_transaction)
    make(steps.topic("group"), 4)
    Story(Member, lambda *what: write(steps.topic("group"), *what)).tell(steps)
    steps.step("new group protocol", no_new_protocol)
    steps.step("look up a time", looks_up)
    if steps.past:
        steps.step("read the bucket", lambda: same(read(steps.past[0], steps.past[1]), values(steps.past[1], "past")))


def make(topic, partitions=1, configs=None):
    """Creates a topic."""
    admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs or {})])


def create():
    """With settings, and not twice."""
    topic = steps.topic("created")
    make(topic, 3, {"retention.ms": "86400000"})
    until("three partitions", lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 3)
    try:
        make(topic)
    except TopicAlreadyExistsError:
        return
    raise AssertionError("a topic could be created twice")


def round_trip(name, settings):
    """Writes and reads back."""
    topic = steps.topic(name)
    make(topic)
    write(topic, 0, values(), settings)
    same(read(topic, len(values())), values())


def write(topic, partition, what, settings=None, timestamps=None):
    """Returns once all is acknowledged."""
    producer = KafkaProducer(**base, acks="all", linger_ms=20, **(settings or {}))
    send(producer, topic, partition, what, timestamps)
    producer.close()


def send(producer, topic, partition, what, timestamps=None):
    """Produces and waits for the acknowledgements."""
    times = timestamps or [None] * len(what)
    futures = [producer.send(topic, value, b"key", partition=partition, timestamp_ms=at) for value, at in zip(what, times)]
    for future in futures:
        future.get(SECONDS)


def read(topic, count, isolation="read_committed"):
    """By assignment, until `count` records were read."""
    consumer = KafkaConsumer(**base, isolation_level=isolation, auto_offset_reset="earliest")
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    found = []

    def more():
        for records in consumer.poll(200, count - len(found)).values():
            found.extend(record.value for record in records)
        return len(found) == count

    try:
        until(f"{count} records of {topic}", more)
    finally:
        consumer.close()
    return found


def transactional(name):
    """A producer that has its id."""
    producer = KafkaProducer(**base, transactional_id=steps.topic(name))
    producer.init_transactions()
    return producer


def commits():
    """Two transactions in a row."""
    topic = steps.topic("committed")
    make(topic)
    producer = transactional("commits")
    for half in (values()[:30], values()[30:]):
        producer.begin_transaction()
        send(producer, topic, 0, half)
        producer.commit_transaction()
    producer.close()
    same(read(topic, len(values())), values())


def aborts():
    """What was aborted is only read by those who ask for it."""
    topic = steps.topic("aborted")
    make(topic)
    producer = transactional("aborts")
    producer.begin_transaction()
    send(producer, topic, 0, values(5, "aborted"))
    producer.abort_transaction()
    producer.begin_transaction()
    send(producer, topic, 0, values(5))
    producer.commit_transaction()
    producer.close()
    same(read(topic, 5), values(5))
    same(read(topic, 10, isolation="read_uncommitted"), values(5, "aborted") + values(5))


def offsets_in_transaction():
    """Consumed, processed, produced; the offsets are there with the commit and not with the abort."""
    source, target = steps.topic("source"), steps.topic("target")
    make(source)
    make(target)
    write(source, 0, values(10))
    producer = transactional("offsets")
    member = KafkaConsumer(source, **base, group_id=steps.topic("eos"), isolation_level="read_committed", **GROUP)
    # Only a reader of committed records waits for the offsets of a transaction whose end is on its way.
    found = []
    until("ten records", lambda: found.extend(v for r in member.poll(200).values() for v in r) or len(found) == 10)
    for offset, end in ((4, producer.abort_transaction), (7, producer.commit_transaction)):
        producer.begin_transaction()
        send(producer, target, 0, [record.value for record in found[:offset]])
        offsets = {TopicPartition(source, 0): OffsetAndMetadata(offset, "", -1)}
        producer.send_offsets_to_transaction(offsets, member.group_metadata())
        end()
    committed = member.committed(TopicPartition(source, 0))
    member.close()
    producer.close()
    assert committed == 7, committed
    same(read(target, 7), values(7))


class Member:
    """A member of a group, polled by a thread of its own: it takes part in a rebalance only inside its calls, and two
    that wait for each other in turns never meet. The calls are long, as 3.0.12 forgets an assignment that comes while
    none is waiting (against Apache Kafka, too)."""

    def __init__(self):
        self.consumer = KafkaConsumer(steps.topic("group"), **base, group_id=steps.topic("group"), **GROUP)
        self.found, self.work = queue.SimpleQueue(), queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            for records in self.consumer.poll(3000).values():
                for record in records:
                    self.found.put(record.value)
            with contextlib.suppress(queue.Empty):
                work, answer = self.work.get_nowait()
                try:
                    answer.set_result(work())
                except Exception as error:  # pylint: disable=broad-except
                    answer.set_exception(error)
                if work == self.consumer.close:
                    return

    def _do(self, work):
        answer = concurrent.futures.Future()
        self.work.put((work, answer))
        answer.result(SECONDS)

    def poll(self):
        """Values."""
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self.found.get(timeout=0.1))
            while True:
                found.append(self.found.get_nowait())
        return found

    def assignment(self):
        """Partitions."""
        return {partition.partition for partition in self.consumer.assignment()}

    def commit(self):
        """What was polled."""
        self._do(self.consumer.commit)

    def close(self):
        """Leaves."""
        self._do(self.consumer.close)


def no_new_protocol():
    """It speaks the classic one."""
    raise NotApplicable("the client has only the classic protocol")


def looks_up():
    """The first record at or after a time, and none after the last."""
    topic, first = steps.topic("time"), int(time.time() * 1000) - 60_000
    make(topic)
    write(topic, 0, values(10), timestamps=[first + 1000 * number for number in range(10)])
    consumer, partition = KafkaConsumer(**base), TopicPartition(topic, 0)
    for at, expected in ((first + 3500, 4), (first, 0), (first + 20_000, None)):
        found = consumer.offsets_for_times({partition: at})[partition]
        assert (found and found.offset) == expected, f"{at - first} ms: {found}, not {expected}"
    consumer.close()


main()
