"""A pool of processes that draw phantoms.

Threads would not be faster, because drawing is Python code on small arrays. The processes are spawned, so that they
share nothing with the server from which a sweep forks its workers. They end when the process that started them ends,
even if it is killed.
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

from usaggr.io.cores import count_bound_cores
from usaggr.safe_path import SafeSearch

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_MIN_PIECES_PER_PROCESS = 4
"""Smallest number of pieces of work per process; with fewer, its start takes longer than it saves."""


def map_in_processes(
    function: Callable[[Piece], Result], work: Sequence[Piece], workers: int | None
) -> Iterator[Result]:
    """Yield the result of a function for each piece of work, in the order in which the results are ready.

    The current process does the work if it is little, or cannot start others, and finishes it if one of them dies.

    Args:
        function: Function that can be pickled.
        work: Pieces of work, which can be pickled.
        workers: Largest number of processes; None for one per core.
    """
    process_count = min(workers or count_bound_cores(), len(work) // _MIN_PIECES_PER_PROCESS)
    if process_count <= 1:
        yield from map(function, work)
        return
    remaining = set(range(len(work)))  # indices of the pieces without a result
    context = multiprocessing.get_context("spawn")
    try:
        pool = ProcessPoolExecutor(process_count, mp_context=context, initializer=_prepare_process)
    except OSError:  # no semaphores, because /dev/shm is full or not writable
        yield from map(function, work)
        return
    with pool:
        try:
            with SafeSearch():  # the pool starts its processes while pieces are submitted
                index_by_future = {pool.submit(function, piece): i for i, piece in enumerate(work)}
            for future in as_completed(index_by_future):
                result = future.result()
                remaining.remove(index_by_future[future])
                yield result
        except BrokenProcessPool:
            # A script without a main guard cannot start processes, and processes may be killed for lack of memory.
            yield from (function(work[i]) for i in sorted(remaining))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare_process() -> None:
    """Prepare a new process: it has one OpenCV thread, ignores Ctrl-C, and ends together with its parent process."""
    import cv2

    cv2.setNumThreads(1)
    # Ctrl-C reaches all processes of a terminal; only the process that started this one handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the parent process, and then end this one at once, even in the middle of a picture."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
