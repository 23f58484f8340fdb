"""Holm's adjustment of p values for the number of tests in a family."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return (n,) adjusted p values (Holm, Scand J Stat 1979); NaN stays NaN and counts as no test."""
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(order.size, 0, -1)
    # The running maximum keeps the adjusted p values in the order of the p values.
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
