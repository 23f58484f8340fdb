"""Handlers of Ctrl-C, SIGTERM and SIGHUP (a closed terminal) during a sweep.

The first signal requests a stop, the second ends the process at once.

After the first signal, runs have `executor.grace` seconds to write a checkpoint. A signal within a second of the first
one is not counted, because a terminal and a wrapper script may both send one. A SIGHUP is never a second request: the
shell and the system both send it, and nobody is left at the terminal. Under `nohup` it is ignored.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from usaggr.stopping import StopSignals

INTERRUPTED = 130
"""Exit status of a sweep that was stopped: shells use 128 + 2 for SIGINT."""
_STOPPING = (signal.SIGINT, signal.SIGTERM)
_SIGNALS = (*_STOPPING, signal.SIGHUP)


class Interruption:
    """Flag that is set when somebody has requested a stop."""

    def __init__(self) -> None:
        self.is_requested = False


@contextmanager
def handle_interrupts(
    before_exit: Callable[[], None], on_request: Callable[[], None] = lambda: None
) -> Iterator[Interruption]:
    """Handle SIGINT, SIGTERM and SIGHUP within the context, in the main thread; in other threads, do nothing.

    Workers end by themselves when the process ends.

    Args:
        before_exit: called right before the process ends at the second signal.
        on_request: called at the first signal.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    stop_signals = StopSignals()
    previous: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            # Also when the context has ended: a repeated one must not end the process while it reports how it ended.
            previous[signal.SIGHUP] = signal.SIG_IGN
        if stop_signals.is_second_request() and number != signal.SIGHUP:
            before_exit()
            # Not sys.exit(): an exception in a handler would start the cleanup that the user does not want to wait for.
            os._exit(INTERRUPTED)
        if not interruption.is_requested:
            interruption.is_requested = True
            on_request()

    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN or number in _STOPPING]
    for number in handled:
        previous[number] = signal.signal(number, handle)
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
