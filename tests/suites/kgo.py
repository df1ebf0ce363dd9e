"""franz-go's own tests of its client, of which most talk to a broker."""

import argparse
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
from harness.report import FAILED, PASSED, SKIPPED, Report

MODULE = places.CHECKOUT / "tests" / "matrix" / "go"
PACKAGE = "github.com/twmb/franz-go/pkg/kgo"
# As its authors run it: topics come by themselves, groups do not wait for more members.
BROKER = {"num.partitions": "4", "group.initial.rebalance.delay.ms": "0"}
SECONDS = 1200
ENDED = re.compile(r"^--- (PASS|FAIL|SKIP): (Test\S+)")
RESULTS = {"PASS": PASSED, "FAIL": FAILED, "SKIP": SKIPPED}


def main():
    """Builds the tests, runs them, and compares with the list of exceptions."""
    asked = arguments()
    against = asked.bootstrap or ("Apache Kafka" if asked.kafka else "highwater")
    report = Report(f"kgo's tests against {against}")
    if not shutil.which("go"):
        print(f"SKIPPED {report.title}: there is no go on this machine")
        sys.exit(0)
    program, folder = build()
    if asked.bootstrap:
        run(report, program, folder, asked.bootstrap, asked)
    else:
        with tempfile.TemporaryDirectory(prefix="highwater-kgo-") as place:
            with (Kafka if asked.kafka else Highwater)(pathlib.Path(place), BROKER) as broker:
                broker.start()
                run(report, program, folder, broker.address, asked)
                report.check("the broker lives", "all", lambda: check_alive(broker))
    report.finish(asked.json)


def build():
    """The program and the folder that it wants to be started in."""
    program = places.cache() / "matrix" / "kgo.test"
    program.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false -p=2"}
    subprocess.run(["go", "test", "-c", "-o", program, PACKAGE], cwd=MODULE, env=environment, check=True)
    listed = subprocess.run(
        ["go", "list", "-f", "{{.Dir}} {{.Module.Version}}", PACKAGE], cwd=MODULE, capture_output=True, text=True, check=True
    )
    folder, version = listed.stdout.split()
    print(f"franz-go {version}", flush=True)
    return program, folder


def run(report, program, folder, address, asked):
    """One run of all tests. Those that are known to hang are not started."""
    allowed = exceptions() if not asked.kafka else {name: why for name, why in exceptions().items() if "Kafka" in why}
    hang = [name for name, why in allowed.items() if why.startswith("hangs")]
    command = [program, "-test.v", f"-test.timeout={SECONDS}s", "-test.run=^Test"]
    command += [f"-test.skip=^({'|'.join(hang)})$"] if hang else []
    environment = {
        **os.environ,
        "KGO_SEEDS": address,
        "KGO_TEST_RF": "1",
        "KGO_TEST_RECORDS": str(asked.records),
        "KGO_TEST_MAX_TOPIC_PARTS": "7",
        "KGO_LOG_LEVEL": "none",
    }
    found, begun, since = {}, set(hang), time.monotonic()
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as tests:
        for line in tests.stdout:
            if line.startswith("=== RUN   Test"):
                begun.add(line.split()[2].split("/")[0])
            ended = ENDED.match(line)
            if ended:
                found[ended[2]] = RESULTS[ended[1]]
            elif not line.startswith(("=== ", "    --- ", "        --- ", "PASS")):
                print(f"  {line.rstrip()}"[:300], flush=True)
    for name in sorted(begun):
        judge(report, name, found.get(name, "did not end"), allowed, since)


def judge(report, name, result, allowed, since):
    """What counts as a failure of this suite."""
    if result == PASSED:
        report.told(name, "kgo", PASSED, "", since)
        if name in allowed:
            print(f"         passes, and has an exception still: {allowed[name]}", flush=True)
    elif name in allowed:
        report.skip(name, "kgo", allowed[name])
    else:
        report.told(name, "kgo", FAILED, f"{result}, without an exception in kgo.allowed", since)


def exceptions():
    """{test: reason}"""
    lines = pathlib.Path(__file__).with_name("kgo.allowed").read_text(encoding="utf-8").splitlines()
    return dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))


def check_alive(broker):
    """None of them ended it."""
    assert broker.alive(), broker.tail()


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", choices=["kgo"])
    parser.add_argument("--bootstrap", help="host:port of a broker that already runs")
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of ours: proves the suite")
    parser.add_argument("--records", type=int, default=20_000, help="how many records its long tests move")
    parser.add_argument("--json", help="a file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
