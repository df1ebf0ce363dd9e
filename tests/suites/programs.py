"""Suites whose steps follow one another with a Java program as a child process: their command line, and its jars."""

import argparse
import contextlib
import pathlib
import signal
import subprocess
import tempfile

from harness import places
from harness.broker import Highwater, Kafka
from harness.report import Report
from harness.waiting import wait_until

HERE = pathlib.Path(__file__).parent


def main(suite, title, column, begin):
    """Runs the steps that `begin` returns when it is given a broker, a stack of what is to be closed, and a folder: each
    with its row of the report. All of them are of this column."""
    parser = argparse.ArgumentParser(prog="tests/suites/run")
    parser.add_argument("suite", choices=[suite])
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of ours: proves the suite")
    parser.add_argument("--json", help="a file for the results")
    asked = parser.parse_args()
    report = Report(f"{title} against {'Apache Kafka' if asked.kafka else 'highwater'}")
    why = missing("java")
    if why:
        report.skip("everything", column, why)
        return
    settings = {"group.initial.rebalance.delay.ms": "0"}
    with tempfile.TemporaryDirectory(prefix=f"highwater-{suite}-") as place, contextlib.ExitStack() as stack:
        folder = pathlib.Path(place)
        broker = stack.enter_context((Kafka if asked.kafka else Highwater)(folder / "broker", settings))
        broker.start()
        for row, step in begin(broker, stack, folder):
            report.check(row, column, step)
    report.finish(asked.json)


def missing(kind):
    """Why what `setup` brings for this kind cannot be had here; None when it is there."""
    done = subprocess.run([HERE / "setup", kind], capture_output=True, text=True, check=False)
    return " ".join((done.stdout + done.stderr).split())[-300:] or "setup failed" if done.returncode else None


class Java:
    """One class with its arguments, started and killed as often as wanted; its output goes to one file."""

    def __init__(self, folder, *arguments):
        self.output = folder / f"{arguments[0].rsplit('.', 1)[-1]}.log"
        logging = folder / "log4j2.properties"
        logging.write_text(LOGGING)
        jars = places.cache() / "suites" / "java"
        path = f"{jars / 'classes'}:{jars / 'lib'}/*"
        self.command = ["java", "-Xmx384m", f"-Dlog4j2.configurationFile={logging}", "-cp", path, *map(str, arguments)]
        self.process = None

    def start(self):
        """Returns at once."""
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=self.output.parent
            )
        return self

    def kill(self):
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM, and its end."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def wait(self, what, condition, seconds=120, not_yet=()):
        """As `wait_until`, and fails when the program ends before."""

        def lives():
            assert self.process.poll() is None, f"the program ended with {self.process.returncode}:\n{self.tail()}"
            return condition()

        return wait_until(what, lives, seconds, not_yet=not_yet)

    def tail(self, lines=40):
        """The last it said."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        if kind is not None and self.output.exists():
            print(f"--- the last lines of {self.output.name}\n{self.tail()}\n---", flush=True)


LOGGING = """
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
"""
