"""Draw in several processes: drawing is Python over small arrays, for which threads are no help.

Processes are spawned, so that nothing is shared with the server from which a sweep forks its workers. They end when the
process that started them does, however it ends.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_WORTH_A_PROCESS = 4
"""Pieces of work under which a process takes longer to start than to be of use."""


def results_of(function: Callable[[Piece], Result], work: Sequence[Piece], workers: int | None) -> Iterator[Result]:
    """Results of a function, which can be pickled, on each piece, in the order in which they are ready.

    `workers` processes at the most (None: one a core); small work is done by this one.
    """
    count = min(workers or len(os.sched_getaffinity(0)), len(work) // _WORTH_A_PROCESS)
    if count <= 1:
        yield from map(function, work)
        return
    missing = set(range(len(work)))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin) as pool:
        futures = {pool.submit(function, piece): i for i, piece in enumerate(work)}
        try:
            for future in as_completed(futures):
                result = future.result()
                missing.remove(futures[future])
                yield result
        except BrokenProcessPool:
            # A script that does not guard its main part cannot start processes; others may be killed for memory.
            yield from (function(work[i]) for i in sorted(missing))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    import cv2

    cv2.setNumThreads(1)
    # Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
