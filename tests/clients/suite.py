"""The suite: what is tried with every client, in which order, and against which state of the broker."""

import argparse
import contextlib
import pathlib
import tempfile

from harness import places, raw
from harness.broker import Highwater, Kafka
from harness.report import Report
from harness.waiting import wait_until

from . import after, before, groups, swap, transactions
from .apache import Apache
from .confluent import Confluent
from .dump import KINDS, dump
from .kcat import Kcat

# Local copies stay until the suite restarts the broker with the second set.
KEEP = {
    "log.local.retention.ms": "3600000",
    "log.retention.check.interval.ms": "300",
    "remote.log.manager.task.interval.ms": "300",
}
DROP = {"log.local.retention.ms": "1000"}
FILES = "Apache Kafka 4.3.1"


def main():
    """Runs all of it."""
    asked = arguments()
    report = Report(f"clients against {'Apache Kafka' if asked.kafka else 'highwater'}")
    if asked.bootstrap:
        with clients(report, asked.bootstrap) as present:
            before.all_of_it(report, present, asked.bootstrap, {})
            after.deletes(report, present)
        for row in after.ROWS:
            report.skip(row, "all", "the bucket needs a broker of the suite's own")
        report.finish(asked.json)
    with tempfile.TemporaryDirectory(prefix="highwater-clients-") as folder:
        broker = (Kafka if asked.kafka else Highwater)(pathlib.Path(folder), KEEP)
        with broker, clients(report, broker.address) as present:
            through_both_tiers(report, broker, present)
    with tempfile.TemporaryDirectory(prefix="highwater-groups-") as folder:
        broker = (Kafka if asked.kafka else Highwater)(pathlib.Path(folder))
        with broker, clients(report, broker.address) as present:
            groups.all_of_it(report, broker, present)
    with tempfile.TemporaryDirectory(prefix="highwater-transactions-") as folder:
        broker = (Kafka if asked.kafka else Highwater)(pathlib.Path(folder))
        with broker, clients(report, broker.address) as present:
            writer = next(client for client in present if client.writes_everything)
            transactions.all_of_it(report, broker, writer)
    if asked.readme and not report.failed():
        write_readme(report)
    report.finish(asked.json)


def through_both_tiers(report, broker, present):
    """Local first; then from the bucket with the local copies gone; then the same after a kill."""
    broker.start()
    written = before.all_of_it(report, present, broker.address, broker.remote_topic_settings)
    before.push_out(present, written)
    broker.stop()
    files_are_sound(report, broker, "every file after a clean stop")
    kafka_serves(report, broker, written)
    broker.settings |= DROP
    broker.start()
    report.check("local copies dropped", FILES, lambda: after.wait_for_the_bucket(broker, written))
    after.reads(report, present, written, "from the bucket")
    broker.kill()
    # Kafka fills its indexes ahead with zeros, which its own tool takes for damage until a recovery cut them off.
    # librdkafka's admin client never asks again for the leader epoch it has seen, and a kill raises it: against Kafka,
    # too, its ListOffsets is answered FENCED_LEADER_EPOCH for ever. Its consumers and producers do ask again.
    for client in present:
        client.close()
    files_are_sound(report, broker, "every file after kill -9", KINDS if isinstance(broker, Highwater) else (".log",))
    broker.start()
    if not isinstance(broker, Highwater):
        # Kafka answers 'unknown server error' until it has read its metadata of the remote storage again.
        wait_until("remote reads", lambda: after.reads_anything(broker, written), not_yet=(raw.Answered,))
    after.reads(report, present, written, "from the bucket after kill -9")
    after.deletes(report, present)


def kafka_serves(report, broker, written):
    """Apache Kafka on a copy of the stopped broker's directory."""
    why = Apache.missing() or Confluent.missing()
    if why:
        report.skip("Kafka serves the directory", FILES, why)
        return
    place = broker.folder / "swapped"
    report.check("Kafka serves the directory", FILES, lambda: swap.serves(broker.data, written, Confluent, place))


def write_readme(report):
    """Replaces the table between the two marks in README.md."""
    readme = places.CHECKOUT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split("<!-- clients: written by", 1)
    mark, rest = rest.split("-->\n", 1)
    _, rest = rest.split("<!-- clients: end -->", 1)
    table = f"<!-- clients: written by{mark}-->\n\n{report.table()}\n\n<!-- clients: end -->"
    readme.write_text(before + table + rest, encoding="utf-8")


def files_are_sound(report, broker, row, kinds=KINDS):
    """DumpLogSegments over the stopped broker's directory."""
    why = Apache.missing()
    if why:
        report.skip(row, FILES, why)
        return
    found = report.check(row, FILES, lambda: dump(broker.data, kinds))
    if found:
        print(f"         {found[0]} files, {found[1]} batches", flush=True)


@contextlib.contextmanager
def clients(report, address):
    """The clients that can run here."""
    present = []
    for kind in (Kcat, Confluent, Apache):
        why = kind.missing()
        if why:
            report.skip("everything", kind.name, why)
        else:
            present.append(kind)
    opened = [LazyClient(kind, address) for kind in present]
    try:
        yield opened
    finally:
        for client in opened:
            client.close()


class LazyClient:
    """A client that is made at its first use, when the broker is there."""

    def __init__(self, kind, address):
        self._kind, self._address, self._made = kind, address, None
        self.name = kind.name

    def __getattr__(self, name):
        if self._made is None:
            self._made = self._kind(self._address)
        return getattr(self._made, name)

    def close(self):
        """Closes the client if it was made; the next use makes another."""
        if self._made is not None:
            self._made.close()
            self._made = None


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", help="host:port of a broker that already runs")
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of ours: proves the suite")
    parser.add_argument("--json", help="a file for the results")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md when all passed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
