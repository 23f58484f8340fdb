"""Calls of a function in several processes at once, to time it under the same load as a machine's parallel runs."""

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Concatenate, ParamSpec, TypeVar

from usaggr.sweep.executors.local.worker import end_with_parent

P = ParamSpec("P")
T = TypeVar("T")
Meet = Callable[[], object]
"""Function that waits until all processes have called it."""
_PATIENCE = 600.0
"""Seconds that a process waits for the others before it raises an error."""
_barrier: Barrier | None = None


@dataclass(frozen=True)
class Company:
    """Processes that stay alive for several calls."""

    processes: int
    pool: ProcessPoolExecutor | None
    """Pool of the processes; None: calls run in this process alone."""

    def __call__(self, function: Callable[Concatenate[Meet, P], T], *args: P.args, **kwargs: P.kwargs) -> list[T]:
        """Call a function in each process and return the results; its first argument waits for the other processes."""
        if self.pool is None:
            return [function(lambda: None, *args, **kwargs)]
        jobs = [self.pool.submit(_call, function, args, kwargs) for _ in range(self.processes)]
        return [job.result() for job in jobs]


@contextmanager
def start_processes(processes: int, threads: int) -> Iterator[Company]:
    """Start processes, each with a number of threads for torch and OpenCV, and end them with the context."""
    if processes == 1:
        import torch

        before = torch.get_num_threads()
        _set_threads(threads)
        try:
            yield Company(1, None)
        finally:
            torch.set_num_threads(before)
        return
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(barrier, threads)) as pool:
        yield Company(processes, pool)


def _begin(barrier: Barrier, threads: int) -> None:
    global _barrier
    _barrier = barrier
    end_with_parent()
    _set_threads(threads)


def _set_threads(threads: int) -> None:
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def _call(function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
    assert _barrier is not None
    barrier = _barrier
    barrier.wait(_PATIENCE)  # so each process takes one job, and none takes two
    try:
        return function(lambda: barrier.wait(_PATIENCE), *args, **kwargs)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        barrier.abort()  # the others must not wait
        raise
