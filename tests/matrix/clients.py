"""Which clients there are, and how each one's program is started.

A program is called with `BOOTSTRAP PREFIX [PAST_TOPIC PAST_COUNT]`. It names its topics PREFIX-something, does the
steps of `ROWS` and prints a line for each, with tabs: `ok`, `fail` or `n/a`, the step, a reason. Its first line is
`version` and the client's version. A topic called PREFIX-CODEC holds nothing but what was produced with that codec.
"""

import dataclasses
import pathlib
import shutil
import subprocess

from harness import places

HERE = pathlib.Path(__file__).parent
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
BUCKET = "read the bucket"
ROWS = [
    "create a topic",
    *(f"produce {codec}" for codec in CODECS),
    "produce idempotently",
    "commit a transaction",
    "abort a transaction",
    "offsets in a transaction",
    "two members share",
    "one member leaves",
    "resume from the commit",
    "new group protocol",
    "look up a time",
    BUCKET,
]


@dataclasses.dataclass(frozen=True)
class Client:
    """One client. `kind` is what `setup` brings; `command` makes the command line from the folder it brought it to."""

    name: str
    kind: str
    command: object
    quick: bool = False

    def missing(self):
        """Why it cannot run here, None when it can. Installs and builds what is not there yet."""
        if self.name == "kcat" and not shutil.which("kcat"):
            return "not installed"
        done = subprocess.run([HERE / "setup", self.kind], capture_output=True, text=True, check=False)
        return " ".join((done.stdout + done.stderr).split())[-300:] or "setup failed" if done.returncode else None

    def start(self, *arguments):
        """The program, with its lines on a pipe."""
        command = [str(part) for part in [*self.command(places.cache() / "matrix"), *arguments]]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace")


def _python(file):
    return lambda place: [place / "venv" / "bin" / "python", HERE / "python" / file]


def _node(file):
    # The registry's own Node, as the newest clients want a newer one than machines have. A module is looked for beside
    # its importer: so the file is copied to where they are.
    def command(place):
        shutil.copy(HERE / "node" / "steps.mjs", place / "node")
        return [place / "node" / "node_modules" / "node" / "bin" / "node", shutil.copy(HERE / "node" / file, place / "node")]

    return command


def _go(name):
    return lambda place: [place / "go" / name]


def _old_java(place):
    return ["java", "-Xmx256m", "-cp", f"{place / 'classes'}:{place / 'kafka-3.9'}/*", "Matrix"]


def _new_java(place):
    return [*places.java("256m", place / "classes"), "Matrix"]


CLIENTS = [
    Client("kcat", "python", _python("kcat.py"), quick=True),
    Client("confluent-kafka", "python", _python("confluent.py"), quick=True),
    Client("kafka-python", "python", _python("kafka_python.py"), quick=True),
    Client("aiokafka", "python", _python("aiokafka_client.py"), quick=True),
    Client("kafkajs", "node", _node("kafkajs.mjs")),
    Client("@platformatic/kafka", "node", _node("platformatic.mjs")),
    Client("franz-go", "go", _go("franz")),
    Client("sarama", "go", _go("sarama")),
    Client("segmentio/kafka-go", "go", _go("segmentio")),
    Client("kafka-clients 3.9", "java", _old_java),
    Client("kafka-clients 4.3", "java", _new_java),
    Client("rdkafka", "rdkafka", lambda place: [place / "rdkafka-target" / "debug" / "highwater-matrix-rdkafka"]),
]
