"""Read many files at once: pieces of work go out to threads, results come back as they are ready.

Decoding, inflating, hashing and resizing let go of the interpreter's lock, so threads are as fast as processes here,
start at once, leave no orphans behind, and ask nothing of the program that calls.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def reader_count(workers: int | None) -> int:
    """How many files are read at once: data.workers, else one for each core that this process may use."""
    return workers or len(os.sched_getaffinity(0))


def pieces(items: Sequence[Piece], size: int) -> list[Sequence[Piece]]:
    """Cut into pieces of `size`; the last may be smaller."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def results_of(function: Callable[[Piece], Result], work: Sequence[Piece], readers: int) -> Iterator[Result]:
    """Results of a function on each piece, in the order in which they are ready.

    The first exception ends it all: what is not begun by then is not done.
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
