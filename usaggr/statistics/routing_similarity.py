"""Measures of routing in a mixture of experts: balance over experts, and similarity of tasks.

Experts of different models are unrelated, also if they have the same number. Each measure is of one model. Only
measures that do not depend on the numbering of experts may be averaged over models.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TaskTree:
    """Hierarchical clustering of tasks by the similarity of their routing (average linkage)."""

    order: tuple[int, ...]
    """Tasks in an order in which similar ones are neighbors."""
    merges: Array
    """(T - 1, 4) scipy's linkage matrix: the two joined clusters, 1 - similarity, number of tasks in both."""


def compute_normalized_entropy(weights: ArrayLike) -> Array:
    """Return the Shannon entropy over log E: 1 for equal weights, 0 if one expert has all weight.

    Args:
        weights: (..., E experts) weights of at least 0, with any sum above 0.

    Returns:
        (...) entropy in [0, 1]; 0 with a single expert.
    """
    from scipy.special import entr

    values = np.asarray(weights, dtype=float)
    experts = values.shape[-1]
    if experts == 1:
        return np.zeros(values.shape[:-1])
    entropy = entr(values / values.sum(axis=-1, keepdims=True)).sum(axis=-1) / np.log(experts)
    return np.asarray(np.clip(entropy, 0.0, 1.0))


def compute_routing_similarity(shares: ArrayLike) -> Array:
    """Return the similarity of the routing of tasks in one model.

    It is 1 minus the Jensen-Shannon distance (base 2), mean over transformer blocks. The distance is the square root of
    the divergence. It is used for two reasons. It is a metric (Endres and Schindelin 2003), as is its mean over blocks,
    which suits clustering. And near 0, where most routers are, it is proportional to the difference of the shares. The
    divergence is proportional to its square, and would show all tasks as similar.

    Args:
        shares: (T tasks, B transformer blocks, E experts) shares of tokens, at least 0, with a sum above 0 over
            experts.

    Returns:
        (T, T) symmetric similarities in [0, 1]: 1 if shares are equal in every block, 0 if two tasks share no expert.
    """
    from scipy.special import entr

    values = np.asarray(shares, dtype=float)
    values = values / values.sum(axis=-1, keepdims=True)
    entropy = entr(values).sum(axis=-1)
    middle = entr((values[:, None] + values[None, :]) / 2).sum(axis=-1)
    divergence = (middle - (entropy[:, None] + entropy[None, :]) / 2) / np.log(2)
    # For equal shares rounding leaves about 1e-16 of either sign, whose root would be visible.
    divergence[divergence < 1e-14] = 0.0
    similarity: Array = 1.0 - np.sqrt(np.minimum(divergence, 1.0)).mean(axis=-1)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def cluster_tasks(similarity: ArrayLike) -> TaskTree:
    """Cluster tasks by average linkage of 1 - similarity, with leaves in the order of least distance between neighbors.

    Args:
        similarity: (T, T) symmetric similarities in [0, 1].

    Raises:
        ValueError: there are fewer than two tasks, or a similarity is not finite.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    values = np.asarray(similarity, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        raise ValueError("need finite similarities between at least two tasks")
    distances = 1.0 - values[np.triu_indices(len(values), k=1)]
    # Rounded, so that equal distances are equal on every machine.
    merges = linkage(np.round(distances, 12), method="average", optimal_ordering=True)
    return TaskTree(tuple(int(task) for task in leaves_list(merges)), np.asarray(merges, dtype=float))


def find_nearest_tasks(similarity: ArrayLike) -> NDArray[np.intp]:
    """Return (T,) the index of the most similar other task of each task; of equally similar ones, the first.

    Args:
        similarity: (T, T) similarities of at least two tasks.

    Raises:
        ValueError: there is only one task.
    """
    values = np.array(similarity, dtype=float)
    if len(values) < 2:
        raise ValueError("need at least two tasks")
    np.fill_diagonal(values, -np.inf)
    return np.asarray(np.round(values, 12).argmax(axis=1))
