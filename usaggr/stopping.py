"""Requests to stop the run that this process trains: signals set a flag, which training checks after each step."""

import time

ONE_SIGNAL_SECONDS = 1.0
"""Signals within this time after the first one are the same request. The program `timeout`, for example, sends its
signal to a command and once more to the command's group."""


class RunInterrupted(Exception):  # noqa: N818 - it is no error
    """Raised by a run that stopped on request: it has not failed, and continues when it is started again."""


_is_requested = False


class StopSignals:
    """Signals to stop that a process has received: a later one may repeat the first, or be a second request."""

    def __init__(self) -> None:
        self._first: float | None = None

    def is_second_request(self) -> bool:
        """Record a signal, and return whether it is a second request. It is safe in a signal handler."""
        now = time.monotonic()  # not the time of day, which may be set between two signals
        if self._first is None:
            self._first = now
        return now - self._first >= ONE_SIGNAL_SECONDS


def request_stop() -> None:
    """Ask the run of this process to stop at the end of its training step. It is safe in a signal handler."""
    global _is_requested
    _is_requested = True


def is_stop_requested() -> bool:
    """Return whether the run was asked to stop since the last call of `withdraw_request`."""
    return _is_requested


def withdraw_request() -> None:
    """Withdraw the request, because the next run of this process was not asked to stop."""
    global _is_requested
    _is_requested = False
