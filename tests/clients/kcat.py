"""kcat of Debian, on an old librdkafka."""

import dataclasses
import re
import shutil
import subprocess
import tempfile

from harness.records import Record
from harness.report import NotApplicable

from .client import Client, Refused

KEY_END, RECORD_END = b"\x1f", b"\x1e"


class Kcat(Client):
    """kcat 1.7.1. It has no administration: a topic is created by writing to it, as its users do."""

    name = "kcat 1.7.1"
    writes_everything = False

    def __init__(self, address):
        self.address = address

    @staticmethod
    def missing():
        return None if shutil.which("kcat") else "not installed"

    def create(self, topic, configs=None, partitions=1):
        if configs or partitions != 1:
            raise NotApplicable
        self._run(["-P", "-t", topic, "-p", "0", "-z", "none"], b"first")

    def produce(self, topic, records, codec="none", idempotent=False, partition=0, large=False):
        first = records[0]
        assert all(r.headers == first.headers for r in records), "every record of one run has the same headers"
        arguments = ["-P", "-t", topic, "-p", str(partition), "-z", codec, "-X", "acks=all", "-X", "linger.ms=20"]
        arguments += ["-X", f"enable.idempotence={str(idempotent).lower()}"]
        arguments += [part for name, value in first.headers for part in ("-H", f"{name}={value.decode()}")]
        if large:
            self._produce_file(arguments, first)
        else:
            lines = (record.key + KEY_END + record.value for record in records)
            self._run([*arguments, "-K", KEY_END.decode(), "-D", RECORD_END.decode()], RECORD_END.join(lines))
        return records

    def _produce_file(self, arguments, record):
        arguments = [*arguments, "-X", f"message.max.bytes={64 << 20}"]
        if record.key is not None:
            arguments += ["-k", record.key.decode()]
        with tempfile.NamedTemporaryFile() as file:
            file.write(record.value)
            file.flush()
            self._run([*arguments, file.name], b"")

    def read(self, topic, count, time=None, offset=None, partition=0):
        start = "beginning" if offset is None else str(offset)
        if time is not None:
            start = f"s@{time}"
        shape = "%o %T %K %S %h\n%k%s\n"
        arguments = ["-C", "-t", topic, "-p", str(partition), "-o", start, "-c", str(count), "-f", shape, "-q"]
        return list(_parse(self._run(arguments)))

    def shown(self, record):
        parts = [name.encode() + b"=" + (b"NULL" if value is None else value) for name, value in record.headers]
        return dataclasses.replace(record, headers=b",".join(parts))

    def list_offset(self, topic, time, partition=0):
        if time < -2:
            raise NotApplicable
        shown = self._run(["-Q", "-t", f"{topic}:{partition}:{time}"]).decode()
        found = re.search(r"offset (-?\d+)", shown)
        assert found, shown
        return int(found[1]), None

    def cluster(self):
        shown = self._run(["-L"]).decode()
        nodes = re.findall(r"broker (\d+) at (\S+?)( \(controller\))?$", shown, re.MULTILINE)
        controllers = [int(node) for node, _, controller in nodes if controller]
        return None, controllers[0] if controllers else None, [f"{node}@{address}" for node, address, _ in nodes]

    def _run(self, arguments, given=b""):
        command = ["kcat", "-b", self.address, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, timeout=90, check=False)
        said = done.stderr.decode(errors="replace")
        if done.returncode or "ERROR" in said or "Delivery failed" in said:
            raise Refused("kcat", said.strip()[-500:])
        return done.stdout


def _parse(shown):
    at = 0
    while at < len(shown):
        end = shown.index(b"\n", at)
        offset, timestamp, key_size, size, headers = shown[at:end].split(b" ", 4)
        at = end + 1
        key = None if int(key_size) < 0 else shown[at : at + int(key_size)]
        at += max(int(key_size), 0)
        value = None if int(size) < 0 else shown[at : at + int(size)]
        at += max(int(size), 0) + 1
        yield Record(key, value, headers, int(timestamp), int(offset))
