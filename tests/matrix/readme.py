"""The README's table of clients: one line for each, short enough to be read."""

from harness import places
from harness.report import FAILED, NOT_APPLICABLE, PASSED

BEGIN, END = "<!-- matrix: written by `tests/matrix/run --readme` -->", "<!-- matrix: end -->"
COLUMNS = {
    "topic": ["create a topic"],
    "codecs": ["produce none", "produce gzip", "produce snappy", "produce lz4", "produce zstd"],
    "idempotent": ["produce idempotently"],
    "transactions": ["commit a transaction", "abort a transaction", "offsets in a transaction"],
    "group": ["two members share", "one member leaves"],
    "resume": ["resume from the commit"],
    "KIP-848": ["new group protocol"],
    "time": ["look up a time"],
    "bucket": ["read the bucket"],
}


def write(report):
    """Replaces the table between the two marks."""
    file = places.CHECKOUT / "README.md"
    before, rest = file.read_text(encoding="utf-8").split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    file.write_text(f"{before}{BEGIN}\n\n{table(report)}\n\n{END}{after}", encoding="utf-8")


def table(report):
    """Clients down, steps across; what was not tried has no column."""
    clients = [column for column in report.columns if column != "all"]
    tried = {title: rows for title, rows in COLUMNS.items() if set(rows) & set(report.rows)}
    lines = [["", *tried]] + [[name, *(cell(report, name, rows) for rows in tried.values())] for name in clients]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    shown = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def cell(report, name, rows):
    """`ok`, `-` when the client has no such thing, how many of the steps passed, or that one failed."""
    found = [report.cells.get((row, name), NOT_APPLICABLE) for row in rows]
    if FAILED in found:
        return "fails"
    passed = found.count(PASSED)
    if passed == len(found):
        return "ok" if len(found) == 1 else "all"
    return f"{passed} of {len(found)}" if passed else "-"
