"""rdkafka's own tests of itself with a broker, from the crate."""

import argparse
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time

from harness import places
from harness.broker import Highwater, Kafka
from harness.process import is_free
from harness.report import FAILED, PASSED, Report

from . import judging, programs

# As its authors start theirs: broker 0 at this address, topics of three partitions.
BROKER = {"node.id": "0", "num.partitions": "3", "advertised.listeners": "PLAINTEXT://localhost:9092"}
PORT = 9092
SECONDS = 900
FILE = re.compile(r"\s+Running (?:unittests )?(?:tests/|src/)(\w+)\.rs ")
# What a thread prints comes between a test's name and its result.
ENDED = re.compile(r"test (\S+) \.\.\. .*?(ok|FAILED|ignored)$")
COUNTED = re.compile(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored")


def main():
    """Runs them and compares with the list of exceptions."""
    parser = argparse.ArgumentParser(prog="tests/suites/run")
    parser.add_argument("suite", choices=["rdkafka"])
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of ours: proves the suite")
    parser.add_argument("--json", help="a file for the results")
    asked = parser.parse_args()
    report = Report(f"rdkafka's tests against {'Apache Kafka' if asked.kafka else 'highwater'}")
    why = programs.missing("rdkafka")
    if why:
        report.skip("everything", asked.suite, why)
        return
    if not is_free(PORT):
        print(f"SKIPPED {report.title}: they want a broker at port {PORT}, which somebody has")
        return
    with tempfile.TemporaryDirectory(prefix="highwater-cratetests-") as place:
        with (Kafka if asked.kafka else Highwater)(pathlib.Path(place), BROKER, port=PORT) as broker:
            broker.start()
            run(report, asked)
            report.check("the broker lives", "all", lambda: judging.check_alive(broker))
    report.finish(asked.json)


def run(report, asked):
    """One run of all its test programs, one after the other."""
    folder = places.cache() / "suites" / "rdkafka"
    command = ["cargo", "test", "--locked", "--tests", "--no-fail-fast", "--features", "libz-static"]
    environment = {"KAFKA_HOST": f"localhost:{PORT}", "RUST_LOG": "off", "CARGO_TARGET_DIR": str(folder / "target")}
    allowed = judging.exceptions(asked.suite, asked.kafka)
    program, told, counted, since = "", 0, 0, time.monotonic()
    with subprocess.Popen(
        command,
        cwd=folder / "crate", env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    ) as tests:
        watch = threading.Timer(SECONDS, tests.kill)
        watch.start()
        for line in tests.stdout:
            line = line.rstrip()
            file, ended, sums = FILE.match(line), ENDED.search(line), COUNTED.match(line)
            if file:
                program = file[1]
            elif ended:
                result = {"ok": PASSED, "FAILED": FAILED}.get(ended[2], ended[2])
                judging.judge(report, asked.suite, f"{program}::{ended[1]}", result, allowed, since)
                told, since = told + 1, time.monotonic()
            elif sums:
                counted += sum(map(int, sums.groups()))
            elif "panicked" in line or "assertion" in line or line.startswith("error"):
                print(f"  {line}"[:300], flush=True)
        watch.cancel()
    report.check("every test was told of", "all", lambda: check_counted(told, counted))


def check_counted(told, counted):
    """A program that did not end has no sum, and a test whose line was torn has none of its own."""
    assert told == counted > 0, f"{told} tests told of, {counted} counted"


if __name__ == "__main__":
    main()
