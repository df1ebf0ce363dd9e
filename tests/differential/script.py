"""What is asked: per API a function that puts its questions, the same to both brokers, in one version at a time.

`side.ask(what, api, fields)` puts a question in the version under test; `side.set_up(...)` one of the newest version
that is not compared. Names carry the version, so that versions do not meet.
"""

from . import leaders, transactions
from .conversation import batch
from .names import BASIC, LONG, NOWHERE, SMALL


def prepare(side):
    """Two topics that the questions are about, with records in the first."""
    side.create(BASIC, 2)
    side.create(SMALL, 1, {"max.message.bytes": "1000"})
    for number in range(3):
        side.produce(BASIC, 0, batch([b"one", b"two", b"three"], time=1_700_000_000_000 + 1000 * number))
    side.commit("prepared")


def api_versions(side, v):
    """Who asks, and who asks badly."""
    side.ask("plain", {"ClientSoftwareName": "suite", "ClientSoftwareVersion": "1"})
    side.ask("no name", {"ClientSoftwareName": "", "ClientSoftwareVersion": ""})
    side.ask("a bad name", {"ClientSoftwareName": "a b", "ClientSoftwareVersion": "1"})


def metadata(side, v):
    """Topics known, unknown, impossible."""
    by = lambda *names: [{"Name": name, "TopicId": bytes(16)} for name in names]
    side.ask("known", {"Topics": by(BASIC, SMALL), "AllowAutoTopicCreation": False})
    if v >= 4:
        side.ask("unknown", {"Topics": by("nowhere"), "AllowAutoTopicCreation": False})
        side.ask("created", {"Topics": by(f"auto-{v}"), "AllowAutoTopicCreation": True})
        side.ask("bad names", {"Topics": by("a b", LONG, "..", ""), "AllowAutoTopicCreation": True})
        side.ask("twice", {"Topics": by(BASIC, BASIC), "AllowAutoTopicCreation": False})
    if v >= 1:
        side.ask("none", {"Topics": [], "AllowAutoTopicCreation": False})
    if v >= 12:
        side.ask("unknown id", {"Topics": [{"Name": None, "TopicId": NOWHERE}], "AllowAutoTopicCreation": False})
        side.ask("known id", {"Topics": [{"Name": None, "TopicId": side.id(BASIC)}], "AllowAutoTopicCreation": False})
        side.ask("null name", {"Topics": [{"Name": None, "TopicId": bytes(16)}], "AllowAutoTopicCreation": False})


def create_topics(side, v):
    """What is wrong with a topic."""
    one = lambda name, partitions=1, replicas=1, **more: {"Name": name, "NumPartitions": partitions, "ReplicationFactor": replicas, **more}
    settings = lambda **given: [{"Name": name.replace("_", "."), "Value": value} for name, value in given.items()]
    ask = lambda what, *topics, **more: side.ask(what, {"Topics": list(topics), "timeoutMs": 10_000, **more})
    ask("plain", one(f"new-{v}", 3))
    ask("exists", one(f"new-{v}"))
    ask("with settings", one(f"set-{v}", Configs=settings(retention_ms="1000000", cleanup_policy="delete")))
    ask("only validated", one(f"valid-{v}"), validateOnly=True)
    ask("bad names", one("a b"), one(LONG), one(".."), one(""))
    ask("no partitions", one("zero", 0), one("minus", -2))
    ask("replicas", one("many", 1, 3), one("none", 1, 0), one("less", 1, -2))
    if v >= 4:
        ask("the broker's defaults", one(f"default-{v}", -1, -1))
    ask("unknown setting", one("unknown", Configs=settings(no_such_key="1")))
    ask("bad setting", one("bad", Configs=settings(retention_ms="soon")))
    ask("impossible setting", one("impossible", Configs=settings(min_insync_replicas="0")))
    ask("null setting", one("null", Configs=[{"Name": "retention.ms", "Value": None}]))
    ask("twice", one("twice"), one("twice"))
    by_hand = lambda *brokers: [{"PartitionIndex": 0, "BrokerIds": list(brokers)}]
    ask("unknown broker", one("where", -1, -1, Assignments=by_hand(99)))
    ask("assigned and counted", one("both", 1, 1, Assignments=by_hand(1)))
    ask("a broker twice", one("again", -1, -1, Assignments=by_hand(1, 1)))
    ask("not the first partition", one("gap", -1, -1, Assignments=[{"PartitionIndex": 1, "BrokerIds": [1]}]))
    ask("nothing")


