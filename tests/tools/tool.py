"""One of Apache Kafka's command-line tools as a child process."""

import re
import subprocess

from harness import places


class Tools:
    """The tools, told where the broker is."""

    def __init__(self, address):
        self.address = address

    def run(self, name, *arguments, stdin=None, fails=False, server="--bootstrap-server", seconds=120):
        """What a tool prints. `name` is its class below `org.apache.kafka.tools` unless it has a package. Fails when
        the tool does not end as expected."""
        package = "" if name.startswith("kafka.") else "org.apache.kafka.tools."
        where = [server, self.address] if server else []
        command = [*places.java("256m"), package + name, *where, *map(str, arguments)]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
        )
        said = done.stdout + done.stderr
        # Most tools end well although what they were to do did not.
        failed = done.returncode != 0 or re.search(r"^(Error|Exception)\b|Exception:", said, re.MULTILINE) is not None
        assert failed == fails, f"{name} {' '.join(map(str, arguments))} ended with {done.returncode}:\n{said}"
        return said


def expect(said, *patterns):
    """Fails unless every pattern is found in what a tool said."""
    for pattern in patterns:
        assert re.search(pattern, said, re.MULTILINE), f"no `{pattern}` in:\n{said}"
    return said


def expect_none(said, *patterns):
    """Fails if any pattern is found in what a tool said."""
    for pattern in patterns:
        assert not re.search(pattern, said, re.MULTILINE), f"`{pattern}` in:\n{said}"
    return said
