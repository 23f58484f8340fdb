"""Critical values for the test of a mean whose variance is the sum of two estimated components, from a table.

The table (critical_values.csv) is solved by benchmarks/evidence/critical_values.py: the critical value is a function of
the estimated share of the first component, chosen so that the size of the test is close to its level for every true
share (Welch, Biometrika 1947; Trickett, Welch and James, Biometrika 1956). The table stores each critical value divided
by a weighted mean of two quantiles of Student's t, one for each mean square; the weights are the estimated shares of
the components (Cochran and Cox, Experimental Designs, 1957, section 4.14).

With few degrees of freedom at a small level, no solution exists within the limits on the ratios. The table gives these
sizes of the two-sided test divided by its level, lowest and highest over all true shares and over second mean squares
with 9 or more degrees of freedom (docs/families.md lists more):

    first df   level .05      .002           1e-4           1e-6
    1          0.82 to 1.11   0.09 to 3.90   0.03 to 18.5   0.00 to 139
    2          0.99 to 1.01   0.62 to 1.34   0.02 to 4.19   0.01 to 45.3
    4          1.00 to 1.00   0.97 to 1.02   0.77 to 1.14   0.12 to 3.62
    9          1.00 to 1.00   0.99 to 1.00   0.96 to 1.02   0.61 to 1.20
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

TABLE_PATH = Path(__file__).with_name("critical_values.csv")
DF_FIRST = np.array([1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 9, 14, 24, 60, np.inf])
"""Degrees of freedom of the first mean square (seeds) in the table."""
DF_SECOND = np.array([4, 6, 9, 14, 24, 40, 80, 200, np.inf])
"""Degrees of freedom of the second mean square (subjects) in the table."""
LEVELS = np.array([0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 3e-4, 1e-4, 1e-5, 1e-6])
"""Levels of the two-sided test in the table. Levels outside of it use the ratio of the nearest level."""
SHARES = np.sin(np.linspace(0, 1, 23) * np.pi / 2) ** 2
"""Estimated shares of the first component in the table, equally spaced after `transform_share`."""
UNIT = 1e-3
"""The CSV file stores ratios as integers in this unit."""


def transform_share(share: ArrayLike) -> Array:
    """Return (2 / pi) arcsin(sqrt(share)), in [0, 1]; the table is interpolated linearly on this scale."""
    return np.asarray(np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0))) * (2 / np.pi))


def make_quantile_function(share: ArrayLike, df_first: ArrayLike, df_second: ArrayLike) -> Callable[[Array], Array]:
    """Return a function that maps an upper-tail probability to the critical value, in standard errors.

    Ratios are interpolated linearly in the transformed share and in the reciprocal degrees of freedom. Between levels,
    the logarithm of the ratio is interpolated linearly in the logarithm of the weighted mean of quantiles. A smaller
    tail probability therefore never has a smaller critical value. Everything that does not depend on the probability
    is computed once, because a bisection needs many of them.

    Args:
        share: (...) estimated share of the first component in the variance, in [0, 1].
        df_first: (...) degrees of freedom of the first mean square; below 1, the table's row for 1 is used.
        df_second: (...) degrees of freedom of the second one; below 4, the table's row for 4 is used.
    """
    from scipy import special

    # Not broadcast: quantiles of Student's t take longest, and depend on the degrees of freedom alone.
    share, df_first, df_second = (np.asarray(value, dtype=float) for value in (share, df_first, df_second))
    is_first_used, is_second_used = share > 0, share < 1

    def mix_quantiles(tail: Array) -> Array:
        """Return the mean of the two quantiles of Student's t, weighted by the shares."""
        first, second = -special.stdtrit(df_first, tail), -special.stdtrit(df_second, tail)
        # A component that is 0 may have no degrees of freedom. Its quantile is then NaN, and 0 x NaN is NaN.
        return np.asarray(
            np.where(is_first_used, share * first, 0.0) + np.where(is_second_used, (1 - share) * second, 0.0)
        )

    base_quantiles = np.stack([mix_quantiles(np.asarray(level / 2)) for level in LEVELS], axis=-1)
    # Where interpolated ratios fall faster than quantiles rise, the critical value would decrease.
    critical = np.maximum.accumulate(_interpolate_ratios(share, df_first, df_second) * base_quantiles, axis=-1)
    log_quantiles, log_ratios = np.log(base_quantiles), np.log(critical / base_quantiles)

    def compute_critical_value(tail: Array) -> Array:
        """Return critical values at tail probabilities, whose shape is broadcast with that of the estimates."""
        quantile = mix_quantiles(tail)
        level = np.broadcast_to(2 * np.asarray(tail), quantile.shape)
        right = np.clip(LEVELS.size - np.searchsorted(LEVELS[::-1], level, side="left"), 1, LEVELS.size - 1)

        def take(values: Array, indices: NDArray[np.intp]) -> Array:
            by_level = np.broadcast_to(values, (*quantile.shape, LEVELS.size))
            return np.asarray(np.take_along_axis(by_level, indices[..., None], axis=-1)[..., 0])

        left_log, right_log = take(log_quantiles, right - 1), take(log_quantiles, right)
        # At a tail probability of .5 the quantile is 0; the floor keeps its logarithm finite.
        log_quantile = np.log(np.maximum(quantile, np.finfo(float).tiny))
        weight = np.clip((log_quantile - left_log) / (right_log - left_log), 0.0, 1.0)
        log_ratio = (1 - weight) * take(log_ratios, right - 1) + weight * take(log_ratios, right)
        return np.asarray(quantile * np.exp(log_ratio))

    return compute_critical_value


def _interpolate_ratios(share: Array, df_first: Array, df_second: Array) -> Array:
    """Return the table's ratios (..., L) at all levels.

    Args:
        share: (...) estimated share of the first component.
        df_first: (...) degrees of freedom of the first mean square.
        df_second: (...) degrees of freedom of the second one.
    """
    table = read_table()
    first, second = _find_neighbors(df_first, DF_FIRST), _find_neighbors(df_second, DF_SECOND)
    position = transform_share(share) * (SHARES.size - 1)
    left = np.clip(np.floor(position).astype(int), 0, SHARES.size - 2)
    shares = ((left, 1 - (position - left)), (left + 1, position - left))
    ratios = np.zeros((*np.broadcast_shapes(share.shape, df_first.shape, df_second.shape), LEVELS.size))
    for i, first_weight in first:
        for j, second_weight in second:
            for k, share_weight in shares:
                ratios += (first_weight * second_weight * share_weight)[..., None] * table[i, j, :, k]
    return ratios


def _find_neighbors(df: Array, grid: Array) -> tuple[tuple[NDArray[np.intp], Array], tuple[NDArray[np.intp], Array]]:
    """Return the indices of the two grid values around each df, with weights that are linear in 1 / df."""
    reciprocal, grid_reciprocal = 1 / np.clip(df, grid[0], None), 1 / grid
    right = np.clip(np.searchsorted(grid, df), 1, grid.size - 1)
    weight = (grid_reciprocal[right - 1] - reciprocal) / (grid_reciprocal[right - 1] - grid_reciprocal[right])
    weight = np.clip(weight, 0.0, 1.0)
    return (right - 1, 1 - weight), (right, weight)


@cache
def read_table() -> Array:
    """Return the stored ratios by degrees of freedom (first, second), level and share."""
    lines = TABLE_PATH.read_text(encoding="utf-8").splitlines()
    stored = np.array([[int(number) for number in line.split(",")] for line in lines], dtype=float)
    return np.asarray(stored.reshape(DF_FIRST.size, DF_SECOND.size, LEVELS.size, SHARES.size) * UNIT)
