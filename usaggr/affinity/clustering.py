"""From affinities between tasks to blocks: the partition whose tasks gain most from the others of their blocks.

The value of a partition is the mean over tasks of the mean affinity that the other tasks of a task's block have on it;
a task alone gets 0. A block's part of it is the sum of the affinities within the block / (its tasks - 1), so that only
the sum of both directions counts. Which pairs go well together does not tell which sets do; this is a guess as good as
its affinities (docs/affinity.md).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.data.seeds import generator

Array = NDArray[np.float64]
Partition = tuple[tuple[int, ...], ...]
"""Blocks of places of tasks, each in order, by their first tasks."""

MOST_EXACT = 10
"""Tasks for which all partitions are looked at."""
_STARTS = 12
"""Partitions drawn by lot from which the search begins too, beside that of greedy merging."""
_LEAST = 1e-12
"""A gain that is more than rounding."""


def cluster(affinity: ArrayLike, most_blocks: int | None = None) -> Partition:
    """The best partition that is found: of all, for up to MOST_EXACT tasks; else by greedy merging and local moves.

    Args:
        affinity: (T, T) of the task of the row on that of the column; the diagonal is not read.
        most_blocks: at least 1; None: as many as there are tasks.

    Raises:
        ValueError: not a square matrix of numbers, or a limit under 1.
    """
    both = _both_ways(affinity)
    tasks = len(both)
    limit = tasks if most_blocks is None else min(most_blocks, tasks)
    if limit < 1:
        raise ValueError("at least one block is needed")
    return exact(affinity, limit) if tasks <= MOST_EXACT else searched(affinity, limit)


def value_of(affinity: ArrayLike, partition: Iterable[Sequence[int]]) -> float:
    """Mean over tasks of the mean affinity that the other tasks of their block have on them; 0 for a task alone."""
    both = _both_ways(affinity)
    total = sum(_block_value(both, np.asarray(list(block), dtype=int)) for block in partition)
    return float(total) / len(both)


def exact(affinity: ArrayLike, most_blocks: int) -> Partition:
    """The best of all partitions into at most so many blocks, the one with the fewest blocks of equals.

    By dynamic programming over sets of tasks: 3^T steps, for up to some 12 tasks.
    """
    both = _both_ways(affinity)
    tasks = len(both)
    members = [np.flatnonzero([mask >> task & 1 for task in range(tasks)]) for mask in range(1 << tasks)]
    of_block = np.array([_block_value(both, block) for block in members])
    best = np.full((1 << tasks, most_blocks + 1), -np.inf)  # of a set, cut into exactly so many blocks
    best[0, 0] = 0.0
    chosen = np.zeros((1 << tasks, most_blocks + 1), dtype=np.int64)
    for mask in range(1, 1 << tasks):
        first = mask & -mask
        rest = mask ^ first
        inner = np.array(list(_subsets(rest))) | first  # blocks that hold the set's first task
        values = of_block[inner][:, None] + best[mask ^ inner, :most_blocks]
        highest = values.argmax(axis=0)
        best[mask, 1:] = values[highest, np.arange(most_blocks)]
        chosen[mask, 1:] = inner[highest]
    whole = (1 << tasks) - 1
    count = int(np.argmax(np.round(best[whole], 12)))
    blocks = []
    while whole:
        block = int(chosen[whole, count])
        blocks.append(members[block].tolist())
        whole, count = whole ^ block, count - 1
    return _ordered(blocks)


def searched(affinity: ArrayLike, most_blocks: int) -> Partition:
    """A good partition into at most so many blocks: merged greedily or drawn by lot, then moved task by task."""
    both = _both_ways(affinity)
    tasks = len(both)
    starts = [_merged(both, most_blocks)]
    for start in range(_STARTS):
        rng = generator("affinity clustering", tasks, start)
        starts.append(rng.integers(int(rng.integers(1, most_blocks + 1)), size=tasks))
    best: tuple[float, int, Partition] | None = None
    for places in starts:
        found = _improved(both, places, most_blocks)
        blocks = _ordered([np.flatnonzero(found == label).tolist() for label in np.unique(found)])
        rank = (round(-value_of(affinity, blocks), 12), len(blocks), blocks)
        best = rank if best is None or rank < best else best
    assert best is not None
    return best[2]


def _both_ways(affinity: ArrayLike) -> Array:
    """(T, T): affinity in one direction and the other, nought on the diagonal."""
    values = np.array(affinity, dtype=float)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not len(values):
        raise ValueError(f"a square matrix of affinities is needed, not one of shape {values.shape}")
    np.fill_diagonal(values, 0.0)
    if not np.isfinite(values).all():
        raise ValueError("all affinities must be numbers")
    both: Array = values + values.T
    return both


def _block_value(both: Array, block: NDArray[np.intp]) -> float:
    """A block's part of the sum over tasks."""
    return 0.0 if len(block) < 2 else float(both[np.ix_(block, block)].sum()) / 2 / (len(block) - 1)


