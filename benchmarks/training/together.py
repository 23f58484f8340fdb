"""The same function in several processes at once, as many as a machine's runs: timed in the company it will have."""

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
"""Waits until all processes have come so far."""
_PATIENCE = 600.0
"""Seconds that a process waits for the others before it is an error."""
_barrier: Barrier | None = None


@dataclass(frozen=True)
class Company:
    """So many processes, which stay for several calls."""

    processes: int
    pool: ProcessPoolExecutor | None
    """None: one process, which is this one."""

    def __call__(self, function: Callable[Concatenate[Meet, P], T], *args: P.args, **kwargs: P.kwargs) -> list[T]:
        """What the function gives in each process; its first argument lets it meet the others."""
        if self.pool is None:
            return [function(lambda: None, *args, **kwargs)]
        jobs = [self.pool.submit(_call, function, args, kwargs) for _ in range(self.processes)]
        return [job.result() for job in jobs]


@contextmanager
def company(processes: int, threads: int) -> Iterator[Company]:
    """Processes with so many threads of torch and OpenCV each."""
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
    barrier.wait(_PATIENCE)  # each process has taken one job, and none two
    try:
        return function(lambda: barrier.wait(_PATIENCE), *args, **kwargs)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        barrier.abort()  # the others must not wait
        raise
