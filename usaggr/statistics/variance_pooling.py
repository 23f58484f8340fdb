"""Pooling of the variance between seeds over the cells of a task, if a test of homogeneity allows it.

With three seeds a cell's own variance has only two degrees of freedom. Training often varies similarly by seed under
every grouping and scale. The cells' mean squares are then averaged, if Bartlett's test at level .25 does not reject
equal variances. Bancroft (Biometrics 1964) recommends this level for a decision to pool.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.25
"""Level of the test of homogeneity; variances are pooled if its p value is larger."""
SHARED = 0.25
"""Correlation of the mean squares of two groupings' differences from one reference.

Half of each difference's variance is the reference's, if all vary equally. The differences then have correlation 1/2,
and their mean squares its square.
"""


@dataclass(frozen=True)
class Pooled:
    """Mean squares between seeds that replace the cells' own."""

    squares: Array
    """(n,) mean squares."""
    df: Array
    """(n,) degrees of freedom."""
    p: float
    """P value of Bartlett's test; NaN if fewer than two cells have a variance."""
    pooled: bool
    """True if the mean squares were pooled."""


def pool(squares: ArrayLike, df: ArrayLike, families: ArrayLike) -> Pooled:
    """Pool mean squares between seeds, or return them unchanged if they are not homogeneous.

    A pooled mean square is never smaller than the cell's own.

    Args:
        squares: (n,) mean square between seeds of each cell; NaN if a cell has one seed.
        df: (n,) its degrees of freedom, seeds - 1.
        families: (n,) number of each cell's family. Cells of a family share their reference's runs, so that their mean
            squares are correlated and have fewer degrees of freedom than their sum.
    """
    square, cell_df = np.asarray(squares, dtype=float), np.asarray(df, dtype=float)
    has_variance = np.isfinite(square) & (cell_df > 0)
    p = bartlett(square[has_variance], cell_df[has_variance]) if has_variance.sum() > 1 else float("nan")
    if not p > LEVEL:
        return Pooled(square, cell_df, p, False)
    mean = float((square[has_variance] * cell_df[has_variance]).sum() / cell_df[has_variance].sum())
    total = 0.0
    for family in np.unique(np.asarray(families)[has_variance]):
        members = cell_df[has_variance & (np.asarray(families) == family)]
        total += members.sum() / (1 + (members.size - 1) * SHARED)
    pooled_squares = np.where(has_variance, np.maximum(mean, square), square)
    return Pooled(pooled_squares, np.where(has_variance, total, cell_df), p, True)


def bartlett(squares: Array, df: Array) -> float:
    """Return the p value of Bartlett's test (1937) that all variances are equal.

    If some variances are 0 and others are not, p is 0. If all are 0, it is 1.

    Args:
        squares: (n,) mean squares.
        df: (n,) their degrees of freedom.
    """
    from scipy import special

    if not squares.all():
        return 0.0 if squares.any() else 1.0
    total, cells = df.sum(), squares.size
    mean = (squares * df).sum() / total
    statistic = total * np.log(mean) - (df * np.log(squares)).sum()
    correction = 1 + ((1 / df).sum() - 1 / total) / (3 * (cells - 1))
    return float(special.chdtrc(cells - 1, statistic / correction))
