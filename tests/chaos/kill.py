"""kill -9 of the real process while it appends, rolls, offloads and drops local copies, and while it recovers.

The producers live on through all of it, as an application's would: what was in flight is sent again to the broker
that comes back, and the idempotent one must find each of its records exactly once.
"""

import random
import time

from clients.apache import Apache
from clients.dump import KINDS, dump
from harness import raw
from harness.broker import Highwater
from harness.waiting import wait_until

from . import topics
from .ledger import Ledger

PARTITIONS = 3
PRODUCERS = {
    "idempotent": {"enable.idempotence": True, "acks": "all"},
    "acks-all": {"acks": "all"},
    "acks-1": {"acks": "1"},
}


def part(report, kind, folder, asked):
    """`asked.rounds` kills at moments drawn from `asked.seed`, then the comparison."""
    with kind(folder, topics.RESTLESS) as broker:
        broker.start()
        for name in PRODUCERS:
            topics.create(broker, name, PARTITIONS)
        ledgers = [
            Ledger(broker.address, name, PARTITIONS, settings, seconds=600) for name, settings in PRODUCERS.items()
        ]
        rounds = report.check("killed and started again", "kill -9", lambda: kills(broker, ledgers, asked))
        if rounds is None:
            return
        for ledger in ledgers:
            report.check(f"{ledger.topic}: every record compared", "kill -9", lambda: compare(broker, ledger))
        report.check("clean stop", "kill -9", broker.stop)
        why = Apache.missing()
        if why:
            report.skip("Kafka's tool reads every file", "kill -9", why)
            return
        kinds = KINDS if isinstance(broker, Highwater) else (".log",)
        report.check("Kafka's tool reads every file", "kill -9", lambda: dump(broker.data, kinds))


def kills(broker, ledgers, asked):
    """The rounds. Every fifth kills the process while it starts and recovers."""
    chance = random.Random(asked.seed)
    for number in range(asked.rounds):
        before = [ledger.count() for ledger in ledgers]
        run_for(chance.uniform(0.2, 1.5), ledgers)
        wait_until("acknowledgements in this round", lambda: progressed(ledgers, before), 60)
        broker.kill()
        if number % 5 == 4:
            broker.launch()
            run_for(chance.uniform(0, 0.15), ledgers)
            broker.kill()
        broker.start()
        counts = ", ".join(f"{ledger.topic} {ledger.count()}" for ledger in ledgers)
        print(f"         round {number + 1}: acknowledged so far: {counts}", flush=True)
    for ledger in ledgers:
        ledger.settle()
        assert not ledger.errors, f"{ledger.topic}: refused {ledger.errors[:3]}, {len(ledger.errors)} in all"
    return asked.rounds


def run_for(seconds, ledgers):
    """Produces at a steady rate; the time is the fault's own, nothing is concluded from it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for ledger in ledgers:
            if len(ledger.producer) < 20_000:
                ledger.write(150)
            ledger.producer.poll(0.01)


def progressed(ledgers, before):
    """Whether every producer got acknowledgements since."""
    for ledger in ledgers:
        ledger.write(1)
        ledger.producer.poll(0.01)
    return all(ledger.count() > count for ledger, count in zip(ledgers, before))


def compare(broker, ledger):
    """What the reader finds against what was acknowledged, once something is only in the bucket."""
    for partition in range(PARTITIONS):
        wait_until(
            f"{ledger.topic}-{partition} to drop local copies",
            lambda: topics.local_start(broker, ledger.topic, partition) > 0,
            not_yet=(raw.Answered,),  # storage error until the head was read after the unclean stop
        )
    read, acknowledged, remote = ledger.compare(broker.address)
    print(f"         {ledger.topic}: {acknowledged} acknowledged, {read} read, {remote} of them only in the bucket")
