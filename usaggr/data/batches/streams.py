"""Streams: the sequence of training samples and augmentations of each task, merged into the batches of a run.

A task's stream depends only on the task, its training samples and the seed, so it is the same under every grouping.
The length of a stream is given in epochs or examples, never in steps. A task therefore gets the same training examples
in a shared model and in its own, unless `training.sampling` changes the length.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from usaggr.config.study import TrainingConfig
from usaggr.data.seeds import derive_seed, make_generator

_SIZE_EXPONENT = {"proportional": 1.0, "sqrt": 0.5, "uniform": 0.0}
"""Exponent of a task's number of training samples in its share of a block's examples, by training.sampling."""
NOT_EQUAL = "not equally exposed"
"""Note about a task whose stream has another length than under other groupings, because of `training.sampling`."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One training example: an element of a stream."""

    task_id: str
    sample_id: str
    augmentation: int
    """Seed of this example's augmentation."""


@cache
def compute_stream_length(budget: str, min_examples: int, n_train: int) -> int:
    """Return the number of examples in a task's stream.

    Args:
        budget: 'N epochs' or 'N examples'.
        min_examples: smallest length, for tiny tasks.
        n_train: number of training samples of the task.
    """
    match = re.fullmatch(r"([\d.]+) ?(epochs|examples)", budget)
    if match is None:
        raise ValueError(f"budget must be 'N epochs' or 'N examples', not {budget!r}")
    amount = float(match.group(1))
    examples = amount * n_train if match.group(2) == "epochs" else amount
    return max(min_examples, round(examples))


def compute_stream_lengths(training: TrainingConfig, n_train: Mapping[str, int]) -> dict[str, int]:
    """Return the number of examples in the streams of the tasks that share a model, by task.

    With `training.sampling=equal` they are those of `compute_stream_length`. Otherwise their sum is divided in
    proportion to the tasks' numbers of training samples (`proportional`), to the square roots of these numbers
    (`sqrt`), or evenly (`uniform`). Each task gets at least one example.

    Args:
        training: budget, smallest length and sampling.
        n_train: number of training samples, at least 1, by task.
    """
    lengths = {task: compute_stream_length(training.budget, training.min_examples, n) for task, n in n_train.items()}
    if training.sampling == "equal":
        return lengths
    return divide_in_proportion(
        sum(lengths.values()), {task: n ** _SIZE_EXPONENT[training.sampling] for task, n in n_train.items()}
    )


def add_exposure_notes(
    notes: Mapping[str, list[str]], training: TrainingConfig, n_train: Mapping[str, int]
) -> dict[str, list[str]]:
    """Return a run's notes, with a further note on each task whose stream length `training.sampling` changes.

    Args:
        notes: notes of the run by task.
        training: budget, smallest length and sampling.
        n_train: number of training samples by task.
    """
    extended = {task: list(lines) for task, lines in notes.items()}
    for task, length in compute_stream_lengths(training, n_train).items():
        if length != compute_stream_length(training.budget, training.min_examples, n_train[task]):
            extended.setdefault(task, []).append(f"{NOT_EQUAL} ({training.sampling})")
    return extended


def divide_in_proportion(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Divide a total into integers of at least 1 that are in proportion to the shares, except for rounding.

    Counts that rounding has left furthest below their quota are raised first; of equal ones, the first by name.

    Args:
        total: sum of the integers; at least the number of shares.
        shares: share of each name, above 0.

    Raises:
        ValueError: the total is less than the number of shares.
    """
    if total < len(shares):
        raise ValueError(f"cannot divide {total} into {len(shares)} integers of at least 1")
    quotas = {name: total * share / sum(shares.values()) for name, share in shares.items()}
    counts = {name: max(1, int(quota)) for name, quota in quotas.items()}
    # Rounding down leaves a positive difference; quotas below 1 that were raised to 1 can make it negative.
    while difference := total - sum(counts.values()):
        step = 1 if difference > 0 else -1
        changeable = sorted(name for name, count in counts.items() if count + step >= 1)
        counts[min(changeable, key=lambda name: step * (counts[name] - quotas[name]))] += step
    return counts


def make_stream(task_id: str, samples: Sequence[str], seed: int, length: int) -> list[Draw]:
    """Return the first draws of a task: complete epochs, each in a new random order, then the start of another.

    A shorter stream is the beginning of a longer one.

    Args:
        task_id: id of the task.
        samples: ids of its training samples.
        seed: seed of the run.
        length: number of draws.

    Raises:
        ValueError: there are no training samples.
    """
    if not samples:
        raise ValueError(f"task {task_id} has no training samples")
    draws: list[Draw] = []
    epoch = 0
    while len(draws) < length:
        order = make_generator("stream", task_id, seed, epoch).permutation(len(samples))
        for i in order[: length - len(draws)]:
            draws.append(Draw(task_id, samples[i], derive_seed("augment", task_id, seed, len(draws))))
        epoch += 1
    return draws


def merge_streams(streams: Mapping[str, Sequence[Draw]]) -> list[Draw]:
    """Merge the streams of a run into one; each keeps its order and is spread evenly over the whole run."""
    tasks = sorted(streams)
    # Draw i of n is at the time (i + 1/2) / n of the run.
    times = np.concatenate([(np.arange(len(streams[t])) + 0.5) / max(len(streams[t]), 1) for t in tasks])
    draws = [draw for task_id in tasks for draw in streams[task_id]]
    # Stable, so that draws at equal times are in the order of task ids on every machine.
    return [draws[i] for i in np.argsort(times, kind="stable")]


def cut_batches(draws: Sequence[Draw], batch_size: int) -> list[list[Draw]]:
    """Cut draws into batches of one size; the last one may be smaller, so that every draw occurs exactly once."""
    return [list(draws[i : i + batch_size]) for i in range(0, len(draws), batch_size)]
