"""The suite: which tool is tried with what, against one broker."""

import argparse
import pathlib
import tempfile

from harness import places
from harness.broker import Highwater, Kafka
from harness.report import Report

from . import loads, settings, topics
from .tool import Tools

# What is tried, with which tool, and which API it cannot do without.
TRIED = [
    ("create, describe, grow", "TopicCommand", topics.create_describe_grow, None),
    ("delete a topic", "TopicCommand", topics.delete, None),
    ("what the broker speaks", "BrokerApiVersionsCommand", settings.cluster, None),
    ("Hello MSK", "console clients", topics.hello, None),
    ("every codec", "console clients", topics.compressed, None),
    ("offsets; delete records", "GetOffsetShell, DeleteRecordsCommand", topics.offsets_and_deleted_records, None),
    ("topics' configurations", "ConfigCommand", settings.topic_configs, None),
    ("brokers' configurations", "ConfigCommand", settings.broker_configs, None),
    ("quotas", "ConfigCommand", settings.quotas, None),
    ("directories", "LogDirsCommand", settings.directories, None),
    ("20,000 records", "ProducerPerformance", loads.producer_performance, None),
    ("500 acknowledged records", "VerifiableProducer", loads.verifiable_producer, None),
    ("there and back", "EndToEndLatency", loads.latency, "OffsetCommit"),
    ("20,000 records", "ConsumerPerformance", loads.consumer_performance, "JoinGroup"),
    ("500 committed records", "VerifiableConsumer", loads.verifiable_consumer, "JoinGroup"),
    ("list, describe, reset, delete", "ConsumerGroupCommand", loads.groups, "JoinGroup"),
    ("list, describe, find hanging", "TransactionsCommand", loads.transactions, "EndTxn"),
]


def main():
    """Runs all of it."""
    parser = argparse.ArgumentParser(prog="tests/tools/run")
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--json")
    asked = parser.parse_args()
    report = Report(f"Apache Kafka's tools against {'Apache Kafka' if asked.kafka else 'highwater'}")
    if not places.have_jars():
        for what, tool, *_ in TRIED:
            report.skip(f"{tool}: {what}", "4.3.1", "Apache Kafka's jars could not be fetched")
        return
    with tempfile.TemporaryDirectory(prefix="highwater-tools-") as folder:
        with (Kafka if asked.kafka else Highwater)(pathlib.Path(folder)) as broker:
            broker.start()
            tools = Tools(broker.address)
            for what, tool, work, needs in TRIED:
                row = f"{tool}: {what}"
                if needs and not settings.speaks(tools, needs):
                    report.skip(row, "4.3.1", f"the broker does not have {needs} yet")
                    continue
                report.check(row, "4.3.1", lambda work=work: work(tools))
            broker.stop()
    report.finish(asked.json)


if __name__ == "__main__":
    main()
