"""Transactional producers: each client library as one that can be asked for every step by itself."""

try:
    import confluent_kafka
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
except ImportError:
    confluent_kafka = KafkaException = None

from .apache import Apache
from .client import Refused

SECONDS = 60


class Confluent:
    """confluent-kafka with a transactional id."""

    name = "confluent-kafka 2.16.1"
    refusals = (KafkaException,)

    def __init__(self, address, identity, timeout_ms):
        self.base = {"bootstrap.servers": address, "log_level": 2, "error_cb": lambda error: None}
        settings = {"transactional.id": identity, "transaction.timeout.ms": timeout_ms, "linger.ms": 5}
        # Every message would otherwise be given up when the transaction is.
        settings["message.timeout.ms"] = timeout_ms
        self.producer = Producer(self.base | settings)
        self.producer.init_transactions(SECONDS)

    @staticmethod
    def missing():
        return None if confluent_kafka else "not installed"

    def begin(self):
        self.producer.begin_transaction()

    def send(self, topic, values):
        errors = []
        for value in values:
            self.producer.produce(topic, value, partition=0, on_delivery=lambda error, _: error and errors.append(error))
        left = self.producer.flush(SECONDS)
        assert not left and not errors, f"{left} left, {errors[:2]}"

    def send_offset(self, group, topic, offset):
        reader = Consumer(self.base | {"group.id": group})
        try:
            about = reader.consumer_group_metadata()
        finally:
            reader.close()
        self.producer.send_offsets_to_transaction([TopicPartition(topic, 0, offset)], about, SECONDS)

    def commit(self):
        self.producer.commit_transaction(SECONDS)

    def abort(self):
        self.producer.abort_transaction(SECONDS)

    def close(self):
        self.producer = None


class Java:
    """The producer of kafka-clients, in a process of its own."""

    name = Apache.name
    missing = Apache.missing
    refusals = (Refused,)

    def __init__(self, address, identity, timeout_ms):
        self.client = Apache(address)
        settings = {"transactional.id": identity, "transaction.timeout.ms": str(timeout_ms), "linger.ms": "5"}
        self.client._ask("transactional", settings=settings)

    def begin(self):
        self.client._ask("begin")

    def send(self, topic, values):
        self.client._ask("send", topic=topic, partition=0, values=[value.decode() for value in values])

    def send_offset(self, group, topic, offset):
        self.client._ask("send offset", group=group, topic=topic, partition=0, offset=offset)

    def commit(self):
        self.client._ask("commit transaction")

    def abort(self):
        self.client._ask("abort transaction")

    def close(self):
        self.client.process.kill()
        self.client.process.wait()


KINDS = (Confluent, Java)
