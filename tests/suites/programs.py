"""A Java program of these suites as a child process, and its jars."""

import pathlib
import signal
import subprocess

from harness import places
from harness.waiting import wait_until

HERE = pathlib.Path(__file__).parent


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
