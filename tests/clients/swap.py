"""Apache Kafka serves a directory that the broker under test wrote: once trusting its indexes and snapshots, as after
a clean stop, and once recovering everything from the segments."""

import contextlib
import re
import shutil

from harness.broker import Kafka
from harness.waiting import wait_until

from .before import same
from .client import Refused

CHECKPOINTS = ("recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint")
# What Kafka's log loading says when it does not trust what it found. 'Rebuilding producer state' it says always.
DISTRUST = re.compile(r"rebuilding (?!producer)|recovering|corrupt|truncat|inconsisten|could not|warn|error", re.IGNORECASE)
DAMAGE = re.compile(r"corrupt|truncat|inconsisten|error", re.IGNORECASE)


def serves(data, written, reader_kind, folder):
    """Starts Kafka on a copy of the stopped broker's logs and reads everything, twice."""
    kafka = Kafka(folder, {"remote.log.storage.system.enable": "false"})
    kafka.logging.write_text(kafka.logging.read_text() + LOADING)
    with kafka:
        kafka.start()
        with contextlib.closing(reader_kind(kafka.address)) as client:
            for topic in written.topics:
                client.create(topic)
        kafka.stop()
        for topic in written.topics:
            replace(kafka.data, data, topic)
        trusted = start_and_read(kafka, reader_kind, written)
        assert not DISTRUST.search(trusted), f"Kafka did not trust what it found:\n{complaints(trusted, DISTRUST)}"
        kafka.stop()
        (kafka.data / ".kafka_cleanshutdown").unlink()
        recovered = start_and_read(kafka, reader_kind, written)
        assert "Recovering" in recovered, "Kafka did not recover, so this shows nothing"
        assert not DAMAGE.search(recovered), f"Kafka found damage:\n{complaints(recovered, DAMAGE)}"


def replace(into, ours, topic):
    """Our files in the place of Kafka's own, under Kafka's topic id, with our lines in the checkpoints."""
    place = into / f"{topic}-0"
    for file in place.iterdir():
        if file.name != "partition.metadata":
            file.unlink()
    for file in (ours / f"{topic}-0").iterdir():
        if file.name != "partition.metadata" and not file.name.endswith(".deleted"):
            shutil.copy(file, place)
    for name in CHECKPOINTS:
        lines = {line.rsplit(" ", 1)[0]: line for line in (into / name).read_text().splitlines()[2:]}
        own = [line for line in (ours / name).read_text().splitlines()[2:] if line.startswith(f"{topic} 0 ")]
        lines.pop(f"{topic} 0", None)
        lines |= {f"{topic} 0": line for line in own}
        (into / name).write_text("\n".join(["0", str(len(lines)), *lines.values()]) + "\n")


def start_and_read(kafka, reader_kind, written):
    """Everything byte for byte; what Kafka said about the topics while it loaded them."""
    kafka.start()
    said = kafka.output.read_text(errors="replace")[kafka.printed :]
    with contextlib.closing(reader_kind(kafka.address)) as reader:
        for topic, expected in written.topics.items():
            wait_until("a leader", lambda: reader.list_offset(topic, -1)[0] >= len(expected), 20, not_yet=(Refused,))
            same(reader, reader.read(topic, len(expected)), expected)
    return "\n".join(line for line in said.splitlines() if any(topic in line for topic in written.topics))


def complaints(said, pattern):
    """The lines that matter."""
    return "\n".join(line for line in said.splitlines() if pattern.search(line))


LOADING = """
logger.loading.name = org.apache.kafka.storage.internals.log
logger.loading.level = INFO
"""
