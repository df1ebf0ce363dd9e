"""What is asked about leaders and replicas; the rest is in script.py."""

from .names import BASIC


def elect_leaders(side, v):
    """Where the preferred one leads already, and where there is nothing to lead."""

    def ask(what, *wanted, kind=0, time=10_000, every=False):
        topics = None if every else [{"Topic": topic, "Partitions": list(indexes)} for topic, indexes in wanted]
        side.ask(what, {"ElectionType": kind, "TopicPartitions": topics, "TimeoutMs": time})

    ask("preferred", (BASIC, [0]))
    ask("unknown partition", (BASIC, [7]))
    ask("unknown topic", ("nowhere", [0]))
    ask("nothing")
    ask("everything", every=True)
    ask("known and not", (BASIC, [1, 9]), ("nowhere", [0]))
    if v >= 1:
        ask("unclean", (BASIC, [0]), kind=1)
        ask("unclean everywhere", kind=1, every=True)
        ask("an unknown kind", (BASIC, [0]), kind=9)


def alter_partition_reassignments(side, v):
    """To where they are, to nowhere, and back."""

    def ask(what, replicas, topic=BASIC, index=0, **fields):
        parts = [{"PartitionIndex": index, "Replicas": replicas}]
        side.ask(what, {"TimeoutMs": 10_000, "Topics": [{"Name": topic, "Partitions": parts}], **fields})

    ask("where it is", [1])
    ask("cancelled without one", None)
    ask("an unknown broker", [99])
    ask("a negative broker", [-1])
    ask("nobody", [])
    ask("a broker twice", [1, 1])
    ask("unknown partition", [1], index=7)
    ask("unknown topic", [1], "nowhere")
    side.ask("nothing", {"TimeoutMs": 10_000, "Topics": []})
    if v >= 1:
        ask("as many replicas", [1], AllowReplicationFactorChange=False)
        ask("more replicas", [1, 99], AllowReplicationFactorChange=False)


def list_partition_reassignments(side, v):
    """There are none."""
    ask = lambda what, topics: side.ask(what, {"TimeoutMs": 10_000, "Topics": topics})
    ask("all", None)
    ask("known", [{"Name": BASIC, "PartitionIndexes": [0]}])
    ask("unknown partition", [{"Name": BASIC, "PartitionIndexes": [7]}])
    ask("unknown topic", [{"Name": "nowhere", "PartitionIndexes": [0]}])
    ask("nothing", [])


QUESTIONS = {
    "ElectLeaders": elect_leaders,
    "AlterPartitionReassignments": alter_partition_reassignments,
    "ListPartitionReassignments": list_partition_reassignments,
}
