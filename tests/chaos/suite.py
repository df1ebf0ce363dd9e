"""Which faults are tried, in which order."""

import argparse
import pathlib
import tempfile

from harness.broker import Highwater, Kafka
from harness.report import Report

from . import broken, bucket, directory, disk, frames, kill, transactions

PARTS = {
    "directory": directory.part,
    "frames": frames.part,
    "bucket": bucket.directory_gone,
    "s3": bucket.server_hangs,
    "disk": disk.part,
    "broken": broken.part,
    "kill": kill.part,
    "transactions": transactions.part,
}


def main():
    """Runs the parts that were asked for, each with a broker and a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="how often the process is killed")
    parser.add_argument("--seed", type=int, default=1, help="for the moments of the kills")
    parser.add_argument("--only", help="parts, with commas between them")
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of ours: proves kill and bucket")
    parser.add_argument("--json", help="a file for the results")
    asked = parser.parse_args()
    report = Report("faults")
    for name in asked.only.split(",") if asked.only else PARTS:
        with tempfile.TemporaryDirectory(prefix=f"highwater-{name}-") as folder:
            PARTS[name](report, Kafka if asked.kafka else Highwater, pathlib.Path(folder), asked)
    report.finish(asked.json)


if __name__ == "__main__":
    main()
