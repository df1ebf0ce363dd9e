"""Records as every client must read them, and the data the suites write."""

import base64
import dataclasses
import random
import time


@dataclasses.dataclass(frozen=True)
class Record:
    """One record. `offset` and `timestamp` are None before it was written and when the writer could not choose."""

    key: bytes | None
    value: bytes | None
    headers: tuple = ()
    timestamp: int | None = None
    offset: int | None = None

    def at(self, offset, timestamp=None):
        """The same record with the place it was given."""
        return dataclasses.replace(self, offset=offset, timestamp=timestamp or self.timestamp)

    def to_json(self):
        """With bytes in base64, for clients in other languages."""
        headers = [[name, _encode(value)] for name, value in self.headers]
        return {
            "key": _encode(self.key),
            "value": _encode(self.value),
            "headers": headers,
            "timestamp": self.timestamp,
            "offset": self.offset,
        }

    @classmethod
    def from_json(cls, found):
        """The other way."""
        headers = tuple((name, _decode(value)) for name, value in found["headers"])
        return cls(_decode(found["key"]), _decode(found["value"]), headers, found["timestamp"], found["offset"])

    def __repr__(self):
        value = self.value if self.value is None or len(self.value) < 40 else f"<{len(self.value)} bytes>"
        return f"Record({self.offset} @{self.timestamp} {self.key!r}={value!r} {self.headers!r})"


def varied(count, seed, newest=None):
    """Records that differ in everything a format can get wrong: null and empty keys and values, headers that repeat,
    are empty or null, bytes that are no text, and times that rise by uneven steps."""
    chance = random.Random(seed)
    newest = newest or int(time.time() * 1000) - 60_000
    made = []
    for number in range(count):
        key = chance.choice([None, b"", b"key-%d" % number, chance.randbytes(9)])
        value = chance.choice([None, b"", b'{"n":%d}' % number, chance.randbytes(300), b"abc" * 200])
        headers = chance.choice(
            [
                (),
                (("trace", b"%d" % number),),
                (("twice", b"1"), ("twice", b"2"), ("empty", b""), ("null", None)),
                (("\u00fcn\u00efcode \u6f22", bytes([255, 1 + number % 9, 128, 44, 61])),),
            ]
        )
        made.append(Record(key, value, headers, newest - (count - number) * 7 + chance.randrange(7)))
    return made


def plain(count, seed):
    """Records that kcat can write, too: no delimiter in them, no time of their own."""
    chance = random.Random(seed)
    letters = bytes(range(32, 127)) + "\u00e4\u00f6\u00fc\u6f22".encode() + b"\n\t\r"
    headers = (("kind", b"plain"), ("twice", b"1"), ("twice", b"2"))
    return [
        Record(b"key-%d" % n, b"%d:" % n + bytes(chance.choice(letters) for _ in range(120)), headers)
        for n in range(count)
    ]


def large(size, seed):
    """One record with a value of `size` bytes that no codec makes smaller."""
    return Record(b"large", random.Random(seed).randbytes(size), (("size", b"%d" % size),), int(time.time() * 1000))


def single_batch_size(value_size):
    """Bytes of the batch that holds one record without key and headers and with a value of `value_size` bytes."""
    body = 1 + 1 + 1 + 1 + _varint_size(value_size) + value_size + 1
    return 61 + _varint_size(body) + body


def _varint_size(number):
    zigzag, size = number << 1, 1
    while zigzag > 127:
        zigzag >>= 7
        size += 1
    return size


def _encode(data):
    return None if data is None else base64.b64encode(data).decode()


def _decode(text):
    return None if text is None else base64.b64decode(text)
