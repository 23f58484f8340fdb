"""Streams: which sample a task shows when, with which augmentation; merged into the batches of a run.

A task's stream is a function of (task, its training samples, seed) alone, so a task sees the same sequence whatever
shares its model. Its length is in epochs or examples, never in steps: equal exposure under every grouping, unless
`training.sampling` says otherwise.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from usaggr.config.study import TrainingConfig
from usaggr.data.seeds import derived_seed, generator

_POWER = {"proportional": 1.0, "sqrt": 0.5, "uniform": 0.0}
"""Of a task's number of training samples, by training.sampling: what its share of a block's examples goes by."""
NOT_EQUAL = "not equally exposed"
"""Note of a task whose stream has another length than under other groupings, as `training.sampling` asks for."""


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


def stream_lengths(training: TrainingConfig, n_train: Mapping[str, int]) -> dict[str, int]:
    """Examples of the streams of the tasks that share a model, by task.

    By `training.sampling`: `equal`, each task's own `stream_length`; else their sum, dealt out in proportion to the
    tasks' training samples, to the root of them, or evenly, with at least one example a task.

    Args:
        training: budget, floor and sampling.
        n_train: task: its training samples, from 1.
    """
    own = {task: stream_length(training.budget, training.min_examples, n) for task, n in n_train.items()}
    if training.sampling == "equal":
        return own
    return deal_out(sum(own.values()), {task: n ** _POWER[training.sampling] for task, n in n_train.items()})


def with_exposure(
    notes: Mapping[str, list[str]], training: TrainingConfig, n_train: Mapping[str, int]
) -> dict[str, list[str]]:
    """A run's notes by task, with one more on each task that `training.sampling` gives another length of stream."""
    found = {task: list(of) for task, of in notes.items()}
    for task, length in stream_lengths(training, n_train).items():
        if length != stream_length(training.budget, training.min_examples, n_train[task]):
            found.setdefault(task, []).append(f"{NOT_EQUAL} ({training.sampling})")
    return found


def deal_out(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers from 1 that sum to the total and are in proportion to the shares, but for rounding.

    Those that rounding has left furthest under their quota are raised first, the first by name of equals.

    Args:
        total: at least as many as there are shares.
        shares: all above 0.
    """
    if total < len(shares):
        raise ValueError(f"{total} cannot be dealt out to {len(shares)}, one at least to each")
    quota = {name: total * share / sum(shares.values()) for name, share in shares.items()}
    counts = {name: max(1, int(of)) for name, of in quota.items()}
    while left := total - sum(counts.values()):
        step = 1 if left > 0 else -1
        free = sorted(name for name, count in counts.items() if count + step >= 1)
        counts[min(free, key=lambda name: step * (counts[name] - quota[name]))] += step
    return counts


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