def delete_topics(side, v):
    """By name, by id, what is not there."""
    side.create(f"gone-{v}")
    name = lambda *names: {"TopicNames": list(names), "Topics": [{"Name": each, "TopicId": bytes(16)} for each in names]}
    side.ask("there", {**name(f"gone-{v}"), "TimeoutMs": 10_000})
    side.ask("not there", {**name("nowhere"), "TimeoutMs": 10_000})
    side.ask("twice", {**name("nowhere", "nowhere"), "TimeoutMs": 10_000})
    if v >= 6:
        side.create(f"by-id-{v}")
        side.ask("by id", {"Topics": [{"Name": None, "TopicId": side.id(f"by-id-{v}")}], "TimeoutMs": 10_000})
        side.ask("unknown id", {"Topics": [{"Name": None, "TopicId": NOWHERE}], "TimeoutMs": 10_000})
        side.ask("name and id", {"Topics": [{"Name": BASIC, "TopicId": side.id(BASIC)}], "TimeoutMs": 10_000})
        side.ask("neither", {"Topics": [{"Name": None, "TopicId": bytes(16)}], "TimeoutMs": 10_000})


def produce(side, v):
    """What is wrong with a batch."""
    topic = f"produced-{v}"
    side.create(topic)

    def ask(what, records, acks=-1, name=topic, index=0, transactional=None):
        data = [{"Name": name, "TopicId": side.id(name), "PartitionData": [{"Index": index, "Records": records}]}]
        side.ask(what, {"Acks": acks, "TimeoutMs": 10_000, "TopicData": data, "TransactionalId": transactional})

    ask("plain", batch([b"a", b"b"]))
    ask("acks 1", batch([b"c"]), acks=1)
    ask("acks 2", batch([b"d"]), acks=2)
    ask("unknown topic", batch([b"e"]), name="nowhere")
    ask("unknown partition", batch([b"f"]), index=7)
    ask("negative partition", batch([b"f"]), index=-1)
    ask("bad sum", batch([b"g"], spoil=True))
    ask("two batches", batch([b"h"]) + batch([b"i"]))
    ask("cut short", batch([b"j" * 100])[:-20])
    ask("nothing", b"")
    # Null records are not asked: Kafka 4.3.1 fails while it logs them and never answers.
    ask("old format", batch([b"k"], magic=1))
    ask("future format", batch([b"k"], magic=3))
    ask("unknown codec", batch([b"l"], attributes=5))
    ask("a control batch", batch([b"m"], attributes=0x20))
    ask("transactional without id", batch([b"n"], attributes=0x10))
    ask("too large", batch([b"o" * 1100]), name=SMALL)
    side_id = side.producer_id()
    ask("first of a producer", batch([b"p"], producer=(side_id, 0, 0)))
    ask("the same again", batch([b"p"], producer=(side_id, 0, 0)))
    ask("a gap", batch([b"q"], producer=(side_id, 0, 5)))
    ask("the next", batch([b"r"], producer=(side_id, 0, 1)))
    ask("a newer epoch from the middle", batch([b"s"], producer=(side_id, 1, 3)))
    ask("a newer epoch", batch([b"t"], producer=(side_id, 1, 0)))
    ask("an older epoch", batch([b"u"], producer=(side_id, 0, 2)))
    ask("unknown producer in the middle", batch([b"v"], producer=(side_id + 1000, 0, 9)))
    ask("no producer, a sequence", batch([b"w"], producer=(-1, -1, 0)))
    ask("zero records", batch([]))
    far = batch([b"x"], time=4_000_000_000_000)
    ask("from the future", far)
    ask("no time", batch([b"y"], time=-1))
    stamped, strict = f"stamped-{v}", f"strict-{v}"
    side.create(stamped, 1, {"message.timestamp.type": "LogAppendTime", "message.timestamp.before.max.ms": "1000"})
    side.create(strict, 1, {"message.timestamp.before.max.ms": "1000", "message.timestamp.after.max.ms": "3155760000000"})
    ask("stamped by the broker", batch([b"a", b"b"]), name=stamped)
    ask("stamped by the broker, from the future", far, name=stamped)
    ask("too old", batch([b"a", b"b"]), name=strict)
    ask("from a future that is allowed", far, name=strict)


