"""Apache Kafka reads files that the engine alone has written: transactions, leader epochs, every codec, and a compacted
log. Its DumpLogSegments decodes each file, transaction indexes included; its broker serves the logs to readers of both
isolations, once trusting what it finds and once recovering it. And the engine reads what Kafka has written: transactions
of its own coordinator, over several segments."""

import contextlib
import pathlib
import subprocess
import sys
import tempfile

import confluent_kafka
from harness import places
from harness.broker import Kafka
from harness.waiting import wait_until

from .client import Refused
from .confluent import Confluent
from .dump import dump
from .swap import DAMAGE, DISTRUST, LOADING, complaints, replace

TOPICS = ("ledger", "balances")


def engine(*arguments):
    """Has the engine write or read files: {(topic, isolation): [(offset, key, value)]}, as clients must see them."""
    command = ["cargo", "run", "--quiet", "--locked", "-p", "highwater-corpus", "--example", "kafka_files", "--"]
    command += arguments
    printed = subprocess.run(command, cwd=places.CHECKOUT, check=True, stdout=subprocess.PIPE, text=True).stdout
    expected = {}
    for line in printed.splitlines():
        topic, isolation, offset, key, value = line.split("\t")
        record = (int(offset), key, None if value == "-" else value)
        expected.setdefault((topic, isolation), []).append(record)
    return expected


def read(address, topic, isolation):
    """Every record that a client of this isolation is shown."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "files",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
        }
    )
    with contextlib.closing(consumer):
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        found = []
        while True:
            message = consumer.poll(30)
            assert message is not None, f"{topic} went silent after {len(found)} records"
            if message.error():
                assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF, message.error()
                return found
            value = message.value()
            found.append((message.offset(), message.key().decode(), None if value is None else value.decode()))


def transact(address, topic):
    """Transactions of two producers, committed and aborted in turn, with plain records between them. All are over."""
    plain = confluent_kafka.Producer({"bootstrap.servers": address, "compression.type": "zstd"})
    producers = []
    for name in ("one", "two"):
        producer = confluent_kafka.Producer({"bootstrap.servers": address, "transactional.id": name, "linger.ms": 5})
        producer.init_transactions(30)
        producers.append(producer)
    for number in range(12):
        for producer in producers:
            producer.begin_transaction()
        for record in range(30):
            for producer in (*producers, plain):
                producer.produce(topic, f"{number}-{record} " + "x" * 100, f"key {record}", 0)
        for producer in (*producers, plain):
            # An abort would drop what was not sent yet.
            producer.flush(30)
        for order, producer in enumerate(producers):
            if (number + order) % 3 == 0:
                producer.abort_transaction(30)
            else:
                producer.commit_transaction(30)


def check(address, expected):
    """Both topics under both isolations."""
    for isolation in ("read_uncommitted", "read_committed"):
        assert read(address, "ledger", isolation) == expected["ledger", isolation], f"ledger, {isolation}"
        found = read(address, "balances", isolation)
        latest = {key: (offset, value) for offset, key, value in found}
        values = {key: at for key, at in latest.items() if at[1] is not None}
        wanted = {key: (offset, value) for offset, key, value in expected["balances", "latest"]}
        assert values == {key: at for key, at in wanted.items() if at[1] is not None}, f"balances, {isolation}"
        # Below the last, active segment there is one record of each key.
        sealed = [key for offset, key, _ in found if offset < found[-1][0]]
        assert len(sealed) == len(set(sealed)), "a key is there twice"


def load(kafka, expected):
    """Starts Kafka and reads everything; what it said about the topics while it loaded them."""
    kafka.start()
    said = kafka.output.read_text(errors="replace")[kafka.printed :]
    with contextlib.closing(Confluent(kafka.address)) as client:
        for topic in TOPICS:
            wait_until("a leader", lambda topic=topic: client.list_offset(topic, -1)[0] > 0, 20, not_yet=(Refused,))
    check(kafka.address, expected)
    return "\n".join(line for line in said.splitlines() if any(topic in line for topic in TOPICS))


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        expected = engine(folder / "written")
        for topic in TOPICS:
            files, batches = dump(folder / "written", logs=f"{topic}-0", compacted=topic == "balances")
            print(f"{topic}: DumpLogSegments reads {files} files, {batches} batches")
        kafka = Kafka(folder / "kafka", {"remote.log.storage.system.enable": "false", "log.cleaner.enable": "false"})
        kafka.logging.write_text(kafka.logging.read_text() + LOADING)
        with kafka:
            kafka.start()
            with contextlib.closing(Confluent(kafka.address)) as client:
                client.create("ledger", {"retention.ms": "-1"})
                client.create("balances", {"cleanup.policy": "compact"})
            kafka.stop()
            for topic in TOPICS:
                replace(kafka.data, folder / "written", topic)
            trusted = load(kafka, expected)
            assert not DISTRUST.search(trusted), f"Kafka did not trust what it found:\n{complaints(trusted, DISTRUST)}"
            print("served as it is: both isolations")
            kafka.stop()
            (kafka.data / ".kafka_cleanshutdown").unlink()
            recovered = load(kafka, expected)
            assert "Recovering" in recovered, "Kafka did not recover, so this shows nothing"
            assert not DAMAGE.search(recovered), f"Kafka found damage:\n{complaints(recovered, DAMAGE)}"
            print("served after a recovery: both isolations")
            with contextlib.closing(Confluent(kafka.address)) as client:
                client.create("transactions", {"segment.bytes": str(1 << 20), "internal.segment.bytes": "20000"})
            transact(kafka.address, "transactions")
            isolations = ("read_uncommitted", "read_committed")
            seen = {isolation: read(kafka.address, "transactions", isolation) for isolation in isolations}
            kafka.stop()
            own = engine("--read", kafka.data / "transactions-0", folder / "foreign")
            segments = len(list((kafka.data / "transactions-0").glob("*.log")))
            for isolation in isolations:
                assert own["transactions", isolation] == seen[isolation], f"Kafka's transactions, {isolation}"
            assert 0 < len(seen["read_committed"]) < len(seen["read_uncommitted"]) and segments > 2, segments
            print(f"Kafka's own transactions in {segments} segments: both isolations")


if __name__ == "__main__":
    if not places.have_jars():
        print("SKIPPED: no Apache Kafka and no Java to run it")
        sys.exit(0)
    main()
