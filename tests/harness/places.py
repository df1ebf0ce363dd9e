"""Where things lie: the checkout, the cache outside it, the binary under test."""

import os
import pathlib
import shutil
import subprocess
import sys

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def cache():
    """The folder that `tests/harness/setup` fills; never inside the checkout."""
    given = os.environ.get("HIGHWATER_CACHE")
    if given:
        return pathlib.Path(given)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(home) / "highwater-ci"


def binary():
    """The `highwater` binary: `HIGHWATER_BIN`, or the release build, which is made when it is not there."""
    given = os.environ.get("HIGHWATER_BIN")
    if given:
        return pathlib.Path(given)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or CHECKOUT / "target")
    built = target / "release" / "highwater"
    if not built.exists():
        print("building the release binary", file=sys.stderr)
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "highwater"], cwd=CHECKOUT, check=True)
    return built


def java(heap, *more, logging=None):
    """The command line of a Java with Apache Kafka's jars, other folders in front of them. It logs nothing unless
    `logging` names a configuration: the jars bring one that writes into the working directory."""
    if logging is None:
        logging = cache() / "quiet.properties"
        logging.write_text("rootLogger.level = OFF\n")
    path = ":".join([*map(str, more), str(cache() / "jars" / "lib" / "*")])
    return ["java", f"-Xmx{heap}", f"-Dlog4j2.configurationFile={logging}", "-cp", path]


def class_path():
    """Apache Kafka's jars, to compile against."""
    return str(cache() / "jars" / "lib" / "*")


def have_jars():
    """Whether Apache Kafka's jars and a Java to run them are here."""
    return bool(shutil.which("java")) and bool(list((cache() / "jars" / "lib").glob("kafka-clients-*.jar")))
