"""Apache Kafka's Java clients, through `java/SuiteClient.java`."""

import json
import pathlib
import subprocess

from harness import places
from harness.records import Record

from .client import Client, Refused

SOURCE = pathlib.Path(__file__).parent / "java" / "SuiteClient.java"


class Apache(Client):
    """kafka-clients 4.3.1."""

    name = "kafka-clients 4.3.1"

    def __init__(self, address):
        classes = places.cache() / "classes"
        built = classes / "SuiteClient.class"
        if not built.exists() or built.stat().st_mtime < SOURCE.stat().st_mtime:
            command = ["javac", "-d", classes, "-cp", places.class_path(), SOURCE]
            subprocess.run([str(part) for part in command], check=True)
        self.process = subprocess.Popen(
            [*places.java("512m", classes), "SuiteClient", address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def missing():
        return None if places.have_jars() else "no Java, or its jars could not be fetched"

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)

    def create(self, topic, configs=None, partitions=1):
        self._ask("create", topic=topic, partitions=partitions, configs=configs or {})

    def delete(self, topic):
        self._ask("delete", topic=topic)

    def produce(self, topic, records, codec="none", idempotent=False, partition=0, large=False):
        settings = {"compression.type": codec, "acks": "all", "enable.idempotence": str(idempotent).lower()}
        if large:
            settings |= {"max.request.size": str(64 << 20), "buffer.memory": str(128 << 20)}
        answer = self._ask(
            "produce", topic=topic, partition=partition, settings=settings, records=[r.to_json() for r in records]
        )
        return [record.at(*place) for record, place in zip(records, answer["placed"], strict=True)]

    def read(self, topic, count, time=None, offset=None, partition=0):
        answer = self._ask("read", topic=topic, partition=partition, count=count, time=time, offset=offset)
        return [Record.from_json(found) for found in answer["records"]]

    def read_to_end(self, topic, isolation, partition=0):
        answer = self._ask("read to end", topic=topic, partition=partition, isolation=isolation)
        return [Record.from_json(found) for found in answer["records"]]

    def list_offset(self, topic, time, partition=0):
        answer = self._ask("offset", topic=topic, partition=partition, time=time)
        return answer["offset"], answer["timestamp"]

    def topic_configs(self, topic):
        found = self._ask("configs", type="TOPIC", name=topic)["configs"]
        return {key: (value, source) for key, (value, source) in found.items()}

    def broker_configs(self, node):
        found = self._ask("configs", type="BROKER", name=str(node))["configs"]
        return {key: (value, source) for key, (value, source) in found.items()}

    def cluster(self):
        answer = self._ask("cluster")
        return answer["id"], answer["controller"], answer["nodes"]

    def _ask(self, what, **request):
        self.process.stdin.write(json.dumps({"do": what, **request}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the Java client ended"
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"], answer["message"])
        return answer
