"""Threads that read many files at the same time.

Decoding, decompression, hashing and resizing release Python's global interpreter lock (GIL), so threads are as fast as
processes here. Threads also start faster, cannot outlive the program, and need no `if __name__ == "__main__":` in it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

from usaggr.io.cores import count_bound_cores

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def count_readers(workers: int | None) -> int:
    """Return the number of threads: `data.workers` if it is set, otherwise one per core that this process may use."""
    return workers or count_bound_cores()


def split_into_pieces(items: Sequence[Piece], size: int) -> list[Sequence[Piece]]:
    """Split items into pieces of `size`; the last piece may be smaller."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def map_in_threads(function: Callable[[Piece], Result], work: Sequence[Piece], readers: int) -> Iterator[Result]:
    """Call a function with each piece of work in threads, and yield the results in the order in which they are ready.

    The first exception is raised again, and pieces that have not started by then are canceled.

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
