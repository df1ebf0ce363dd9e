"""confluent-kafka of PyPI, on a new librdkafka."""

import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from steps import CODECS, SECONDS, Steps, Story, same, until, values

steps = Steps(confluent_kafka.version())
base = {"bootstrap.servers": steps.bootstrap, "log_level": 2, "error_cb": lambda error: None}
admin = AdminClient({"bootstrap.servers": steps.bootstrap, "log_level": 2})


def main():
    """Every step."""
    steps.step("create a topic", create)
    for codec in CODECS:
        steps.step(f"produce {codec}", lambda codec=codec: round_trip(codec, {"compression.type": codec}))
    steps.step("produce idempotently", lambda: round_trip("idempotent", {"enable.idempotence": True}))
    steps.step("commit a transaction", commits)
    steps.step("abort a transaction", aborts)
    steps.step("offsets in a transaction", offsets_in_transaction)
    make(steps.topic("group"), 4)
    Story(lambda: Member("group", {}), lambda *what: write(steps.topic("group"), *what)).tell(steps)
    make(steps.topic("group2"), 4)
    story = Story(lambda: Member("group2", {"group.protocol": "consumer"}), lambda *what: write(steps.topic("group2"), *what))
    steps.step("new group protocol", story.whole)
    steps.step("look up a time", looks_up)
    if steps.past:
        steps.step("read the bucket", lambda: same(read(steps.past[0], steps.past[1]), values(steps.past[1], "past")))


def make(topic, partitions=1):
    """Creates a topic."""
    (future,) = admin.create_topics([NewTopic(topic, partitions, 1)]).values()
    future.result(SECONDS)


def create():
    """With settings, and not twice."""
    topic = steps.topic("created")
    (future,) = admin.create_topics([NewTopic(topic, 3, 1, config={"retention.ms": "86400000"})]).values()
    future.result(SECONDS)
    until("three partitions", lambda: len(admin.list_topics(topic, SECONDS).topics[topic].partitions) == 3)
    # To ask for all topics librdkafka writes three bytes more than belong to the request.
    assert topic in admin.list_topics(timeout=SECONDS).topics
    try:
        make(topic)
    except KafkaException as error:
        assert error.args[0].name() == "TOPIC_ALREADY_EXISTS", error
    else:
        raise AssertionError("a topic could be created twice")


def round_trip(name, settings):
    """Writes and reads back."""
    topic = steps.topic(name)
    make(topic)
    write(topic, 0, values(), settings)
    same(read(topic, len(values())), values())


def write(topic, partition, what, settings=None, timestamps=None):
    """Returns once all is acknowledged."""
    producer = Producer(base | {"linger.ms": 20} | (settings or {}))
    send(producer, topic, partition, what, timestamps)


def send(producer, topic, partition, what, timestamps=None):
    """Produces and waits for the acknowledgements."""
    errors = []
    for number, value in enumerate(what):
        extra = {"timestamp": timestamps[number]} if timestamps else {}
        producer.produce(
            topic, value, b"key", partition, on_delivery=lambda error, _: errors.append(error) if error else None, **extra
        )
    left = producer.flush(SECONDS)
    assert not errors and not left, f"{errors[:1]}, {left} not acknowledged"


def read(topic, count, offset=0, isolation="read_committed"):
    """By assignment, until `count` records were read."""
    consumer = Consumer(base | {"group.id": "nobody", "enable.auto.commit": False, "isolation.level": isolation})
    consumer.assign([TopicPartition(topic, 0, offset)])
    found = []

    def more():
        for message in consumer.consume(count - len(found), 0.2):
            if not message.error():
                found.append(message.value())
        return len(found) == count

    try:
        until(f"{count} records of {topic}", more)
    finally:
        consumer.close()
    return found


def transactional(name):
    """A producer that has its id."""
    producer = Producer(base | {"transactional.id": steps.topic(name)})
    producer.init_transactions(SECONDS)
    return producer


def commits():
    """Two transactions in a row."""
    topic = steps.topic("committed")
    make(topic)
    producer = transactional("commits")
    for half in (values()[:30], values()[30:]):
        producer.begin_transaction()
        send(producer, topic, 0, half)
        producer.commit_transaction(SECONDS)
    same(read(topic, len(values())), values())


def aborts():
    """What was aborted is only read by those who ask for it."""
    topic = steps.topic("aborted")
    make(topic)
    producer = transactional("aborts")
    producer.begin_transaction()
    send(producer, topic, 0, values(5, "aborted"))
    producer.abort_transaction(SECONDS)
    producer.begin_transaction()
    send(producer, topic, 0, values(5))
    producer.commit_transaction(SECONDS)
    same(read(topic, 5), values(5))
    same(read(topic, 10, isolation="read_uncommitted"), values(5, "aborted") + values(5))


def offsets_in_transaction():
    """Consumed, processed, produced; the offsets are there with the commit and not with the abort."""
    source, target = steps.topic("source"), steps.topic("target")
    make(source)
    make(target)
    write(source, 0, values(10))
    producer = transactional("offsets")
    member = Consumer(
        base | {"group.id": steps.topic("eos"), "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    member.subscribe([source])
    found = []
    until("ten records", lambda: found.extend(member.consume(10 - len(found), 0.2)) or len(found) == 10)
    for offset, end in ((4, producer.abort_transaction), (7, producer.commit_transaction)):
        producer.begin_transaction()
        send(producer, target, 0, [message.value() for message in found[:offset]])
        producer.send_offsets_to_transaction([TopicPartition(source, 0, offset)], member.consumer_group_metadata(), SECONDS)
        end(SECONDS)
    (committed,) = member.committed([TopicPartition(source, 0)], SECONDS)
    member.close()
    assert committed.offset == 7, committed
    same(read(target, 7), values(7))


class Member:
    """A member of a group."""

    def __init__(self, group, settings):
        settings = {"group.id": steps.topic(group), "auto.offset.reset": "earliest", "enable.auto.commit": False} | settings
        self.consumer = Consumer(base | settings)
        self.consumer.subscribe([steps.topic(group)])

    def poll(self):
        """Values."""
        return [message.value() for message in self.consumer.consume(100, 0.1) if not message.error()]

    def assignment(self):
        """Partitions."""
        return {partition.partition for partition in self.consumer.assignment()}

    def commit(self):
        """What was polled."""
        self.consumer.commit(asynchronous=False)

    def close(self):
        """Leaves."""
        self.consumer.close()


def looks_up():
    """The first record at or after a time, and none after the last."""
    topic, first = steps.topic("time"), int(time.time() * 1000) - 60_000
    make(topic)
    write(topic, 0, values(10), timestamps=[first + 1000 * number for number in range(10)])
    consumer = Consumer(base | {"group.id": "nobody"})
    for at, expected in ((first + 3500, 4), (first, 0), (first + 20_000, -1)):
        (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, at)], SECONDS)
        assert found.offset == expected, f"{at - first} ms: {found.offset}, not {expected}"
    consumer.close()


main()
