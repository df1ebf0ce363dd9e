"""Waiting for a condition, never for a time."""

import time


class TimedOut(AssertionError):
    """What was waited for did not come."""


def wait_until(what, condition, seconds=60, pause=0.05, not_yet=()):
    """Calls `condition` until it answers something true, which is returned. `what` says in the failure what was
    missing. A condition that raises OSError or one of `not_yet` counts as not yet true."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            last = condition()
            if last:
                return last
        except (OSError, *not_yet) as error:
            last = error
        if time.monotonic() > deadline:
            raise TimedOut(f"waited {seconds} s for {what}; last answer: {last!r}")
        time.sleep(pause)
