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


def class_path(*more):
    """Apache Kafka's jars, with other folders in front."""
    return ":".join([*map(str, more), str(cache() / "jars" / "lib" / "*")])


def have_jars():
    """Whether Apache Kafka's jars and a Java to run them are here."""
    return bool(shutil.which("java")) and bool(list((cache() / "jars" / "lib").glob("kafka-clients-*.jar")))
