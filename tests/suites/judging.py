"""What a suite's list of exceptions says: which of its tests need not pass, and why."""

import pathlib

from harness.report import FAILED, PASSED


def exceptions(suite, kafka=False):
    """{test: reason}; of Apache Kafka only those whose reason names it."""
    lines = pathlib.Path(__file__).with_name(f"{suite}.allowed").read_text(encoding="utf-8").splitlines()
    listed = dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))
    return {name: why for name, why in listed.items() if "Kafka" in why or not kafka}


def judge(report, suite, name, result, allowed, since):
    """What counts as a failure of this suite."""
    if result == PASSED:
        report.told(name, suite, PASSED, "", since)
        if name in allowed:
            print(f"         passes, and has an exception still: {allowed[name]}", flush=True)
    elif name in allowed:
        report.skip(name, suite, allowed[name])
    else:
        report.told(name, suite, FAILED, f"{result}, without an exception in {suite}.allowed", since)


def check_alive(broker):
    """None of them ended it."""
    assert broker.alive(), broker.tail()
