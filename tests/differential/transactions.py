"""What is asked of groups of consumers and of transactions; the rest is in script.py."""

from .names import BASIC, SMALL


def consumer_group_heartbeat(side, v):
    """A member that joins, moves and leaves; what no member may say."""
    group, fixed = f"beats-{v}", f"fixed-{v}"
    joins = {"MemberEpoch": 0, "RebalanceTimeoutMs": 60_000, "SubscribedTopicNames": [BASIC], "TopicPartitions": []}

    def ask(what, name=group, member="first", **fields):
        side.ask(what, {"GroupId": name, "MemberId": member, **fields})

    side.commit(group)
    ask("an empty group", "", **joins)
    ask("no member id", member="", **{**joins, "SubscribedTopicNames": ["nowhere"]}, name=f"drawn-{v}")
    ask("no time to rebalance", **{**joins, "RebalanceTimeoutMs": -1})
    ask("no topics", **{**joins, "SubscribedTopicNames": None})
    ask("an empty list of topics", f"idle-{v}", **{**joins, "SubscribedTopicNames": []})
    ask("joins with partitions", **{**joins, "TopicPartitions": [{"TopicId": side.id(BASIC), "Partitions": [0]}]})
    ask("joins without saying what it has", **{**joins, "TopicPartitions": None})
    ask("an unknown assignor", **joins, ServerAssignor="best")
    ask("an empty instance", **joins, InstanceId="")
    ask("an empty rack", **joins, RackId="")
    ask("an impossible epoch", MemberEpoch=-3)
    ask("leaves for a while without an instance", MemberEpoch=-2)
    ask("stays where there is no group", "nowhere", MemberEpoch=5)
    ask("leaves where there is no group", "nowhere", MemberEpoch=-1)
    ask("joins", **joins)
    ask("stays", MemberEpoch=2)
    ask("stays in an older epoch", MemberEpoch=1)
    ask("tells everything", MemberEpoch=2, RebalanceTimeoutMs=60_000, SubscribedTopicNames=[BASIC],
        TopicPartitions=[{"TopicId": side.id(BASIC), "Partitions": [0, 1]}])
    ask("a later epoch", MemberEpoch=9)
    ask("joins again", **joins)
    ask("another stays that never joined", member="second", MemberEpoch=2)
    ask("another leaves that never joined", member="second", MemberEpoch=-1)
    ask("another joins", member="second", **joins)
    ask("the first is asked to give up", MemberEpoch=2)
    ask("the first keeps all", MemberEpoch=2, TopicPartitions=[{"TopicId": side.id(BASIC), "Partitions": [0, 1]}])
    ask("an instance of nobody", member="third", MemberEpoch=2, InstanceId="one")
    ask("the other leaves", member="second", MemberEpoch=-1)
    ask("the first leaves", MemberEpoch=-1)
    ask("it stays after that", MemberEpoch=3)
    ask("an instance joins", fixed, InstanceId="one", **joins)
    ask("the same instance under another id", fixed, "second", InstanceId="one", **joins)
    ask("it stays under another id", fixed, "second", InstanceId="one", MemberEpoch=2)
    ask("it leaves for a while", fixed, InstanceId="one", MemberEpoch=-2)
    ask("it comes back under another id", fixed, "second", InstanceId="one", **joins)
    ask("its first id is over", fixed, InstanceId="one", MemberEpoch=2)
    ask("it leaves", fixed, "second", InstanceId="one", MemberEpoch=-1)
    if v >= 1:
        of = lambda pattern: {**joins, "SubscribedTopicNames": None, "SubscribedTopicRegex": pattern}
        ask("no expression", f"regex-{v}", **of("["))
        ask("an empty expression", f"regex-{v}", **of(""))


