"""Runs the clients' programs one after the other, checks what they say, prints the table."""

import argparse
import os
import pathlib
import re
import tempfile
import threading
import time

from harness import raw
from harness.broker import Highwater, Kafka
from harness.report import FAILED, NOT_APPLICABLE, PASSED, Report

from . import past, readme
from .clients import BUCKET, CLIENTS, CODECS, ROWS

# A program that waits longer in all its steps together is ended.
SECONDS = 400
RESULTS = {"ok": PASSED, "fail": FAILED, "n/a": NOT_APPLICABLE}


def main():
    """The command line."""
    asked = arguments()
    os.environ["MATRIX_STEPS"] = asked.steps or ""
    steps = [step for step in ROWS if any(part in step for part in (asked.steps or "").split(","))]
    server = f"{asked.bootstrap}" if asked.bootstrap else "Apache Kafka" if asked.kafka else "highwater"
    report = Report(f"matrix against {server}")
    clients = [client for client in CLIENTS if chosen(client, asked)]
    if asked.bootstrap:
        run_all(report, clients, [step for step in steps if step != BUCKET], asked.bootstrap, [])
        report.finish(asked.json)
    with tempfile.TemporaryDirectory(prefix="highwater-matrix-") as folder:
        with (Kafka if asked.kafka else Highwater)(pathlib.Path(folder), past.BROKER) as broker:
            broker.start()
            past.prepare(broker)
            run_all(report, clients, steps, broker.address, [past.TOPIC, past.COUNT])
            report.check("the broker lives", "all", lambda: check_alive(broker))
    if asked.readme:
        readme.write(report)
    report.finish(asked.json)


def chosen(client, asked):
    """Whether the command line asks for this client."""
    if asked.only:
        return any(word in client.name for word in asked.only.split(","))
    return client.quick or not asked.quick


def run_all(report, clients, steps, address, extra):
    """Each in its turn: two cores are few, and a figure per client says who is slow."""
    for number, client in enumerate(clients):
        why = client.missing()
        if why:
            report.skip("everything", client.name, why)
            continue
        prefix = re.sub(r"\W", "", client.name) + f"-{number}"
        run_one(report, client, steps, address, prefix, extra)


def run_one(report, client, steps, address, prefix, extra):
    """One program. What it does not say is a failure; what it says of codecs is compared with the log."""
    program = client.start(address, prefix, *extra)
    watch = threading.Timer(SECONDS, program.kill)
    watch.start()
    column, said, since = client.name, set(), time.monotonic()
    for line in program.stdout:
        result, step, reason = (line.rstrip("\n").split("\t") + ["", ""])[:3]
        if result == "version":
            column = f"{client.name.split()[0]} {step}"
        elif step in ROWS and result in RESULTS:
            said.add(step)
            result, reason = judge(RESULTS[result], step, reason, address, prefix)
            report.told(step, column, result, reason, since)
        else:
            print(f"  {column}: {line.rstrip()}", flush=True)
        since = time.monotonic()
    code = program.wait()
    watch.cancel()
    for step in steps:
        if step not in said:
            report.told(step, column, FAILED, f"the program ended with {code} before this step", since)


def judge(result, step, reason, address, prefix):
    """What the program said, unless the log says that the codec was another."""
    codec = step.removeprefix("produce ")
    if result == PASSED and codec in CODECS:
        used = {used for _, _, used in raw.batches(address, f"{prefix}-{codec}", 0)}
        if used != {codec}:
            return FAILED, f"asked for {codec}, the log has {used}"
    return result, reason


def check_alive(broker):
    """None of them ended it."""
    assert broker.alive(), broker.tail()


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", help="host:port of a broker that already runs")
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of ours: proves the suite")
    parser.add_argument("--only", help="parts of clients' names, with commas between them")
    parser.add_argument("--quick", action="store_true", help="only the clients that need no build and no Java")
    parser.add_argument("--steps", help="parts of steps' names, with commas between them")
    parser.add_argument("--json", help="a file for the results")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
