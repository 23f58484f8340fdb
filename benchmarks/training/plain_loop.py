"""What a run is compared with: a plain loop over tensors in memory, and one over a plain loader's batches."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmarks.training.plain_loader import plain_loader, reader
from benchmarks.training.real_run import now
from benchmarks.training.training_step import TASKS, TrainingStep
from usaggr.data.samples import Sample

_PREFETCH = 2
"""Batches that a loader's process makes ahead; torch's own number."""


class LoopTurn:
    """Steps on one batch that stays where it is: the limit."""

    def __init__(self, step: TrainingStep, steps: int) -> None:
        self.seconds: list[float] = []
        """Of a step, by block."""
        self._step = step
        self._steps = steps
        self._batch = step.batch

    def __call__(self) -> None:
        self._step.batch = self._batch
        self._step()
        began = now()
        for _ in range(self._steps):
            self._step()
        self.seconds.append((now() - began) / self._steps)


@dataclass(frozen=True)
class PlainTime:
    """Seconds of an example in a plain loader's loop, by a block's mean."""

    seconds: float
    """By the clock."""
    decode: float
    """Of processor time, for reading, resizing, augmenting and collecting."""
    step: float
    """Of processor time, for the training step."""


class PlainTurn:
    """Steps on batches that this process reads itself, each of one task."""

    def __init__(self, step: TrainingStep, samples: Sequence[Sequence[Sample]], size: int, steps: int) -> None:
        self.taken: list[PlainTime] = []
        self._step = step
        self._steps = -(-steps // len(TASKS)) * len(TASKS)
        self._batch_size = step.training.batch_size
        self._next = reader(plain_loader(samples, self._batch_size, size, step.training.augment, 0))

    def __call__(self) -> None:
        began, decode = now(), 0.0
        core = time.process_time()
        for _ in range(self._steps):
            before = time.process_time()
            self._step.batch = self._next()
            decode += time.process_time() - before
            self._step()
        examples = self._steps * self._batch_size
        core = time.process_time() - core
        self.taken.append(PlainTime((now() - began) / examples, decode / examples, (core - decode) / examples))


def plain_rate(
    step: TrainingStep, samples: Sequence[Sequence[Sample]], size: int, threads: int, workers: int, seconds: float
) -> float:
    """Examples a second of one training that has the machine for itself, once its loader runs evenly.

    Measured over whole rounds of the tasks, one at least, until `seconds` are over.
    """
    torch.set_num_threads(threads)
    batch_size = step.training.batch_size
    step.network.train()
    following = reader(plain_loader(samples, batch_size, size, step.training.augment, workers))

    def train() -> None:
        step.batch = following()
        step()

    for _ in range(2 + _PREFETCH * workers):
        train()
    began = time.perf_counter()
    examples, took = 0, 0.0
    while examples == 0 or took < seconds:
        for _ in TASKS:
            train()
        examples += len(TASKS) * batch_size
        took = time.perf_counter() - began
    return examples / took
