"""Requests that are well-formed and make no sense, of every API in every version: negative sizes, thousands of topics,
partitions named twice, ids of nobody, empty names, enormous strings.

The broker may refuse or close the connection. It must not stop, panic, take memory without bound, answer what does not
decode, or change anything: what topics, groups and configurations there are is looked at before and after.
"""

import argparse
import pathlib
import random
import re
import tempfile
import time
import uuid

from harness.broker import Highwater
from harness.report import FAILED, PASSED, Report

from . import schema, script
from .conversation import Closed, batch
from .suite import BROKER, Side

# So much more memory than before may be in use after a round of everything.
GROWTH_MAX = 256 << 20
# A frame larger than this is not sent: the broker's own bound on requests is tested elsewhere.
FRAME_MAX = 8 << 20
LONG_TEXT = ["x" * 249, "x" * 250, "x" * 32767, "ä" * 10000]
TEXT = ["", " ", ".", "..", "a b", "a/b", "\0", "nowhere", "-1", "__consumer_offsets", "__transaction_state"]
SIZES = {"int8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64}
# These do what they are told where that is possible: a name that nobody has may be given to something new.
MAKES = {"CreateTopics": "Topics", "AlterClientQuotas": "Entries"}
# Questions that wait for as long as they say are not to.
WAITS = ("MaxWaitMs", "TimeoutMs", "timeoutMs", "RebalanceTimeoutMs", "SessionTimeoutMs")


class Absurd:
    """Draws values for the fields of a message."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.is_among_many = False

    def fields(self, message, fields, version):
        """A value for each field that the version has; some are left at their defaults."""
        return {
            field["name"]: self.value(message, field, field["type"], version)
            for field in fields
            if version in schema.Range(field["versions"]) and self.random.random() < 0.9
        }

    def value(self, message, field, kind, version):
        """One that the field can carry. What an array holds is never null."""
        draw = self.random
        nullable = kind == field["type"] and version in schema.Range(field.get("nullableVersions", "none"))
        if nullable and draw.random() < 0.15:
            return None
        if field["name"] in WAITS and kind == "int32":
            return draw.choice([0, 1, -1, -(1 << 31)])
        if kind in SIZES:
            bits = SIZES[kind]
            signed = not kind.startswith("u")
            low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
            return draw.choice([low, high, 0, 1, 2, 7, 99, high - 1] + ([-1, -2, -7] if signed else []))
        if kind == "float64":
            return draw.choice([0.0, -1.0, 1e308, float("inf"), float("-inf"), float("nan"), 0.1])
        if kind == "bool":
            return draw.random() < 0.5
        if kind == "uuid":
            return draw.choice([bytes(16), b"\xff" * 16, script.NOWHERE, uuid.UUID(int=draw.getrandbits(128)).bytes])
        if kind == "string":
            return self.text()
        if kind in ("bytes", "records"):
            return draw.choice([b"", b"\0", b"\xff" * 100, bytes(70000), batch([b"a"], spoil=True), b"\0\0\0\0" * 20])
        if kind.startswith("[]"):
            return self.array(message, field, kind[2:], version)
        return self.fields(message, field.get("fields") or message.structs[kind], version)

    def text(self):
        """Short for the most part."""
        return self.random.choice(LONG_TEXT if self.random.random() < 0.1 else TEXT)

    def array(self, message, field, kind, version):
        """Empty, some, the same again and again, or thousands."""
        draw = self.random
        shape = draw.random()
        one = lambda: self.value(message, field, kind, version)
        if shape < 0.15:
            return []
        if shape < 0.6:
            return [one() for _ in range(draw.randint(1, 3))]
        if shape < 0.9:
            return [one()] * draw.randint(2, 5)
        # Hundreds of hundreds of large values fit into no frame, and into no memory.
        before, self.is_among_many = self.is_among_many, True
        value = one()
        self.is_among_many = before
        return [value] * (3 if before else 3000 if kind in SIZES else 300)


def main():
    """Rounds of everything."""
    asked = arguments()
    report = Report("requests that make no sense")
    messages = schema.load()
    with tempfile.TemporaryDirectory(prefix="highwater-absurd-") as place:
        # A question for a topic may not make it.
        settings = BROKER | {"auto.create.topics.enable": "false"}
        with Highwater(pathlib.Path(place) / "ours", settings) as broker:
            broker.start()
            side = Side(broker.address, messages)
            script.prepare(side)
            for number in range(asked.rounds):
                round_of_everything(report, broker, side, messages, asked.seed + number)
            broker.stop()
    report.finish(asked.json)


def round_of_everything(report, broker, side, messages, seed):
    """Every API in every version, and what is there before and after."""
    absurd, since = Absurd(seed), time.monotonic()
    before, memory = state(side), resident(broker)
    names = {request.key: name for name, (request, _) in messages.items()}
    asked = {"ClientSoftwareName": "a", "ClientSoftwareVersion": "1"}
    sent, told = 0, []
    for each in side.set_up("ApiVersions", 3, asked)["ApiKeys"]:
        name = names[each["ApiKey"]]
        request, _ = messages[name]
        for version in range(each["MinVersion"], each["MaxVersion"] + 1):
            for _ in range(3):
                fields = absurd.fields(request, request.fields, version)
                if name in MAKES:
                    fields["validateOnly" if name == "CreateTopics" else "ValidateOnly"] = True
                if len(request.encode(fields, version)) > FRAME_MAX:
                    continue
                sent += 1
                why = put(side, name, version, fields)
                if why:
                    told.append(f"{name} {version}: {why}; {str(fields)[:200]}")
    after = state(side)
    changed = {what: (before[what], after[what]) for what in before if before[what] != after[what]}
    told += [f"{what} was {was} and is {now}" for what, (was, now) in changed.items()]
    grown = resident(broker) - memory
    if grown > GROWTH_MAX:
        told.append(f"{grown >> 20} MiB more in use than before")
    output = broker.output.read_text(errors="replace")
    told += [f"in its output: {line}" for line in output.splitlines() if "panicked" in line]
    result = FAILED if told else PASSED
    report.told(f"seed {seed}: {sent} requests, {max(grown, 0) >> 20} MiB", "round", result, f"{len(told)} findings", since)
    for line in told:
        print(f"         {line}", flush=True)


def put(side, name, version, fields):
    """What is wrong with the answer; nothing if there is one, or none on purpose."""
    try:
        side.conversation.ask(name, version, fields)
    except Closed:
        return None
    except TimeoutError:
        side.conversation.close()
        # Nobody waits for an answer to a produce request without acknowledgement.
        return None if name == "Produce" and fields.get("Acks", 0) == 0 else "no answer within 30 s"
    except (AssertionError, UnicodeDecodeError) as error:
        return f"its answer does not decode: {error}"
    return None


def state(side):
    """What is there: topics and how many partitions they have, groups with members, what is set for topics."""
    topics = side.set_up("Metadata", 12, {"Topics": None, "AllowAutoTopicCreation": False})["Topics"]
    names = [each["Name"] for each in topics if not each["Name"].startswith("__")]
    keys = ["retention.ms", "cleanup.policy", "max.message.bytes"]
    wanted = [{"ResourceType": 2, "ResourceName": name, "ConfigurationKeys": keys} for name in names]
    configs = side.set_up("DescribeConfigs", 4, {"Resources": wanted})["Results"]
    groups = side.set_up("ListGroups", 5, {})["Groups"]
    return {
        "topics": sorted((each["Name"], len(each["Partitions"])) for each in topics if not each["Name"].startswith("__")),
        "configurations": sorted((each["ResourceName"], config["Name"], config["Value"]) for each in configs for config in each["Configs"]),
        "groups with members": sorted(each["GroupId"] for each in groups if each["GroupState"] not in ("Empty", "Dead")),
        "ends": ends(side, names),
    }


def ends(side, names):
    """How far each partition goes."""
    asked = [{"Name": name, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]} for name in names]
    answer = side.set_up("ListOffsets", 7, {"ReplicaId": -1, "Topics": asked})["Topics"]
    return sorted((each["Name"], each["Partitions"][0]["Offset"]) for each in answer)


def resident(broker):
    """Bytes of memory in use."""
    status = pathlib.Path(f"/proc/{broker.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) << 10


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="where randomness begins")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is asked")
    parser.add_argument("--json", help="a file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