def _subsets(mask: int) -> Iterable[int]:
    part = mask
    while True:
        yield part
        if not part:
            return
        part = (part - 1) & mask


def _ordered(blocks: Iterable[Sequence[int]]) -> Partition:
    return tuple(sorted(tuple(sorted(map(int, block))) for block in blocks if len(block)))


def _merged(both: Array, most_blocks: int) -> NDArray[np.intp]:
    """(T,) block of each task: two blocks are joined at a time, the best pair, while there are too many or it helps."""
    places = np.arange(len(both))
    while len(labels := np.unique(places)) > 1:
        member = (places[:, None] == labels).astype(float)
        sums = member.T @ both @ member
        inside, sizes = np.diag(sums) / 2, member.sum(axis=0)
        alone = inside / np.maximum(sizes - 1, 1)
        joined = (inside[:, None] + inside + sums) / np.maximum(sizes[:, None] + sizes - 1, 1)
        gains = joined - alone[:, None] - alone
        gains[np.tril_indices(len(labels))] = -np.inf
        a, b = np.unravel_index(int(gains.argmax()), gains.shape)
        if len(labels) <= most_blocks and gains[a, b] <= _LEAST:
            break
        places = np.where(places == labels[b], labels[a], places)
    return places


def _improved(both: Array, places: NDArray[np.intp], most_blocks: int) -> NDArray[np.intp]:
    """Move single tasks to other blocks, or to one of their own, and swap pairs, as long as the value rises."""
    tasks = len(both)
    slots = min(most_blocks, tasks)
    places = np.unique(places, return_inverse=True)[1].reshape(-1).copy()
    while True:
        member = (places[:, None] == np.arange(slots)).astype(float)
        to_block = both @ member  # (T, slots): of a task with all of a block
        sizes, inside = member.sum(axis=0), (member * to_block).sum(axis=0) / 2
        worth = inside / np.maximum(sizes - 1, 1)
        own = to_block[np.arange(tasks), places]
        left = (inside[places] - own) / np.maximum(sizes[places] - 2, 1) - worth[places]
        gains = left[:, None] + (inside + to_block) / np.maximum(sizes, 1) - worth
        gains[np.arange(tasks), places] = -np.inf
        task, block = np.unravel_index(int(gains.argmax()), gains.shape)
        if gains[task, block] > _LEAST:
            places[task] = block
            continue
        swaps = _swap_gains(both, places, to_block, sizes)
        a, b = np.unravel_index(int(swaps.argmax()), swaps.shape)
        if swaps[a, b] <= _LEAST:
            return places
        places[a], places[b] = places[b], places[a]


def _swap_gains(both: Array, places: NDArray[np.intp], to_block: Array, sizes: Array) -> Array:
    """(T, T): what is gained where two tasks of different blocks change places."""
    own = to_block[np.arange(len(both)), places]
    there = to_block[:, places]  # (a, b): of task a with the block of b
    divisor = np.maximum(sizes[places] - 1, 1)
    of_a = (there.T - both - own[:, None]) / divisor[:, None]  # its block loses a and takes b in
    of_b = (there - both - own[None, :]) / divisor[None, :]
    gains: Array = of_a + of_b
    gains[places[:, None] == places] = -np.inf
    return gains
