"""Experts of a mixture that no task uses."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

DEAD = 0.1
"""An expert is dead under this part of an even share."""


def dead_experts(shares: ArrayLike) -> NDArray[np.bool_]:
    """Experts with under a tenth of an even share on every task of their model.

    Args:
        shares: (T tasks, B transformer blocks, E experts), summing to 1 over experts.

    Returns:
        (B, E).
    """
    values = np.asarray(shares, dtype=float)
    return np.asarray((values < DEAD / values.shape[-1]).all(axis=0))
