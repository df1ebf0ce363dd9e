"""A topic whose first records lie in the bucket alone, made before the clients come."""

from harness import raw
from harness.waiting import wait_until

COUNT = 1000
TOPIC = "past"
# Tiered at once, kept locally for a moment only.
SETTINGS = {"segment.bytes": "1048576", "local.retention.ms": "1000"}
BROKER = {
    "num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "log.retention.check.interval.ms": "300",
    "remote.log.manager.task.interval.ms": "300",
}


def prepare(broker):
    """Returns once the first COUNT records are only in the bucket."""
    from confluent_kafka import Producer  # pylint: disable=import-outside-toplevel
    from confluent_kafka.admin import AdminClient, NewTopic  # pylint: disable=import-outside-toplevel

    settings = {"bootstrap.servers": broker.address, "log_level": 2}
    configs = SETTINGS | broker.remote_topic_settings
    admin = AdminClient(settings)
    (made,) = admin.create_topics([NewTopic(TOPIC, 1, 1, config=configs)]).values()
    made.result(30)
    # Small batches, so that a segment ends soon after the last of them.
    producer = Producer(settings | {"batch.num.messages": 100})
    values = [f"past-{number:06}-{'x' * 100}".encode() for number in range(COUNT)]
    filler = [bytes(200_000)] * 12
    for value in [*values, *filler]:
        producer.produce(TOPIC, value, b"key", 0)
        producer.poll(0)
    assert producer.flush(30) == 0
    wait_until(
        "the first records to be in the bucket alone",
        lambda: raw.list_offset(broker.address, TOPIC, 0, raw.EARLIEST_LOCAL)[0] >= COUNT,
        seconds=90,
        not_yet=(raw.Answered,),
    )
    assert raw.list_offset(broker.address, TOPIC, 0, raw.EARLIEST)[0] == 0
