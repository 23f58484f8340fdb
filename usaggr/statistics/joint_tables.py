"""One table seeds x components for a linear combination of several tasks' (or scales') scores.

Tasks are fixed; the components of the test folds (samples tied by image or subject, across tasks) are the cases. What a
component contributes to several tasks, and what a seed does to all of them at once, stays together, so that the
two-way analysis of the joint table knows their covariances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A task's table in a linear combination."""

    values: Array
    """(K, C) pseudo-values; the same seeds in the same order in all parts."""
    components: NDArray[np.int64]
    """(C,) distinct ids of the components, comparable between parts."""
    weight: float


def joint_table(parts: Sequence[Part]) -> Array:
    """(K, C) table over all components of the parts, whose mean over components is the combination, seed by seed.

    A part's own mean of a seed is spread evenly over all components; a component moves up or down from there by its
    deviation in the parts that hold it, scaled so that the variance between components of the joint mean is the sum of
    the parts' variances of theirs (and of covariances, where parts share components).

    Raises:
        ValueError: no part, or parts with different numbers of seeds.
    """
    if not parts or len({part.values.shape[0] for part in parts}) > 1:
        raise ValueError("parts with the same seeds are needed, at least one")
    everything = np.unique(np.concatenate([part.components for part in parts]))
    total = everything.size
    table = np.zeros((parts[0].values.shape[0], total))
    for part in parts:
        own = part.components.size
        means = part.values.mean(axis=1, keepdims=True)
        table += part.weight * means
        if own > 1 and total > 1:
            # Each part's own variance has a divisor of its own, the joint table one for all.
            size = np.sqrt(total * (total - 1) / (own * (own - 1)))
            places = np.searchsorted(everything, part.components)
            table[:, places] += part.weight * size * (part.values - means)
    return table
