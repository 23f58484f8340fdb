"""Ctrl-C and SIGTERM while a sweep runs: the first asks it to stop, the second ends the process at once.

After the first, runs have `executor.grace` seconds to write a checkpoint; after the second they have none. Signals
within a second of the first are the first.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from usaggr.stopping import Asker

INTERRUPTED = 130
"""Exit status of a sweep that was stopped, as shells know it."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.asked = False


@contextmanager
def interruptible(leave: Callable[[], None], asked: Callable[[], None] = lambda: None) -> Iterator[Interruption]:
    """Take over SIGINT and SIGTERM for as long as the context lasts (in the main thread; elsewhere, nothing happens).

    `asked` is called at the first signal, `leave` right before the process ends at the second one. Its workers end
    with it by themselves.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    asker = Asker()

    def ask(number: int, frame: FrameType | None) -> None:
        if asker.again():
            leave()
            os._exit(INTERRUPTED)
        if not interruption.asked:
            interruption.asked = True
            asked()

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
