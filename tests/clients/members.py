"""Members of groups: each client library as a consumer that subscribes."""


try:
    import confluent_kafka
except ImportError:
    confluent_kafka = None
try:
    import kafka
    from kafka.coordinator.assignors.range import RangePartitionAssignor
except ImportError:
    kafka = None

from harness.report import NotApplicable

from .apache import Apache

SESSION_MS = 6000


class Confluent:
    """confluent-kafka as a member."""

    name = "confluent-kafka 2.16.1"

    def __init__(self, address, topic, group, style, instance=None):
        self.read, self.rebalances, self.closed = set(), 0, False
        settings = {
            "bootstrap.servers": address,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 2,
            "error_cb": lambda error: None,
        }
        if style == "consumer":
            # Everything else is the broker's to say.
            settings["group.protocol"] = "consumer"
        else:
            settings |= {
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": 500,
                "partition.assignment.strategy": style,
            }
        if instance:
            settings["group.instance.id"] = instance
        self.consumer = confluent_kafka.Consumer(settings)
        self.consumer.subscribe([topic], on_assign=self._assigned)

    @staticmethod
    def missing():
        return None if confluent_kafka else "not installed"

    def _assigned(self, consumer, partitions):
        self.rebalances += 1

    def poll(self):
        for message in self.consumer.consume(500, 0.1):
            if not message.error():
                self.read.add((message.partition(), message.offset()))

    def assigned(self):
        return [partition.partition for partition in self.consumer.assignment()]

    def commit(self):
        try:
            for done in self.consumer.commit(asynchronous=False) or ():
                assert done.error is None, done
        except confluent_kafka.KafkaException as error:
            if error.args[0].code() != confluent_kafka.KafkaError._NO_OFFSET:  # nothing new since the last commit
                raise

    def close(self, leave=True):
        # A static member never says goodbye: librdkafka leaves it to the session.
        if not self.closed:
            self.closed = True
            self.consumer.close()


class KafkaPython:
    """kafka-python as a member."""

    name = "kafka-python 3.0.12"

    def __init__(self, address, topic, group, style, instance=None):
        if style != "range" or instance:
            raise NotApplicable
        self.read, self.rebalances = set(), 0
        self.consumer = kafka.KafkaConsumer(
            topic,
            bootstrap_servers=address,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=500,
            # It joins before it knows the topic, and again 100 ms later when it does. A poll that times out inside that
            # second join loses what was assigned for good: kafka-python 3.0.12 then finds nothing to join for
            # (`join_group_async` asks `need_rejoin` again, and the snapshots agree). So the second join comes early,
            # and polls are long.
            retry_backoff_ms=10,
            partition_assignment_strategy=[RangePartitionAssignor],
        )

    @staticmethod
    def missing():
        return None if kafka else "not installed"

    def poll(self):
        for partition, found in self.consumer.poll(500).items():
            self.read |= {(partition.partition, record.offset) for record in found}

    def assigned(self):
        return [partition.partition for partition in self.consumer.assignment()]

    def commit(self):
        self.consumer.commit()

    def close(self, leave=True):
        self.consumer.close()


class Java:
    """The consumer of kafka-clients as a member, in a process of its own."""

    name = Apache.name
    missing = Apache.missing
    assignors = {
        "range": "org.apache.kafka.clients.consumer.RangeAssignor",
        "cooperative-sticky": "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
    }

    def __init__(self, address, topic, group, style, instance=None):
        self.read, self.rebalances, self.owned = set(), 0, []
        self.client = Apache(address)
        settings = {"group.id": group}
        if style == "consumer":
            settings["group.protocol"] = "consumer"
        else:
            settings |= {
                "session.timeout.ms": str(SESSION_MS),
                "heartbeat.interval.ms": "500",
                "partition.assignment.strategy": self.assignors[style],
            }
        if instance:
            settings["group.instance.id"] = instance
        self.client._ask("subscribe", topic=topic, settings=settings)

    def poll(self):
        answer = self.client._ask("poll")
        self.read |= {tuple(place) for place in answer["read"]}
        self.owned, self.rebalances = answer["assigned"], answer["rebalances"]

    def assigned(self):
        return self.owned

    def commit(self):
        self.client._ask("commit")

    def close(self, leave=True):
        if self.client:
            self.client._ask("leave")
            self.client.close()
            self.client = None


KINDS = (Confluent, KafkaPython, Java)
