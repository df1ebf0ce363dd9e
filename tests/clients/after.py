"""What is tried once only the bucket has the records."""

from harness import raw
from harness.waiting import wait_until

from . import before
from .client import Refused

ROWS = ["all records", "by timestamp", "10 MB records"]


def wait_for_the_bucket(broker, written):
    """Returns once no local segment holds what was written, by the broker's word and by the directory."""
    ends = {topic: len(records) for topic, records in written.topics.items()}
    ends[written.large_topic] = len(written.large)
    for topic, end in ends.items():
        wait_until(
            f"the local log of {topic} to start at {end} or later",
            lambda: raw.list_offset(broker.address, topic, 0, raw.EARLIEST_LOCAL)[0] >= end,
            seconds=90,
            not_yet=(raw.Answered,),
        )
        assert raw.list_offset(broker.address, topic, 0, raw.EARLIEST)[0] == 0, "the log's start moved"
        assert raw.list_offset(broker.address, topic, 0, raw.LATEST_TIERED)[0] >= end - 1
        left = [int(file.stem) for file in (broker.data / f"{topic}-0").glob("*.log")]
        assert min(left) >= end, f"{topic}: local segments {left}, {end} records were to leave"


def reads_anything(broker, written):
    """Whether a fetch from the beginning of every topic returns a batch."""
    return all(raw.batches(broker.address, topic, 0) for topic in written.topics)


def reads(report, clients, written, where):
    """The same bytes as before."""
    for client in clients:
        report.check(f"all records {where}", client.name, lambda: before.reads_all(client, written))
        report.check(f"by timestamp {where}", client.name, lambda: before.reads_by_time(client, written))
        report.check(f"10 MB records {where}", client.name, lambda: before.reads_large(client, written))


def deletes(report, clients):
    """A topic goes and can be made again, empty."""

    def one(client):
        topic = f"created-{before.slug(client)}"
        client.delete(topic)
        wait_until("the topic to be gone", lambda: gone(client, topic))
        client.create(topic)
        wait_until("the topic to be known", lambda: client.list_offset(topic, raw.LATEST)[0] >= 0, 10, not_yet=(Refused,))

    def gone(client, topic):
        try:
            client.topic_configs(topic)
        except Refused:
            return True
        return False

    for client in clients:
        report.check("delete a topic", client.name, lambda: one(client))
