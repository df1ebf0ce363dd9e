"""A full disk: producers get a clear error, readers are served, and service resumes when there is room."""

import os
import subprocess

from confluent_kafka import Producer

from harness import raw
from harness.waiting import wait_until

from . import topics
from .ledger import Ledger, read_all, value_of

# What is given back holds more than one of the journal's files, of 16 MiB each, so that there is room afterwards.
ROOM, BALLAST = 88 << 20, 48 << 20


def part(report, kind, folder, _asked):
    """Fills a small file system under the data directory, then makes room."""
    data = folder / "data"
    data.mkdir()
    why = mount(data)
    if why:
        report.skip("a full disk", "disk full", why)
        return
    try:
        ballast = data / "ballast"
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, BALLAST)
        with kind(folder, {"log.retention.ms": "-1"}) as broker:
            broker.start()
            full_and_back(report, broker, ballast)
    finally:
        subprocess.run(["umount", "-l", data], check=False)


def mount(data):
    """A tmpfs of `ROOM` bytes; why not, when it is refused."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", data], capture_output=True, text=True, check=False
    )
    return None if done.returncode == 0 else f"mount is refused: {done.stderr.strip()}"


def full_and_back(report, broker, ballast):
    """The story: full, an error, reads, room, service, a restart."""
    topics.create(broker, "full", remote=False)
    ledger = Ledger(broker.address, "full", 1, {"acks": "all", "retries": 0, "compression.type": "none"}, seconds=20)
    report.check("producers get a clear error", "disk full", lambda: fill(ledger))
    report.check("acknowledged records are read", "disk full", lambda: ledger.compare(broker.address))
    ballast.unlink()
    report.check("service resumes when there is room", "disk full", lambda: resumes(broker))
    report.check("nothing was lost", "disk full", lambda: compare_with_extra(broker, ledger))
    broker.kill()
    report.check("it starts again", "disk full", broker.start)
    report.check("nothing was lost by the restart", "disk full", lambda: compare_with_extra(broker, ledger))


def fill(ledger):
    """Writes until something is refused, which must come before twice the room was written."""
    for _ in range(2 * ROOM // (700 * 500)):
        ledger.write(500)
        ledger.settle(60)
        if ledger.errors:
            break
    names = {name for _, name in ledger.errors}
    assert names == {"KAFKA_STORAGE_ERROR"}, f"refused with {names or 'nothing'}"
    print(f"         {ledger.count()} records acknowledged, then {names}")


def resumes(broker):
    """A new record is taken."""
    producer = Producer({"bootstrap.servers": broker.address, "log_level": 1, "message.timeout.ms": 30_000})
    outcome = []
    producer.produce("full", b"resumed", b"resumed", 0, on_delivery=lambda error, _: outcome.append(error))
    producer.flush(40)
    assert outcome == [None], outcome


def compare_with_extra(broker, ledger):
    """Every acknowledged record is where it was."""
    end = wait_until("the log's end", lambda: topics.log_end(broker, "full"), 20, not_yet=(raw.Answered,))
    found = read_all(broker.address, "full", 0, end)
    for offset, number in ledger.acknowledged[0].items():
        assert found[offset] == (offset, b"%d" % number, value_of(number)), f"other bytes at {offset}"
    assert any(key == b"resumed" for _, key, _ in found)
