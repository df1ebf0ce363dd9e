"""The questions of the comparison, each followed by some that differ from it in one field, which makes no sense: to Apache
Kafka and to the broker under test. Whatever the field is, both answer with the same error codes, or close the connection."""

import argparse
import collections
import pathlib
import random
import tempfile
import time

from harness.broker import Highwater, Kafka
from harness.report import FAILED, PASSED, Report
from harness.waiting import wait_until

from . import allowed, schema, script
from .absurd import FRAME_MAX, Absurd
from .conversation import Closed
from .suite import BROKER, Side, advertised

# How often each question is asked with a field changed.
CHANGES = 3
# Kafka leaves some requests without an answer, which is waited for as long as this.
SECONDS = 10
# With a millisecond Kafka is in time or not.
UNCERTAIN = {"timeoutMs": 1, "TimeoutMs": 1}


def main():
    """Both brokers, all APIs, all versions."""
    asked = arguments()
    report = Report("error codes of requests that make no sense")
    messages = schema.load()
    settings = BROKER | {"auto.create.topics.enable": "false", "offsets.topic.num.partitions": "1"}
    with tempfile.TemporaryDirectory(prefix="highwater-mutated-") as place:
        place = pathlib.Path(place)
        with Kafka(place / "kafka", settings) as kafka, (Kafka if asked.kafka else Highwater)(place / "ours", settings) as ours:
            kafka.launch()
            ours.start()
            wait_until("Kafka to serve", kafka.is_ready)
            sides = [Mutating(broker.address, messages, asked.seed, asked.changes) for broker in (kafka, ours)]
            for side in sides:
                script.prepare(side)
            for api, first, last in advertised(sides):
                if not asked.only or api in asked.only.split(","):
                    for version in range(first, last + 1):
                        compare(report, sides, api, version)
    report.finish(asked.json)


def compare(report, sides, api, version):
    """One API in one version."""
    since = time.monotonic()
    for side in sides:
        side.begin(api, version)
        script.QUESTIONS[api](side, version)
    differences = []
    for (what, changed, theirs), (_, _, ours) in zip(*(side.told for side in sides)):
        if theirs != ours and allowed.code_reason(api, what, changed, theirs, ours) is None:
            differences.append(f"{what}; {changed}: Kafka {theirs}, we {ours}")
    count = len(sides[0].told)
    if [each[:2] for each in sides[0].told] != [each[:2] for each in sides[1].told]:
        differences.append("not the same was asked of both")
    result = FAILED if differences else PASSED
    report.told(f"{api} {version}: {count} requests", "codes", result, f"{len(differences)} answers differ", since)
    for difference in differences:
        print(f"         {difference}"[:400], flush=True)


class Mutating(Side):
    """One of the two brokers, and the codes in its answers."""

    def __init__(self, address, messages, seed, changes):
        super().__init__(address, messages)
        self.seed, self.changes, self.told = seed, changes, []
        self.conversation.seconds = SECONDS

    def begin(self, api, version):
        super().begin(api, version)
        self.told = []

    def ask(self, what, fields):
        """The question itself, then with one field after the other changed."""
        self._put(what, "", fields)
        # Both sides draw the same, whatever was asked before.
        absurd = Absurd(f"{self.seed} {self.api} {self.version} {what}")
        request, _ = self.conversation.messages[self.api]
        for _ in range(self.changes):
            changed, other = change(absurd, request, self.version, fields)
            other = adjusted(self.api, len(self.told), other)
            if changed and answered(self.api, other, self.ids.get(script.BASIC)) and len(request.encode(other, self.version)) <= FRAME_MAX:
                self._put(what, changed, other)

    def _put(self, what, changed, fields):
        self.told.append((what, changed, self._codes(fields)))

    def _codes(self, fields):
        # {field: codes}, whatever the order of what is answered.
        try:
            answer = self.conversation.ask(self.api, self.version, fields)
        except Closed:
            return "closed"
        except TimeoutError:
            self.conversation.close()
            return "silent"
        found = collections.defaultdict(set)
        for name, code in codes(answer):
            found[name].add(code)
        return {name: sorted(each) for name, each in sorted(found.items())}


