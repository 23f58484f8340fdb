"""Clustering of tasks into blocks by affinity: tasks should gain most from the other tasks of their block.

The score of a partition is the mean over tasks of the mean affinity of the block's other tasks to the task; a task
alone has 0. A block contributes the sum of its affinities / (its tasks - 1): only the sum of both directions matters.
Affinities of pairs do not determine which larger sets go well together: the result is a guess, only as good as the
affinities (docs/affinity.md).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.data.seeds import make_generator

Array = NDArray[np.float64]
Partition = tuple[tuple[int, ...], ...]
"""Blocks of task indices, each in ascending order, sorted by their first task."""

MAX_EXACT_TASKS = 10
"""Largest number of tasks for which all partitions are compared: the time grows as 3^T."""
_RANDOM_STARTS = 12
"""Number of random partitions from which the local search starts, in addition to greedy merging."""
_MIN_GAIN = 1e-12
"""Smallest gain of a move that is not a rounding error."""


def cluster(affinity: ArrayLike, max_blocks: int | None = None) -> Partition:
    """Return the best partition: of all for up to MAX_EXACT_TASKS tasks, else by greedy merging and local search.

    Args:
        affinity: (T, T) affinity of the row's task to the column's task; the diagonal is ignored.
        max_blocks: Largest number of blocks, at least 1; None: the number of tasks.

    Raises:
        ValueError: The matrix is not square or not finite, or the limit is below 1.
    """
    tasks = len(_make_symmetric(affinity))
    limit = tasks if max_blocks is None else min(max_blocks, tasks)
    if limit < 1:
        raise ValueError("at least one block is needed")
    return find_best_partition(affinity, limit) if tasks <= MAX_EXACT_TASKS else search_partition(affinity, limit)


def score_partition(affinity: ArrayLike, partition: Iterable[Sequence[int]]) -> float:
    """Return the mean over tasks of the mean affinity of the block's other tasks to the task; 0 for a task alone."""
    symmetric = _make_symmetric(affinity)
    total = sum(_score_block(symmetric, np.asarray(list(block), dtype=int)) for block in partition)
    return float(total) / len(symmetric)


def find_best_partition(affinity: ArrayLike, max_blocks: int) -> Partition:
    """Return the best of all partitions into up to `max_blocks` blocks; of equal ones, that with the fewest blocks.

    Dynamic programming over sets of tasks takes 3^T steps, which is feasible for up to about 12 tasks. A set of tasks
    is a bit mask. The best partition of a set into n blocks has one block with the set's first task; the
    remaining tasks are in the best partition into n - 1 blocks.
    """
    symmetric = _make_symmetric(affinity)
    tasks = len(symmetric)
    members = [np.flatnonzero([mask >> task & 1 for task in range(tasks)]) for mask in range(1 << tasks)]
    block_scores = np.array([_score_block(symmetric, block) for block in members])
    best = np.full((1 << tasks, max_blocks + 1), -np.inf)  # by set, and by exact number of blocks
    best[0, 0] = 0.0
    best_block = np.zeros((1 << tasks, max_blocks + 1), dtype=np.int64)
    for mask in range(1, 1 << tasks):
        first = mask & -mask  # the lowest bit
        blocks_with_first = np.array(list(_iterate_subsets(mask ^ first))) | first
        scores = block_scores[blocks_with_first][:, None] + best[mask ^ blocks_with_first, :max_blocks]
        highest = scores.argmax(axis=0)
        best[mask, 1:] = scores[highest, np.arange(max_blocks)]
        best_block[mask, 1:] = blocks_with_first[highest]
    remaining = (1 << tasks) - 1
    # Rounded, so that argmax returns the fewest blocks among scores that differ by rounding errors.
    count = int(np.argmax(np.round(best[remaining], 12)))
    blocks = []
    while remaining:
        block = int(best_block[remaining, count])
        blocks.append(members[block].tolist())
        remaining, count = remaining ^ block, count - 1
    return _sort_blocks(blocks)


def search_partition(affinity: ArrayLike, max_blocks: int) -> Partition:
    """Search for a good partition into up to `max_blocks` blocks, for too many tasks to compare all partitions.

    The search improves several starts by single moves and swaps: greedy merging, and random partitions.
    """
    symmetric = _make_symmetric(affinity)
    tasks = len(symmetric)
    starts = [_merge_greedily(symmetric, max_blocks)]
    for start in range(_RANDOM_STARTS):
        rng = make_generator("affinity clustering", tasks, start)
        starts.append(rng.integers(int(rng.integers(1, max_blocks + 1)), size=tasks))
    best: tuple[float, int, Partition] | None = None
    for labels in starts:
        improved = _improve(symmetric, labels, max_blocks)
        blocks = _sort_blocks([np.flatnonzero(improved == label).tolist() for label in np.unique(improved)])
        # The highest score, then the fewest blocks, then a fixed order: the result is deterministic.
        rank = (round(-score_partition(affinity, blocks), 12), len(blocks), blocks)
        best = rank if best is None or rank < best else best
    assert best is not None
    return best[2]


