"""confluent-kafka of PyPI, on a new librdkafka."""

import time as clock

try:
    import confluent_kafka
    from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec
except ImportError:
    confluent_kafka = None

from harness.records import Record
from harness.report import NotApplicable

from .client import Client, Refused


class Confluent(Client):
    """confluent-kafka 2.16.1."""

    name = "confluent-kafka 2.16.1"

    def __init__(self, address):
        self.settings = {"bootstrap.servers": address, "log_level": 2, "error_cb": lambda error: None}
        self.admin = AdminClient({"bootstrap.servers": address, "log_level": 2})

    @staticmethod
    def missing():
        return None if confluent_kafka else "not installed"

    def create(self, topic, configs=None, partitions=1):
        _outcome(self.admin.create_topics([NewTopic(topic, partitions, 1, config=configs or {})]))

    def delete(self, topic):
        _outcome(self.admin.delete_topics([topic]))

    def produce(self, topic, records, codec="none", idempotent=False, partition=0, large=False):
        settings = {"compression.type": codec, "acks": "all", "enable.idempotence": idempotent, "linger.ms": 20}
        if large:
            settings["message.max.bytes"] = 64 << 20
        producer = Producer(self.settings | settings)
        placed, errors = [None] * len(records), []

        def delivered(number):
            def callback(error, message):
                if error:
                    errors.append(error)
                else:
                    placed[number] = records[number].at(message.offset(), message.timestamp()[1])

            return callback

        for number, record in enumerate(records):
            extra = {} if record.timestamp is None else {"timestamp": record.timestamp}
            headers = list(record.headers)
            producer.produce(
                topic, record.value, record.key, partition, on_delivery=delivered(number), headers=headers, **extra
            )
            producer.poll(0)
        left = producer.flush(60)
        if errors:
            raise Refused(errors[0].name(), errors[0].str())
        assert left == 0, f"{left} records were not acknowledged within a minute"
        return placed

    def read(self, topic, count, time=None, offset=None, partition=0):
        consumer = Consumer(
            self.settings
            | {
                "group.id": "suite",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.message.max.bytes": 4 << 20,
            }
        )
        try:
            start = -2 if offset is None else offset
            if time is not None:
                (found,) = consumer.offsets_for_times([TopicPartition(topic, partition, time)], timeout=30)
                start = found.offset
            consumer.assign([TopicPartition(topic, partition, start)])
            records = []
            deadline = clock.monotonic() + 60
            while len(records) < count and clock.monotonic() < deadline:
                for message in consumer.consume(min(1000, count - len(records)), 0.5):
                    if message.error():
                        # A consumer cannot be had without a group.id, and asks for that group's coordinator at
                        # once. A broker without groups says so; reading by assignment goes on regardless.
                        if message.error().code() == KafkaError.UNSUPPORTED_VERSION and message.topic() is None:
                            continue
                        raise Refused(message.error().name(), message.error().str())
                    records.append(_record(message))
            return records
        finally:
            consumer.close()

    def read_to_end(self, topic, isolation, partition=0):
        settings = {"group.id": "suite", "enable.auto.commit": False, "enable.partition.eof": True}
        consumer = Consumer(self.settings | settings | {"isolation.level": isolation})
        try:
            consumer.assign([TopicPartition(topic, partition, 0)])
            records = []
            while True:
                message = consumer.poll(30)
                assert message is not None, f"{topic} went silent after {len(records)} records"
                if not message.error():
                    records.append(_record(message))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    return records
                elif message.error().fatal() or message.topic():
                    raise Refused(message.error().name(), message.error().str())
        finally:
            consumer.close()

    def list_offset(self, topic, time, partition=0):
        specials = {-1: OffsetSpec.latest, -2: OffsetSpec.earliest, -3: OffsetSpec.max_timestamp}
        if time < -3:
            raise NotApplicable
        spec = specials[time]() if time in specials else OffsetSpec.for_timestamp(time)
        found = _outcome(self.admin.list_offsets({TopicPartition(topic, partition): spec}))
        return found.offset, found.timestamp

    def topic_configs(self, topic):
        return self._configs(ConfigResource(ConfigResource.Type.TOPIC, topic))

    def broker_configs(self, node):
        return self._configs(ConfigResource(ConfigResource.Type.BROKER, str(node)))

    def _configs(self, resource):
        found = _outcome(self.admin.describe_configs([resource]))
        sources = {1: "DYNAMIC_TOPIC_CONFIG", 4: "STATIC_BROKER_CONFIG", 5: "DEFAULT_CONFIG"}
        return {entry.name: (entry.value, sources.get(entry.source, entry.source)) for entry in found.values()}

    def cluster(self):
        found = self.admin.describe_cluster(request_timeout=30).result()
        return found.cluster_id, found.controller.id, [f"{node.id}@{node.host}:{node.port}" for node in found.nodes]


def _record(message):
    headers = tuple((name, value) for name, value in message.headers() or ())
    return Record(message.key(), message.value(), headers, message.timestamp()[1], message.offset())


def _outcome(futures):
    (future,) = futures.values()
    try:
        return future.result(60)
    except KafkaException as error:
        raise Refused(error.args[0].name(), error.args[0].str()) from error
