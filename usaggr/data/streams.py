"""Streams: which sample a task shows when, with which augmentation; merged into the batches of a run.

A task's stream is a function of (task, its training samples, seed) alone, so a task sees the same sequence whatever
shares its model. Its length is in epochs or examples, never in steps: equal exposure under every grouping.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from usaggr.data.seeds import derived_seed, generator


@dataclass(frozen=True, slots=True)
class Draw:
    """One element of a stream."""

    task_id: str
    sample_id: str
    augmentation: int
    """Seed of this example's augmentation."""


@cache
def stream_length(budget: str, min_examples: int, n_train: int) -> int:
    """Examples of a task's stream: from 'N epochs' or 'N examples', with a floor for tiny tasks."""
    match = re.fullmatch(r"([\d.]+) ?(epochs|examples)", budget)
    if match is None:
        raise ValueError(f"not a budget: {budget!r}")
    amount = float(match.group(1))
    return max(min_examples, round(amount * n_train) if match.group(2) == "epochs" else round(amount))


def stream(task_id: str, samples: Sequence[str], seed: int, length: int) -> list[Draw]:
    """The first `length` draws of a task: whole epochs, each in an order of its own.

    A longer stream begins with the shorter one.
    """
    if not samples:
        raise ValueError(f"task {task_id} has no training samples")
    draws: list[Draw] = []
    epoch = 0
    while len(draws) < length:
        order = generator("stream", task_id, seed, epoch).permutation(len(samples))
        for i in order[: length - len(draws)]:
            draws.append(Draw(task_id, samples[i], derived_seed("augment", task_id, seed, len(draws))))
        epoch += 1
    return draws


def merge_streams(streams: Mapping[str, Sequence[Draw]]) -> list[Draw]:
    """All draws of a run: each stream in its own order, spread evenly from start to end, so that all end together."""
    tasks = sorted(streams)
    times = np.concatenate([(np.arange(len(streams[t])) + 0.5) / max(len(streams[t]), 1) for t in tasks])
    merged = [draw for task_id in tasks for draw in streams[task_id]]
    return [merged[i] for i in np.argsort(times, kind="stable")]


def cut_batches(draws: Sequence[Draw], batch_size: int) -> list[list[Draw]]:
    """Batches of one size; what is left makes a smaller last one, so that every draw is seen exactly once."""
    return [list(draws[i : i + batch_size]) for i in range(0, len(draws), batch_size)]
