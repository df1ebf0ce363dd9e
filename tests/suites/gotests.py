"""The tests that the authors of two Go clients wrote for themselves, of which most talk to a broker."""

import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from harness import places
from harness.broker import Highwater, Kafka
from harness.process import is_free
from harness.report import FAILED, PASSED, SKIPPED, Report

from . import judging

MODULE = places.CHECKOUT / "tests" / "matrix" / "go"


@dataclasses.dataclass(frozen=True)
class Suite:
    """One package: what its authors want of the broker, and where it is told where that is. A suite that knows one
    address only gets its broker there."""

    package: str
    broker: dict
    environment: object
    port: int | None = None


SUITES = {
    # Topics come by themselves, groups do not wait for more members.
    "kgo": Suite(
        "github.com/twmb/franz-go/pkg/kgo",
        {"num.partitions": "4", "group.initial.rebalance.delay.ms": "0"},
        lambda asked, address: {
            "KGO_SEEDS": address,
            "KGO_TEST_RF": "1",
            "KGO_TEST_RECORDS": str(asked.records),
            "KGO_TEST_MAX_TOPIC_PARTS": "7",
            "KGO_LOG_LEVEL": "none",
        },
    ),
    # The newest version it is tested with; nettest fails against any broker of the last years, say its authors.
    "kafka-go": Suite(
        "github.com/segmentio/kafka-go",
        {"message.max.bytes": "200000000", "advertised.listeners": "PLAINTEXT://localhost:9092"},
        lambda asked, address: {"KAFKA_VERSION": "3.7.0", "KAFKA_SKIP_NETTEST": "1"},
        9092,
    ),
}
SECONDS = 1200
ENDED = re.compile(r"^--- (PASS|FAIL|SKIP): (Test\S+)")
CHATTER = re.compile(r"=== |PASS| {4,8}--- |.*: waitForTopic|.*: retrying after")
PART_FAILED = re.compile(r"^ +--- FAIL: (Test\S+)")
RESULTS = {"PASS": PASSED, "FAIL": FAILED, "SKIP": SKIPPED}


def main():
    """Builds the tests, runs them, and compares with the list of exceptions."""
    asked = arguments()
    suite = SUITES[asked.suite]
    against = asked.bootstrap or ("Apache Kafka" if asked.kafka else "highwater")
    report = Report(f"{asked.suite}'s tests against {against}")
    if not shutil.which("go"):
        print(f"SKIPPED {report.title}: there is no go on this machine")
        sys.exit(0)
    if suite.port and not asked.bootstrap and not is_free(suite.port):
        print(f"SKIPPED {report.title}: they want a broker at port {suite.port}, which somebody has")
        sys.exit(0)
    program, folder = build(asked.suite)
    if asked.bootstrap:
        run(report, program, folder, asked, suite.environment(asked, asked.bootstrap))
    else:
        with tempfile.TemporaryDirectory(prefix="highwater-gotests-") as place:
            kind = Kafka if asked.kafka else Highwater
            with kind(pathlib.Path(place), suite.broker, port=suite.port) as broker:
                broker.start()
                run(report, program, folder, asked, suite.environment(asked, broker.address))
                report.check("the broker lives", "all", lambda: judging.check_alive(broker))
    report.finish(asked.json)


def build(name):
    """The program and the folder that it wants to be started in."""
    package = SUITES[name].package
    program = places.cache() / "matrix" / f"{name}.test"
    program.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false -p=2"}
    subprocess.run(["go", "test", "-c", "-o", program, package], cwd=MODULE, env=environment, check=True)
    listed = subprocess.run(
        ["go", "list", "-f", "{{.Dir}} {{.Module.Version}}", package], cwd=MODULE, capture_output=True, text=True, check=True
    )
    folder, version = listed.stdout.split()
    print(f"{package} {version}", flush=True)
    return program, folder


def run(report, program, folder, asked, environment):
    """One run of all tests, which find the broker by their environment. Those that are known to hang are not started."""
    allowed = judging.exceptions(asked.suite, asked.kafka)
    hang = [name for name, why in allowed.items() if why.startswith("hangs")]
    command = [program, "-test.v", f"-test.timeout={SECONDS}s", "-test.run=^Test"]
    command += [f"-test.skip=^({'|'.join(hang)})$"] if hang else []
    found, begun, parts, since = {}, set(hang), {}, time.monotonic()
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as tests:
        for line in tests.stdout:
            if line.startswith("=== RUN   Test"):
                begun.add(line.split()[2].split("/")[0])
            ended, part = ENDED.match(line), PART_FAILED.match(line)
            if part:
                parts.setdefault(part[1].split("/")[0], set()).add(part[1])
            if ended:
                found[ended[2]] = RESULTS[ended[1]]
            elif not CHATTER.match(line):
                print(f"  {line.rstrip()}"[:300], flush=True)
    for name in sorted(begun):
        result = found.get(name, "did not end")
        if result == FAILED and parts.get(name) and parts[name] <= allowed.keys():
            report.skip(name, asked.suite, "; ".join(f"{part} {allowed[part]}" for part in sorted(parts[name])))
        else:
            judging.judge(report, asked.suite, name, result, allowed, since)


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--bootstrap", help="host:port of a broker that already runs")
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of ours: proves the suite")
    parser.add_argument("--records", type=int, default=20_000, help="how many records the long tests of kgo move")
    parser.add_argument("--json", help="a file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
