"""One broker, one S3 server, the clients' round trip between them."""

import argparse
import pathlib
import tempfile

from clients import suite as clients
from harness.broker import Highwater
from harness.report import Report
from harness.s3 import SERVERS


def main():
    """Runs it against the server that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=sorted(SERVERS), default="moto")
    parser.add_argument("--json", help="a file for the results")
    asked = parser.parse_args()
    server_kind = SERVERS[asked.server]
    report = Report(f"clients with the bucket on {asked.server}")
    why = server_kind.missing()
    if why:
        report.skip("everything", asked.server, why)
        print(f"0 passed, 0 failed, 1 skipped ({asked.server}: {why})")
        return
    with tempfile.TemporaryDirectory(prefix="highwater-s3-") as folder:
        with server_kind(pathlib.Path(folder) / "s3") as server:
            server.start()
            round_trip(report, server, pathlib.Path(folder) / "broker")
    report.finish(asked.json)


def round_trip(report, server, folder):
    """The clients' suite with the settings that point at the server, then a look into the bucket."""
    server.make_bucket("suite")
    settings = clients.KEEP | server.broker_settings("suite", "some/prefix")
    with Highwater(folder, settings, environment=server.credentials) as broker:
        with clients.clients(report, broker.address) as present:
            clients.through_both_tiers(report, broker, present)
    report.check("objects in the bucket", server.name, lambda: objects_lie_below_the_prefix(server))


def objects_lie_below_the_prefix(server):
    """The broker wrote there, and only below its prefix."""
    objects = server.objects("suite")
    assert objects, "the bucket is empty"
    outside = [name for name in objects if not name.startswith("some/prefix/")]
    assert not outside, f"outside the prefix: {outside}"
    print(f"         {len(objects)} objects, {sum(objects.values()) / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
