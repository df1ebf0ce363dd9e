"""The broker under test, as the real process: ours, or Apache Kafka to prove a suite against the reference."""

import subprocess

from . import places, raw
from .process import Server, free_port


class Highwater(Server):
    """`highwater serve` with everything it owns below one folder. `settings` may be changed between starts."""

    remote_topic_settings = {"remote.storage.enable": "true"}

    def __init__(self, folder, settings=None, environment=None, wrapper=(), port=None):
        super().__init__("highwater", folder, port)
        self.settings = {
            "listeners": f"PLAINTEXT://{self.address}",
            "log.dirs": str(self.folder / "data"),
            **(settings or {}),
        }
        self.environment = environment or {}
        self.wrapper = list(wrapper)

    @property
    def data(self):
        """The directory of logs."""
        return self.folder / "data"

    @property
    def bucket(self):
        """The directory that is the bucket, unless the settings name another."""
        return self.folder / "bucket"

    def command(self):
        file = self.folder / "server.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in self.settings.items()))
        return [*self.wrapper, places.binary(), "serve", file], self.environment

    def is_ready(self):
        return raw.ready(self.address)


class Kafka(Server):
    """Apache Kafka of the jars, one node, with a directory as its remote storage."""

    # Its metadata client for the remote storage runs on while the broker it talks to has gone.
    stop_seconds = 150
    clean_codes = (0, 143)
    remote_topic_settings = {"remote.storage.enable": "true"}

    def __init__(self, folder, settings=None, environment=None, wrapper=(), port=None):
        super().__init__("kafka", folder, port)
        controller = free_port()
        listeners = f"PLAINTEXT://{self.address}"
        remote = "org.apache.kafka.server.log.remote"
        self.settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": listeners,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self.data),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "remote.log.storage.system.enable": "true",
            "remote.log.storage.manager.class.name": f"{remote}.storage.LocalTieredStorage",
            "remote.log.storage.manager.impl.prefix": "rsm.config.",
            "rsm.config.dir": str(self.bucket),
            "remote.log.metadata.manager.class.name": f"{remote}.metadata.storage.TopicBasedRemoteLogMetadataManager",
            "remote.log.metadata.manager.impl.prefix": "rlmm.config.",
            "remote.log.metadata.manager.listener.name": "PLAINTEXT",
            "rlmm.config.remote.log.metadata.topic.replication.factor": "1",
            "rlmm.config.remote.log.metadata.topic.num.partitions": "1",
            "remote.log.manager.task.interval.ms": "500",
            "log.initial.task.delay.ms": "500",
            **(settings or {}),
        }
        self.environment = environment or {}
        self.wrapper = list(wrapper)
        self.printed = 0
        self.logging = self.folder / "log4j2.properties"
        self.logging.write_text(LOGGING)

    @property
    def data(self):
        """The directory of logs."""
        return self.folder / "data"

    @property
    def bucket(self):
        """The directory that is the remote storage."""
        return self.folder / "bucket"

    def command(self):
        file = self.folder / "server.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in self.settings.items()))
        if not self.data.exists():
            arguments = ["format", "--standalone", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c", str(file)]
            subprocess.run([*self._java("128m"), "kafka.tools.StorageTool", *arguments], check=True, capture_output=True)
        return [*self.wrapper, *self._java("1g"), "kafka.Kafka", file], self.environment

    def _java(self, heap):
        return places.java(heap, logging=self.logging)

    def launch(self):
        self.printed = self.output.stat().st_size if self.output.exists() else 0
        super().launch()

    def is_ready(self):
        # It answers on its socket before it may lead anything.
        return b"Kafka Server started" in self.output.read_bytes()[self.printed :]


LOGGING = """
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} %m%n
logger.start.name = kafka.server.KafkaRaftServer
logger.start.level = INFO
rootLogger.level = ERROR
rootLogger.appenderRef.out.ref = out
"""
