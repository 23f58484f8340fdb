"""Clustering against all partitions of few tasks, and never worse than the planted partition of many."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.examples import share_of_examples
from usaggr.affinity.clustering import MAX_EXACT_TASKS, cluster, find_best_partition, score_partition, search_partition

Array = NDArray[np.float64]


def partitions(tasks: list[int]) -> Iterator[list[list[int]]]:
    """Yield all partitions by an independent algorithm: the first task alone, or in one of the blocks of the others."""
    if not tasks:
        yield []
        return
    first, remaining = tasks[0], tasks[1:]
    for blocks in partitions(remaining):
        yield [[first], *blocks]
        for i in range(len(blocks)):
            yield [*blocks[:i], [first, *blocks[i]], *blocks[i + 1 :]]


def plain_value(affinity: Array, blocks: list[list[int]]) -> float:
    """Return the score by its definition: mean over tasks of the mean over the others of the block."""
    gains = []
    for block in blocks:
        for task in block:
            block_others = [other for other in block if other != task]
            gains.append(
                sum(affinity[other, task] for other in block_others) / len(block_others) if block_others else 0.0
            )
    return sum(gains) / len(affinity)


def drawn(tasks: int, seed: int, shift: float = 0.0) -> Array:
    return np.random.default_rng(seed).normal(shift, 1.0, (tasks, tasks))


@pytest.mark.parametrize("most_blocks", [1, 2, 3, 6])
@pytest.mark.parametrize("seed", range(6))
def test_the_best_partition_is_that_of_an_exhaustive_search(seed: int, most_blocks: int) -> None:
    affinity = drawn(6, seed, shift=(seed - 3) / 4)
    best = max(plain_value(affinity, p) for p in partitions(list(range(6))) if len(p) <= most_blocks)
    partition = find_best_partition(affinity, most_blocks)
    assert len(partition) <= most_blocks
    assert sorted(task for block in partition for task in block) == list(range(6))
    assert score_partition(affinity, partition) == pytest.approx(best)
    assert plain_value(affinity, [list(block) for block in partition]) == pytest.approx(best)


def test_a_case_computed_by_hand() -> None:
    # Tasks 0 and 1 gain from each other; both harm 2, which helps 0 a little.
    affinity = np.array([[9.0, 0.4, -0.3], [0.2, 9.0, -0.3], [0.1, 0.0, 9.0]])
    assert find_best_partition(affinity, 3) == ((0, 1), (2,))
    assert score_partition(affinity, ((0, 1), (2,))) == pytest.approx((0.2 + 0.4 + 0.0) / 3)
    assert score_partition(affinity, ((0, 1, 2),)) == pytest.approx(((0.2 + 0.1) / 2 + 0.4 / 2 - 0.3) / 3)
    assert find_best_partition(affinity, 1) == ((0, 1, 2),)


def test_tasks_that_harm_each_other_stay_alone_where_the_limit_lets_them() -> None:
    affinity = -np.ones((5, 5))
    assert cluster(affinity) == ((0,), (1,), (2,), (3,), (4,))
    assert len(cluster(affinity, 2)) == 2


@share_of_examples(0.4)
@given(st.integers(2, 7), st.integers(0, 10**6), st.floats(-1, 1), st.data())
def test_the_search_is_a_partition_within_the_limit_and_never_better_than_the_best(
    tasks: int, seed: int, shift: float, data: st.DataObject
) -> None:
    most_blocks = data.draw(st.integers(1, tasks))
    affinity = drawn(tasks, seed, shift)
    partition, best = search_partition(affinity, most_blocks), find_best_partition(affinity, most_blocks)
    assert len(partition) <= most_blocks
    assert sorted(task for block in partition for task in block) == list(range(tasks))
    assert score_partition(affinity, partition) <= score_partition(affinity, best) + 1e-9
    # No move of a single task to another block or to a new one is an improvement.
    for task in range(tasks):
        without = [[t for t in block if t != task] for block in partition]
        for i in range(len(without)):
            moved = [[*block, task] if j == i else block for j, block in enumerate(without)]
            assert score_partition(affinity, [b for b in moved if b]) <= score_partition(affinity, partition) + 1e-9


def test_the_search_finds_the_best_of_nearly_all_random_matrices() -> None:
    """Compared on 8 tasks, for which all partitions can be computed."""
    missed = []
    for seed in range(30):
        affinity = drawn(8, seed, shift=(seed % 5 - 2) / 4)
        limit = 2 + seed % 7
        missed.append(
            score_partition(affinity, find_best_partition(affinity, limit))
            - score_partition(affinity, search_partition(affinity, limit))
        )
    assert sum(gap > 1e-9 for gap in missed) <= 1
    assert max(missed) < 0.1


def test_planted_blocks_of_27_tasks_are_found() -> None:
    rng = np.random.default_rng(3)
    block_of = rng.permutation(np.repeat(np.arange(6), [2, 3, 4, 5, 6, 7]))
    affinity = np.where(block_of[:, None] == block_of, 1.0, -1.0) + rng.normal(0, 0.3, (27, 27))
    assert len(block_of) > MAX_EXACT_TASKS
    planted_blocks = [tuple(np.flatnonzero(block_of == label)) for label in range(6)]
    assert sorted(cluster(affinity, 6)) == sorted(planted_blocks)
    merged = cluster(affinity, 4)
    assert len(merged) == 4
    for block in planted_blocks:
        assert len({i for i, merged_block in enumerate(merged) if set(merged_block) & set(block)}) == 1


@share_of_examples(0.4)
@given(st.integers(2, 7), st.integers(0, 10**6))
def test_the_order_of_the_tasks_changes_no_value(tasks: int, seed: int) -> None:
    affinity = drawn(tasks, seed)
    order = np.random.default_rng(seed + 1).permutation(tasks)
    again = affinity[np.ix_(order, order)]
    assert score_partition(affinity, find_best_partition(affinity, 3)) == pytest.approx(
        score_partition(again, find_best_partition(again, 3))
    )


def test_pairs_alone_decide_a_block_of_two() -> None:
    for seed in range(5):
        affinity = drawn(2, seed)
        together = affinity[0, 1] + affinity[1, 0] > 0
        assert (len(cluster(affinity)) == 1) is bool(together)


@pytest.mark.parametrize("affinity", [np.zeros((2, 3)), np.array([[0.0, np.nan], [1.0, 0.0]]), np.zeros((0, 0))])
def test_a_matrix_that_is_not_square_finite_and_nonempty_is_refused(affinity: Array) -> None:
    with pytest.raises(ValueError, match="affinities"):
        cluster(affinity)


def test_the_score_weighs_all_pairs_of_a_block_equally() -> None:
    affinity = drawn(9, 1)
    blocks = find_best_partition(affinity, 4)
    total = sum(
        sum(affinity[a, b] + affinity[b, a] for a, b in combinations(block, 2)) / max(len(block) - 1, 1)
        for block in blocks
    )
    assert score_partition(affinity, blocks) == pytest.approx(total / 9)
