"""The few requests that no client library lets through as they are: ListOffsets with every special timestamp, and
Fetch with the batches left alone, to see how they were compressed. One connection per call."""

import socket
import struct

NO_TIMESTAMP = -1
EARLIEST, LATEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING_UPLOAD = -2, -1, -3, -4, -5, -6
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


class Answered(Exception):
    """The broker answered with this Kafka error code."""

    def __init__(self, code):
        super().__init__(f"error code {code}")
        self.code = code


def ready(address):
    """True once the broker at `host:port` answers ApiVersions."""
    body = _ask(address, 18, 0, b"", flexible=False, seconds=5)
    return struct.unpack_from(">h", body)[0] == 0


def list_offset(address, topic, partition, timestamp, committed=False):
    """(offset, timestamp) that ListOffsets 11 answers for a time or one of the special values; offset -1 means
    that there is none. `committed` asks as a reader of committed records alone."""
    request = struct.pack(">ib", -1, committed) + _array(1) + _string(topic) + _array(1)
    request += struct.pack(">iiq", partition, -1, timestamp) + b"\0" + b"\0" + struct.pack(">i", 10_000) + b"\0"
    body = _ask(address, 2, 11, request, flexible=True)
    at = 4 + 1  # throttle time, number of topics
    at += body[at] + 1  # name and the number of partitions follow
    _, code, found, offset, _ = struct.unpack_from(">ihqqi", body, at)
    if code:
        raise Answered(code)
    return offset, found


def batches(address, topic, partition, offset=0, max_bytes=1 << 20):
    """The headers of the batches that one Fetch 10 returns, as (base offset, records, codec name)."""
    request = struct.pack(">iiiibii", -1, 500, 1, max_bytes, 0, 0, -1) + struct.pack(">i", 1)
    request += struct.pack(">h", len(topic)) + topic.encode()
    request += struct.pack(">iiiqqi", 1, partition, -1, offset, -1, max_bytes) + struct.pack(">i", 0)
    body = _ask(address, 1, 10, request, flexible=False)
    at = 4 + 2 + 4 + 4 + 2 + len(topic) + 4
    _, code, _, _, _, aborted = struct.unpack_from(">ihqqqi", body, at)
    if code:
        raise Answered(code)
    at += 34 + max(aborted, 0) * 16
    (size,) = struct.unpack_from(">i", body, at)
    return list(_batch_headers(body[at + 4 : at + 4 + size]))


def _batch_headers(records):
    at = 0
    while at + 61 <= len(records):
        base, length = struct.unpack_from(">qi", records, at)
        (attributes,) = struct.unpack_from(">h", records, at + 21)
        (count,) = struct.unpack_from(">i", records, at + 57)
        yield base, count, CODECS[attributes & 7]
        at += 12 + length


def _ask(address, key, version, body, flexible, seconds=30):
    host, port = address.rsplit(":", 1)
    header = struct.pack(">hhih", key, version, 7, 4) + b"test" + (b"\0" if flexible else b"")
    frame = header + body
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        (size,) = struct.unpack(">i", _exactly(connection, 4))
        answer = _exactly(connection, size)
    (correlation,) = struct.unpack_from(">i", answer)
    assert correlation == 7, f"the answer to another request: {correlation}"
    return answer[5:] if flexible else answer[4:]


def _exactly(connection, size):
    parts = []
    while size:
        part = connection.recv(min(size, 1 << 20))
        if not part:
            raise ConnectionResetError("the broker closed the connection")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _string(text):
    assert len(text) < 127
    return bytes([len(text) + 1]) + text.encode()


def _array(length):
    return bytes([length + 1])
