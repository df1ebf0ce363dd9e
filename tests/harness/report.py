"""What passed, failed and was skipped: one line as it happens, a table and the counts at the end."""

import json
import sys
import time
import traceback

PASSED, FAILED, SKIPPED, NOT_APPLICABLE = "ok", "FAILED", "skipped", "-"


class NotApplicable(Exception):
    """The client has no such thing; not a failure and not a skip."""


class Report:
    """Results by column (a client, a server, a kind of fault) and row (what was tried)."""

    def __init__(self, title):
        self.title = title
        self.cells = {}
        self.columns = []
        self.rows = []
        self.started = time.monotonic()

    def check(self, row, column, work):
        """Runs `work` and notes how it ended; returns what it returned, None when it failed."""
        started = time.monotonic()
        try:
            answer = work()
        except NotApplicable:
            self._note(row, column, NOT_APPLICABLE)
            return None
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc()
            self._note(row, column, FAILED, started)
            return None
        self._note(row, column, PASSED, started)
        return answer

    def skip(self, row, column, why):
        """Notes loudly that something could not be tried."""
        print(f"SKIPPED {self.title}: {column}: {row}: {why}", flush=True)
        self._note(row, column, SKIPPED)

    def told(self, row, column, result, why, started):
        """Notes what somebody else found: `result` is one of this module's words, `why` is said of a failure."""
        self._note(row, column, result, started)
        if result == FAILED:
            print(f"         {why[:400]}", flush=True)

    def _note(self, row, column, result, started=None):
        if row not in self.rows:
            self.rows.append(row)
        if column not in self.columns:
            self.columns.append(column)
        if self.cells.get((row, column)) != FAILED:
            self.cells[row, column] = result
        if result in (PASSED, FAILED):
            print(f"{result:>7}  {column:<22} {row}  ({time.monotonic() - started:.1f} s)", flush=True)

    def failed(self):
        """Whether anything failed."""
        return FAILED in self.cells.values()

    def table(self):
        """The results as a Markdown table."""
        shown = [["", *self.columns]]
        for row in self.rows:
            shown.append([row, *(self.cells.get((row, column), NOT_APPLICABLE) for column in self.columns)])
        widths = [max(len(line[i]) for line in shown) for i in range(len(shown[0]))]
        lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in shown]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join(lines)

    def finish(self, json_file=None):
        """Prints the table and the counts, and exits: 1 when anything failed."""
        counts = [sum(1 for cell in self.cells.values() if cell == kind) for kind in (PASSED, FAILED, SKIPPED)]
        print(f"\n{self.title}, {time.monotonic() - self.started:.0f} s\n\n{self.table()}\n")
        print(f"{counts[0]} passed, {counts[1]} failed, {counts[2]} skipped", flush=True)
        if json_file:
            cells = [{"what": row, "with": column, "result": cell} for (row, column), cell in self.cells.items()]
            with open(json_file, "w", encoding="utf-8") as out:
                json.dump(cells, out, indent=1)
        sys.exit(1 if self.failed() or not counts[0] else 0)
