"""A bucket that is gone, and one that hangs: the broker serves from local disk, keeps what the bucket has not, and
goes on by itself when the bucket is back."""

import contextlib
import signal

from confluent_kafka import Consumer, Producer, TopicPartition

from harness.s3 import Moto
from harness.waiting import wait_until

from . import topics
from .ledger import Ledger


def directory_gone(report, kind, folder, _asked):
    """The directory that is the bucket is replaced by a file, so that every operation in it fails."""
    with kind(folder, topics.RESTLESS) as broker:
        broker.start()
        aside = folder / "bucket-aside"

        @contextlib.contextmanager
        def outage():
            broker.bucket.rename(aside)
            broker.bucket.write_text("not a directory")
            try:
                yield
            finally:
                broker.bucket.unlink()
                aside.rename(broker.bucket)

        through_an_outage(report, broker, "bucket gone", outage)


def server_hangs(report, kind, folder, _asked):
    """An S3 server that takes connections and answers nothing."""
    why = Moto.missing()
    if why or kind.__name__ != "Highwater":
        report.skip("an S3 server that hangs", "S3 hangs", why or "only ours speaks S3")
        return
    with Moto(folder / "s3") as server:
        server.start()
        server.make_bucket("suite")
        settings = topics.RESTLESS | server.broker_settings("suite", "p")
        with kind(folder / "broker", settings, environment=server.credentials) as broker:
            broker.start()

            @contextlib.contextmanager
            def outage():
                server.process.send_signal(signal.SIGSTOP)
                try:
                    yield
                finally:
                    server.process.send_signal(signal.SIGCONT)

            through_an_outage(report, broker, "S3 hangs", outage)
            restart_without_head(report, broker, "S3 hangs", outage)


def through_an_outage(report, broker, column, outage):
    """Offload, outage, produce and read, the bucket back, offload again, everything compared."""
    topics.create(broker, "t")
    ledger = Ledger(broker.address, "t", 1, {"enable.idempotence": True, "acks": "all"})
    write_segments(ledger, 4)
    report.check("offload before", column, lambda: drains(broker, ledger))
    with outage():
        report.check("produce and local reads go on", column, lambda: serves_without(broker, ledger))
    report.check("offload resumes by itself", column, lambda: drains(broker, ledger))
    report.check("every record compared", column, lambda: ledger.compare(broker.address))


def write_segments(ledger, count):
    """Acknowledged records of about `count` segments."""
    for _ in range(count * 4):
        ledger.write(500)
        ledger.settle()
    assert not ledger.errors, ledger.errors[:3]


def drains(broker, ledger):
    """Everything but the last segment leaves the local disk."""
    end = topics.log_end(broker, "t")
    write_segments(ledger, 2)
    wait_until("the local copies to go", lambda: topics.local_start(broker, "t") >= end - 2500, 90)
    assert topics.tiered_end(broker, "t") >= topics.local_start(broker, "t"), "dropped before it was in the bucket"


def serves_without(broker, ledger):
    """Producing and reading what is local; nothing that only the disk has is dropped, however long it takes."""
    write_segments(ledger, 1)
    held = topics.tiered_end(broker, "t")
    for _ in range(10):
        write_segments(ledger, 1)
        start = topics.local_start(broker, "t")
        assert start <= topics.tiered_end(broker, "t"), "a local copy went that the bucket does not have"
        reads_local(broker, start)
    reached = topics.tiered_end(broker, "t")
    assert reached <= held + 2500, f"the bucket was gone and took {reached - held} records all the same"


def reads_local(broker, start):
    """A reader of what is still local is served. What the bucket has may go from the local disk at any time; then the
    reader begins where the local disk does by then."""
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "local", "enable.auto.commit": False})
    try:
        while True:
            consumer.assign([TopicPartition("t", 0, start)])
            message = wait_until(
                "a local record", lambda: polled(consumer) or topics.local_start(broker, "t") > start, 20, pause=0
            )
            if message is not True:
                break
            start = topics.local_start(broker, "t")
        assert not message.error() and message.offset() == start, message.error()
    finally:
        consumer.close()


def polled(consumer):
    """A record or an error of its partition; errors of the group, which is not used, name no topic."""
    message = consumer.poll(0.5)
    return message if message is not None and message.topic() else None


def restart_without_head(report, broker, column, outage):
    """Killed and started while the bucket is away: what is tiered takes no records until its head was read, what is
    not tiered serves at once."""
    topics.create(broker, "local-only", remote=False)
    with outage():
        broker.kill()
        report.check("starts without its bucket", column, broker.start)
        report.check("a topic without the bucket serves", column, lambda: produces(broker, "local-only", None))
        report.check(
            "a tiered topic refuses producers", column, lambda: produces(broker, "t", "KAFKA_STORAGE_ERROR")
        )
    report.check("and takes them when the bucket is back", column, lambda: produces(broker, "t", None, retries=1000))


def produces(broker, topic, expected, retries=0):
    """One record, and the error that was expected, if any."""
    producer = Producer(
        {"bootstrap.servers": broker.address, "log_level": 1, "message.timeout.ms": 30_000, "retries": retries}
    )
    outcome = []
    producer.produce(topic, b"v", b"1000000000000", 0, on_delivery=lambda error, _: outcome.append(error))
    producer.flush(40)
    names = [error and error.name() for error in outcome]
    assert names == [expected], f"{topic}: {names}"
