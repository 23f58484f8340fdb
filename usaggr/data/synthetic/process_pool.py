"""Processes that draw phantoms: drawing is Python code on small arrays, which threads do not make faster.

Processes are spawned, so that they share nothing with the server from which a sweep forks its workers. They end when
the process that started them ends, even if it is killed.
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
"""Smallest number of pieces per process; with fewer, starting the process takes longer than it saves."""


def map_in_processes(
    function: Callable[[Piece], Result], work: Sequence[Piece], workers: int | None
) -> Iterator[Result]:
    """Yield the results of a function on each piece, in the order in which they are ready.

    Args:
        function: Function that can be pickled.
        work: Pieces of work. A small number of pieces is processed in the current process.
        workers: Largest number of processes; None for one per core.
    """
    count = min(workers or count_bound_cores(), len(work) // _MIN_PIECES_PER_PROCESS)
    if count <= 1:
        yield from map(function, work)
        return
    missing = set(range(len(work)))
    context = multiprocessing.get_context("spawn")
    try:
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_prepare_process)
    except OSError:  # no semaphores, because /dev/shm is full or not writable
        yield from map(function, work)
        return
    with pool:
        with SafeSearch():  # all processes start with the first piece
            futures = {pool.submit(function, piece): i for i, piece in enumerate(work)}
        try:
            for future in as_completed(futures):
                result = future.result()
                missing.remove(futures[future])
                yield result
        except BrokenProcessPool:
            # A script without a main guard cannot start processes, and processes may be killed for lack of memory.
            yield from (function(work[i]) for i in sorted(missing))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare_process() -> None:
    """Prepare a new process: one OpenCV thread, no reaction to Ctrl-C, and an end together with its parent."""
    import cv2

    cv2.setNumThreads(1)
    # Ctrl-C reaches all processes of a terminal; only the process that started this one handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the parent process, and end this one at once, also in the middle of a picture."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
