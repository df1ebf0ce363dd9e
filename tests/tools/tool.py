"""One of Apache Kafka's command-line tools as a child process, of the version that is asked for."""

import pathlib
import re
import subprocess
import zipfile

from harness import places

# Where the tools' classes are: they have moved from one to the other over the years.
PACKAGES = (
    "org/apache/kafka/tools/",
    "org/apache/kafka/tools/consumer/",
    "org/apache/kafka/tools/consumer/group/",
    "org/apache/kafka/tools/reassign/",
    "kafka/admin/",
    "kafka/tools/",
)
NEWEST, OLD = "4.3.1", "3.5.1"


class Tools:
    """The tools of one version, told where the broker is; `data` is its directory of logs."""

    def __init__(self, version, address, data):
        self.version, self.address, self.data = version, address, data
        self.old = version == OLD
        self.classes = _classes(version)

    @staticmethod
    def missing(version):
        """Why a version cannot run here; None when it can. Brings it when it is not there yet."""
        if version == NEWEST:
            return None if places.have_jars() else "Apache Kafka's jars could not be fetched"
        command = [pathlib.Path(__file__).with_name("setup")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip() or "setup failed" if done.returncode else None

    def run(self, name, *arguments, stdin=None, fails=False, server="--bootstrap-server", seconds=120):
        """What a tool prints; `name` is its class without the package. Fails when it does not end as expected."""
        where = [server, self.address] if server else []
        command = [*self._java(), self.classes[name], *where, *map(str, arguments)]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
        )
        said = done.stdout + done.stderr
        # Most tools end well although what they were to do did not.
        failed = done.returncode != 0 or re.search(r"^(Error|Exception)\b|Exception:", said, re.MULTILINE) is not None
        assert failed == fails, f"{name} {' '.join(map(str, arguments))} ended with {done.returncode}:\n{said}"
        return said

    def start(self, name, *arguments):
        """A tool that goes on by itself, to be killed."""
        command = [*self._java(), self.classes[name], *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _java(self):
        if not self.old:
            return places.java("256m")
        logging = places.cache() / "quiet-reload4j.properties"
        logging.write_text("log4j.rootLogger=OFF\n")
        return ["java", "-Xmx256m", f"-Dlog4j.configuration=file:{logging}", "-cp", f"{_jars(OLD)}/*"]


def _jars(version):
    return places.cache() / ("jars" if version == NEWEST else "tools-3.5") / "lib"


def _classes(version):
    """{simple name: full name}; what is in the newer package wins."""
    found = {}
    for jar in [*_jars(version).glob("kafka-tools-[0-9]*.jar"), *_jars(version).glob("kafka_2*.jar")]:
        with zipfile.ZipFile(jar) as archive:
            names = {pathlib.PurePosixPath(name) for name in archive.namelist() if name.endswith(".class")}
        for package in PACKAGES:
            for name in names:
                if str(name.parent) + "/" == package and "$" not in name.stem:
                    found.setdefault(name.stem, str(name.with_suffix("")).replace("/", "."))
    return found


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
