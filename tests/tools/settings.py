"""Configurations, quotas, directories, features: ConfigCommand, LogDirsCommand, ClusterTool and their like."""

import json
import pathlib
import tempfile

from .tool import expect, expect_none

CONFIG = "ConfigCommand"


def topic_configs(tools):
    """A topic's keys are set, told with their sources, and unset."""
    tools.run("TopicCommand", "--create", "--topic", "configured")
    of = ["--entity-type", "topics", "--entity-name", "configured"]
    said = tools.run(CONFIG, "--alter", *of, "--add-config", "retention.ms=1234567,max.message.bytes=2000")
    expect(said, "Completed updating config for topic configured")
    expect(
        tools.run(CONFIG, "--describe", *of),
        r"retention\.ms=1234567 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:retention\.ms=1234567,",
        r"max\.message\.bytes=2000 ",
    )
    # The tool logs what was refused, and ends well.
    tools.run("ConsoleProducer", "--topic", "configured", stdin="x" * 3000 + "\n")
    expect(tools.run("GetOffsetShell", "--topic", "configured"), r"^configured:0:0$")
    tools.run(CONFIG, "--alter", *of, "--delete-config", "retention.ms,max.message.bytes")
    expect_none(tools.run(CONFIG, "--describe", *of), r"retention\.ms=1234567")
    expect(tools.run(CONFIG, "--describe", "--all", *of), r"segment\.bytes=1073741824", r"compression\.type=producer")
    said = tools.run(CONFIG, "--alter", *of, "--add-config", "retention.ms=soon", fails=True)
    expect(said, "InvalidConfiguration|Invalid")
    said = tools.run(CONFIG, "--alter", *of, "--add-config", "no.such.key=1", fails=True)
    expect(said, "InvalidConfiguration|Unknown")


def broker_configs(tools):
    """A broker's dynamic keys, its own and everybody's."""
    default = ["--entity-type", "brokers", "--entity-default"]
    own = ["--entity-type", "brokers", "--entity-name", "1"]
    tools.run(CONFIG, "--alter", *default, "--add-config", "log.retention.bytes=5000000000")
    expect(tools.run(CONFIG, "--describe", *default), r"log\.retention\.bytes=5000000000")
    tools.run(CONFIG, "--alter", *own, "--add-config", "log.retention.bytes=6000000000")
    expect(
        tools.run(CONFIG, "--describe", *own),
        r"log\.retention\.bytes=6000000000 sensitive=false synonyms=\{DYNAMIC_BROKER_CONFIG:log\.retention\.bytes=6000000000, "
        r"DYNAMIC_DEFAULT_BROKER_CONFIG:log\.retention\.bytes=5000000000, ",
    )
    tools.run(CONFIG, "--alter", *own, "--delete-config", "log.retention.bytes")
    tools.run(CONFIG, "--alter", *default, "--delete-config", "log.retention.bytes")
    expect_none(tools.run(CONFIG, "--describe", *own), r"log\.retention\.bytes=6")
    expect(tools.run(CONFIG, "--describe", "--all", *own), r"^\s*log\.dirs=", r"^\s*node\.id=1 ")
    said = tools.run(CONFIG, "--alter", *own, "--add-config", "log.dirs=/elsewhere", fails=True)
    expect(said, "log.dirs")


def group_configs(tools):
    """A group's keys are set before there is such a group, told with their sources, and unset."""
    of = ["--entity-type", "groups", "--entity-name", "watchers"]
    if tools.old:
        # It knows topics, clients, users, brokers and addresses.
        expect(tools.run(CONFIG, "--describe", *of, fails=True), "Invalid entity type groups")
        return
    said = tools.run(CONFIG, "--alter", *of, "--add-config", "consumer.session.timeout.ms=50000")
    expect(said, "Completed updating config for group watchers")
    expect(
        tools.run(CONFIG, "--describe", *of),
        r"consumer\.session\.timeout\.ms=50000 sensitive=false synonyms=\{DYNAMIC_GROUP_CONFIG:consumer\.session\.timeout\.ms=50000, "
        r"DEFAULT_CONFIG:group\.consumer\.session\.timeout\.ms=45000\}",
    )
    expect(tools.run(CONFIG, "--describe", "--entity-type", "groups"), "Dynamic configs for group watchers are")
    tools.run(CONFIG, "--alter", *of, "--delete-config", "consumer.session.timeout.ms")
    expect_none(tools.run(CONFIG, "--describe", *of), r"=50000")
    said = tools.run(CONFIG, "--alter", *of, "--add-config", "consumer.session.timeout.ms=1", fails=True)
    expect(said, "InvalidConfiguration")