def codes(answer):
    """(field, code) of everything that was answered."""
    for value in answer if isinstance(answer, list) else answer.values() if isinstance(answer, dict) else ():
        yield from codes(value)
    if isinstance(answer, dict):
        yield from ((name, value) for name, value in answer.items() if name.endswith("ErrorCode"))


def change(absurd, message, version, fields):
    """(what was changed, the fields with it): one value anywhere in them, drawn anew."""
    places = list(walk(message, message.fields, version, fields))
    if not places:
        return None, fields
    path, field, kind = absurd.random.choice(places)
    value = absurd.value(message, field, kind, version)
    if value is not None and UNCERTAIN.get(field["name"]) == value:
        value = 0
    shown = repr(value)
    return f"{'.'.join(map(str, path))} = {shown if len(shown) < 80 else shown[:70] + '...'}", put(fields, path, value)


def answered(api, fields, basic):
    """Whether it is asked: not a wish to delete what coordinators write to, which Kafka fulfils, or what other questions are
    about (`basic` by its id), nor records that are null, which it never answers, nor a producer that wants no acknowledgement,
    whom nobody answers."""
    if api == "DeleteTopics":
        by_name = [*fields.get("TopicNames", []), *(topic.get("Name") for topic in fields.get("Topics", []))]
        by_id = [topic.get("TopicId") for topic in fields.get("Topics", []) if topic.get("Name") is None]
        return "__" not in str(by_name) and script.BASIC not in by_name and basic not in by_id
    if api != "Produce":
        return True
    parts = [part for topic in fields["TopicData"] for part in topic.get("PartitionData", [])]
    return fields["Acks"] != 0 and all(part.get("Records") is not None for part in parts)


def adjusted(api, number, fields):
    """The fields without what the answers to depend on the moment, or on who asks.

    A member that brings an expression for topics is in a group of its own: Kafka looks for them in the background, and in which
    epoch the group is after that depends on when it gets to it. Groups that Kafka makes without asking whether the transaction may
    (allowed.py has why) are not met again. Only replicas know what they fetched last."""
    if api == "ConsumerGroupHeartbeat" and fields.get("SubscribedTopicRegex") and fields["GroupId"]:
        return {**fields, "GroupId": f"expression-{number}"}
    if api == "TxnOffsetCommit" and fields["GroupId"]:
        return {**fields, "GroupId": f"in a transaction {fields['GroupId']}"[:32767]}
    if api == "Fetch":
        each = lambda part: {name: value for name, value in part.items() if name != "LastFetchedEpoch"}
        topics = [{**topic, "Partitions": [each(part) for part in topic.get("Partitions", [])]} for topic in fields["Topics"]]
        return {**fields, "Topics": topics}
    return fields


def walk(message, declared, version, fields, path=()):
    """(path, declaration, kind) of every value that the version sends."""
    for field in declared:
        if version not in schema.Range(field["versions"]):
            continue
        here, kind = (*path, field["name"]), field["type"]
        yield here, field, kind
        value = fields.get(field["name"])
        inner = field.get("fields") or message.structs.get(kind.removeprefix("[]"))
        if inner and isinstance(value, list):
            for number, each in enumerate(value):
                yield from walk(message, inner, version, each, (*here, number))
        elif inner and isinstance(value, dict):
            yield from walk(message, inner, version, value, here)
        elif isinstance(value, list):
            for number in range(len(value)):
                yield (*here, number), field, kind.removeprefix("[]")


def put(fields, path, value):
    """A copy with one value replaced."""
    first, rest = path[0], path[1:]
    copied = list(fields) if isinstance(fields, list) else dict(fields)
    copied[first] = put(copied[first], rest, value) if rest else value
    return copied


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="APIs, with commas between them")
    parser.add_argument("--kafka", action="store_true", help="Kafka twice")
    parser.add_argument("--seed", type=int, default=1, help="where randomness begins")
    parser.add_argument("--changes", type=int, default=CHANGES, help="how often each question is changed")
    parser.add_argument("--json", help="a file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
