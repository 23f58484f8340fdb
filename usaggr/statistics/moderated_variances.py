"""Moderated variances between seeds: a cell's own variance, combined with what other tasks' cells predict for it.

With three seeds a cell's own variance has only two degrees of freedom. Smyth (Stat Appl Genet Mol Biol 2004) combines
it with a prior: true variances follow a scaled inverse chi-square distribution, so that estimated ones follow a scaled
F distribution. Its degrees of freedom are few if true variances differ much.

Here a prior is estimated for each *column*: the tasks at one grouping and scale. Its scale and degrees of freedom are
not known, and a few tasks do not estimate them well. They are therefore averaged over a grid, weighted by the
likelihood of the other cells of the column. The other columns also contribute to the weights of the degrees of freedom,
up to a limit, because tasks may differ more under one grouping than under the others.

The cells of the same task in other columns do not predict the cell's variance. They share the reference's runs and the
seeds, so that they can agree with the cell by chance.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_PRIOR_DFS = np.array([0.7, 1, 1.5, 2, 3, 4, 6, 10, 18, 40, 100])
"""Degrees of freedom of a prior in the grid. With 2, the standard deviations of two thirds of the tasks lie within a
factor of 2.5 of their median, with 10 within a factor of 1.3."""
_PRIOR_WEIGHTS = 1 / np.sqrt(_PRIOR_DFS)
"""Weights of the grid before any variance is known. Few degrees of freedom weigh more: too many give false verdicts,
too few only wider intervals."""
_MOST_CELLS_OF_OTHER_COLUMNS = 6.0
"""Largest number of degrees of freedom (cells beyond the first of each column) that the other columns have together in
the weights of a column's prior."""
_SCALES = np.linspace(-1, 1, 15)
"""Logarithms of a prior's scale in the grid, as fractions of the range around the mean of the column's logarithms."""
_RANGE, _LEAST_RANGE = 4.0, 0.3
"""Half of this range in standard errors of the mean, and what is added for the error of the standard error."""
_PLANNED_DF = 5.0
"""Degrees of freedom of a prior of known scale that are assumed before any run is finished."""
_MOST_PRIOR_DF = 60.0
"""Largest number of degrees of freedom of a prior."""
_NEWTON_STEPS = 30


@dataclass(frozen=True)
class ModeratedVariances:
    """Variances between seeds, combined with their priors."""

    values: Array
    """(n,) variances; NaN for a cell with one seed."""
    df: Array
    """(n,) degrees of freedom: the sum of the cell's own ones and the prior's."""
    prior_df: Array
    """(n,) degrees of freedom of the prior; 0 for a cell that keeps its own variance."""


def moderate_variances(
    variances: ArrayLike, df: ArrayLike, columns: ArrayLike, runs: ArrayLike | None = None
) -> ModeratedVariances:  # fmt: skip
    """Combine each cell's variance with the prior that the other cells of its column predict.

    Args:
        variances: (n,) variance between seeds of each cell; NaN if it has one seed.
        df: (n,) degrees of freedom, seeds - 1.
        columns: (n,) label of the cell's column: its grouping and scale. A column has at most one cell of each task.
        runs: (n,) label of the runs that the cell's variance is estimated from; a block that belongs to two groupings
            has a cell in two columns. Default: no two cells share their runs.
    """
    cell_variances, cell_df = np.asarray(variances, dtype=float), np.asarray(df, dtype=float)
    has_variance = np.isfinite(cell_variances) & (cell_df > 0)
    values, total_df, prior_df = cell_variances.copy(), cell_df.copy(), np.zeros(cell_variances.size)
    if has_variance.any():
        used, used_df = cell_variances[has_variance], cell_df[has_variance]
        runs = np.arange(cell_df.size) if runs is None else np.asarray(runs)
        prior, added_df = predict_priors(used[None], used_df, np.asarray(columns)[has_variance], runs[has_variance])
        prior_df[has_variance] = added_df[0]
        total_df[has_variance] += added_df[0]
        values[has_variance] = combine_with_prior(used, used_df, prior[0], added_df[0])
    return ModeratedVariances(values, total_df, prior_df)


def combine_with_prior(variances: Array, df: Array | float, prior: Array, prior_df: Array) -> Array:
    """Return the mean (..., n) of each variance and its prior, weighted by their degrees of freedom."""
    return np.asarray((df * variances + prior_df * prior) / (df + prior_df))


