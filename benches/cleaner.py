"""Compaction beside Apache Kafka's cleaner; see `cleaner`.

Kafka is its real server with one cleaner thread and its default buffer of 128 MiB. A topic is filled while it does not
compact and told to compact then, so that the cleaner has all of it before it; counted is the processor time of the cleaner's
thread alone, without what the garbage collector and the compiler do for it. What the `disk` program compacts are the same
records: 1 KiB under one of 100,000 keys, by the same generator.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from harness.broker import Kafka
from harness.waiting import wait_until

MIB = 1 << 20
RECORDS = 256 * MIB // 1024
KEYS = 100_000
# The first rounds warm the virtual machine up.
NOT_COUNTED = 2
TICK = os.sysconf("SC_CLK_TCK")


def fill(address, topic, together):
    """Writes the records, so many in each batch."""
    producer = Producer(
        {
            "bootstrap.servers": address,
            "batch.num.messages": together,
            "linger.ms": 20,
            "queue.buffering.max.messages": 50_000,
            "max.in.flight.requests.per.connection": 5,
        }
    )
    failed = []
    state, value = 1, b"x" * 1024

    def told(error, _):
        if error is not None:
            failed.append(error)

    for _ in range(RECORDS):
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        key = ((state >> 33) % KEYS).to_bytes(8, "big")
        while True:
            try:
                producer.produce(topic, value, key, partition=0, on_delivery=told)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()
    assert not failed, failed[:3]


def sizes(folder):
    """Bytes of all segments but the newest, and the base offset of that one."""
    logs = sorted(folder.glob("*.log"))
    return sum(log.stat().st_size for log in logs[:-1]), int(logs[-1].stem)


def cleaner_seconds(process):
    """Processor time of the cleaner's thread."""
    for task in pathlib.Path(f"/proc/{process}/task").iterdir():
        if (task / "comm").read_text().startswith("kafka-log-clean"):
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / TICK
    raise AssertionError("the cleaner has no thread")


def is_clean_to(data, topic, offset):
    """Whether the cleaner's checkpoint has reached `offset`."""
    checkpoint = data / "cleaner-offset-checkpoint"
    lines = checkpoint.read_text().splitlines() if checkpoint.exists() else []
    return f"{topic} 0 {offset}" in lines


def kafka_round(kafka, admin, topic, together):
    """CPU-seconds for each GiB that the cleaner reads, and how much is left."""
    settings = {"segment.bytes": str(64 * MIB), "min.cleanable.dirty.ratio": "0.0", "cleanup.policy": "delete"}
    for future in admin.create_topics([NewTopic(topic, 1, 1, config=settings)]).values():
        future.result()
    fill(kafka.address, topic, together)
    before, newest = sizes(kafka.data / f"{topic}-0")
    started = cleaner_seconds(kafka.process.pid)
    entry = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    for future in admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]).values():
        future.result()
    wait_until(f"{topic} to be clean", lambda: is_clean_to(kafka.data, topic, newest), 300)
    seconds = cleaner_seconds(kafka.process.pid) - started
    wait_until(f"{topic}'s old segments to go", lambda: not list((kafka.data / f"{topic}-0").glob("*.deleted")), 120)
    after, _ = sizes(kafka.data / f"{topic}-0")
    for future in admin.delete_topics([topic]).values():
        future.result()
    return seconds * 1024 * MIB / before, after / before


def ours(disk, folder):
    """What the `disk` program prints of compaction."""
    told = subprocess.run([disk, folder, "compact"], check=True, capture_output=True, text=True).stdout
    return {
        together: line.split("|")[3].strip()
        for line in told.splitlines()
        for together in (1, 64)
        if line.startswith(f"| {together} in a batch")
    }


def main():
    disk, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    print("| round | records in a batch | Kafka's cleaner, CPU-s/GiB | left | Highwater, CPU-s/GiB | Kafka to Highwater |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        settings = {"log.cleaner.backoff.ms": "200", "log.segment.delete.delay.ms": "1000"}
        kafka = Kafka(pathlib.Path(folder) / "kafka", settings).start()
        try:
            admin = AdminClient({"bootstrap.servers": kafka.address})
            for number in range(1 - NOT_COUNTED, rounds + 1):
                mine = ours(disk, folder)
                for together in (1, 64):
                    cpu, left = kafka_round(kafka, admin, f"clean-{together}-{number + NOT_COUNTED}", together)
                    name = number if number > 0 else "not counted"
                    ratio = cpu / float(mine[together])
                    print(f"| {name} | {together} | {cpu:.2f} | {left:.0%} | {mine[together]} | {ratio:.2f} |", flush=True)
        finally:
            kafka.kill()


main()