def fetch(side, v):
    """Where there is something and where not."""

    def ask(what, offset=0, name=BASIC, index=0, epoch=-1, most=1 << 20, whole=1 << 20, isolation=0, session=(0, -1)):
        part = {"Partition": index, "CurrentLeaderEpoch": epoch, "FetchOffset": offset, "PartitionMaxBytes": most}
        topics = [{"Topic": name, "TopicId": side.id(name), "Partitions": [part]}]
        side.ask(what, {
            "ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": whole, "IsolationLevel": isolation,
            "SessionId": session[0], "SessionEpoch": session[1], "Topics": topics,
        })

    ask("from the start")
    ask("from the middle of a batch", 4)
    ask("at the end", 9)
    ask("beyond the end", 10)
    ask("below the start", -1)
    ask("one byte", most=1)
    ask("no byte", most=0)
    ask("no byte at all", whole=0)
    ask("committed", isolation=1)
    ask("an empty partition", index=1)
    ask("unknown partition", index=7)
    ask("unknown topic", name="nowhere")
    ask("the epoch", epoch=0)
    ask("a later epoch", epoch=5)
    if v >= 7:
        ask("unknown session", session=(12345, 1))
        ask("a session epoch without session", session=(0, 3))


def list_offsets(side, v):
    """Special values and times."""
    ask = lambda what, time, name=BASIC, index=0, epoch=-1, replica=-1: side.ask(what, {
        "ReplicaId": replica, "IsolationLevel": 0, "TimeoutMs": 10_000, "Topics": [
            {"Name": name, "Partitions": [{"PartitionIndex": index, "CurrentLeaderEpoch": epoch, "Timestamp": time}]}
        ]})
    for special in (-1, -2, -3, -4, -5, -6, -7):
        ask(f"special {special}", special)
    for time in (0, 1_700_000_000_000, 1_700_000_000_001, 1_700_000_001_500, 1_800_000_000_000):
        ask(f"time {time}", time)
    for special in (-1, -2, -3):
        ask(f"empty {special}", special, index=1)
    ask("time in an empty one", 5, index=1)
    ask("unknown partition", -1, index=7)
    ask("unknown topic", -1, name="nowhere")
    ask("the epoch", -1, epoch=0)
    ask("a later epoch", -1, epoch=5)


def offset_for_leader_epoch(side, v):
    """Ends of epochs."""
    ask = lambda what, epoch, current=-1, name=BASIC, index=0: side.ask(what, {
        "ReplicaId": -1, "Topics": [
            {"Topic": name, "Partitions": [{"Partition": index, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}]}
        ]})
    for epoch in (0, 1, -1, 5):
        ask(f"epoch {epoch}", epoch)
    ask("a later current one", 0, 5)
    ask("an empty partition", 0, index=1)
    ask("unknown partition", 0, index=7)
    ask("unknown topic", 0, name="nowhere")


