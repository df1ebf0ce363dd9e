"""Apache Kafka's DumpLogSegments over every file of a data directory."""

import re
import subprocess

from harness import places

WRONG = re.compile(
    r"isvalid: false|mismatch|is followed by|corrupt|invalid|exception|error|out of order|could not|cannot",
    re.IGNORECASE,
)
# The tool calls the first record of every segment but the first 'non-consecutive'.
FIRST_OF_SEGMENT = re.compile(r"^\s*-1 is followed by \d+\.?$")
KINDS = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")


GAP = re.compile(r"^\s*\d+ is followed by \d+\.?$")


def dump(data, kinds=KINDS, logs="*-*", compacted=False):
    """Fails unless Kafka's tool reads every file and finds nothing wrong. Returns (files, batches)."""
    files = sorted(str(file) for file in data.glob(f"{logs}/*") if file.suffix in kinds and "-delete" not in file.parent.name)
    segments = [file for file in files if file.endswith(".log")]
    assert segments, f"no segment in {data}"
    command = [*places.java("512m"), "org.apache.kafka.tools.DumpLogSegments"]
    done = subprocess.run(
        [*command, "--deep-iteration", "--skip-record-metadata", "--max-message-size", str(64 << 20), "--files", ",".join(files)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=170,
        check=False,
    )
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if WRONG.search(line)]
    complaints = [line for line in complaints if not _harmless(line)]
    if compacted:
        complaints = [line for line in complaints if not GAP.match(line)]
    assert done.returncode == 0 and not complaints, f"exit {done.returncode}; " + "\n".join(complaints[:20])
    dumped = done.stdout.count("Dumping ")
    batches = done.stdout.count("isvalid: true")
    assert dumped == len(files), f"{dumped} of {len(files)} files were dumped"
    assert batches, "the tool saw no batch"
    return dumped, batches


def _harmless(line):
    return "SLF4J" in line or "StatusLogger" in line or FIRST_OF_SEGMENT.match(line)
