"""Routing inside one model: oracles from scipy, invariants, and cases that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import average, cophenet
from scipy.spatial.distance import jensenshannon, squareform
from scipy.stats import entropy

from usaggr.metrics.dead_experts import find_dead_experts
from usaggr.statistics.routing_similarity import (
    cluster_tasks,
    compute_normalized_entropy,
    compute_routing_similarity,
    find_nearest_tasks,
)


def drawn(seed: int, tasks: int = 5, blocks: int = 3, experts: int = 4, concentration: float = 0.7) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([concentration] * experts, size=(tasks, blocks))


def test_entropy_is_scipys_divided_by_that_of_equal_weights() -> None:
    weights = drawn(0)
    assert compute_normalized_entropy(weights) == pytest.approx(entropy(weights, axis=-1) / np.log(4))


def test_entropy_is_1_for_equal_weights_and_0_if_one_expert_has_all_weight() -> None:
    assert compute_normalized_entropy([[1, 1, 1], [0, 2, 0]]) == pytest.approx([1.0, 0.0], abs=1e-12)
    assert compute_normalized_entropy([[1.0]]).tolist() == [0.0]


def test_an_expert_is_dead_only_if_no_task_uses_it() -> None:
    used, unused, rare = [0.49, 0.49, 0.01, 0.01], [0.5, 0.5, 0.0, 0.0], [0.47, 0.48, 0.024, 0.026]
    assert find_dead_experts([[used], [unused]]).tolist() == [[False, False, True, True]]
    # The limit is a tenth of an equal share: .025.
    assert find_dead_experts([[used], [rare]]).tolist() == [[False, False, True, False]]


def test_similarity_is_1_minus_scipys_jensen_shannon_distance_averaged_over_blocks() -> None:
    shares = drawn(1)
    similarity = compute_routing_similarity(shares)
    for a in range(5):
        for b in range(5):
            distances = [jensenshannon(shares[a, block], shares[b, block], base=2) for block in range(3)]
            assert similarity[a, b] == pytest.approx(1 - np.mean(distances), abs=1e-7)


def test_tasks_without_a_common_expert_have_similarity_0_and_equal_ones_1() -> None:
    shares = [[[1.0, 0, 0]], [[0, 0.5, 0.5]], [[0, 0.5, 0.5]]]
    assert compute_routing_similarity(shares) == pytest.approx(np.array([[1.0, 0, 0], [0, 1, 1], [0, 1, 1]]))


def test_tasks_that_share_one_of_two_blocks_have_similarity_one_half() -> None:
    shares = [[[1.0, 0], [0.3, 0.7]], [[0.0, 1], [0.3, 0.7]]]
    assert compute_routing_similarity(shares)[0, 1] == pytest.approx(0.5)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 3), st.integers(2, 8))
def test_similarity_does_not_depend_on_the_experts_numbers_and_its_distance_is_a_metric(
    seed: int, tasks: int, blocks: int, experts: int
) -> None:
    shares = drawn(seed, tasks, blocks, experts, concentration=0.2)
    similarity = compute_routing_similarity(shares)
    assert similarity == pytest.approx(
        compute_routing_similarity(shares[..., np.random.default_rng(seed).permutation(experts)])
    )
    assert similarity == pytest.approx(similarity.T)
    assert np.diag(similarity).tolist() == [1.0] * tasks
    assert 0 <= similarity.min() <= similarity.max() <= 1
    distances = 1 - similarity
    detours = distances[:, :, None] + distances[None, :, :]  # a -> b -> c
    assert (distances[:, None, :] <= detours + 1e-7).all()


def test_nearly_equal_shares_still_differ_in_similarity() -> None:
    """The distance is proportional to the difference of shares, not to its square."""
    shares = [[[0.5 + step, 0.5 - step]] for step in (0.0, 0.01, 0.02)]
    single, double = 1 - compute_routing_similarity(shares)[0, 1:]
    assert double / single == pytest.approx(2, rel=0.01)


def test_the_tree_is_that_of_average_linkage() -> None:
    similarity = compute_routing_similarity(drawn(2, tasks=7))
    tree = cluster_tasks(similarity)
    condensed = squareform(1 - similarity, checks=False)
    assert cophenet(tree.merges) == pytest.approx(cophenet(average(condensed)))
    assert sorted(tree.order) == list(range(7))


def test_similar_tasks_are_neighbors_in_the_order_of_the_tree() -> None:
    first, second = [0.9, 0.05, 0.05], [0.1, 0.1, 0.8]
    tree = cluster_tasks(compute_routing_similarity([[first], [second], [first], [second], [first]]))
    kinds = ["first" if task % 2 == 0 else "second" for task in tree.order]
    assert sorted([kinds, kinds[::-1]])[0] == ["first", "first", "first", "second", "second"]


@pytest.mark.parametrize("similarity", [[[1.0]], [[1.0, np.nan], [np.nan, 1.0]]])
def test_a_tree_needs_two_tasks_and_all_their_similarities(similarity: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least two tasks"):
        cluster_tasks(similarity)


def test_the_nearest_task_is_never_the_task_itself() -> None:
    similarity = compute_routing_similarity([[[1.0, 0]], [[0.9, 0.1]], [[0.2, 0.8]]])
    assert find_nearest_tasks(similarity).tolist() == [1, 0, 1]
    assert find_nearest_tasks(np.ones((3, 3))).tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="at least two tasks"):
        find_nearest_tasks([[1.0]])
