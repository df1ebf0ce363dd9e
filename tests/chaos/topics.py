"""Topics and the broker's settings for the faults."""

from confluent_kafka.admin import AdminClient, NewTopic

from harness import raw
from harness.waiting import wait_until

# Small segments that leave the local disk soon, so that a short run rolls and offloads hundreds of times.
RESTLESS = {
    "log.local.retention.ms": "1500",
    "log.retention.check.interval.ms": "200",
    "remote.log.manager.task.interval.ms": "200",
    "log.retention.ms": "-1",
}
SEGMENT = "1048576"


def create(broker, name, partitions=1, remote=True, **configs):
    """Creates a topic and waits until its partitions answer."""
    settings = {"segment.bytes": SEGMENT, **configs}
    if remote:
        settings |= broker.remote_topic_settings
    else:
        settings["remote.storage.enable"] = "false"
    admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 1})
    for future in admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values():
        future.result(30)
    for partition in range(partitions):
        wait_until(
            f"{name}-{partition} to answer",
            lambda: raw.list_offset(broker.address, name, partition, raw.LATEST),
            20,
            not_yet=(raw.Answered,),
        )


def local_start(broker, topic, partition=0):
    """The lowest offset on local disk."""
    return raw.list_offset(broker.address, topic, partition, raw.EARLIEST_LOCAL)[0]


def tiered_end(broker, topic, partition=0):
    """One past the highest offset in the bucket; 0 when nothing is."""
    return raw.list_offset(broker.address, topic, partition, raw.LATEST_TIERED)[0] + 1


def log_end(broker, topic, partition=0):
    """The next offset."""
    return raw.list_offset(broker.address, topic, partition, raw.LATEST)[0]
