"""A server as a child process: its output in a file, its life ended by SIGTERM or SIGKILL."""

import os
import pathlib
import signal
import socket
import subprocess

from .waiting import wait_until


class Server:
    """One process that serves on `address`. Subclasses say how it starts and when it is ready."""

    stop_seconds = 30
    clean_codes = (0,)

    def __init__(self, name, folder, port=None):
        self.name = name
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.output = self.folder / f"{name}.log"
        self.process = None

    def command(self):
        """The command line and the variables added to the environment."""
        raise NotImplementedError

    def is_ready(self):
        """Whether it serves."""
        raise NotImplementedError

    def start(self, seconds=60):
        """Starts the process and returns once it serves."""
        self.launch()
        wait_until(f"{self.name} to serve", lambda: self._gave_up() or self.is_ready(), seconds, pause=0.01)
        return self

    def launch(self):
        """Starts the process without waiting for it."""
        arguments, variables = self.command()
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                [str(a) for a in arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, **variables},
            )

    def _gave_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
        return False

    def tail(self, lines=20):
        """The last lines it printed."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])

    def kill(self):
        """SIGKILL, as when the machine's memory runs out."""
        self._end(signal.SIGKILL)

    def stop(self):
        """SIGTERM, and a clean end within `stop_seconds`."""
        code = self._end(signal.SIGTERM, self.stop_seconds)
        assert code in self.clean_codes, f"{self.name} ended with {code} on SIGTERM:\n{self.tail()}"

    def _end(self, number, seconds=30):
        if self.process is None:
            return None
        self.process.send_signal(number)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end within {seconds} s of signal {number}:\n{self.tail()}")
        finally:
            self.process = None
        return code

    def alive(self):
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if kind is not None and self.output.exists():
            print(f"--- the last lines of {self.name}\n{self.tail(40)}\n---", flush=True)


def free_port():
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_free(port):
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
