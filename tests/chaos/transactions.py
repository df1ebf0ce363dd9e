"""kill -9 under transactions: two transactional producers write to three partitions at once, commit most and abort some,
while the process is killed at any moment of it. Afterwards each transaction is in all partitions or in none."""

import contextlib
import random
import threading
import time

from confluent_kafka import KafkaException, Producer

from clients.confluent import Confluent
from harness import raw
from harness.waiting import wait_until

from . import topics

TOPIC = "transactions"
PARTITIONS = range(3)
EACH = 20
PADDING = b"x" * 400
# Transactions that fill two segments of each partition, so that a part of them goes to the bucket however slow the machine.
ENOUGH = 2 * int(topics.SEGMENT) // (EACH * len(PADDING))
COMMITTED, ABORTED, UNKNOWN = "committed", "aborted", "unknown"


def part(report, kind, folder, asked):
    """A third as many kills as of plain producers, then the comparison, once with a part of it in the bucket alone."""
    with kind(folder, topics.RESTLESS) as broker:
        broker.start()
        topics.create(broker, TOPIC, len(PARTITIONS))
        writers = [Writer(broker.address, name) for name in ("one", "two")]
        if report.check("killed and started again", "transactions", lambda: kills(broker, writers, asked)) is None:
            return
        report.check("each transaction whole or not at all", "transactions", lambda: compare(broker, writers))
        broker.kill()
        broker.start()
        report.check("the same after another kill", "transactions", lambda: compare(broker, writers))
        report.check("clean stop", "transactions", broker.stop)


class Writer(threading.Thread):
    """One transactional id: transaction after transaction until told to stop, each with an outcome."""

    def __init__(self, address, name):
        super().__init__(daemon=True)
        self.address, self.identity = address, name
        self.outcomes, self.error = [], None
        self.stopping = threading.Event()
        self.start()

    def run(self):
        try:
            producer = None
            while not self.stopping.is_set():
                producer = producer or self._producer()
                number = len(self.outcomes)
                self.outcomes.append(UNKNOWN)
                # A producer that the broker has fenced is of no use; the next one finds out how the transaction ended.
                with contextlib.suppress(Fenced):
                    self.outcomes[number] = self._transact(producer, number)
                if self.outcomes[number] == UNKNOWN:
                    producer = None
            # Whatever was left open ends here.
            self._producer()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def _producer(self):
        producer = Producer(
            {
                "bootstrap.servers": self.address,
                "transactional.id": self.identity,
                "transaction.timeout.ms": 60_000,
                "linger.ms": 2,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
                "error_cb": lambda error: None,
            }
        )
        insist(lambda: producer.init_transactions(30))
        return producer

    def _transact(self, producer, number):
        producer.begin_transaction()
        try:
            for partition in PARTITIONS:
                for record in range(EACH):
                    value = b"%s %d %d %s" % (self.identity.encode(), number, record, PADDING)
                    producer.produce(TOPIC, value, b"", partition)
            if number % 4 != 3:
                insist(lambda: producer.commit_transaction(30))
                return COMMITTED
            producer.flush(30)
        except Abortable:
            pass
        insist(lambda: producer.abort_transaction(30))
        return ABORTED

    def count(self):
        """How many were committed."""
        return self.outcomes.count(COMMITTED)


class Fenced(Exception):
    """The producer is of no use any more."""


class Abortable(Exception):
    """The transaction can only be aborted."""


def insist(work, seconds=120):
    """Does it again for as long as the client says that it may work."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work()
        except KafkaException as failed:
            error = failed.args[0]
            if error.fatal():
                raise Fenced(str(error)) from failed
            if error.txn_requires_abort():
                raise Abortable(str(error)) from failed
            if not error.retriable() or time.monotonic() > deadline:
                raise


def kills(broker, writers, asked):
    """The rounds."""
    chance = random.Random(asked.seed)
    rounds = max(asked.rounds // 3, 2)
    for number in range(rounds):
        before = [writer.count() for writer in writers]
        wait_until("a commit in this round", lambda: progressed(writers, before), 90)
        time.sleep(chance.uniform(0, 0.4))  # the moment of the fault; nothing is concluded from it
        broker.kill()
        broker.start()
        counts = ", ".join(f"{writer.identity} {writer.count()}" for writer in writers)
        print(f"         round {number + 1}: committed so far: {counts}", flush=True)
    wait_until("two segments of each partition", lambda: attempted(writers) >= ENOUGH, 240)
    for writer in writers:
        writer.stopping.set()
    for writer in writers:
        writer.join(240)
        assert not writer.is_alive(), f"{writer.identity} does not end"
        if writer.error:
            raise writer.error
    return rounds


def attempted(writers):
    """How many transactions were begun, however they ended."""
    for writer in writers:
        if writer.error:
            raise writer.error
    return sum(len(writer.outcomes) for writer in writers)


def progressed(writers, before):
    """Whether each has committed since."""
    for writer in writers:
        if writer.error:
            raise writer.error
    return all(writer.count() > count for writer, count in zip(writers, before))


def compare(broker, writers):
    """What a reader of committed records finds against what the writers were told."""
    found = {}
    for partition in PARTITIONS:
        wait_until(
            f"{TOPIC}-{partition} to drop local copies, with nothing open",
            lambda: topics.local_start(broker, TOPIC, partition) > 0 and decided(broker, partition),
            not_yet=(raw.Answered,),
        )
        for record in Confluent(broker.address).read_to_end(TOPIC, "read_committed", partition):
            name, number, at, _ = record.value.split(b" ")
            found.setdefault((name.decode(), int(number), partition), []).append(int(at))
    outcomes = {COMMITTED: 0, ABORTED: 0, UNKNOWN: 0}
    for writer in writers:
        for number, outcome in enumerate(writer.outcomes):
            outcomes[outcome] += 1
            seen = [found.pop((writer.identity, number, partition), []) for partition in PARTITIONS]
            where = f"transaction {number} of {writer.identity}, {outcome}"
            assert all(one == seen[0] for one in seen), f"{where}: {[len(one) for one in seen]} records in the partitions"
            whole = [[], list(range(EACH))]
            allowed = {COMMITTED: whole[1:], ABORTED: whole[:1], UNKNOWN: whole}[outcome]
            assert seen[0] in allowed, f"{where}: records {seen[0]}"
    assert not found, f"records of transactions that never were: {sorted(found)[:3]}"
    assert all(outcomes[one] for one in (COMMITTED, ABORTED)), outcomes
    print(f"         {outcomes}", flush=True)


def decided(broker, partition):
    """Whether the partition has no open transaction."""
    ends = [raw.list_offset(broker.address, TOPIC, partition, raw.LATEST, committed) for committed in (False, True)]
    return ends[0] == ends[1]
