"""A directory goes from Apache Kafka to ours and back, and nothing in it is lost or changed."""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

from confluent_kafka import Consumer, Producer, TopicPartition

from clients.confluent import Confluent
from clients.client import Refused
from harness import places, records
from harness.broker import Highwater, Kafka
from harness.report import Report
from harness.waiting import wait_until

WITH = "Kafka 4.3.1's directory"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
CONFIGS = {"retention.ms": "-1", "segment.bytes": str(1 << 20), "message.timestamp.before.max.ms": "9223372036854775807"}
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "100",
}
LIMITS = {"remote.log.storage.system.enable": "false", "log.cleaner.backoff.ms": "200", "offsets.topic.num.partitions": "2"}


@dataclasses.dataclass
class Written:
    """What Kafka held when it was stopped."""

    topics: dict = dataclasses.field(default_factory=dict)  # (topic, partition) -> records
    committed: dict = dataclasses.field(default_factory=dict)  # topic -> what committed readers see
    groups: dict = dataclasses.field(default_factory=dict)  # group -> offset of topic "plain", partition 0
    configs: dict = dataclasses.field(default_factory=dict)
    ids: list = dataclasses.field(default_factory=list)  # partition.metadata of the partitions of "plain"


def main():
    """Runs all of it."""
    parser = argparse.ArgumentParser(prog="tests/adopt/run", description=__doc__)
    parser.add_argument("--json", metavar="FILE")
    asked = parser.parse_args()
    report = Report("adopting a directory")
    if not places.have_jars():
        report.skip("everything", WITH, "no Java, or Kafka's jars could not be fetched")
        sys.exit(0)
    with tempfile.TemporaryDirectory(prefix="highwater-adopt-") as folder:
        folder = pathlib.Path(folder)
        there_and_back(report, Kafka(folder / "kafka", LIMITS), folder)
    report.finish(asked.json)


def there_and_back(report, kafka, folder):
    """Each step needs the one before."""
    with kafka:
        kafka.start()
        written = Written()
        write(kafka, written)
        if not report.check("refused while Kafka runs", WITH, lambda: refused(kafka.data)):
            return
        kafka.stop()
    report.check("verified as Kafka left it", WITH, lambda: verified(kafka.data))
    report.check("a dry run changes nothing", WITH, lambda: dry_run(kafka.data))
    if not report.check("adopted", WITH, lambda: adopted(kafka.data)):
        return
    report.check("not adopted twice", WITH, lambda: refused(kafka.data))
    settings = {"log.dirs": str(kafka.data), "metadata.log.dir": str(kafka.folder / "metadata"), "node.id": "1"}
    ours = Highwater(folder / "ours", settings)
    with ours:
        ours.start()
        report.check("every record", WITH, lambda: same_records(ours, written))
        report.check("committed records", WITH, lambda: same_committed(ours, written))
        report.check("topic ids and configurations", WITH, lambda: same_configs(ours, written))
        report.check("offsets of groups", WITH, lambda: same_groups(ours, written))
        report.check("written on by ours", WITH, lambda: write_on(ours, written))
        ours.stop()
    report.check("verified as ours left it", WITH, lambda: verified(kafka.data))
    if not report.check("given back", WITH, lambda: tool(0, "adopt", "--undo", kafka.data)):
        return
    compacted_before = written.topics.pop(("compacted", 0))
    with kafka:
        kafka.start()
        report.check("what compaction keeps, by Kafka again", WITH, lambda: same_last(kafka, compacted_before))
        report.check("every record, by Kafka again", WITH, lambda: same_records(kafka, written))
        report.check("committed records, by Kafka again", WITH, lambda: same_committed(kafka, written))
        report.check("offsets of groups, by Kafka again", WITH, lambda: same_groups(kafka, written))
        kafka.stop()