def quotas(tools):
    """Quotas of client ids and users."""
    client = ["--entity-type", "clients", "--entity-name", "slow"]
    tools.run(CONFIG, "--alter", *client, "--add-config", "producer_byte_rate=1024,consumer_byte_rate=2048")
    expect(
        tools.run(CONFIG, "--describe", *client),
        r"Quota configs for client-id 'slow' are ", r"producer_byte_rate=1024\.0", r"consumer_byte_rate=2048\.0",
    )  # fmt: skip
    default = ["--entity-type", "clients", "--entity-default"]
    tools.run(CONFIG, "--alter", *default, "--add-config", "request_percentage=150")
    expect(tools.run(CONFIG, "--describe", "--entity-type", "clients"), "the default client-id", "client-id 'slow'")
    tools.run(CONFIG, "--alter", *client, "--delete-config", "producer_byte_rate,consumer_byte_rate")
    tools.run(CONFIG, "--alter", *default, "--delete-config", "request_percentage")
    expect_none(tools.run(CONFIG, "--describe", "--entity-type", "clients"), "Quota configs")
    said = tools.run(CONFIG, "--alter", *client, "--add-config", "producer_byte_rate=-1", fails=True)
    expect(said, "must be greater than 0")


def directories(tools):
    """LogDirsCommand's JSON names every log with its size."""
    tools.run("TopicCommand", "--create", "--topic", "sized")
    tools.run("ConsoleProducer", "--topic", "sized", stdin="y" * 500 + "\n")
    said = tools.run("LogDirsCommand", "--describe", "--topic-list", "sized")
    told = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    directory = told["brokers"][0]["logDirs"][0]
    assert directory["error"] is None and directory["logDir"].startswith("/"), said
    (log,) = directory["partitions"]
    assert log["partition"] == "sized-0" and log["size"] > 500 and log["offsetLag"] == 0, said


def cluster(tools):
    """Who is there and what it speaks."""
    said = tools.run("BrokerApiVersionsCommand")
    expect(said, r"\(id: 1 rack: \S+", r"Produce\(0\): 0 to 13", r"Fetch\(1\): 4 to 18")


def elections(tools):
    """Preferred leaders lead already; of nobody's partition nobody is elected."""
    tools.run("TopicCommand", "--create", "--topic", "elected", "--partitions", 2)
    of = ["--election-type", "preferred"]
    said = tools.run("LeaderElectionCommand", *of, "--topic", "elected", "--partition", 1)
    expect(said, "Valid replica already elected for partitions.*elected-1")
    tools.run("LeaderElectionCommand", *of, "--all-topic-partitions")
    said = tools.run("LeaderElectionCommand", *of, "--topic", "elected", "--partition", 7, fails=True)
    expect(said, "elected-7")


def reassignments(tools):
    """Partitions that stay where they are, and one that is to go to a broker that does not exist."""
    tools.run("TopicCommand", "--create", "--topic", "moved")
    command = "ReassignPartitionsCommand"
    expect(tools.run(command, "--list"), "No partition reassignments found")
    with tempfile.TemporaryDirectory() as folder:
        plan = pathlib.Path(folder) / "plan.json"

        def to(broker):
            partitions = [{"topic": "moved", "partition": 0, "replicas": [broker]}]
            plan.write_text(json.dumps({"version": 1, "partitions": partitions}))
            return ["--reassignment-json-file", plan]

        expect(tools.run(command, *to(1), "--execute"), "Successfully started partition reassignment for moved-0")
        expect(tools.run(command, *to(1), "--verify"), "Reassignment of partition moved-0 is complete")
        tools.run(command, *to(1), "--cancel")
        expect(tools.run(command, *to(9), "--execute", fails=True), "9")
