"""What is tried while everything lies on local disk."""

import itertools

from harness import raw, records
from harness.report import NotApplicable
from harness.waiting import wait_until

from .client import Refused

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
TEN_MB = 10_000_000
LIMIT = 100_000
COUNT = 150
TOO_LARGE = ("MSG_SIZE_TOO_LARGE", "RecordTooLargeException", "kcat")


class Written:
    """What lies in which topic, as it must be read back."""

    def __init__(self):
        self.topics = {}  # topic -> records with offsets and timestamps
        self.large = []
        self.large_topic = "large"


def all_of_it(report, clients, address, remote):
    """Creates, writes and reads with every client; returns what was written."""
    written = Written()
    full = [client for client in clients if client.writes_everything]
    for client in clients:
        report.check("create a topic", client.name, lambda: creates(client))
    for client in clients:
        creator = client if client.writes_everything else full[0]
        writes(report, client, creator, full[0], address, remote, written)
    for client in clients:
        report.check("read what all wrote", client.name, lambda: reads_all(client, written))
        report.check("read from a timestamp", client.name, lambda: reads_by_time(client, written))
        report.check("ListOffsets: times and specials", client.name, lambda: lists_offsets(client, address, written))
    limits(report, clients, full[0], remote, written)
    for client in clients:
        report.check("DescribeConfigs", client.name, lambda: describes_configs(client))
        report.check("DescribeCluster", client.name, lambda: describes_cluster(client, address))
    return written


def creates(client):
    """A client that can name settings does; the topic is there afterwards."""
    topic = f"created-{slug(client)}"
    client.create(topic)
    wait_until("the topic to be known", lambda: client.list_offset(topic, raw.LATEST)[0] >= 0, 10, not_yet=(Refused,))
    if client.writes_everything:
        try:
            client.create(topic)
        except Refused as error:
            assert error.name in ("TOPIC_ALREADY_EXISTS", "TopicExistsException"), error
        else:
            raise AssertionError("creating a topic twice was accepted")


def writes(report, client, creator, reader, address, remote, written):
    """One topic per writer: every codec, then idempotently."""
    topic = f"by-{slug(client)}"
    creator.create(topic, {"segment.bytes": "1048576", **remote})
    wait_until("the topic to be known", lambda: raw.list_offset(address, topic, 0, raw.LATEST), 10, not_yet=(raw.Answered,))
    wrote = []

    def one(number, codec, idempotent):
        made = records.varied(COUNT, number) if client.writes_everything else records.plain(COUNT, number)
        first = raw.list_offset(address, topic, 0, raw.LATEST)[0]
        later = records.varied(COUNT, number)[-1].timestamp + number * 5_000 if client.writes_everything else None
        if later:
            made = records.varied(COUNT, number, newest=later)
        placed = client.produce(topic, made, codec=codec, idempotent=idempotent)
        placed = [record.at(first + n) for n, record in enumerate(placed)]
        wrote.extend(placed)
        # A client leaves a batch alone that would not get smaller, as one of a few tiny records may not.
        used = {used for _, size, used in raw.batches(address, topic, 0, offset=first) if size >= 20}
        assert used == {codec}, f"asked for {codec}, the log has {used}"

    for number, codec in enumerate(CODECS):
        report.check(f"produce {codec}", client.name, lambda: one(number, codec, False))
    report.check("produce idempotently", client.name, lambda: one(9, "lz4", True))
    if any(record.timestamp is None for record in wrote):
        # kcat does not tell the times it wrote: take them from a reader, all others must agree with it.
        times = [record.timestamp for record in reader.read(topic, len(wrote))]
        wrote = [record.at(record.offset, time) for record, time in zip(wrote, times, strict=True)]
    written.topics[topic] = wrote


def reads_all(client, written):
    """Byte for byte, in order, nothing more and nothing less."""
    for topic, expected in written.topics.items():
        same(client, client.read(topic, len(expected)), expected)
        middle = len(expected) // 2 + 7
        same(client, client.read(topic, len(expected) - middle, offset=middle), expected[middle:])


