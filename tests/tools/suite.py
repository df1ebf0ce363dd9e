"""The suite: which tool is tried with what, against one broker."""

import argparse
import pathlib
import tempfile

from harness.broker import Highwater, Kafka
from harness.report import Report

from . import dumps, loads, settings, topics
from .tool import NEWEST, OLD, Tools

# What is tried, and with which tool.
TRIED = [
    ("create, describe, grow", "TopicCommand", topics.create_describe_grow),
    ("delete a topic", "TopicCommand", topics.delete),
    ("what the broker speaks", "BrokerApiVersionsCommand", settings.cluster),
    ("Hello MSK", "console clients", topics.hello),
    ("every codec", "console clients", topics.compressed),
    ("offsets; delete records", "GetOffsetShell, DeleteRecordsCommand", topics.offsets_and_deleted_records),
    ("topics' configurations", "ConfigCommand", settings.topic_configs),
    ("brokers' configurations", "ConfigCommand", settings.broker_configs),
    ("groups' configurations", "ConfigCommand", settings.group_configs),
    ("quotas", "ConfigCommand", settings.quotas),
    ("directories", "LogDirsCommand", settings.directories),
    ("preferred leaders", "LeaderElectionCommand", settings.elections),
    ("list, execute, verify, cancel", "ReassignPartitionsCommand", settings.reassignments),
    ("20,000 records", "ProducerPerformance", loads.producer_performance),
    ("500 acknowledged records", "VerifiableProducer", loads.verifiable_producer),
    ("there and back", "EndToEndLatency", loads.latency),
    ("20,000 records", "ConsumerPerformance", loads.consumer_performance),
    ("500 committed records", "VerifiableConsumer", loads.verifiable_consumer),
    ("list, describe, reset, delete", "ConsumerGroupCommand", loads.groups),
    ("list, describe, find hanging", "TransactionsCommand", loads.transactions),
    ("abort what hangs", "TransactionsCommand", loads.hanging),
    ("committed offsets", "DumpLogSegments", dumps.offsets),
    ("states of transactions", "DumpLogSegments", dumps.transactions),
]


def main():
    """Runs all of it, each version of the tools with a broker of its own."""
    parser = argparse.ArgumentParser(prog="tests/tools/run")
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--only", help="parts of what is tried, with commas between them")
    parser.add_argument("--json")
    asked = parser.parse_args()
    report = Report(f"Apache Kafka's tools against {'Apache Kafka' if asked.kafka else 'highwater'}")
    for version in (NEWEST, OLD):
        why = Tools.missing(version)
        if why:
            report.skip("everything", version, why)
            continue
        with tempfile.TemporaryDirectory(prefix="highwater-tools-") as folder:
            with (Kafka if asked.kafka else Highwater)(pathlib.Path(folder)) as broker:
                broker.start()
                one_version(report, Tools(version, broker.address, broker.data), asked.only)
                broker.stop()
    report.finish(asked.json)


def one_version(report, tools, only):
    """Every tool of one version against one broker."""
    for what, tool, work in TRIED:
        row = f"{tool}: {what}"
        if not only or any(part in row for part in only.split(",")):
            report.check(row, tools.version, lambda work=work: work(tools))


if __name__ == "__main__":
    main()
