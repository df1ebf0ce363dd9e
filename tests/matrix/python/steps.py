"""What the programs in Python share: how a step is reported, and the story of a group with two members."""

import contextlib
import itertools
import os
import sys
import time
import traceback

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
COUNT = 60
SECONDS = 40


class NotApplicable(Exception):
    """The client has no such thing; the message says what is missing."""


class Steps:
    """The command line `BOOTSTRAP PREFIX [PAST_TOPIC PAST_COUNT]`, and one line on stdout for each step."""

    def __init__(self, version):
        self.bootstrap, self.prefix = sys.argv[1:3]
        self.past = (sys.argv[3], int(sys.argv[4])) if len(sys.argv) > 4 else None
        print(f"version\t{version}", flush=True)

    def topic(self, name):
        """A topic's name that no other client uses."""
        return f"{self.prefix}-{name}"

    def step(self, name, work):
        """Runs one step, if it is asked for."""
        if not any(part in name for part in os.environ.get("MATRIX_STEPS", "").split(",")):
            return
        try:
            work()
        except NotApplicable as why:
            print(f"n/a\t{name}\t{why}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            traceback.print_exc()
            print(f"fail\t{name}\t{type(error).__name__}: {' '.join(str(error).split())}", flush=True)
        else:
            print(f"ok\t{name}\t", flush=True)


def values(count=COUNT, kind="value"):
    """What is written: the same every time, and worth compressing."""
    return [f"{kind}-{number:06}-{'x' * 100}".encode() for number in range(count)]


def same(found, expected):
    """Fails with the first difference between what was read and what was written."""
    for number, (one, other) in enumerate(itertools.zip_longest(found, expected)):
        if one != other:
            raise AssertionError(f"record {number}: read {one!r:.60}, written was {other!r:.60}; {len(found)} read")


def until(what, condition, seconds=SECONDS):
    """Calls `condition`, which waits for the network itself, until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")


class Story:
    """Two members share four partitions, one leaves, the other is restarted. `member()` makes a member with `poll()`
    (a list of values), `assignment()` (a set of partitions), `commit()` and `close()`; `produce(partition, values)`
    writes."""

    PARTITIONS = range(4)

    def __init__(self, member, produce):
        self.member, self.produce = member, produce
        self.members, self.seen = [], {}

    def two_share(self):
        """Both have two partitions, and all records come."""
        written = self._write("first", 10)
        self.members = [self.member(), self.member()]
        until("two partitions for each", lambda: self._poll() and self._shared())
        # Read by whom they were given to: so both have something to commit for each of their partitions.
        written += self._write("shared", 5)
        until("all records", lambda: self._poll() and self._has(written))
        assert self._shared(), "the partitions were given to others with nobody joining or leaving"

    def one_leaves(self):
        """The other takes its partitions over, from where it committed."""
        stays, leaves = self._both()
        for one in self.members:
            one.commit()
        leaves.close()
        self.members = [stays]
        self.seen = {}
        written = self._write("second", 5)
        every = set(self.PARTITIONS)
        until("all partitions and records for one", lambda: self._poll() and stays.assignment() == every and self._has(written))
        again = [value for value in self.seen if not value.startswith(b"second")]
        assert not again, f"{len(again)} committed records were read again, {again[0]}"

    def resumes(self):
        """A member that comes back reads what was written since its commit, and nothing else."""
        (only,) = self._alone()
        only.commit()
        only.close()
        self.members = []
        self.seen = {}
        written = self._write("third", 3)
        self.members = [self.member()]
        until("the new records", lambda: self._poll() and self._has(written))
        self.members[0].commit()
        self.close()
        old = [value for value in self.seen if not value.startswith(b"third")]
        assert not old, f"{len(old)} committed records were read again, {old[0]}"
        twice = [value for value, times in self.seen.items() if times > 1]
        assert not twice, f"{twice[0]} came {self.seen[twice[0]]} times"

    def tell(self, steps):
        """The three steps."""
        steps.step("two members share", self.two_share)
        steps.step("one member leaves", self.one_leaves)
        steps.step("resume from the commit", self.resumes)
        with contextlib.suppress(Exception):
            self.close()

    def whole(self):
        """All of it as one step."""
        try:
            self.two_share()
            self.one_leaves()
            self.resumes()
        finally:
            self.close()

    def close(self):
        """Ends the members that are left."""
        members, self.members = self.members, []
        for one in members:
            one.close()

    def _both(self):
        assert len(self.members) == 2, "there are no two members"
        return self.members

    def _alone(self):
        assert len(self.members) == 1, "there is no single member"
        return self.members

    def _write(self, kind, count):
        written = []
        for partition in self.PARTITIONS:
            made = values(count, f"{kind}-{partition}")
            self.produce(partition, made)
            written += made
        return written

    def _poll(self):
        for one in self.members:
            for value in one.poll():
                self.seen[value] = self.seen.get(value, 0) + 1
        return True

    def _has(self, written):
        return all(value in self.seen for value in written)

    def _shared(self):
        one, other = (each.assignment() for each in self.members)
        return len(one) == len(other) == 2 and not one & other
