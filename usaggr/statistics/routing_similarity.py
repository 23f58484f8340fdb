"""What routing says of experts and tasks: dead experts, how evenly tokens are spread, which tasks are alike.

Experts of different models have nothing to do with each other: all of this is of one model, and only what does not
depend on the experts' numbers may be averaged over models.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TaskTree:
    """Tasks joined by how alike they are routed (average linkage)."""

    order: tuple[int, ...]
    """Tasks in an order in which like ones are neighbours."""
    merges: Array
    """(T - 1, 4) scipy's linkage matrix: the two clusters that are joined, 1 - similarity there, tasks of both."""


def normalised_entropy(weights: ArrayLike) -> Array:
    """Shannon entropy over log E, in [0, 1]: 1 where all experts weigh alike, 0 where one has everything.

    Args:
        weights: (..., E) of at least 0, of any sum above 0.

    Returns:
        (...). With a single expert there is nothing to tell apart: 0.
    """
    from scipy.special import entr

    values = np.asarray(weights, dtype=float)
    experts = values.shape[-1]
    if experts == 1:
        return np.zeros(values.shape[:-1])
    entropy = entr(values / values.sum(axis=-1, keepdims=True)).sum(axis=-1) / np.log(experts)
    return np.asarray(np.clip(entropy, 0.0, 1.0))


def routing_similarity(shares: ArrayLike) -> Array:
    """How alike tasks are routed inside one model: 1 less the Jensen-Shannon distance (base 2), mean over blocks.

    The distance, the square root of the divergence, is taken, and not the divergence itself: it is a metric (Endres and
    Schindelin 2003), and so is its mean over blocks, as a clustering of tasks by it should have it; and near 0, where
    routers mostly are, it falls in proportion to the difference of the shares, while the divergence falls with its
    square and would call all tasks alike.

    Args:
        shares: (T tasks, B transformer blocks, E experts), at least 0, summing to a number above 0 over experts.

    Returns:
        (T, T) in [0, 1], symmetric, 1 on the diagonal: 1 where shares are equal in every block, 0 where two tasks have
        no expert in common.
    """
    from scipy.special import entr

    values = np.asarray(shares, dtype=float)
    values = values / values.sum(axis=-1, keepdims=True)
    entropy = entr(values).sum(axis=-1)
    middle = entr((values[:, None] + values[None, :]) / 2).sum(axis=-1)
    divergence = (middle - (entropy[:, None] + entropy[None, :]) / 2) / np.log(2)
    # Rounding leaves some 1e-16, of either sign, where shares are equal, and its root would be no rounding any more.
    divergence[divergence < 1e-14] = 0.0
    similarity: Array = 1.0 - np.sqrt(np.minimum(divergence, 1.0)).mean(axis=-1)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def task_tree(similarity: ArrayLike) -> TaskTree:
    """Join tasks by average linkage of 1 - similarity, the leaves in the order of least distance between neighbours.

    Args:
        similarity: (T, T) symmetric, in [0, 1].

    Raises:
        ValueError: fewer than two tasks, or a similarity that is no number.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    values = np.asarray(similarity, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        raise ValueError("similarities between at least two tasks are needed, all of them known")
    apart = 1.0 - values[np.triu_indices(len(values), k=1)]
    # Rounded, so that ties are ties on every machine.
    merges = linkage(np.round(apart, 12), method="average", optimal_ordering=True)
    return TaskTree(tuple(int(task) for task in leaves_list(merges)), np.asarray(merges, dtype=float))


def nearest_tasks(similarity: ArrayLike) -> NDArray[np.intp]:
    """(T,) the most similar other task of each; the first of equals.

    Args:
        similarity: (T, T), of at least two tasks.

    Raises:
        ValueError: a task alone has no neighbour.
    """
    values = np.array(similarity, dtype=float)
    if len(values) < 2:
        raise ValueError("a task alone has no neighbour")
    np.fill_diagonal(values, -np.inf)
    return np.asarray(np.round(values, 12).argmax(axis=1))
