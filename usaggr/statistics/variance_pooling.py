"""One variance between seeds for all cells of a task, where a test of homogeneity allows it: more degrees of freedom.

With three seeds a cell's own variance has two degrees of freedom. How much training varies by seed is often much the
same under every grouping and scale; then the cells' mean squares are averaged (Bartlett's test at level .25, as
Bancroft, Biometrics 1964, advises for a decision to pool).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.25
"""Of the test of homogeneity: pooled where its p value is larger."""
SHARED = 0.25
"""Squared correlation of the mean squares of two groupings' differences from one reference: half of the variance is the
reference's, if all vary alike."""


@dataclass(frozen=True)
class Pooled:
    """Mean squares between seeds to be used in place of the cells' own."""

    squares: Array
    """(n,)"""
    df: Array
    """(n,)"""
    p: float
    """Of Bartlett's test; NaN where fewer than two cells have a variance."""
    pooled: bool


def pool(squares: ArrayLike, df: ArrayLike, families: ArrayLike) -> Pooled:
    """Pool mean squares between seeds, or leave them as they are.

    Args:
        squares: (n,) mean square between seeds of each cell; NaN where a cell has one seed.
        df: (n,) its degrees of freedom, seeds - 1.
        families: (n,) cells with the same number here share their reference's runs, so that their mean squares are
            correlated: together they have fewer degrees of freedom than their sum.
    """
    square, own = np.asarray(squares, dtype=float), np.asarray(df, dtype=float)
    known = np.isfinite(square) & (own > 0)
    p = bartlett(square[known], own[known]) if known.sum() > 1 else float("nan")
    if not p > LEVEL:
        return Pooled(square, own, p, False)
    mean = float((square[known] * own[known]).sum() / own[known].sum())
    total = 0.0
    for family in np.unique(np.asarray(families)[known]):
        members = own[known & (np.asarray(families) == family)]
        total += members.sum() / (1 + (members.size - 1) * SHARED)
    return Pooled(np.where(known, np.maximum(mean, square), square), np.where(known, total, own), p, True)


def bartlett(squares: Array, df: Array) -> float:
    """P value of Bartlett's test (1937) that all variances are equal, from mean squares with df degrees of freedom.

    A variance of zero beside others that are not is no sample of the same: p is 0; if all are zero, it is 1.
    """
    from scipy import special

    if not squares.all():
        return 0.0 if squares.any() else 1.0
    total, cells = df.sum(), squares.size
    mean = (squares * df).sum() / total
    statistic = total * np.log(mean) - (df * np.log(squares)).sum()
    correction = 1 + ((1 / df).sum() - 1 / total) / (3 * (cells - 1))
    return float(special.chdtrc(cells - 1, statistic / correction))