def predict_priors(
    variances: Array, df: Array, columns: ArrayLike, runs: ArrayLike | None = None
) -> tuple[Array, Array]:  # fmt: skip
    """Return the prior variance of each cell and its degrees of freedom, both (B, n).

    The prior is the scaled inverse chi-square whose logarithm has the mean and variance of the average over the grid.
    A cell whose column has no other cell gets 0 degrees of freedom.

    Args:
        variances: (B, n) variances of B studies with the same cells, at least 0. Cells whose variance is 0 in any of
            them inform no other cell.
        df: (n,) degrees of freedom, above 0.
        columns: (n,) labels of columns.
        runs: (n,) labels of runs, as in `moderate_variances`.
    """
    from scipy import special

    is_informative = np.asarray((variances > 0).all(axis=0))
    labels = np.arange(df.size) if runs is None else np.asarray(runs)
    by_column = _Columns(np.asarray(columns), is_informative, labels)
    logs = np.log(np.where(is_informative, variances, 1.0))
    means, ranges = _find_ranges(logs, df, by_column)
    # Logarithms of scales, and log densities of all cells at all points of the grid: (points, points, B, n).
    scales = (means + _SCALES[:, None, None] * ranges)[..., by_column.numbers]
    shifts = np.log(_PRIOR_DFS / 2) - special.digamma(_PRIOR_DFS / 2)
    densities = np.array(
        [
            compute_log_density(logs - (scales - shift), df, prior_df) * is_informative
            for prior_df, shift in zip(_PRIOR_DFS, shifts, strict=True)
        ]
    )
    likelihoods = by_column.sum(densities)
    log_weights = likelihoods[..., by_column.numbers] - densities
    log_weights += _weight_prior_dfs(densities, likelihoods, by_column)[:, None][..., by_column.numbers]
    weights = np.exp(log_weights - log_weights.max(axis=(0, 1)))
    weights /= weights.sum(axis=(0, 1))
    mean = (weights * scales).sum(axis=(0, 1))
    spreads = special.polygamma(1, _PRIOR_DFS / 2)[:, None, None, None]
    variance = (weights * (spreads + (scales - mean) ** 2)).sum(axis=(0, 1))
    prior_df = _match_df(variance)
    # The mean of the logarithm of a scaled inverse chi-square is not the logarithm of its scale.
    prior = np.exp(mean + special.digamma(prior_df / 2) - np.log(prior_df / 2))
    has_others = by_column.sizes[by_column.numbers] - is_informative > 0
    return np.where(has_others, prior, 0.0), np.where(has_others, prior_df, 0.0)


def plan_prior_df(df: ArrayLike, columns: ArrayLike) -> Array:
    """Return the degrees of freedom of the priors (n,) that are expected before any variance is known.

    Args:
        df: (n,) degrees of freedom of each cell's variance, above 0.
        columns: (n,) labels of columns.
    """
    from scipy import special

    spread = special.polygamma(1, _PLANNED_DF / 2)
    precisions = 1 / (special.polygamma(1, np.asarray(df, dtype=float) / 2) + spread)
    numbers = np.unique(np.asarray(columns), return_inverse=True)[1]
    # The mean of the other logarithms is known with this precision.
    left_out = np.bincount(numbers, precisions)[numbers] - precisions
    has_others = np.bincount(numbers)[numbers] > 1
    return np.where(has_others, _match_df(spread + 1 / np.where(has_others, left_out, 1.0)), 0.0)