def consumer_group_describe(side, v):
    """Those of the newer protocol, and others."""
    group = f"shown-{v}"
    side.commit(f"only-offsets-{v}")
    ask = lambda what, *names, **fields: side.ask(what, {"GroupIds": list(names), **fields})
    ask("unknown group", "nowhere")
    ask("an empty group", "")
    ask("one of another kind", f"only-offsets-{v}")
    member = {"GroupId": group, "MemberId": "first", "RackId": "here", "RebalanceTimeoutMs": 60_000, "SubscribedTopicNames": [BASIC], "TopicPartitions": []}
    assert side.set_up("ConsumerGroupHeartbeat", 1, member)["ErrorCode"] == 0
    ask("one member", group)
    ask("what may be done", group, IncludeAuthorizedOperations=True)
    side.set_up("ConsumerGroupHeartbeat", 1, {**member, "MemberId": "second", "SubscribedTopicNames": [SMALL], "ServerAssignor": "range"})
    ask("two members, and again", group, group)
    for name in ("first", "second"):
        side.set_up("ConsumerGroupHeartbeat", 1, {"GroupId": group, "MemberId": name, "MemberEpoch": -1})
    ask("nobody left", group)


def add_partitions_to_txn(side, v):
    """Partitions, known and not, of producers known and not."""
    name = f"adds-{v}"
    producer, epoch = side.transactional(name)

    def ask(what, *topics, transactional=name, id=producer, epoch=epoch, only=False):
        topics = [{"Name": topic, "Partitions": list(indexes)} for topic, indexes in topics]
        one = {"TransactionalId": transactional, "ProducerId": id, "ProducerEpoch": epoch, "VerifyOnly": only, "Topics": topics}
        old = {"V3AndBelowTransactionalId": transactional, "V3AndBelowProducerId": id, "V3AndBelowProducerEpoch": epoch}
        side.ask(what, {"Transactions": [one], **old, "V3AndBelowTopics": topics})

    if v >= 4:
        ask("to be verified, not there", (BASIC, [0]), only=True)
    ask("plain", (BASIC, [0, 1]))
    ask("again", (BASIC, [0]))
    if v >= 4:
        ask("to be verified", (BASIC, [0]), only=True)
        ask("to be verified, another", (SMALL, [0]), only=True)
        # No transaction at all is not asked: Kafka 4.3.1 never answers.
    ask("unknown topic", ("nowhere", [0]))
    ask("unknown partition with a known one", (BASIC, [0, 7]))
    ask("no topic")
    ask("an older epoch", (BASIC, [0]), epoch=epoch - 1)
    ask("a later epoch", (BASIC, [0]), epoch=epoch + 1)
    ask("another producer", (BASIC, [0]), id=producer + 1000)
    ask("unknown id", (BASIC, [0]), transactional="nobody")
    ask("an empty id", (BASIC, [0]), transactional="")


def add_offsets_to_txn(side, v):
    """A group in a transaction."""
    name = f"offsets-{v}"
    producer, epoch = side.transactional(name)
    ask = lambda what, group="g", transactional=name, id=producer, epoch=epoch: side.ask(what, {
        "TransactionalId": transactional, "ProducerId": id, "ProducerEpoch": epoch, "GroupId": group})
    ask("plain")
    ask("again")
    ask("an empty group", group="")
    ask("an older epoch", epoch=epoch - 1)
    ask("another producer", id=producer + 1000)
    ask("unknown id", transactional="nobody")
    ask("an empty id", transactional="")


def end_txn(side, v):
    """Ends, of what began and of what did not."""
    name = f"ends-{v}"
    producer, epoch = side.transactional(name)

    def ask(what, committed, transactional=name, id=producer, epoch=epoch):
        side.ask(what, {"TransactionalId": transactional, "ProducerId": id, "ProducerEpoch": epoch, "Committed": committed})

    ask("a commit of nothing", True)
    ask("an older epoch", True, epoch=epoch - 1)
    ask("a later epoch", True, epoch=epoch + 5)
    ask("another producer", True, id=producer + 1000)
    ask("unknown id", True, transactional="nobody")
    ask("an empty id", True, transactional="")
    for committed in (True, False):
        what = "commit" if committed else "abort"
        producer, epoch = side.transactional(name)
        side.join_transaction(name, producer, epoch)
        ask(f"a {what}", committed, id=producer, epoch=epoch)
        side.ended(name)
        ask(f"the same {what} again", committed, id=producer, epoch=epoch)
        ask(f"the opposite of a {what}", not committed, id=producer, epoch=epoch)