def write(kafka, written):
    """All codecs, several segments, two leader epochs, compaction, transactions, a group."""
    with contextlib.closing(Confluent(kafka.address)) as client:
        client.create("plain", CONFIGS, partitions=len(CODECS))
        client.create("compacted", COMPACTED)
        for number, codec in enumerate(CODECS):
            written.topics["plain", number] = client.produce("plain", records.varied(10_000, number), codec, True, number)
    assert len(list((kafka.data / "plain-0").glob("*.log"))) > 1, "one segment is too few"
    kafka.stop()
    kafka.start()
    with contextlib.closing(Confluent(kafka.address)) as client:
        wait_until("a leader", lambda: client.list_offset("plain", -1)[0] >= 0, 30, not_yet=(Refused,))
        for number, codec in enumerate(CODECS):
            written.topics["plain", number] += client.produce("plain", records.varied(500, 50 + number), codec, False, number)
        compacted(client, written)
        transactions(kafka, client, written)
        groups(kafka, written)
        files = [kafka.data / f"plain-{number}" / "partition.metadata" for number in range(len(CODECS))]
        written.ids = [file.read_text() for file in files]
        written.configs = {topic: own(client.topic_configs(topic)) for topic in ("plain", "compacted", "transacted")}


def compacted(client, written):
    """Waits until Kafka has thrown most of it away, and then no more."""
    for round_ in range(4):
        made = [records.Record(b"key-%d" % (n % 50), b"%d in %d" % (n, round_) + bytes(300)) for n in range(1000)]
        placed = client.produce("compacted", made)
    end = placed[-1].offset + 1
    counts = []

    def thrown_away():
        # A record now and then rolls the segment: the newest one is never compacted.
        client.produce("compacted", [records.Record(b"nudge", b"")])
        return len(read_to_end(client.settings, "compacted", 0)) < end // 2

    def settled():
        written.topics["compacted", 0] = read_to_end(client.settings, "compacted", 0)
        counts.append(len(written.topics["compacted", 0]))
        return counts[-4:] == [counts[-1]] * 4

    wait_until("compaction", thrown_away, 60)
    wait_until("the end of compaction", settled, 60)


def transactions(kafka, client, written):
    """Two that were committed, one that was aborted, and plain records between."""
    client.create("transacted", CONFIGS)
    producer = Producer({"bootstrap.servers": kafka.address, "transactional.id": "adopted", "log_level": 2})
    producer.init_transactions(30)
    for number, commit in enumerate([True, False, True]):
        producer.begin_transaction()
        for n in range(20):
            producer.produce("transacted", b"%d of %d" % (n, number))
        producer.flush(30)
        (producer.commit_transaction if commit else producer.abort_transaction)(30)
        client.produce("transacted", [records.Record(None, b"plain %d" % number)])
    written.topics["transacted", 0] = read_to_end({"bootstrap.servers": kafka.address}, "transacted", 0)
    written.committed["transacted"] = committed(kafka)
    assert len(written.committed["transacted"]) == 43 and len(written.topics["transacted", 0]) == 63


def groups(kafka, written):
    """A group in the middle of a partition."""
    with contextlib.closing(group_of(kafka, "readers")) as consumer:
        consumer.commit(offsets=[TopicPartition("plain", 0, 1234)], asynchronous=False)
    written.groups["readers"] = 1234


def group_of(server, group):
    """A member that is assigned by hand."""
    return Consumer({"bootstrap.servers": server.address, "group.id": group, "log_level": 2})


def committed(server):
    """What a reader of committed records sees."""
    return read_to_end({"bootstrap.servers": server.address}, "transacted", 0, "read_committed")


def read_to_end(settings, topic, partition, isolation="read_uncommitted"):
    """Every record there is, however many offsets have none."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings["bootstrap.servers"],
            "group.id": "adopt-suite",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "auto.offset.reset": "error",
            "log_level": 2,
        }
    )
    found = []
    try:
        consumer.assign([TopicPartition(topic, partition, -2)])
        for _ in range(2000):
            for message in consumer.consume(1000, 0.2):
                if message.error() is None:
                    headers = tuple((name, value) for name, value in message.headers() or ())
                    place = message.timestamp()[1], message.offset()
                    found.append(records.Record(message.key(), message.value(), headers, *place))
                elif message.error().name() == "_PARTITION_EOF":
                    return found
                else:
                    raise Refused(message.error().name(), message.error().str())
        raise AssertionError(f"{topic}-{partition} has no end")
    finally:
        consumer.close()


def own(configs):
    """What was set on the topic itself."""
    return {key: value for key, (value, source) in configs.items() if source == "DYNAMIC_TOPIC_CONFIG"}


def same_records(server, written):
    """Byte for byte, offset for offset."""
    for (topic, partition), expected in written.topics.items():
        found = read_to_end({"bootstrap.servers": server.address}, topic, partition)
        assert len(found) == len(expected), f"{topic}-{partition}: {len(found)} records, {len(expected)} expected"
        for ours, theirs in zip(found, expected, strict=True):
            assert ours == theirs, f"{topic}-{partition}: {ours!r} where {theirs!r} was"


def same_last(server, expected):
    """The last record of each key, and nothing that was not there: Kafka's cleaner may have gone on."""
    found = read_to_end({"bootstrap.servers": server.address}, "compacted", 0)
    assert all(record in expected for record in found), "a record that nobody wrote"
    assert {record.key: record for record in found} == {record.key: record for record in expected}