def _make_symmetric(affinity: ArrayLike) -> Array:
    """Return the sum of the affinities in both directions (T, T), with 0 on the diagonal.

    Raises:
        ValueError: The matrix is not square or not finite.
    """
    values = np.array(affinity, dtype=float)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not len(values):
        raise ValueError(f"affinities must be a square matrix; got shape {values.shape}")
    np.fill_diagonal(values, 0.0)
    if not np.isfinite(values).all():
        raise ValueError("all affinities must be finite")
    symmetric: Array = values + values.T
    return symmetric


def _score_block(symmetric: Array, block: NDArray[np.intp]) -> float:
    """Return the sum over a block's tasks of the mean affinity of the others to the task."""
    return 0.0 if len(block) < 2 else float(symmetric[np.ix_(block, block)].sum()) / 2 / (len(block) - 1)


def _iterate_subsets(mask: int) -> Iterable[int]:
    """Yield all subsets of a bit mask, the mask first and 0 last."""
    subset = mask
    while True:
        yield subset
        if not subset:
            return
        subset = (subset - 1) & mask  # the next smaller number with bits of the mask only


def _sort_blocks(blocks: Iterable[Sequence[int]]) -> Partition:
    """Return blocks in a fixed order, without empty ones, so that equal partitions are equal tuples."""
    return tuple(sorted(tuple(sorted(map(int, block))) for block in blocks if len(block)))


def _merge_greedily(symmetric: Array, max_blocks: int) -> NDArray[np.intp]:
    """Return the block label (T,) of each task after merging the best pair of blocks again and again.

    Merging starts from single tasks. It continues while there are too many blocks, or a merge raises the score.
    """
    labels = np.arange(len(symmetric))
    while len(blocks := np.unique(labels)) > 1:
        membership = (labels[:, None] == blocks).astype(float)
        sums = membership.T @ symmetric @ membership
        inner_sums, sizes = np.diag(sums) / 2, membership.sum(axis=0)
        separate = inner_sums / np.maximum(sizes - 1, 1)
        merged = (inner_sums[:, None] + inner_sums + sums) / np.maximum(sizes[:, None] + sizes - 1, 1)
        gains = merged - separate[:, None] - separate
        gains[np.tril_indices(len(blocks))] = -np.inf  # each pair once
        a, b = np.unravel_index(int(gains.argmax()), gains.shape)
        if len(blocks) <= max_blocks and gains[a, b] <= _MIN_GAIN:
            break
        labels = np.where(labels == blocks[b], blocks[a], labels)
    return labels


def _improve(symmetric: Array, labels: NDArray[np.intp], max_blocks: int) -> NDArray[np.intp]:
    """Return block labels (T,) that no single move or swap improves.

    The best move of one task to another block is made while there is a gain; blocks may be empty. If no move has a
    gain, the best swap of two tasks is tried.

    Args:
        symmetric: (T, T) sum of the affinities in both directions.
        labels: (T,) initial block labels.
        max_blocks: Largest number of blocks.
    """
    tasks = len(symmetric)
    count = min(max_blocks, tasks)
    labels = np.unique(labels, return_inverse=True)[1].reshape(-1).copy()
    while True:
        membership = (labels[:, None] == np.arange(count)).astype(float)
        to_block = symmetric @ membership  # (T, count): sum of a task's affinities with all tasks of a block
        sizes, inner_sums = membership.sum(axis=0), (membership * to_block).sum(axis=0) / 2
        scores = inner_sums / np.maximum(sizes - 1, 1)
        to_current = to_block[np.arange(tasks), labels]
        change_without_task = (inner_sums[labels] - to_current) / np.maximum(sizes[labels] - 2, 1) - scores[labels]
        # Both blocks change: the one that the task leaves, and the one that it enters.
        gains = change_without_task[:, None] + (inner_sums + to_block) / np.maximum(sizes, 1) - scores
        gains[np.arange(tasks), labels] = -np.inf
        task, block = np.unravel_index(int(gains.argmax()), gains.shape)
        if gains[task, block] > _MIN_GAIN:
            labels[task] = block
            continue
        swap_gains = _compute_swap_gains(symmetric, labels, to_block, sizes)
        a, b = np.unravel_index(int(swap_gains.argmax()), swap_gains.shape)
        if swap_gains[a, b] <= _MIN_GAIN:
            return labels
        labels[a], labels[b] = labels[b], labels[a]


def _compute_swap_gains(symmetric: Array, labels: NDArray[np.intp], to_block: Array, sizes: Array) -> Array:
    """Return the gain of swapping two tasks between their blocks: (T, T), -inf within a block.

    Args:
        symmetric: (T, T) sum of the affinities in both directions.
        labels: (T,) block labels.
        to_block: (T, blocks) sum of a task's affinities with all tasks of a block.
        sizes: (blocks,) number of tasks in each block.
    """
    to_current = to_block[np.arange(len(symmetric)), labels]
    to_other = to_block[:, labels]  # (a, b): of task a with the block of b
    divisor = np.maximum(sizes[labels] - 1, 1)
    gain_in_block_of_a = (to_other.T - symmetric - to_current[:, None]) / divisor[:, None]  # a leaves, b enters
    gain_in_block_of_b = (to_other - symmetric - to_current[None, :]) / divisor[None, :]
    gains: Array = gain_in_block_of_a + gain_in_block_of_b
    gains[labels[:, None] == labels] = -np.inf
    return gains