def txn_offset_commit(side, v):
    """Offsets in a transaction."""
    name = f"txn-commits-{v}"
    producer, epoch = side.transactional(name)
    if v < 5:
        side.set_up("AddOffsetsToTxn", 3, {"TransactionalId": name, "ProducerId": producer, "ProducerEpoch": epoch, "GroupId": name})

    def ask(what, topic=BASIC, index=0, transactional=name, id=producer, epoch=epoch, group=name, text="", **fields):
        part = {"PartitionIndex": index, "CommittedOffset": 7, "CommittedMetadata": text}
        side.ask(what, {"TransactionalId": transactional, "GroupId": group, "ProducerId": id, "ProducerEpoch": epoch,
            "Topics": [{"Name": topic, "Partitions": [part]}], **fields})

    ask("plain")
    ask("long text", text="x" * 5000)
    ask("unknown topic", "nowhere")
    ask("unknown partition", index=7)
    ask("an older epoch", epoch=epoch - 1)
    ask("a negative producer", id=-1, epoch=-1)
    ask("another producer", id=producer + 1000)
    ask("unknown id", transactional="nobody")
    ask("an empty group", group="")
    if v >= 3:
        ask("a member of nothing", MemberId="nobody", GenerationId=3)
        ask("a generation without member", GenerationId=3)
    if v >= 5:
        ask("another group joins", group=f"{name}-other")


def write_txn_markers(side, v):
    """Markers of what is not going on; only brokers ask so."""
    topic = f"marked-{v}"
    side.create(topic)
    producer, epoch = side.transactional(f"marks-{v}")

    def ask(what, name=topic, index=0, id=producer, epoch=epoch, coordinator=0, committed=False):
        topics = [{"Name": name, "PartitionIndexes": [index]}]
        side.ask(what, {"Markers": [{"ProducerId": id, "ProducerEpoch": epoch, "TransactionResult": committed,
            "Topics": topics, "CoordinatorEpoch": coordinator, "TransactionVersion": 0}]})

    ask("no transaction")
    ask("again")
    ask("an older epoch", epoch=epoch - 1)
    ask("unknown topic", "nowhere")
    ask("unknown partition", index=7)
    side.ask("nothing", {"Markers": []})
    ask("later coordinators", coordinator=5)
    ask("an earlier coordinator", coordinator=1)


def describe_transactions(side, v):
    """Unknown, empty, going on, over."""
    name = f"described-txn-{v}"
    ask = lambda what, *names: side.ask(what, {"TransactionalIds": list(names)})
    ask("unknown id", "nobody")
    ask("an empty id", "")
    ask("nothing")
    producer, epoch = side.transactional(name)
    ask("empty", name)
    side.join_transaction(name, producer, epoch)
    ask("going on", name)
    side.set_up("EndTxn", 3, {"TransactionalId": name, "ProducerId": producer, "ProducerEpoch": epoch, "Committed": True})
    side.ended(name)
    ask("over", name)


def list_transactions(side, v):
    """By what few have: the others' transactions are there too."""
    name = f"listed-{v}"
    producer, epoch = side.transactional(name)
    ask = lambda what, **fields: side.ask(what, fields)
    ask("of a producer", ProducerIdFilters=[producer])
    ask("of an unknown producer", ProducerIdFilters=[1 << 40])
    ask("of an unknown state", StateFilters=["Asleep"])
    ask("of a known state and an unknown one", StateFilters=["PrepareCommit", "Asleep"])
    ask("of another state", StateFilters=["PrepareAbort"], ProducerIdFilters=[producer])
    side.join_transaction(name, producer, epoch)
    ask("going on", StateFilters=["Ongoing"], ProducerIdFilters=[producer])
    if v >= 1:
        ask("for long", DurationFilter=1 << 40, ProducerIdFilters=[producer])
        ask("of any age", DurationFilter=-1, ProducerIdFilters=[producer])


QUESTIONS = {
    "ConsumerGroupHeartbeat": consumer_group_heartbeat,
    "ConsumerGroupDescribe": consumer_group_describe,
    "AddPartitionsToTxn": add_partitions_to_txn,
    "AddOffsetsToTxn": add_offsets_to_txn,
    "EndTxn": end_txn,
    "TxnOffsetCommit": txn_offset_commit,
    "WriteTxnMarkers": write_txn_markers,
    "DescribeTransactions": describe_transactions,
    "ListTransactions": list_transactions,
}
