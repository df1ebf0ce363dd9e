"""Groups: two members share a topic, commit, and go on after the broker was killed."""

import time

from harness import raw
from harness.records import Record
from harness.waiting import wait_until

from . import members

PARTITIONS = 6
EACH = 50
SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "500",
}
# How a client calls the two styles that it brings: everything changes hands at once, or only what must.
STYLES = {"eager": "range", "cooperative": "cooperative-sticky", "KIP-848": "consumer"}


def all_of_it(report, broker, clients):
    """Every client that can be a member, and DumpLogSegments over what they left."""
    broker.settings |= SETTINGS
    broker.start()
    writer = next(client for client in clients if client.writes_everything)
    kinds = [kind for kind in members.KINDS if _runs(report, kind)]
    for kind in kinds:
        for style in STYLES:
            row = f"two members, {style} rebalance"
            report.check(row, kind.name, lambda: two_members(kind, broker, writer, style))
        report.check("static member comes back", kind.name, lambda: comes_back(kind, broker, writer))
        for style in ("eager", "cooperative"):
            report.check(f"{style} to KIP-848 and back", kind.name, lambda: migrates(kind, broker, writer, style))
    for kind in kinds:
        for style, row in (("range", "commit, kill -9, resume"), ("consumer", "commit, kill -9, resume (KIP-848)")):
            report.check(row, kind.name, lambda: resumes(kind, broker, writer, clients, style))
    broker.stop()


def _runs(report, kind):
    why = kind.missing()
    if why:
        report.skip("two members, eager rebalance", kind.name, why)
    return not why


def topic_of(kind, writer, what):
    """A topic of its own, with the same number of records in every partition."""
    topic = f"{what}-{kind.name.split()[0]}"
    writer.create(topic, partitions=PARTITIONS)
    for partition in range(PARTITIONS):
        writer.produce(topic, [Record(b"k", b"%d-%d" % (partition, n)) for n in range(EACH)], partition=partition)
    return topic


def drain(group, done, seconds=60):
    """Polls all members in turn until `done`; returns what each has read."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"after {seconds} s: {[sorted(m.assigned()) for m in group]}"
        for member in group:
            member.poll()


def shared(first, second):
    """Whether every partition has one owner, and both have some."""
    one, other = set(first.assigned()), set(second.assigned())
    return one and other and not one & other and len(one | other) == PARTITIONS


def reads_and_commits(member):
    """Has all partitions, reads all of them and says so, so that nobody begins anew after a rebalance."""
    drain([member], lambda: len(member.assigned()) == PARTITIONS and len(member.read) == PARTITIONS * EACH)
    member.commit()


def two_members(kind, broker, writer, style):
    """One reads all; with two each has half; when one leaves, the other has all again. Nothing is missed."""
    topic = topic_of(kind, writer, style)
    first = kind(broker.address, topic, f"g-{topic}", STYLES[style])
    try:
        reads_and_commits(first)
        second = kind(broker.address, topic, f"g-{topic}", STYLES[style])
        try:
            drain([first, second], lambda: shared(first, second))
            for partition in range(PARTITIONS):
                writer.produce(topic, [Record(b"k", b"shared")], partition=partition)
            everything = {(partition, EACH) for partition in range(PARTITIONS)}
            drain([first, second], lambda: first.read | second.read >= everything)
            assert second.read == {(partition, EACH) for partition in second.assigned()}, sorted(second.read)[:5]
            first.commit()
            second.commit()
        finally:
            second.close()
        drain([first], lambda: len(first.assigned()) == PARTITIONS)
    finally:
        first.close()
    third = kind(broker.address, topic, f"g-{topic}", STYLES[style])
    try:
        drain([third], lambda: len(third.assigned()) == PARTITIONS)
        writer.produce(topic, [Record(b"k", b"new")], partition=3)
        drain([third], lambda: third.read)
        assert third.read == {(3, EACH + 1)}, f"read again: {sorted(third.read)[:5]}"
        third.commit()
    finally:
        third.close()


def migrates(kind, broker, writer, style):
    """A member of the newer protocol joins one of the older, which leaves and comes back to stay: the group goes from
    one to the other and back while it reads."""
    topic = topic_of(kind, writer, f"migrates-{style}")
    everything = {(partition, EACH) for partition in range(PARTITIONS)}
    group = f"g-{topic}"
    newer = kind(broker.address, topic, group, "consumer")
    newer.close()  # Whoever does not have it says so before anything begins.
    older = kind(broker.address, topic, group, STYLES[style])
    try:
        reads_and_commits(older)
        newer = kind(broker.address, topic, group, "consumer")
        drain([older, newer], lambda: shared(older, newer))
        for partition in range(PARTITIONS):
            writer.produce(topic, [Record(b"k", b"shared")], partition=partition)
        drain([older, newer], lambda: older.read | newer.read >= everything)
        assert newer.read == {(partition, EACH) for partition in newer.assigned()}, sorted(newer.read)[:5]
        older.commit()
        newer.commit()
        older.close()
        drain([newer], lambda: len(newer.assigned()) == PARTITIONS)
        older = kind(broker.address, topic, group, STYLES[style])
        drain([older, newer], lambda: shared(older, newer))
        newer.close()
        drain([older], lambda: len(older.assigned()) == PARTITIONS)
        writer.produce(topic, [Record(b"k", b"last")], partition=3)
        drain([older], lambda: older.read)
        assert older.read == {(3, EACH + 1)}, f"read again: {sorted(older.read)[:5]}"
        older.commit()
    finally:
        older.close()
        newer.close()


def comes_back(kind, broker, writer):
    """A static member that comes back within its session has what it had, and nobody notices."""
    topic = topic_of(kind, writer, "static")
    open_members = []

    def member(instance):
        made = kind(broker.address, topic, f"g-{topic}", "range", instance)
        open_members.append(made)
        return made

    try:
        first, second = member("one"), member("two")
        drain([first, second], lambda: shared(first, second))
        before, owned = first.rebalances, set(second.assigned())
        second.commit()
        second.close(leave=False)
        second = member("two")
        drain([first, second], lambda: set(second.assigned()) == owned)
        assert first.rebalances == before, "the other member noticed"
    finally:
        for each in open_members:
            each.close()


def resumes(kind, broker, writer, clients, style):
    """What was committed before a kill is where the group goes on; its members stay in it through the restart."""
    topic = topic_of(kind, writer, f"resume-{style}")
    first = kind(broker.address, topic, f"g-{topic}", style)
    # One after the other: some clients wait in a poll for everybody else to join.
    reads_and_commits(first)
    second = kind(broker.address, topic, f"g-{topic}", style)
    try:
        drain([first, second], lambda: shared(first, second))
        for client in clients:
            client.close()
        broker.kill()
        broker.start()
        wait_until("the topic", lambda: raw.list_offset(broker.address, topic, 0, raw.LATEST), not_yet=(raw.Answered,))
        writer.produce(topic, [Record(b"k", b"after")], partition=5)
        drain([first, second], lambda: (5, EACH) in first.read | second.read)
        drain([first, second], lambda: shared(first, second))
        first.commit()
        second.commit()
    finally:
        first.close()
        second.close()
    third = kind(broker.address, topic, f"g-{topic}", style)
    try:
        drain([third], lambda: len(third.assigned()) == PARTITIONS)
        writer.produce(topic, [Record(b"k", b"last")], partition=0)
        drain([third], lambda: third.read)
        assert third.read == {(0, EACH)}, f"read again: {sorted(third.read)[:5]}"
    finally:
        third.close()
