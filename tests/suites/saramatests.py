"""sarama's functional tests, from its module. They want toxiproxy in front of five brokers; here all five of its proxies
lead to the one broker, and the topics that they prepare have one replica instead of three: nothing else is changed."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.request

from harness import places
from harness.broker import Highwater, Kafka
from harness.process import free_port, is_free
from harness.report import Report
from harness.waiting import wait_until

from . import gotests, judging

MODULE = pathlib.Path(__file__).parent / "go"
PORTS = range(29091, 29096)
BROKER = {
    "node.id": "1",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "advertised.listeners": f"PLAINTEXT://127.0.0.1:{PORTS[0]}",
}


def main():
    """Builds toxiproxy and the tests, runs them, and compares with the list of exceptions."""
    parser = argparse.ArgumentParser(prog="tests/suites/run")
    parser.add_argument("suite", choices=["sarama"])
    parser.add_argument("--kafka", action="store_true", help="Apache Kafka instead of ours: proves the suite")
    parser.add_argument("--json", help="a file for the results")
    asked = parser.parse_args()
    report = Report(f"sarama's tests against {'Apache Kafka' if asked.kafka else 'highwater'}")
    why = missing()
    if why:
        print(f"SKIPPED {report.title}: {why}")
        return
    with tempfile.TemporaryDirectory(prefix="highwater-sarama-") as place, contextlib.ExitStack() as stack:
        place = pathlib.Path(place)
        toxiproxy, tests, folder = build(place)
        broker = stack.enter_context((Kafka if asked.kafka else Highwater)(place / "broker", BROKER))
        broker.start()
        port = free_port()
        proxy = subprocess.Popen([toxiproxy, "-port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(proxy.wait)
        stack.callback(proxy.kill)
        api = f"http://127.0.0.1:{port}"
        wait_until("toxiproxy to serve", lambda: not is_free(port))
        for number, listens in enumerate(PORTS, 1):
            lead(api, f"kafka{number}", f"127.0.0.1:{listens}", broker.address)
        gotests.run(report, tests, folder, asked, {"TOXIPROXY_ADDR": api, "KAFKA_VERSION": "4.3.1"})
        report.check("the broker lives", "all", lambda: judging.check_alive(broker))
    report.finish(asked.json)


def missing():
    """Why they cannot run here; None when they can."""
    if not shutil.which("go"):
        return "there is no go on this machine"
    taken = [port for port in PORTS if not is_free(port)]
    return f"they want brokers at ports that somebody has: {taken}" if taken else None


def build(place):
    """toxiproxy, the tests, and the folder that these want to be started in: sarama's module, copied."""
    cached = places.cache() / "suites" / "sarama"
    cached.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false -p=2"}

    def go(*arguments, cwd=MODULE, **more):
        return subprocess.run(["go", *map(str, arguments)], cwd=cwd, env=environment, check=True, text=True, **more)

    go("build", "-o", cached / "toxiproxy", "github.com/Shopify/toxiproxy/v2/cmd/server")
    name = "github.com/IBM/sarama"
    go("mod", "download", name, cwd=gotests.MODULE)
    listed = go("list", "-m", "-f", "{{.Dir}} {{.Version}}", name, cwd=gotests.MODULE, capture_output=True).stdout
    source, version = listed.split()
    print(f"{name} {version}", flush=True)
    folder = place / "sarama"
    shutil.copytree(source, folder)
    for each in [folder, *folder.rglob("*")]:
        each.chmod(each.stat().st_mode | 0o200)
    prepared = folder / "functional_test.go"
    text = prepared.read_text(encoding="utf-8")
    three = "ReplicationFactor: 3,"
    assert three in text, "the tests prepare other topics than they did"
    prepared.write_text(text.replace(three, "ReplicationFactor: 1,"), encoding="utf-8")
    go("test", "-c", "-tags", "functional", "-o", cached / "sarama.test", ".", cwd=folder)
    return cached / "toxiproxy", cached / "sarama.test", folder


def lead(api, name, listens, upstream):
    """Adds a proxy to toxiproxy."""
    wanted = {"name": name, "listen": listens, "upstream": upstream}
    request = urllib.request.Request(f"{api}/proxies", json.dumps(wanted).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201, answer.read()


if __name__ == "__main__":
    main()