def create_partitions(side, v):
    """Growth, and what is none."""
    topic = f"grows-{v}"
    side.create(topic, 2)
    ask = lambda what, count, name=topic, only=False, hands=None: side.ask(what, {
        "Topics": [{"Name": name, "Count": count, "Assignments": hands}], "TimeoutMs": 10_000, "ValidateOnly": only})
    ask("validated", 4, only=True)
    ask("more", 3)
    ask("as many", 3)
    ask("fewer", 1)
    ask("none", 0)
    ask("minus", -1)
    ask("unknown", 3, name="nowhere")
    ask("unknown broker", 4, hands=[{"BrokerIds": [99]}])
    ask("too few hands", 6, hands=[{"BrokerIds": [1]}])


def delete_records(side, v):
    """Up to where."""
    topic = f"cut-{v}"
    side.create(topic)
    side.produce(topic, 0, batch([b"a"] * 5))
    ask = lambda what, offset, name=topic, index=0: side.ask(what, {
        "Topics": [{"Name": name, "Partitions": [{"PartitionIndex": index, "Offset": offset}]}], "TimeoutMs": 10_000})
    ask("some", 2)
    ask("fewer", 1)
    ask("beyond", 6)
    ask("below", -2)
    ask("all", -1)
    ask("unknown partition", 1, index=3)
    ask("unknown topic", 1, name="nowhere")


def describe_configs(side, v):
    """Of what there is and of what not."""
    ask = lambda what, kind, name, keys: side.ask(what, {
        "Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}],
        "IncludeSynonyms": True, "IncludeDocumentation": False})
    ask("a topic", 2, SMALL, ["max.message.bytes", "retention.ms", "cleanup.policy", "no.such.key"])
    ask("all of a topic", 2, SMALL, None)
    ask("unknown topic", 2, "nowhere", None)
    ask("a bad name", 2, "a b", None)
    ask("unknown kind", 77, "x", None)
    ask("unknown broker", 4, "99", None)
    ask("no number", 4, "me", None)
    ask("a broker", 4, "1", ["message.max.bytes", "log.retention.ms", "num.partitions", "node.id"])
    ask("a group", 32, "nobody", None)
    side.set_for_group(f"described-{v}", {"consumer.session.timeout.ms": "50000"})
    ask("a group for which something is set", 32, f"described-{v}", None)
    ask("a group without a name", 32, "", None)


def incremental_alter_configs(side, v):
    """Set, delete, append, subtract, and wrongly."""
    topic = f"alter-{v}"
    side.create(topic)

    def ask(what, *changes, kind=2, name=topic, only=False):
        configs = [{"Name": key, "ConfigOperation": operation, "Value": value} for key, operation, value in changes]
        side.ask(what, {"Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": configs}], "ValidateOnly": only})

    ask("set", ("retention.ms", 0, "1000"))
    ask("delete", ("retention.ms", 1, None))
    ask("append", ("cleanup.policy", 2, "compact"))
    ask("subtract", ("cleanup.policy", 3, "compact"))
    ask("append to a number", ("retention.ms", 2, "5"))
    ask("twice", ("retention.ms", 0, "1"), ("retention.ms", 0, "2"))
    ask("unknown key", ("no.such.key", 0, "1"))
    ask("bad value", ("retention.ms", 0, "soon"))
    ask("null", ("retention.ms", 0, None))
    ask("unknown operation", ("retention.ms", 9, "1"))
    ask("unknown topic", ("retention.ms", 0, "1"), name="nowhere")
    ask("unknown kind", ("retention.ms", 0, "1"), kind=77)
    ask("validated", ("retention.ms", 0, "77"), only=True)
    of_group = lambda what, *changes, name=f"group-{v}", **more: ask(what, *changes, kind=32, name=name, **more)
    session, beat, interval = (f"consumer.{key}.ms" for key in ("session.timeout", "heartbeat.interval", "assignment.interval"))
    of_group("of a group", (session, 0, "50000"), (beat, 0, "15000"))
    of_group("of a group: less than brokers allow", (session, 0, "44999"))
    of_group("of a group: more than brokers allow", (session, 0, "60001"))
    of_group("of a group: more beats than brokers allow", (beat, 0, "4999"))
    of_group("of a group: fewer beats than brokers allow", (beat, 0, "15001"))
    of_group("of a group: the interval", (interval, 0, "0"))
    of_group("of a group: too long an interval", (interval, 0, "15001"))
    of_group("of a group: below zero", (interval, 0, "-1"))
    of_group("of a group: bad value", (session, 0, "soon"))
    of_group("of a group: a broker's key", ("group.consumer.session.timeout.ms", 0, "50000"))
    of_group("of a group: append to a number", (session, 2, "5"))
    of_group("of a group: default again", (session, 1, None))
    of_group("of a group: validated", (session, 0, "51000"), name="validated-only", only=True)
    of_group("of a group without a name", (session, 0, "50000"), name="")


