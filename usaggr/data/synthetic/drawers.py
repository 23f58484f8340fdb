"""Draw in several processes: drawing is Python and small arrays, for which threads are no help.

Processes end when the one that started them does, however it ends.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.connection import wait
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_WORTH_A_PROCESS = 4
"""Pieces of work under which a process takes longer to start than to be of use."""


def results_of(function: Callable[[Piece], Result], work: Sequence[Piece], workers: int | None) -> Iterator[Result]:
    """Results of a function, which can be pickled, on each piece, in the order in which they are ready."""
    count = min(workers or len(os.sched_getaffinity(0)), len(work) // _WORTH_A_PROCESS)
    if count <= 1:
        yield from map(function, work)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin) as pool:
        try:
            for future in as_completed([pool.submit(function, piece) for piece in work]):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    import cv2

    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
