"""Asks both brokers the same and compares."""

import argparse
import pathlib
import tempfile
import time

from harness.broker import Highwater, Kafka
from harness.report import FAILED, PASSED, Report
from harness.waiting import wait_until

from . import allowed, schema, script
from .conversation import Closed, Conversation

BROKER = {"num.partitions": "2", "node.id": "1", "group.initial.rebalance.delay.ms": "0", "group.consumer.assignment.interval.ms": "0"}
KEYS = ("Name", "Topic", "TopicName", "ApiKey", "PartitionIndex", "Partition", "Index", "GroupId", "NodeId", "BrokerId", "ConfigName", "MemberId", "ResourceName")


def main():
    """Both brokers, all APIs, all versions."""
    asked = arguments()
    report = Report("differences from Apache Kafka")
    messages = schema.load()
    with tempfile.TemporaryDirectory(prefix="highwater-differential-") as place:
        place = pathlib.Path(place)
        with Kafka(place / "kafka", BROKER) as kafka, (Kafka if asked.kafka else Highwater)(place / "ours", BROKER) as ours:
            kafka.launch()
            ours.start()
            wait_until("Kafka to serve", kafka.is_ready)
            sides = [Side(broker.address, messages) for broker in (kafka, ours)]
            for side in sides:
                script.prepare(side)
            for api, first, last in report.check("there are questions for all that we advertise", "fields", lambda: advertised(sides)) or []:
                if asked.only and api not in asked.only.split(","):
                    continue
                for version in range(first, last + 1):
                    since = time.monotonic()
                    compare(report, sides, api, version, since)
    report.finish(asked.json)


def advertised(sides):
    """(API, first, last version) of everything that the second advertises. It has nothing that the first has not, and
    there are questions for all of it."""
    asked = {"ClientSoftwareName": "a", "ClientSoftwareVersion": "1"}
    theirs, ours = ({each["ApiKey"]: each for each in side.set_up("ApiVersions", 3, asked)["ApiKeys"]} for side in sides)
    names = {request.key: name for name, (request, _) in sides[0].conversation.messages.items()}
    found = []
    for key, mine in sorted(ours.items()):
        name = names[key]
        assert key in theirs, f"{name} is ours alone"
        first, last = mine["MinVersion"], mine["MaxVersion"]
        for version in (first, last):
            known = theirs[key]["MinVersion"] <= version <= theirs[key]["MaxVersion"] or (name, version) in allowed.NEWER
            assert known, f"version {version} of {name} is ours alone"
        assert name in script.QUESTIONS, f"nothing is asked of {name}"
        # Both say that they take older versions, for an old librdkafka's sake, and take none.
        found.append((name, max(first, 3) if name == "Produce" else first, min(last, theirs[key]["MaxVersion"])))
    return found


def compare(report, sides, api, version, since):
    """One API in one version."""
    for side in sides:
        side.begin(api, version)
        try:
            script.QUESTIONS[api](side, version)
        except Closed:
            side.answers.append(("a question of the preparation", "closed"))
    differences = []
    if [what for what, _ in sides[0].answers] != [what for what, _ in sides[1].answers]:
        differences.append("not the same questions were put")
    for (what, theirs), (_, ours) in zip(*(side.answers for side in sides)):
        differences += different(api, what, theirs, ours)
    result = FAILED if differences else PASSED
    report.told(f"{api} {version}", "fields", result, f"{len(differences)} fields differ", since)
    for difference in differences:
        print(f"         {difference}"[:300], flush=True)


def different(api, what, theirs, ours):
    """Lines on what differs in two answers."""
    theirs, ours = ({"": each} if isinstance(each, str) else flat(each) for each in (theirs, ours))
    told = []
    for path in [*theirs, *(path for path in ours if path not in theirs)]:
        one, other = theirs.get(path, "missing"), ours.get(path, "missing")
        missing = "missing" in (one, other)
        if one == other or missing and any(path.startswith(each) for each in told):
            continue
        if missing:
            told.append(path[: path.rfind("]") + 1] or path)  # Not each field of what only one of them has.
        if allowed.reason(api, what, path) is None:
            yield f"{what}: {path}: Kafka says {one!r}, we say {other!r}"


def flat(value, path=""):
    """{path: value}; the elements of an array go by their names where they have some."""
    if isinstance(value, dict):
        found = {}
        for name, each in value.items():
            found |= flat(each, f"{path}.{name}" if path else name)
        return found
    if isinstance(value, list):
        found = {f"{path}.length": len(value)}
        for number, each in enumerate(value):
            key = next((each[name] for name in KEYS if name in each), number) if isinstance(each, dict) else number
            label = f"{path}[{key}]"
            found |= flat(each, label if f"{label}." not in "".join(f"{k}." for k in found) else f"{label}#{number}")
        return found
    return {path: value}