class _Columns:
    """Sums over the cells of each column."""

    def __init__(self, labels: NDArray[Any], is_informative: NDArray[np.bool_], runs: NDArray[Any]):
        self.is_informative = is_informative
        self.numbers = np.unique(labels, return_inverse=True)[1]
        """(n,) number of each cell's column, from 0."""
        self._order = np.argsort(self.numbers, kind="stable")
        self._starts = np.searchsorted(self.numbers[self._order], np.arange(self.numbers.max() + 1))
        self.sizes = self.sum(is_informative)
        """(C,) numbers of informative cells."""
        self.added = self._find_added_cells(runs)
        """(C, n) cells whose runs are neither in the column nor in a cell before, other than those of the column."""

    def sum(self, values: NDArray[Any]) -> Array:
        """Return the sums (..., C) of values (..., n) over each column."""
        ordered = np.asarray(values, dtype=float)[..., self._order]
        return np.asarray(np.add.reduceat(ordered, self._starts, axis=-1))

    def _find_added_cells(self, runs: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the cells (C, n) that other columns add to each column: runs that two columns share count once."""
        added = np.empty((self.sizes.size, runs.size), dtype=bool)
        for column in range(self.sizes.size):
            # The column's own cells come first, so that they are the first ones of their runs.
            order = np.argsort(self.numbers != column, kind="stable")
            is_first = np.zeros(runs.size, dtype=bool)
            is_first[order[np.unique(runs[order], return_index=True)[1]]] = True
            added[column] = is_first & (self.numbers != column)
        return added


def _find_ranges(logs: Array, df: Array, columns: _Columns) -> tuple[Array, Array]:
    """Return the middle and half of the range (B, C) of each column's mean log variance.

    Args:
        logs: (B, n) logarithms of variances.
        df: (n,) degrees of freedom.
        columns: columns of the cells.
    """
    from scipy import special

    # The logarithm of a mean square is biased, and its variance is known.
    unbiased, noise = logs - special.digamma(df / 2) + np.log(df / 2), special.polygamma(1, df / 2)
    counts = np.maximum(columns.sizes, 1.0)
    means = columns.sum(unbiased * columns.is_informative) / counts
    squares = columns.sum((unbiased - means[:, columns.numbers]) ** 2 * columns.is_informative)
    variances = np.maximum(squares / np.maximum(counts - 1, 1.0), columns.sum(noise * columns.is_informative) / counts)
    return means, _RANGE * np.sqrt(variances / counts) + _LEAST_RANGE


def compute_log_density(logs: Array, df: Array, other_df: Array | float) -> Array:
    """Return the log density (...) of the logarithm of a variable with an F distribution.

    Args:
        logs: (...) logarithms of ratios of two mean squares, over the ratio of their expectations.
        df: degrees of freedom of the numerator, broadcast with `logs`.
        other_df: degrees of freedom of the denominator, broadcast with `logs`.
    """
    from scipy import special

    scaled = logs + np.log(df / other_df)
    return np.asarray(
        df / 2 * scaled - (df + other_df) / 2 * np.logaddexp(0.0, scaled) - special.betaln(df / 2, other_df / 2)
    )


def _weight_prior_dfs(densities: Array, likelihoods: Array, columns: _Columns) -> Array:
    """Return the log weights (D, B, C) of degrees of freedom for each column, from the cells that others add to it.

    Args:
        densities: (D, S, B, n) log densities of the informative cells by degrees of freedom and scale; 0 for others.
        likelihoods: (D, S, B, C) sums of `densities` over each column.
        columns: columns of the cells.
    """
    from scipy import special

    over_scales = special.logsumexp(likelihoods, axis=1)
    other_columns = over_scales.sum(axis=-1, keepdims=True) - over_scales
    for column, is_added in enumerate(columns.added):
        if not (is_added | (columns.numbers == column)).all():
            # A column without added cells has the same likelihood at all degrees of freedom.
            added = columns.sum(np.where(is_added, densities, 0.0))
            other_columns[..., column] = special.logsumexp(added, axis=1).sum(axis=-1)
    # A column of one cell says nothing about how much variances differ.
    df = np.maximum(columns.sum(columns.added & columns.is_informative) - 1, 0.0).sum(axis=1)
    share = np.minimum(1.0, _MOST_CELLS_OF_OTHER_COLUMNS / np.maximum(df, 1.0))
    return np.asarray(share * other_columns + np.log(_PRIOR_WEIGHTS)[:, None, None])


def _match_df(variances: Array) -> Array:
    """Return the degrees of freedom of scaled inverse chi-squares whose logarithms have these variances."""
    return np.minimum(2 * _invert_trigamma(variances), _MOST_PRIOR_DF)


def _invert_trigamma(values: Array) -> Array:
    """Return x with trigamma(x) = value, by Newton's method on the reciprocal (Smyth 2004, appendix)."""
    from scipy import special

    x = 0.5 + 1 / values
    for _ in range(_NEWTON_STEPS):
        trigamma = special.polygamma(1, x)
        x = np.maximum(x + trigamma * (1 - trigamma / values) / special.polygamma(2, x), 1e-8)
    return np.asarray(x)
