"""Two processes on one directory: the second leaves at once and says who is there."""

import subprocess

from harness.process import free_port


def part(report, kind, folder, _asked):
    """The second process, while the first runs and after it was killed."""
    with kind(folder) as broker:
        broker.start()
        report.check("second process on the directory", "directory", lambda: second_is_refused(broker))
        broker.kill()
        report.check("a killed holder does not block the next", "directory", broker.start)


def second_is_refused(broker):
    """It ends by itself, with a failure, and names the directory and the process that holds it."""
    arguments, variables = broker.command()
    file = broker.folder / "second.properties"
    text = (broker.folder / "server.properties").read_text()
    file.write_text(text.replace(str(broker.port), str(free_port())))
    arguments[-1] = file
    done = subprocess.run([str(a) for a in arguments], env=None, capture_output=True, text=True, timeout=20, check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0, f"the second process served: {said}"
    assert str(broker.folder) in said, f"it does not name the directory: {said}"
    if broker.name == "highwater":
        assert str(broker.process.pid) in said, f"it does not say that {broker.process.pid} holds it: {said}"
    assert broker.alive() and broker.is_ready(), "the first process was disturbed"
    assert variables is not None