class Side:
    """One of the two brokers, and what it answered."""

    def __init__(self, address, messages):
        self.conversation = Conversation(address, messages)
        self.api, self.version, self.answers, self.ids = None, None, [], {}

    def begin(self, api, version):
        """Forgets the answers."""
        self.api, self.version, self.answers = api, version, []

    def ask(self, what, fields):
        """Puts one question and keeps the answer."""
        try:
            answer = self.conversation.ask(self.api, self.version, fields)
        except Closed:
            answer = "closed the connection"
        self.answers.append((what, self._named(answer)))

    def set_up(self, api, version, fields):
        """A question that is not compared."""
        return self.conversation.ask(api, version, fields)

    def create(self, topic, partitions=1, configs=None):
        """A topic that is led when this returns."""
        configs = [{"Name": name, "Value": value} for name, value in (configs or {}).items()]
        wanted = {"Name": topic, "NumPartitions": partitions, "ReplicationFactor": 1, "Configs": configs}
        (made,) = self.set_up("CreateTopics", 7, {"Topics": [wanted], "timeoutMs": 10_000})["Topics"]
        assert made["ErrorCode"] == 0, made
        wait_until(f"{topic} to be led", lambda: self._led(topic, partitions), pause=0.01)
        self.id(topic)

    def set_for_group(self, group, configs):
        """Configuration of a group, which need not be there; it is in force when this returns."""
        changes = [{"Name": name, "ConfigOperation": 0, "Value": value} for name, value in configs.items()]
        wanted = {"ResourceType": 32, "ResourceName": group, "Configs": changes}
        (done,) = self.set_up("IncrementalAlterConfigs", 1, {"Resources": [wanted]})["Responses"]
        assert done["ErrorCode"] == 0, done
        asked = {"Resources": [{"ResourceType": 32, "ResourceName": group, "ConfigurationKeys": list(configs)}]}

        def set_by_now():
            (found,) = self.set_up("DescribeConfigs", 4, asked)["Results"]
            return {config["Name"]: config["Value"] for config in found["Configs"]} == configs

        wait_until(f"{group} to be configured", set_by_now, pause=0.01)

    def _led(self, topic, partitions):
        asked = {"Topics": [{"Name": topic, "TopicId": bytes(16)}], "AllowAutoTopicCreation": False}
        (found,) = self.set_up("Metadata", 12, asked)["Topics"]
        if len(found["Partitions"]) != partitions or any(each["ErrorCode"] for each in found["Partitions"]):
            return False
        # Kafka tells of a leader before that knows of it itself.
        ends = [{"PartitionIndex": index, "Timestamp": -1} for index in range(partitions)]
        (listed,) = self.set_up("ListOffsets", 7, {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": ends}]})["Topics"]
        return not any(each["ErrorCode"] for each in listed["Partitions"])

    def produce(self, topic, partition, records):
        """Records that are there when this returns."""
        data = [{"Name": topic, "PartitionData": [{"Index": partition, "Records": records}]}]
        answer = self.set_up("Produce", 9, {"Acks": -1, "TimeoutMs": 10_000, "TopicData": data})
        assert answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0, answer

    def commit(self, group):
        """Offset 5 of the first partition, once there is a coordinator."""
        part = {"PartitionIndex": 0, "CommittedOffset": 5, "CommittedMetadata": "mine"}
        asked = {"GroupId": group, "GenerationIdOrMemberEpoch": -1, "Topics": [{"Name": script.BASIC, "Partitions": [part]}]}

        def done():
            self.set_up("FindCoordinator", 3, {"Key": group, "KeyType": 0})
            answer = self.set_up("OffsetCommit", 8, asked)
            return answer["Topics"][0]["Partitions"][0]["ErrorCode"] == 0

        wait_until("a commit", done, pause=0.02)

    def producer_id(self):
        """A new one."""
        return self.set_up("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": 60_000})["ProducerId"]

    def transactional(self, name):
        """Id and epoch of a new producer of this transactional id, once there is a coordinator."""
        found = []

        def done():
            self.set_up("FindCoordinator", 3, {"Key": name, "KeyType": 1})
            answer = self.set_up("InitProducerId", 4, {"TransactionalId": name, "TransactionTimeoutMs": 60_000})
            found[:] = (answer["ProducerId"], answer["ProducerEpoch"])
            return answer["ErrorCode"] == 0

        wait_until("a transactional producer", done, pause=0.02)
        return found

    def join_transaction(self, name, producer, epoch):
        """The first partition is in the producer's transaction when this returns."""
        topics = [{"Name": script.BASIC, "Partitions": [0]}]
        asked = {"V3AndBelowTransactionalId": name, "V3AndBelowProducerId": producer, "V3AndBelowProducerEpoch": epoch, "V3AndBelowTopics": topics}

        def done():
            (answer,) = self.set_up("AddPartitionsToTxn", 3, asked)["ResultsByTopicV3AndBelow"]
            return answer["ResultsByPartition"][0]["PartitionErrorCode"] == 0

        wait_until("a transaction", done, pause=0.02)

    def ended(self, name):
        """Returns when all of a transaction's markers are there."""

        def done():
            (found,) = self.set_up("DescribeTransactions", 0, {"TransactionalIds": [name]})["TransactionStates"]
            return found["TransactionState"].startswith("Complete")

        wait_until("a transaction to end", done, pause=0.02)

    def id(self, topic):
        """Of a topic; the same unknown one for all that are not there."""
        if topic not in self.ids:
            asked = {"Topics": [{"Name": topic, "TopicId": bytes(16)}], "AllowAutoTopicCreation": False}
            (found,) = self.set_up("Metadata", 12, asked)["Topics"]
            if found["ErrorCode"]:
                return script.NOWHERE
            self.ids[topic] = found["TopicId"]
        return self.ids[topic]

    def _named(self, value):
        # Ids are drawn at random: one that is known gets the topic's name, of another we only say that it is one.
        if isinstance(value, dict):
            return {
                name: self._id_named(each) if name == "TopicId" else self._named(each) for name, each in value.items()
            }
        return [self._named(each) for each in value] if isinstance(value, list) else value

    def _id_named(self, found):
        known = {script.NOWHERE: "the unknown id", bytes(16): "no id", **{own: name for name, own in self.ids.items()}}
        return known.get(found, "an id")


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="APIs, with commas between them")
    parser.add_argument("--kafka", action="store_true", help="Kafka twice")
    parser.add_argument("--json", help="a file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
