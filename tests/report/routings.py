"""Planted routing of fake runs: shares of experts by task, in the files that real runs write."""

import csv
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usaggr.results.spec import RunSpec
from usaggr.statistics.routing_similarity import compute_normalized_entropy

Shares = NDArray[np.float64]
"""(T tasks, B transformer blocks, E experts), summing to 1 over experts."""
Router = Callable[[RunSpec], Shares | None]
"""Function that returns the shares of a run's tasks in the run's order; None if it has no experts."""
COLUMNS = ("task", "block", "expert", "share", "chosen", "probability", "entropy", "tokens")


def write_routing(path: Path, tasks: Sequence[str], shares: Shares, first_block: int = 3, top_k: int = 2) -> None:
    """Write a routing.csv with the entropies of the shares, whose tokens choose k experts by the shares."""
    entropy = compute_normalized_entropy(shares)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for t, b, e in product(*map(range, shares.shape)):
            share = shares[t, b, e]
            chosen = share + (top_k - 1) * (1 - share) / (shares.shape[2] - 1)
            numbers = [f"{number:.6f}" for number in (share, chosen, share, entropy[t, b])]
            writer.writerow([tasks[t], first_block + b, e + 1, *numbers, 1600])


def by_kind(kinds: Sequence[str], blocks: int = 2, experts: int = 4, noise: float = 0.0, seed: int = 0) -> Shares:
    """Return shares in which tasks of one kind send most tokens to the same expert; they differ only by noise."""
    rng = np.random.default_rng(seed)
    names = sorted(set(kinds))
    expert_of_kind = rng.permutation(experts)  # the numbers of experts are arbitrary, so they differ between seeds
    shares = np.empty((len(kinds), blocks, experts))
    for t, kind in enumerate(kinds):
        shares[t] = 0.3 / experts
        shares[t, :, expert_of_kind[names.index(kind) % experts]] += 0.7
    shares *= np.exp(noise * rng.normal(size=shares.shape))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))
