"""Topics and their records: TopicCommand, DeleteRecordsCommand, GetOffsetShell, the console clients."""

import json
import tempfile

from .tool import expect, expect_none


def create_describe_grow(tools):
    """A topic is made, told, made larger and never smaller."""
    tools.run("TopicCommand", "--create", "--topic", "grow", "--partitions", 2, "--config", "retention.ms=3600000")
    expect(tools.run("TopicCommand", "--list"), r"^grow$")
    expect(
        tools.run("TopicCommand", "--describe", "--topic", "grow"),
        r"Topic: grow\s+TopicId: \S{22}\s+PartitionCount: 2\s+ReplicationFactor: 1",
        r"retention\.ms=3600000",
        r"Topic: grow\s+Partition: 1\s+Leader: 1\s+Replicas: 1\s+Isr: 1",
    )
    tools.run("TopicCommand", "--alter", "--topic", "grow", "--partitions", 5)
    expect(tools.run("TopicCommand", "--describe", "--topic", "grow"), r"PartitionCount: 5", r"Partition: 4\s+Leader: 1")
    expect(
        tools.run("TopicCommand", "--alter", "--topic", "grow", "--partitions", 3, fails=True),
        r"The topic grow currently has 5 partition\(s\); 3 would not be an increase",
    )
    expect(tools.run("TopicCommand", "--create", "--topic", "grow", fails=True), "already exists")


def delete(tools):
    """A topic is deleted, and another one that never was is not."""
    tools.run("TopicCommand", "--create", "--topic", "short-lived")
    tools.run("TopicCommand", "--delete", "--topic", "short-lived")
    expect_none(tools.run("TopicCommand", "--list"), "short-lived")
    expect(tools.run("TopicCommand", "--delete", "--topic", "never-was", fails=True), "does not exist")


def hello(tools):
    """`Hello MSK`, written at one console and read at another."""
    tools.run("TopicCommand", "--create", "--topic", "hello")
    tools.run("ConsoleProducer", "--topic", "hello", stdin="Hello MSK\nand goodbye\n")
    said = tools.run(
        "ConsoleConsumer", "--topic", "hello", "--partition", 0, "--offset", "earliest", "--max-messages", 2,
        "--timeout-ms", 60000,
    )  # fmt: skip
    expect(said, r"^Hello MSK$", r"^and goodbye$", "Processed a total of 2 messages")
    # As everybody does it: in a group of its own.
    said = tools.run(
        "ConsoleConsumer", "--topic", "hello", "--from-beginning", "--max-messages", 2, "--timeout-ms", 60000
    )
    expect(said, r"^Hello MSK$", r"^and goodbye$", "Processed a total of 2 messages")


def compressed(tools):
    """The console producer's codecs come back as they went."""
    tools.run("TopicCommand", "--create", "--topic", "codecs")
    for codec in ["gzip", "snappy", "lz4", "zstd"]:
        tools.run("ConsoleProducer", "--topic", "codecs", "--compression-codec", codec, stdin=f"by {codec}\n" * 50)
    said = tools.run(
        "ConsoleConsumer", "--topic", "codecs", "--partition", 0, "--offset", "earliest", "--max-messages", 200,
        "--timeout-ms", 60000,
    )  # fmt: skip
    for codec in ["gzip", "snappy", "lz4", "zstd"]:
        assert said.count(f"by {codec}\n") == 50, said[:2000]


def offsets_and_deleted_records(tools):
    """GetOffsetShell tells both ends; DeleteRecordsCommand moves the first."""
    tools.run("TopicCommand", "--create", "--topic", "shrink")
    tools.run("ConsoleProducer", "--topic", "shrink", stdin="".join(f"{number}\n" for number in range(10)))
    ends = lambda time: tools.run("GetOffsetShell", "--topic", "shrink", "--time", time)
    expect(ends("latest"), r"^shrink:0:10$")
    expect(ends("earliest"), r"^shrink:0:0$")
    expect(ends("max-timestamp"), r"^shrink:0:[0-9]$")
    expect(delete_records(tools, "shrink", 4), r"partition: shrink-0\s+low_watermark: 4")
    expect(ends("earliest"), r"^shrink:0:4$")
    expect(delete_records(tools, "shrink", 11, fails=True), "OffsetOutOfRange")
    # Compaction alone never loses a key's last record.
    tools.run("TopicCommand", "--create", "--topic", "compacted", "--config", "cleanup.policy=compact")
    expect(delete_records(tools, "compacted", 0, fails=True), "PolicyViolation")
    expect(delete_records(tools, "__consumer_offsets", 0, fails=True), "InvalidTopic")


def delete_records(tools, topic, offset, fails=False):
    """What the tool says about a wish to delete all below an offset of partition 0."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"partitions": [{"topic": topic, "partition": 0, "offset": offset}], "version": 1}, file)
        file.flush()
        return tools.run("DeleteRecordsCommand", "--offset-json-file", file.name, fails=fails)
