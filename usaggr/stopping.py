"""Whether this process was asked to stop the run that it trains: a flag that signals set and training steps look at."""

import time

ONE_SIGNAL_SECONDS = 1.0
"""Signals that come so soon after a first one are the same wish: `timeout`, for one, sends its signal to a command and
again to the command's group."""


class RunInterrupted(Exception):  # noqa: N818 - nothing went wrong
    """A run was asked to stop and did: it has not failed, and goes on when it is started again."""


_asked = False


class Asker:
    """Tells a second wish to stop from the echo of the first."""

    def __init__(self) -> None:
        self._first: float | None = None

    def again(self) -> bool:
        """Take in a signal; whether it is a second one. Safe in a signal handler."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
        return now - self._first >= ONE_SIGNAL_SECONDS


def ask() -> None:
    """Ask the run of this process to stop at the end of its training step; safe in a signal handler."""
    global _asked
    _asked = True


def asked() -> bool:
    """Whether it was asked since the last `forget`."""
    return _asked


def forget() -> None:
    """Begin anew: the next run is not the one that was asked."""
    global _asked
    _asked = False
