"""Experts of a mixture that no task uses."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

DEAD = 0.1
"""Fraction of an even share (1 / number of experts) below which an expert is dead."""


def find_dead_experts(shares: ArrayLike) -> NDArray[np.bool_]:
    """Find the experts with less than a tenth of an even share on every task of their model.

    Args:
        shares: (T tasks, B transformer blocks, E experts) shares, whose sum over experts is 1.

    Returns:
        (B, E) mask of dead experts.
    """
    values = np.asarray(shares, dtype=float)
    return np.asarray((values < DEAD / values.shape[-1]).all(axis=0))