def alter_configs(side, v):
    """All at once."""
    topic = f"replace-{v}"
    side.create(topic)

    def ask(what, *given, name=topic, kind=2):
        configs = [{"Name": key, "Value": value} for key, value in given]
        side.ask(what, {"Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": configs}]})

    ask("set", ("retention.ms", "1000"))
    ask("unknown key", ("no.such.key", "1"))
    ask("bad value", ("retention.ms", "soon"))
    ask("null", ("retention.ms", None))
    ask("unknown topic", ("retention.ms", "1"), name="nowhere")
    ask("unknown kind", ("retention.ms", "1"), kind=77)
    beat = "consumer.heartbeat.interval.ms"
    ask("of a group", (beat, "7000"), kind=32, name=f"whole-{v}")
    ask("of a group: more than brokers allow", (beat, "60000"), kind=32, name=f"whole-{v}")
    ask("of a group: nothing", kind=32, name=f"gone-{v}")


def describe_cluster(side, v):
    """Brokers, then controllers."""
    side.ask("brokers", {"IncludeClusterAuthorizedOperations": False, "EndpointType": 1})
    if v >= 1:
        side.ask("controllers, asked of a broker", {"EndpointType": 2})
        side.ask("an unknown kind", {"EndpointType": 9})


def describe_log_dirs(side, v):
    """A partition, an unknown one."""
    side.ask("known", {"Topics": [{"Topic": BASIC, "Partitions": [0, 1]}]})
    side.ask("unknown", {"Topics": [{"Topic": "nowhere", "Partitions": [0]}]})


def describe_producers(side, v):
    """None yet, none ever."""
    ask = lambda what, name, index: side.ask(what, {"Topics": [{"Name": name, "PartitionIndexes": [index]}]})
    ask("none", BASIC, 1)
    ask("unknown partition", BASIC, 7)
    ask("unknown topic", "nowhere", 0)


def describe_topic_partitions(side, v):
    """In pages."""
    ask = lambda what, *names, limit=2000, cursor=None: side.ask(what, {
        "Topics": [{"Name": name} for name in names], "ResponsePartitionLimit": limit, "Cursor": cursor})
    ask("known", BASIC, SMALL)
    ask("unknown", "nowhere")
    ask("a page", BASIC, SMALL, limit=1)
    ask("the next page", BASIC, SMALL, limit=1, cursor={"TopicName": BASIC, "PartitionIndex": 1})
    ask("no limit", BASIC, limit=0)


def find_coordinator(side, v):
    """Of groups; of what is none."""
    ask = lambda what, key, kind=0: side.ask(what, {"Key": key, "KeyType": kind, "CoordinatorKeys": [key]})
    ask("a group", "some-group")
    ask("an empty name", "")
    ask("unknown kind", "x", 9)


