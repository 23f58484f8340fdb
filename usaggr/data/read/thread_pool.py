"""Threads that read many files at once.

Decoding, decompression, hashing and resizing release the interpreter's lock, so threads are as fast as processes here.
They also start at once, leave no orphans, and do not require the calling program to have a main guard.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def count_readers(workers: int | None) -> int:
    """Return the number of files to read at once: `data.workers`, else one for each core that this process may use."""
    return workers or len(os.sched_getaffinity(0))


def split_into_pieces(items: Sequence[Piece], size: int) -> list[Sequence[Piece]]:
    """Split items into pieces of `size`; the last piece may be smaller."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def map_in_threads(function: Callable[[Piece], Result], work: Sequence[Piece], readers: int) -> Iterator[Result]:
    """Yield the results of a function on each piece, in the order in which they are ready.

    The first exception is raised, and pieces that have not started by then are canceled.

    Args:
        function: Called with one piece, in a thread.
        work: Pieces of work.
        readers: Number of threads; with 1, the function is called in the current thread.
    """
    if readers <= 1 or len(work) <= 1:
        yield from map(function, work)
        return
    pool = ThreadPoolExecutor(min(readers, len(work)), thread_name_prefix="usaggr-reader")
    try:
        futures: list[Future[Result]] = [pool.submit(function, piece) for piece in work]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
