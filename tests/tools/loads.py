"""The tools that measure and verify: performance, latency, verifiable clients, groups, transactions."""

import json
import re
import time

from .tool import expect


def producer_performance(tools):
    """Records of two sizes, counted."""
    tools.run("TopicCommand", "--create", "--topic", "fast", "--partitions", 2)
    said = tools.run(
        "ProducerPerformance", "--topic", "fast", "--num-records", 20000, "--record-size", 200, "--throughput", -1,
        "--producer-props", f"bootstrap.servers={tools.address}", "acks=all", "compression.type=lz4", server=None,
    )  # fmt: skip
    expect(said, r"20000 records sent")
    said = tools.run("GetOffsetShell", "--topic", "fast")
    ends = [int(line.rsplit(":", 1)[1]) for line in said.splitlines() if line.startswith("fast:")]
    assert sum(ends) == 20000, said


def verifiable_producer(tools):
    """Every record is acknowledged by name."""
    tools.run("TopicCommand", "--create", "--topic", "verified")
    said = tools.run("VerifiableProducer", "--topic", "verified", "--max-messages", 500, "--acks", -1)
    told = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    sent = [one for one in told if one["name"] == "producer_send_success"]
    assert sorted(one["offset"] for one in sent) == list(range(500)), said[:2000]
    (summary,) = [one for one in told if one["name"] == "tool_data"]
    assert summary["sent"] == summary["acked"] == 500, summary


def latency(tools):
    """One record at a time, there and back."""
    tools.run("TopicCommand", "--create", "--topic", "there-and-back")
    if tools.old:
        said = tools.run("EndToEndLatency", tools.address, "there-and-back", 200, "all", 100, server=None)
    else:
        said = tools.run(
            "EndToEndLatency", "--topic", "there-and-back", "--num-records", 200, "--producer-acks", "all",
            "--record-size", 100,
        )  # fmt: skip
    expect(said, r"Avg latency", r"Percentiles: 50th")


def consumer_performance(tools):
    """A group of one reads all there is."""
    records = "--messages" if tools.old else "--num-records"
    said = tools.run("ConsumerPerformance", "--topic", "fast", records, 20000, "--timeout", 60000)
    row = said.strip().splitlines()[-1].split(", ")
    assert row[4] == "20000", said


def verifiable_consumer(tools):
    """What it reads and commits, by name."""
    said = tools.run(
        "VerifiableConsumer", "--topic", "verified", "--group-id", "verifier", "--max-messages", 500,
        "--reset-policy", "earliest",
    )  # fmt: skip
    told = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert sum(one["count"] for one in told if one["name"] == "records_consumed") >= 500, said[:2000]
    committed = [one for one in told if one["name"] == "offsets_committed" and one["success"]]
    assert committed and committed[-1]["offsets"][-1]["offset"] == 500, said[-2000:]


def groups(tools):
    """A group is listed, told, moved and deleted."""
    command = "ConsumerGroupCommand"
    tools.run(
        "ConsoleConsumer", "--topic", "hello", "--group", "readers", "--from-beginning", "--max-messages", 2,
        "--timeout-ms", 60000,
    )  # fmt: skip
    expect(tools.run(command, "--list"), r"^readers$", r"^verifier$")
    expect(tools.run(command, "--describe", "--group", "readers"), r"readers\s+hello\s+0\s+2\s+2\s+0")
    expect(tools.run(command, "--describe", "--group", "readers", "--state"), r"readers\s+.*Empty\s+.*0")
    tools.run(command, "--group", "readers", "--topic", "hello", "--reset-offsets", "--to-earliest", "--execute")
    expect(tools.run(command, "--describe", "--group", "readers"), r"readers\s+hello\s+0\s+0\s+2\s+2")
    tools.run(command, "--group", "readers", "--topic", "hello", "--delete-offsets")
    tools.run(command, "--delete", "--group", "readers")
    listed = tools.run(command, "--list")
    assert "readers" not in listed, listed


def transactions(tools):
    """A transactional producer's transactions are listed and told."""
    command = "TransactionsCommand"
    tools.run("TopicCommand", "--create", "--topic", "transacted")
    tools.run(
        "ProducerPerformance", "--topic", "transacted", "--num-records", 2000, "--record-size", 100, "--throughput", 1000,
        "--transactional-id", "performer", "--transaction-duration-ms", 300,
        "--producer-props", f"bootstrap.servers={tools.address}", server=None,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while True:
        said = tools.run(command, "list")
        if "CompleteCommit" in said or time.monotonic() > deadline:
            break
    expect(said, r"performer\s+1\s+\d+\s+CompleteCommit")
    told = tools.run(command, "describe", "--transactional-id", "performer")
    expect(told, r"performer\s+\d+\s+\d+\s+CompleteCommit")
    expect(tools.run(command, "describe-producers", "--topic", "transacted", "--partition", 0), r"^\d+\s+\d+\s+")
    said = tools.run(command, "find-hanging", "--broker-id", 1)
    expect(said, r"^Topic\s+Partition")
    read = tools.run(
        "ConsoleConsumer", "--topic", "transacted", "--partition", 0, "--offset", "earliest",
        "--max-messages", 2000, "--timeout-ms", 60000, "--isolation-level", "read_committed",
    )  # fmt: skip
    expect(read, "Processed a total of 2000 messages")


def hanging(tools):
    """A transaction whose producer is dead is seen, and aborted by hand long before it times out."""
    command, topic = "TransactionsCommand", "hung"
    tools.run("TopicCommand", "--create", "--topic", topic)
    of = ["--topic", topic, "--partition", 0]
    producer = tools.start(
        "ProducerPerformance", "--topic", topic, "--num-records", 1000000, "--record-size", 100, "--throughput", 50,
        "--transactional-id", "dead", "--transaction-duration-ms", 3600000,
        "--producer-props", f"bootstrap.servers={tools.address}", "transaction.timeout.ms=900000",
    )  # fmt: skip
    try:
        opened = wait_for(lambda: re.search(r"^\d+\s.*\s(\d+)\s*$", tools.run(command, "describe-producers", *of), re.M))
    finally:
        producer.kill()
        producer.wait()
    read = ["ConsoleConsumer", *of, "--offset", "earliest", "--timeout-ms", 5000, "--isolation-level"]
    expect(tools.run(*read, "read_committed"), "Processed a total of 0 messages")
    tools.run(command, "abort", *of, "--start-offset", opened.group(1))
    wait_for(lambda: re.search(r"^\d+\s.*\sNone\s*$", tools.run(command, "describe-producers", *of), re.M))
    tools.run("ConsoleProducer", "--topic", topic, stdin="after\n")
    expect(tools.run(*read, "read_committed"), "^after$", "Processed a total of 1 messages")


def wait_for(look, seconds=60):
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
    return found
