"""kafka-python's own tests of itself with a broker, from its source distribution."""

import argparse
import os
import pathlib
import re
import subprocess
import tempfile
import time

from harness import places
from harness.broker import Highwater, Kafka
from harness.report import FAILED, PASSED, Report

from . import judging, programs

# Its own tests set this of the brokers that they start.
BROKER = {"num.partitions": "4", "group.initial.rebalance.delay.ms": "0"}
OUTCOME = re.compile(r"^(?:test/integration/)?(\S+)::(\S+) (PASSED|FAILED|SKIPPED|ERROR)")


def main():
    """Runs them and compares with the list of exceptions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", choices=["kafka-python"])
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of ours: proves the suite")
    parser.add_argument("--json", help="a file for the results")
    asked = parser.parse_args()
    report = Report(f"kafka-python's tests against {'Apache Kafka' if asked.kafka else 'highwater'}")
    why = programs.missing("python")
    if why:
        report.skip("everything", asked.suite, why)
        return
    with tempfile.TemporaryDirectory(prefix="highwater-pytests-") as place:
        with (Kafka if asked.kafka else Highwater)(pathlib.Path(place), BROKER) as broker:
            # As the brokers that its authors start have it, which a test looks for.
            broker.settings["advertised.listeners"] = f"PLAINTEXT://{broker.address}"
            broker.start()
            run(report, asked, broker.address)
            report.check("the broker lives", "all", lambda: judging.check_alive(broker))
    report.finish(asked.json)


def run(report, asked, address):
    """One run of all tests with a broker."""
    folder = places.cache() / "suites" / "python"
    command = [folder / "venv" / "bin" / "python", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--timeout", "120"]
    command += ["-p", "suites.python.bootstrapped"]
    # The root of a Kafka must be there, though nothing of it is used with a broker that runs already.
    environment = {"KAFKA_URI": f"kafka://{address}", "KAFKA_VERSION": "4.3.0", "KAFKA_ROOT": str(folder)}
    allowed = judging.exceptions(asked.suite, asked.kafka)
    (source,) = folder.glob("kafka_python-*")
    since = time.monotonic()
    with subprocess.Popen(
        [*map(str, command), "test/integration"],
        cwd=source, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as tests:
        for line in tests.stdout:
            ended = OUTCOME.match(line)
            if ended:
                name = f"{ended[1]}::{ended[2]}".replace(".py::", "::")
                result = {"PASSED": PASSED, "FAILED": FAILED}.get(ended[3], ended[3].lower())
                judging.judge(report, asked.suite, name, result, allowed, since)
                since = time.monotonic()
            elif line.startswith("E  "):
                print(f"  {line.rstrip()}"[:300], flush=True)


if __name__ == "__main__":
    main()
