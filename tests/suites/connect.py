"""Kafka Connect, distributed: a file becomes a topic, the topic another file. The source is exactly once, the worker and
the broker are killed in the middle. Connect keeps its configurations, offsets and states in compacted topics."""

import json
import urllib.error
import urllib.request

from clients.confluent import Confluent
from harness.process import free_port

from . import programs

LINES = 3000


def begin(broker, stack, folder):
    """The steps."""
    copying = Copying(broker, stack, folder)
    return [
        ("a worker starts", copying.starts),
        ("file to topic to file", copying.copies),
        ("goes on after a kill of the worker", copying.worker_killed),
        ("goes on after a kill of the broker", copying.broker_killed),
        ("connectors are paused, resumed, deleted", copying.managed),
    ]


class Copying:
    """One worker with a source and a sink."""

    def __init__(self, broker, stack, folder):
        self.broker = broker
        self.source, self.target = folder / "source.txt", folder / "target.txt"
        self.source.write_text("")
        self.written = 0
        self.port = free_port()
        settings = folder / "worker.properties"
        settings.write_text(
            "".join(f"{key}={value}\n" for key, value in worker(broker.address, self.port).items()), encoding="utf-8"
        )
        self.program = stack.enter_context(
            programs.Java(folder, "org.apache.kafka.connect.cli.ConnectDistributed", settings)
        )

    def starts(self):
        """It makes its topics and serves."""
        self.program.start()
        self.program.wait("the worker's REST", lambda: self.ask("GET", "/connectors") == [], not_yet=(ValueError,))

    def copies(self):
        """Both connectors, and the lines of a first part."""
        connector = "org.apache.kafka.connect.file.FileStream"
        common = {"tasks.max": "1"}
        source = {"connector.class": f"{connector}SourceConnector", "topic": "copied", "file": str(self.source)}
        sink = {"connector.class": f"{connector}SinkConnector", "topics": "copied", "file": str(self.target)}
        for name, settings in (("source", source), ("sink", sink)):
            self.ask("PUT", f"/connectors/{name}/config", settings | common)
        self.write()
        self.all_is_there()

    def worker_killed(self):
        """With lines to come."""
        self.write()
        self.program.kill()
        self.write()
        self.program.start()
        self.all_is_there()

    def broker_killed(self):
        """With lines to come."""
        self.write()
        self.broker.kill()
        self.write()
        self.broker.start()
        self.all_is_there()

    def managed(self):
        """What an operator does over REST, which Connect keeps in its topics."""
        self.ask("PUT", "/connectors/source/pause")
        self.wait_for_state("PAUSED")
        self.ask("PUT", "/connectors/source/resume")
        self.wait_for_state("RUNNING")
        self.write()
        self.all_is_there()
        self.ask("DELETE", "/connectors/source")
        self.program.wait("the connector to be gone", lambda: self.ask("GET", "/connectors") == ["sink"])
        self.program.stop()

    def wait_for_state(self, state):
        """The source's, as the worker tells it."""
        self.program.wait(
            f"the source to be {state}",
            lambda: self.ask("GET", "/connectors/source/status")["connector"]["state"] == state,
            not_yet=(urllib.error.HTTPError,),
        )

    def write(self):
        """More lines at the end of the source."""
        with open(self.source, "a", encoding="utf-8") as file:
            for _ in range(LINES):
                file.write(f"line {self.written}\n")
                self.written += 1

    def all_is_there(self):
        """Each line is in the topic once and in order. The sink may write lines again after a kill, and leaves none
        out."""
        lines = [f"line {number}" for number in range(self.written)]
        self.program.wait("the last line", lambda: self.copied()[-1:] == lines[-1:], not_yet=(FileNotFoundError,))
        assert list(dict.fromkeys(self.copied())) == lines, "the sink has left lines out or changed their order"
        reader = Confluent(self.broker.address)
        found = [record.value.decode() for record in reader.read_to_end("copied", "read_committed")]
        wrong = next((n for n, pair in enumerate(zip(found, lines)) if pair[0] != pair[1]), len(lines))
        assert found == lines, f"{len(found)} records for {len(lines)} lines, different at {wrong}: {found[wrong:][:3]}"

    def copied(self):
        """The lines of the target; a kill may have left half of one."""
        return self.target.read_text(encoding="utf-8").splitlines()

    def ask(self, method, path, body=None):
        """The answer of the worker's REST interface; an error of the connection is an OSError."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = answer.read()
        return json.loads(said) if said else None


def worker(address, port):
    """The worker's configuration."""
    string = "org.apache.kafka.connect.storage.StringConverter"
    topics = {}
    for kind in ("config", "offset", "status"):
        topics[f"{kind}.storage.topic"] = f"connect-{kind}"
        topics[f"{kind}.storage.replication.factor"] = "1"
    return topics | {
        "bootstrap.servers": address,
        "group.id": "connect-cluster",
        "key.converter": string,
        "value.converter": string,
        "listeners": f"http://127.0.0.1:{port}",
        "exactly.once.source.support": "enabled",
        "offset.flush.interval.ms": "1000",
        "session.timeout.ms": "10000",
        "heartbeat.interval.ms": "1000",
        # A worker that was killed is not waited for, nor its sink.
        "consumer.session.timeout.ms": "6000",
        "scheduled.rebalance.max.delay.ms": "0",
    }


if __name__ == "__main__":
    programs.main("connect", "Kafka Connect 4.3.1", "file connectors", begin)
