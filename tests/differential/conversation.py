"""A connection that asks one thing after the other, and the batches that it writes."""

import socket
import struct

API_VERSIONS = 18


class Closed(Exception):
    """The broker closed the connection instead of answering."""


class Conversation:
    """One broker. A connection that it closed is opened again for the next question."""

    def __init__(self, address, messages):
        self.address, self.messages = address, messages
        self.connection, self.correlation = None, 0
        self.seconds = 30

    def ask(self, api, version, fields):
        """The decoded answer. `fields` may name what the version does not have."""
        request, response = self.messages[api]
        flexible = version in request.flexible
        self.correlation += 1
        header = struct.pack(">hhih", request.key, version, self.correlation, 4) + b"test" + (b"\0" if flexible else b"")
        frame = header + request.encode(fields, version)
        try:
            answer = self._exchange(frame)
        except (ConnectionError, Closed):
            self.close()
            raise Closed from None
        (correlation,) = struct.unpack_from(">i", answer)
        assert correlation == self.correlation, f"the answer to {correlation}"
        body = answer[5:] if flexible and request.key != API_VERSIONS else answer[4:]
        return response.decode(body, version)

    def _exchange(self, frame):
        if self.connection is None:
            host, port = self.address.rsplit(":", 1)
            self.connection = socket.create_connection((host, int(port)), timeout=self.seconds)
        self.connection.sendall(struct.pack(">i", len(frame)) + frame)
        (size,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(size)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.connection.recv(size - len(data))
            if not part:
                raise Closed
            data += part
        return data

    def close(self):
        """Lets go of the connection."""
        if self.connection:
            self.connection.close()
        self.connection = None


def batch(values, time=1_700_000_000_000, producer=(-1, -1, -1), attributes=0, magic=2, spoil=False):
    """A record batch with one record for each value, a millisecond apart; `producer` is id, epoch and sequence."""
    records = b"".join(_record(number, value) for number, value in enumerate(values))
    last = len(values) - 1
    covered = struct.pack(">hiqqqhii", attributes, last, time, time + last, *producer, len(values)) + records
    crc = crc32c(covered) ^ (1 if spoil else 0)
    rest = struct.pack(">ibI", 0, magic, crc) + covered
    return struct.pack(">qi", 0, len(rest)) + rest


def _record(number, value):
    body = b"\0" + _zigzag(number) + _zigzag(number) + _zigzag(-1) + _zigzag(len(value)) + value + _zigzag(0)
    return _zigzag(len(body)) + body


def _zigzag(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def crc32c(data):
    """Castagnoli's."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _entry(value):
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


TABLE = [_entry(value) for value in range(256)]