def same_committed(server, written):
    """Nothing of the transaction that was aborted."""
    found = committed(server)
    assert found == written.committed["transacted"], f"{len(found)} records"


def same_configs(server, written):
    """What Kafka had set is set; the ids are those of the directories."""
    with contextlib.closing(Confluent(server.address)) as client:
        for topic, expected in written.configs.items():
            found = own(client.topic_configs(topic))
            wrong = {key: (found.get(key), value) for key, value in expected.items() if found.get(key) != value}
            assert not wrong, f"{topic}: {wrong}"
    for partition in range(len(CODECS)):
        id_of = (pathlib.Path(server.settings["log.dirs"]) / f"plain-{partition}" / "partition.metadata").read_text()
        # Behind Kafka's lines a broker of ours adds one with their checksum.
        assert id_of.startswith(written.ids[partition]), id_of


def same_groups(server, written):
    """Each group is where it was."""
    for group, expected in written.groups.items():
        with contextlib.closing(group_of(server, group)) as consumer:
            (found,) = consumer.committed([TopicPartition("plain", 0)], timeout=30)
            assert found.offset == expected, f"{group} is at {found.offset}, was at {expected}"


def write_on(server, written):
    """More of everything."""
    with contextlib.closing(Confluent(server.address)) as client:
        for number, codec in enumerate(CODECS):
            more = client.produce("plain", records.varied(300, 90 + number), codec, True, number)
            before = written.topics["plain", number]
            assert more[0].offset == before[-1].offset + 1, f"{more[0].offset} follows {before[-1].offset}"
            written.topics["plain", number] = before + more
        more = client.produce("compacted", [records.Record(b"key-%d" % n, b"by ours") for n in range(5)])
        written.topics["compacted", 0] += more
        more = client.produce("transacted", [records.Record(None, b"by ours")])
        written.topics["transacted", 0] += more
        written.committed["transacted"] += more
    with contextlib.closing(group_of(server, "readers")) as consumer:
        consumer.commit(offsets=[TopicPartition("plain", 0, 2345)], asynchronous=False)
    written.groups["readers"] = 2345


def tool(code, *arguments):
    """`highwater ...`, which must end with this code; returns what it said."""
    command = [str(argument) for argument in (places.binary(), *arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == code, f"{' '.join(command)} ended with {done.returncode}:\n{said}"
    return said


def refused(data):
    """Says why, and changes nothing."""
    said = tool(3, "adopt", data)
    assert "refused: " in said, said
    return said


def verified(data):
    """Every batch and every index entry."""
    found = json.loads(tool(0, "log", "verify", "--deep", "--json", data))
    assert found["records"] > 20_000 and found["segments"] > 10, found
    return found


def dry_run(data):
    """The same files with the same bytes afterwards."""
    before = contents(data)
    said = tool(0, "adopt", data)
    assert "topic plain, 5 partitions" in said and "nothing was changed" in said, said
    assert contents(data) == before


def adopted(data):
    """Kafka's files have the same bytes; the record is new, where compaction left gaps, and the lock."""
    before = contents(data)
    said = tool(0, "adopt", data, "--apply")
    assert "highwater serve" in said, said
    after = contents(data)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    gaps = {name for name in changed if name.endswith("/highwater-gaps")}
    assert changed - gaps - {".lock"} == {"highwater-adopted"}, changed
    assert "compacted-0/highwater-gaps" in gaps, "Kafka has compacted nothing away"
    return said


def contents(folder):
    """Digests by name."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


if __name__ == "__main__":
    main()