def join_group(side, v):
    """Who may not join."""
    ask = lambda what, group, session=10_000, member="", kind="consumer", protocols=(("range", b""),): side.ask(what, {
        "GroupId": group, "SessionTimeoutMs": session, "RebalanceTimeoutMs": 10_000, "MemberId": member,
        "ProtocolType": kind, "Protocols": [{"Name": name, "Metadata": data} for name, data in protocols]})
    ask("an unknown member", f"join-{v}", member="nobody")
    ask("too short a session", f"join-{v}", session=1)
    ask("too long a session", f"join-{v}", session=1 << 30)
    ask("an empty group", "")
    ask("no protocols", f"join-{v}", protocols=())
    ask("no kind", f"join-{v}", kind="")
    if v >= 4:
        ask("without a member id", f"join-{v}")


def sync_group(side, v):
    """Who is not a member."""
    ask = lambda what, group, member="nobody": side.ask(what, {
        "GroupId": group, "GenerationId": 1, "MemberId": member, "ProtocolType": "consumer", "ProtocolName": "range"})
    ask("unknown group", "nowhere")
    ask("an empty group", "")


def heartbeat(side, v):
    """Who is not a member."""
    ask = lambda what, group, member="nobody": side.ask(what, {"GroupId": group, "GenerationId": 1, "MemberId": member})
    ask("unknown group", "nowhere")
    ask("an empty group", "")
    ask("an empty member", "nowhere", "")


def leave_group(side, v):
    """Who is not a member."""
    ask = lambda what, group, *members: side.ask(what, {
        "GroupId": group, "MemberId": members[0], "Members": [{"MemberId": each} for each in members]})
    ask("unknown group", "nowhere", "nobody")
    ask("an empty group", "", "nobody")


def offset_commit(side, v):
    """Of a group without members, and of nobody."""

    def ask(what, offset=5, name=BASIC, index=0, group=f"commits-{v}", generation=-1, member="", text="mine"):
        part = {"PartitionIndex": index, "CommittedOffset": offset, "CommittedMetadata": text}
        side.ask(what, {
            "GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": member, "RetentionTimeMs": -1,
            "Topics": [{"Name": name, "TopicId": side.id(name), "Partitions": [part]}],
        })

    ask("plain")
    ask("null text", text=None)
    ask("long text", text="x" * 5000)
    ask("negative", offset=-5)
    ask("unknown partition", index=7)
    ask("unknown topic", name="nowhere")
    ask("unknown member", generation=3, member="nobody")
    ask("a generation without member", generation=3)
    ask("an empty group", group="")


def offset_fetch(side, v):
    """What was committed and what was not."""
    group = f"fetches-{v}"
    side.commit(group)

    def ask(what, name, topics):
        both = None if topics is None else [
            {"Name": topic, "TopicId": side.id(topic), "PartitionIndexes": indexes} for topic, indexes in topics
        ]
        old = None if both is None else [{"Name": each["Name"], "PartitionIndexes": each["PartitionIndexes"]} for each in both]
        side.ask(what, {"GroupId": name, "Topics": old, "Groups": [{"GroupId": name, "Topics": both, "MemberEpoch": -1}]})

    ask("committed and not", group, [(BASIC, [0, 1])])
    ask("unknown partition", group, [(BASIC, [7])])
    ask("unknown topic", group, [("nowhere", [0])])
    ask("unknown group", "nobody", [(BASIC, [0])])
    ask("an empty group", "", [(BASIC, [0])])
    if v >= 2:
        ask("all", group, None)


def describe_groups(side, v):
    """Dead, and empty."""
    group = f"described-{v}"
    side.commit(group)
    for name in ("nowhere", group, ""):
        side.ask(f"group {name!r}".replace(f"-{v}", ""), {"Groups": [name]})


def delete_groups(side, v):
    """There, and not."""
    group = f"deleted-{v}"
    side.commit(group)
    side.ask("there", {"GroupsNames": [group]})
    side.ask("gone", {"GroupsNames": [group, "nowhere", ""]})


def offset_delete(side, v):
    """There, and not."""
    group = f"forgets-{v}"
    side.commit(group)
    ask = lambda what, name, topic=BASIC, index=0: side.ask(what, {
        "GroupId": name, "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": index}]}]})
    ask("there", group)
    ask("unknown partition", group, index=7)
    ask("unknown topic", group, "nowhere")
    ask("unknown group", "nobody")
    ask("an empty group", "")


