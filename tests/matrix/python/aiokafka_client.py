"""aiokafka of PyPI: its own protocol, in Python and Cython, for asyncio."""

import asyncio
import time

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError
from steps import CODECS, SECONDS, NotApplicable, Steps, Story, same, until, values

steps = Steps(aiokafka.__version__)
base = {"bootstrap_servers": steps.bootstrap}
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)


def main():
    """Every step."""
    steps.step("create a topic", create)
    for codec in CODECS:
        settings = {"compression_type": None if codec == "none" else codec}
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


def wait(work):
    """Runs a coroutine; every consumer that is open goes on meanwhile."""
    return loop.run_until_complete(asyncio.wait_for(work, SECONDS))


def started(kind, *arguments, assigned=None, **settings):
    """A client that is connected, and a consumer that has its partition: both are only made inside the loop."""

    async def start():
        client = kind(*arguments, **base, **settings)
        await client.start()
        if assigned:
            client.assign([assigned])
        return client

    return wait(start())


def make(topic, partitions=1, configs=None):
    """Creates a topic."""

    async def create_one():
        admin = AIOKafkaAdminClient(**base)
        await admin.start()
        try:
            answer = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs or {})])
            code = answer.topic_errors[0][1]
            if code == TopicAlreadyExistsError.errno:
                raise TopicAlreadyExistsError
            assert code == 0, answer
        finally:
            await admin.close()

    wait(create_one())


def create():
    """With settings, and not twice."""
    topic = steps.topic("created")
    make(topic, 3, {"retention.ms": "86400000"})
    consumer = started(AIOKafkaConsumer, topic)
    assert consumer.partitions_for_topic(topic) == {0, 1, 2}
    wait(consumer.stop())
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
    producer = started(AIOKafkaProducer, acks="all", linger_ms=20, **(settings or {}))
    wait(send(producer, topic, partition, what, timestamps))
    wait(producer.stop())


async def send(producer, topic, partition, what, timestamps=None):
    """Produces and waits for the acknowledgements."""
    times = timestamps or [None] * len(what)
    await asyncio.gather(
        *[await producer.send(topic, v, b"key", partition=partition, timestamp_ms=at) for v, at in zip(what, times)]
    )


def read(topic, count, isolation="read_committed"):
    """By assignment, until `count` records were read."""
    partition = TopicPartition(topic, 0)
    consumer = started(AIOKafkaConsumer, assigned=partition, isolation_level=isolation, auto_offset_reset="earliest")
    wait(consumer.seek_to_beginning(partition))
    found = []

    def more():
        for records in wait(consumer.getmany(timeout_ms=200, max_records=count - len(found))).values():
            found.extend(record.value for record in records)
        return len(found) == count

    try:
        until(f"{count} records of {topic}", more)
    finally:
        wait(consumer.stop())
    return found


def commits():
    """Two transactions in a row."""
    topic = steps.topic("committed")
    make(topic)
    producer = started(AIOKafkaProducer, transactional_id=steps.topic("commits"))
    for half in (values()[:30], values()[30:]):
        wait(producer.begin_transaction())
        wait(send(producer, topic, 0, half))
        wait(producer.commit_transaction())
    wait(producer.stop())
    same(read(topic, len(values())), values())


def aborts():
    """What was aborted is only read by those who ask for it."""
    topic = steps.topic("aborted")
    make(topic)
    producer = started(AIOKafkaProducer, transactional_id=steps.topic("aborts"))
    wait(producer.begin_transaction())
    wait(send(producer, topic, 0, values(5, "aborted")))
    wait(producer.abort_transaction())
    wait(producer.begin_transaction())
    wait(send(producer, topic, 0, values(5)))
    wait(producer.commit_transaction())
    wait(producer.stop())
    same(read(topic, 5), values(5))
    same(read(topic, 10, isolation="read_uncommitted"), values(5, "aborted") + values(5))


def offsets_in_transaction():
    """Consumed, processed, produced; the offsets are there with the commit and not with the abort."""
    source, target, group = steps.topic("source"), steps.topic("target"), steps.topic("eos")
    make(source)
    make(target)
    write(source, 0, values(10))
    producer = started(AIOKafkaProducer, transactional_id=steps.topic("offsets"))
    for offset, end in ((4, producer.abort_transaction), (7, producer.commit_transaction)):
        wait(producer.begin_transaction())
        wait(send(producer, target, 0, values(10)[:offset]))
        wait(producer.send_offsets_to_transaction({TopicPartition(source, 0): offset}, group))
        wait(end())
    wait(producer.stop())
    partition = TopicPartition(source, 0)
    member = started(AIOKafkaConsumer, assigned=partition, group_id=group, enable_auto_commit=False)
    # This client never asks for stable offsets: until the group has the marker it is told what was there before.
    until("the offset", lambda: wait(member.committed(partition)) is not None)
    committed = wait(member.committed(partition))
    wait(member.stop())
    assert committed == 7, committed
    same(read(target, 7), values(7))


class Member:
    """A member of a group."""

    def __init__(self):
        settings = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
        # A member joins while it starts, and the first must take part in the second's rebalance: all in one loop.
        self.consumer = started(AIOKafkaConsumer, steps.topic("group"), group_id=steps.topic("group"), **settings)

    def poll(self):
        """Values."""
        found = wait(self.consumer.getmany(timeout_ms=100))
        return [record.value for records in found.values() for record in records]

    def assignment(self):
        """Partitions."""
        return {partition.partition for partition in self.consumer.assignment()}

    def commit(self):
        """What was polled."""
        wait(self.consumer.commit())

    def close(self):
        """Leaves."""
        wait(self.consumer.stop())


def no_new_protocol():
    """It speaks the classic one."""
    raise NotApplicable("the client has only the classic protocol")


def looks_up():
    """The first record at or after a time, and none after the last."""
    topic, first = steps.topic("time"), int(time.time() * 1000) - 60_000
    make(topic)
    write(topic, 0, values(10), timestamps=[first + 1000 * number for number in range(10)])
    consumer, partition = started(AIOKafkaConsumer), TopicPartition(topic, 0)
    for at, expected in ((first + 3500, 4), (first, 0), (first + 20_000, None)):
        found = wait(consumer.offsets_for_times({partition: at}))[partition]
        assert (found and found.offset) == expected, f"{at - first} ms: {found}, not {expected}"
    wait(consumer.stop())


main()