def reads_by_time(client, written):
    """From the first record at or after a time."""
    for topic, expected in written.topics.items():
        for position in (0, len(expected) // 3, len(expected) - 1):
            time = expected[position].timestamp
            first = next(n for n, record in enumerate(expected) if record.timestamp >= time)
            same(client, client.read(topic, len(expected) - first, time=time), expected[first:])


def lists_offsets(client, address, written):
    """-1 to -6 and times, against what was written while all of it is local."""
    for topic, expected in written.topics.items():
        end = len(expected)
        newest = max(record.timestamp for record in expected)
        at_newest = next(record.offset for record in expected if record.timestamp == newest)
        time = expected[end // 3].timestamp
        first = next(record.offset for record in expected if record.timestamp >= time)
        asked = {raw.LATEST: end, raw.EARLIEST: 0, time: first, raw.MAX_TIMESTAMP: at_newest}
        asked |= {newest + 1: -1, raw.EARLIEST_LOCAL: 0, raw.LATEST_TIERED: -1, raw.EARLIEST_PENDING_UPLOAD: 0}
        for special, offset in asked.items():
            try:
                found = client.list_offset(topic, special)[0]
            except NotApplicable:
                found = raw.list_offset(address, topic, 0, special)[0]
            found = -1 if found == end and special == newest + 1 else found  # kcat shows the end for none
            assert found == offset, f"{topic}, asked for {special}: {found}, not {offset}"


def limits(report, clients, creator, remote, written):
    """10 MB records where the topic allows them; exactly the limit, and one byte over it."""
    creator.create(written.large_topic, {"max.message.bytes": str(12 << 20), "segment.bytes": str(16 << 20), **remote})
    creator.create("limit", {"max.message.bytes": str(LIMIT)})
    numbers = itertools.count()

    def writes_large(client):
        number = next(numbers)
        (placed,) = client.produce(written.large_topic, [records.large(TEN_MB, number)], large=True)
        time = None if client.writes_everything else creator.read(written.large_topic, 1, offset=number)[0].timestamp
        written.large.append(placed.at(number, time))

    for client in clients:
        report.check("write a 10 MB record", client.name, lambda: writes_large(client))
    for client in clients:
        report.check("read 10 MB records", client.name, lambda: reads_large(client, written))
        report.check("one byte over the limit refused", client.name, lambda: meets_limit(client))


def reads_large(client, written):
    """All the 10 MB records."""
    same(client, client.read(written.large_topic, len(written.large)), written.large)


def meets_limit(client):
    """A batch of exactly max.message.bytes is taken, one byte more is refused by the broker."""
    size = next(n for n in range(LIMIT - 100, LIMIT) if records.single_batch_size(n) == LIMIT)
    client.produce("limit", [records.Record(None, b"=" * size)], large=True)
    try:
        client.produce("limit", [records.Record(None, b">" * (size + 1))], large=True)
    except Refused as error:
        assert error.name in TOO_LARGE and "too large" in str(error).lower() + TEXT.get(error.name, ""), error
    else:
        raise AssertionError("one byte over max.message.bytes was accepted")


TEXT = {"RecordTooLargeException": "too large"}


def describes_configs(client):
    """What was set is shown as the topic's own, what was not as a default."""
    found = client.topic_configs("limit")
    assert found["max.message.bytes"] == (str(LIMIT), "DYNAMIC_TOPIC_CONFIG"), found["max.message.bytes"]
    assert found["retention.ms"] == ("604800000", "DEFAULT_CONFIG"), found["retention.ms"]
    assert found["compression.type"][0] == "producer", found["compression.type"]
    brokers = client.broker_configs(client.cluster()[1])
    assert brokers["message.max.bytes"] == ("1048588", "DEFAULT_CONFIG"), brokers["message.max.bytes"]
    assert brokers["log.retention.check.interval.ms"][1] == "STATIC_BROKER_CONFIG"


def describes_cluster(client, address):
    """One node, which is the controller, at the address that was asked."""
    cluster_id, controller, nodes = client.cluster()
    assert cluster_id is None or len(cluster_id) == 22, cluster_id
    assert nodes == [f"{controller}@{address}"], (controller, nodes)


def push_out(clients, written):
    """Writes until the segments that hold what was written are sealed."""
    writer = next(client for client in clients if client.writes_everything)
    for topic in written.topics:
        filler = [records.Record(b"filler", bytes(400_000)) for _ in range(4)]
        writer.produce(topic, filler)
    for number in range(2):
        writer.produce(written.large_topic, [records.large(TEN_MB, 100 + number)], large=True)


def same(client, found, expected):
    """Fails with the first difference."""
    assert len(found) == len(expected), f"{len(found)} records, not {len(expected)}; last {found[-1:]}"
    for one, other in zip(found, expected):
        other = client.shown(other)
        if one != other:
            raise AssertionError(f"read {one!r}, written was {other!r}")


def slug(client):
    """The client's name as a part of a topic's name."""
    return client.name.split()[0]
