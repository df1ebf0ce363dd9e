"""Hostile frames on the real socket: an error or a closed connection, bounded memory, and everybody else served."""

import pathlib
import random
import socket
import struct

from harness import raw

from . import topics
from .ledger import Ledger

GROWTH_MAX_MB = 96


def part(report, kind, folder, _asked):
    """Each kind of frame many times, with an honest client served in between."""
    with kind(folder) as broker:
        broker.start()
        topics.create(broker, "honest", remote=False)
        ledger = Ledger(broker.address, "honest", 1, {"acks": "all"})
        ledger.write(100)
        ledger.settle()
        before = resident_mb(broker)
        for name, make in FRAMES.items():
            report.check(name, "hostile frames", lambda: throw(broker, ledger, make))
        report.check("memory stays bounded", "hostile frames", lambda: grew_little(broker, before))
        report.check("every honest record compared", "hostile frames", lambda: ledger.compare(broker.address))


def throw(broker, ledger, make, times=40):
    """Sends the frame on connections of its own; the process lives and serves the honest client."""
    chance = random.Random(7)
    open_connections = []
    for _ in range(times):
        connection = socket.create_connection(("127.0.0.1", broker.port), timeout=5)
        try:
            connection.sendall(make(chance))
        except (BrokenPipeError, ConnectionResetError):
            pass
        open_connections.append(connection)
    assert raw.ready(broker.address), "nobody else is served"
    ledger.write(20)
    ledger.settle(30)
    assert broker.alive() and not ledger.errors
    for connection in open_connections:
        connection.close()


def resident_mb(broker):
    """Resident memory of the process."""
    status = pathlib.Path(f"/proc/{broker.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def grew_little(broker, before):
    """A frame that claims gigabytes gets none."""
    after = resident_mb(broker)
    print(f"         {before:.0f} MB before, {after:.0f} MB after")
    if broker.name == "highwater":
        assert after - before < GROWTH_MAX_MB, f"{before:.0f} MB grew to {after:.0f} MB"


def _framed(body):
    return struct.pack(">i", len(body)) + body


def _header(key, version):
    return struct.pack(">hhih", key, version, 1, 4) + b"evil"


def _lying_arrays(chance):
    key = chance.choice([0, 1, 2, 3, 18, 19, 20, 22, 32, 60])
    count = chance.choice([0x7FFFFFFF, 0x10000000, -2, 100_000])
    return _framed(_header(key, chance.randrange(6)) + struct.pack(">i", count) * 5)


def _garbage_batch(chance):
    records = struct.pack(">qiib", 0, 1000, 0, 2) + chance.randbytes(chance.randrange(1, 900))
    body = struct.pack(">hhi", -1, 1, 1000) + struct.pack(">ih", 1, 6) + b"honest"
    body += struct.pack(">iii", 1, 0, len(records)) + records
    return _framed(_header(0, 8) + body)


FRAMES = {
    "a frame longer than any allowed": lambda _: struct.pack(">i", 0x7FFFFFFF) + b"x" * 1000,
    "a negative length": lambda _: struct.pack(">i", -5) + b"x" * 100,
    "a length with nothing behind it": lambda _: struct.pack(">i", 50_000_000) + b"x" * 10,
    "an empty frame": lambda _: struct.pack(">i", 0),
    "unknown APIs": lambda chance: _framed(_header(chance.randrange(500, 30_000), 0)),
    "unknown versions": lambda chance: _framed(_header(chance.randrange(0, 30), chance.randrange(100, 30_000))),
    "arrays that lie about their length": _lying_arrays,
    "garbage for batches": _garbage_batch,
    "noise": lambda chance: _framed(chance.randbytes(chance.randrange(1, 3000))),
    "noise without frames": lambda chance: chance.randbytes(chance.randrange(1, 3000)),
}
