"""Routing inside one model: oracles from scipy, invariants, and cases that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import average, cophenet
from scipy.spatial.distance import jensenshannon, squareform
from scipy.stats import entropy

from usaggr.metrics.dead_experts import dead_experts
from usaggr.statistics.routing_similarity import nearest_tasks, normalised_entropy, routing_similarity, task_tree


def drawn(seed: int, tasks: int = 5, blocks: int = 3, experts: int = 4, concentration: float = 0.7) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([concentration] * experts, size=(tasks, blocks))


def test_entropy_is_scipys_over_that_of_an_even_share() -> None:
    weights = drawn(0)
    assert normalised_entropy(weights) == pytest.approx(entropy(weights, axis=-1) / np.log(4))


def test_entropy_is_1_where_experts_weigh_alike_and_0_where_one_has_all() -> None:
    assert normalised_entropy([[1, 1, 1], [0, 2, 0]]) == pytest.approx([1.0, 0.0], abs=1e-12)
    assert normalised_entropy([[1.0]]).tolist() == [0.0]


def test_an_expert_is_dead_only_if_no_task_uses_it() -> None:
    used, unused, rare = [0.49, 0.49, 0.01, 0.01], [0.5, 0.5, 0.0, 0.0], [0.47, 0.48, 0.024, 0.026]
    assert dead_experts([[used], [unused]]).tolist() == [[False, False, True, True]]
    assert dead_experts([[used], [rare]]).tolist() == [[False, False, True, False]]  # a tenth of an even share is .025


def test_similarity_is_1_less_scipys_jensen_shannon_distance_averaged_over_blocks() -> None:
    shares = drawn(1)
    found = routing_similarity(shares)
    for a in range(5):
        for b in range(5):
            distances = [jensenshannon(shares[a, block], shares[b, block], base=2) for block in range(3)]
            assert found[a, b] == pytest.approx(1 - np.mean(distances), abs=1e-7)


def test_tasks_without_a_common_expert_have_similarity_0_and_equal_ones_1() -> None:
    shares = [[[1.0, 0, 0]], [[0, 0.5, 0.5]], [[0, 0.5, 0.5]]]
    assert routing_similarity(shares) == pytest.approx(np.array([[1.0, 0, 0], [0, 1, 1], [0, 1, 1]]))


def test_one_block_of_two_in_common_is_half_of_the_way() -> None:
    shares = [[[1.0, 0], [0.3, 0.7]], [[0.0, 1], [0.3, 0.7]]]
    assert routing_similarity(shares)[0, 1] == pytest.approx(0.5)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 3), st.integers(2, 8))
def test_similarity_does_not_depend_on_the_experts_numbers_and_is_of_a_metric(
    seed: int, tasks: int, blocks: int, experts: int
) -> None:
    shares = drawn(seed, tasks, blocks, experts, concentration=0.2)
    found = routing_similarity(shares)
    assert found == pytest.approx(routing_similarity(shares[..., np.random.default_rng(seed).permutation(experts)]))
    assert found == pytest.approx(found.T)
    assert np.diag(found).tolist() == [1.0] * tasks
    assert 0 <= found.min() <= found.max() <= 1
    apart = 1 - found
    through = apart[:, :, None] + apart[None, :, :]  # a -> b -> c
    assert (apart[:, None, :] <= through + 1e-7).all()


def test_near_equal_shares_are_not_all_called_alike() -> None:
    """The distance falls with the difference, not with its square."""
    shares = [[[0.5 + step, 0.5 - step]] for step in (0.0, 0.01, 0.02)]
    one, two = 1 - routing_similarity(shares)[0, 1:]
    assert two / one == pytest.approx(2, rel=0.01)


def test_the_tree_is_that_of_average_linkage() -> None:
    similarity = routing_similarity(drawn(2, tasks=7))
    tree = task_tree(similarity)
    condensed = squareform(1 - similarity, checks=False)
    assert cophenet(tree.merges) == pytest.approx(cophenet(average(condensed)))
    assert sorted(tree.order) == list(range(7))


def test_like_tasks_are_neighbours_in_the_trees_order() -> None:
    one, other = [0.9, 0.05, 0.05], [0.1, 0.1, 0.8]
    tree = task_tree(routing_similarity([[one], [other], [one], [other], [one]]))
    kinds = ["one" if task % 2 == 0 else "other" for task in tree.order]
    assert sorted([kinds, kinds[::-1]])[0] == ["one", "one", "one", "other", "other"]


@pytest.mark.parametrize("similarity", [[[1.0]], [[1.0, np.nan], [np.nan, 1.0]]])
def test_a_tree_needs_two_tasks_and_all_their_similarities(similarity: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least two tasks"):
        task_tree(similarity)


def test_the_nearest_task_is_never_the_task_itself() -> None:
    similarity = routing_similarity([[[1.0, 0]], [[0.9, 0.1]], [[0.2, 0.8]]])
    assert nearest_tasks(similarity).tolist() == [1, 0, 1]
    assert nearest_tasks(np.ones((3, 3))).tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="at least two tasks"):
        nearest_tasks([[1.0]])