def list_groups(side, v):
    """By state and kind that none has: what others made is not compared."""
    side.ask("an unknown state", {"StatesFilter": ["NoSuchState"]} if v >= 4 else {})
    if v >= 5:
        side.ask("an unknown type", {"TypesFilter": ["nosuchtype"]})


def init_producer_id(side, v):
    """Without a transaction."""
    ask = lambda what, **fields: side.ask(what, {"TransactionalId": None, "TransactionTimeoutMs": 60_000, **fields})
    ask("plain")
    ask("an empty id", TransactionalId="")
    if v >= 3:
        ask("a producer of its own", ProducerId=123456, ProducerEpoch=3)
        ask("an epoch without producer", ProducerEpoch=3)


def describe_client_quotas(side, v):
    """None are set."""
    side.ask("none", {"Components": [{"EntityType": "user", "MatchType": 0, "Match": "nobody"}], "Strict": False})
    side.ask("unknown kind", {"Components": [{"EntityType": "planet", "MatchType": 0, "Match": "x"}], "Strict": False})
    side.ask("twice", {"Components": [{"EntityType": "user", "MatchType": 2}, {"EntityType": "user", "MatchType": 2}]})
    side.ask("unknown match", {"Components": [{"EntityType": "user", "MatchType": 9}], "Strict": False})


def alter_client_quotas(side, v):
    """Set, wrongly."""

    def ask(what, key, value, kind="client-id", name="somebody", remove=False):
        entity = [{"EntityType": kind, "EntityName": name}]
        side.ask(what, {"Entries": [{"Entity": entity, "Ops": [{"Key": key, "Value": value, "Remove": remove}]}], "ValidateOnly": True})

    ask("plain", "producer_byte_rate", 1e6)
    ask("unknown key", "no_such_rate", 1.0)
    ask("negative", "producer_byte_rate", -1.0)
    ask("a fraction of a byte", "producer_byte_rate", 0.5)
    ask("unknown kind", "producer_byte_rate", 1.0, kind="planet")
    ask("empty name", "producer_byte_rate", 1.0, name="")


def list_config_resources(side, v):
    """Of an unknown kind; groups for which something is set, which others saw to."""
    side.ask("unknown kind", {"ResourceTypes": [77]})
    if v >= 1:
        side.set_for_group(f"listed-{v}", {"consumer.heartbeat.interval.ms": "7000"})
        side.ask("groups", {"ResourceTypes": [32]})


QUESTIONS = {
    "ApiVersions": api_versions, "Metadata": metadata, "CreateTopics": create_topics, "DeleteTopics": delete_topics,
    "Produce": produce, "Fetch": fetch, "ListOffsets": list_offsets, "OffsetForLeaderEpoch": offset_for_leader_epoch,
    "CreatePartitions": create_partitions, "DeleteRecords": delete_records, "DescribeConfigs": describe_configs,
    "IncrementalAlterConfigs": incremental_alter_configs, "AlterConfigs": alter_configs,
    "DescribeCluster": describe_cluster, "DescribeLogDirs": describe_log_dirs, "DescribeProducers": describe_producers,
    "DescribeTopicPartitions": describe_topic_partitions, "FindCoordinator": find_coordinator, "JoinGroup": join_group,
    "SyncGroup": sync_group, "Heartbeat": heartbeat, "LeaveGroup": leave_group, "OffsetCommit": offset_commit,
    "OffsetFetch": offset_fetch, "DescribeGroups": describe_groups, "DeleteGroups": delete_groups,
    "OffsetDelete": offset_delete, "ListGroups": list_groups, "InitProducerId": init_producer_id,
    "DescribeClientQuotas": describe_client_quotas, "AlterClientQuotas": alter_client_quotas,
    "ListConfigResources": list_config_resources,
    **leaders.QUESTIONS,
    **transactions.QUESTIONS,
}
