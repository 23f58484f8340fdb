"""Moderated variances between seeds: a cell's own variance, combined with what the other cells predict for it.

With three seeds a cell's own variance has only two degrees of freedom. Smyth (Stat Appl Genet Mol Biol 2004) combines
it with a prior that is estimated from all cells: a scaled inverse chi-square distribution whose degrees of freedom are
few if variances differ much from cell to cell. Here the prior is a model of the cells' log variances:

    log variance = effect of the column (grouping and scale) + effect of the task + remainder

Columns are fixed effects, so that one grouping or scale may vary more than another. Tasks and remainders are random.
Their two standard deviations are not known. They are averaged over a grid, weighted by their restricted likelihood.
At each point of the grid, a cell's prior is predicted from the other cells alone. A cell that no other cell informs
keeps its own variance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_TASK_SDS = (0.0, 0.3, 0.6, 1.0, 1.5, 2.2)
"""Standard deviations of the log variance between tasks that are averaged."""
_REMAINDER_SDS = (0.0, 0.3, 0.6, 0.9, 1.3, 1.8)
"""Standard deviations of the remainder that are averaged."""
_PLANNED_TASK_SD, _PLANNED_REMAINDER_SD = 0.6, 0.3
"""Standard deviations that are assumed before any run is finished."""
_MOST_PRIOR_DF = 60.0
"""Largest degrees of freedom of a prior."""
_UNINFORMATIVE = 1e6
"""Variance of the log of a variance that is 0, and says nothing about the other cells."""
_LEAST_INFORMATION = 1e-7
"""Share of a cell's own variance below which its prediction comes from no other cell, but from rounding."""
_NEWTON_STEPS = 30


@dataclass(frozen=True)
class ModeratedVariances:
    """Variances between seeds, combined with their priors."""

    values: Array
    """(n,) variances; NaN for a cell without degrees of freedom."""
    df: Array
    """(n,) their degrees of freedom: the cell's own and the prior's."""
    prior_df: Array
    """(n,) degrees of freedom of the prior; 0 for a cell that keeps its own variance."""


def moderate_variances(variances: ArrayLike, df: ArrayLike, tasks: ArrayLike, columns: ArrayLike) -> ModeratedVariances:
    """Combine each cell's variance with the prior that the other cells predict.

    Args:
        variances: (n,) variance between seeds of each cell; NaN if it has one seed.
        df: (n,) its degrees of freedom, seeds - 1.
        tasks: (n,) number of the cell's task.
        columns: (n,) number of the cell's column: all cells of one grouping and scale.
    """
    cell_variances, cell_df = np.asarray(variances, dtype=float), np.asarray(df, dtype=float)
    has_variance = np.isfinite(cell_variances) & (cell_df > 0)
    values, total_df, prior_df = cell_variances.copy(), cell_df.copy(), np.zeros(cell_variances.size)
    if has_variance.any():
        task, column = (np.asarray(labels)[has_variance] for labels in (tasks, columns))
        prior, added_df = predict_priors(cell_variances[None, has_variance], cell_df[has_variance], task, column)
        prior_df[has_variance] = added_df[0]
        total_df[has_variance] += added_df[0]
        combined = cell_df[has_variance] * cell_variances[has_variance] + added_df[0] * prior[0]
        values[has_variance] = combined / total_df[has_variance]
    return ModeratedVariances(values, total_df, prior_df)


def predict_priors(variances: Array, df: Array, tasks: ArrayLike, columns: ArrayLike) -> tuple[Array, Array]:
    """Return the prior variance of each cell and its degrees of freedom, both (B, n), predicted from the other cells.

    Args:
        variances: (B, n) variances of B studies with the same cells, at least 0. Cells whose variance is 0 in any of
            them inform no other cell.
        df: (n,) degrees of freedom, above 0.
        tasks: (n,) labels of tasks.
        columns: (n,) labels of columns.
    """
    from scipy import special

    is_positive = (variances > 0).all(axis=0)
    # The log of a mean square is biased, and its variance is known.
    bias = special.digamma(df / 2) - np.log(df / 2)
    noise = np.where(is_positive, special.polygamma(1, df / 2), _UNINFORMATIVE)
    logs = np.where(is_positive, np.log(np.where(is_positive, variances, 1.0)) - bias, 0.0)
    means, spreads, weights = [], [], []
    for task_sd in _TASK_SDS:
        for remainder_sd in _REMAINDER_SDS:
            model = _VarianceModel(noise + remainder_sd**2, task_sd**2, np.asarray(tasks), np.asarray(columns))
            mean, variance, log_likelihood = model.predict_left_out(logs)
            means.append(mean)
            # The prediction of an observed log variance contains the noise of its observation.
            spreads.append(np.broadcast_to(np.maximum(variance - noise, remainder_sd**2), mean.shape))
            weights.append(log_likelihood)
    weight = np.exp(np.array(weights) - np.max(weights, axis=0))[..., None]
    weight /= weight.sum(axis=0)
    all_means = np.array(means)
    mean = (weight * all_means).sum(axis=0)
    variance = (weight * (np.array(spreads) + (all_means - mean) ** 2)).sum(axis=0)
    is_predicted = np.isfinite(variance) & (variance > 0)
    prior_df = np.minimum(2 * _invert_trigamma(np.where(is_predicted, variance, 1.0)), _MOST_PRIOR_DF)
    # The mean of the log of a scaled inverse chi-square is not the log of its scale.
    prior = np.exp(np.where(is_predicted, mean, 0.0) + special.digamma(prior_df / 2) - np.log(prior_df / 2))
    return np.where(is_predicted, prior, 0.0), np.where(is_predicted, prior_df, 0.0)


def plan_prior_df(df: ArrayLike, tasks: ArrayLike, columns: ArrayLike) -> Array:
    """Return the degrees of freedom of the priors (n,) that are expected before any variance is known.

    The standard deviations of log variances are assumed: .6 between tasks, .3 for the remainder.

    Args:
        df: (n,) degrees of freedom of each cell's variance, above 0.
        tasks: (n,) labels of tasks.
        columns: (n,) labels of columns.
    """
    from scipy import special

    noise = special.polygamma(1, np.asarray(df, dtype=float) / 2)
    model = _VarianceModel(
        noise + _PLANNED_REMAINDER_SD**2, _PLANNED_TASK_SD**2, np.asarray(tasks), np.asarray(columns)
    )
    _, variance, _ = model.predict_left_out(np.zeros((1, noise.size)))
    is_predicted = np.isfinite(variance)
    prior_df = 2 * _invert_trigamma(np.where(is_predicted, np.maximum(variance - noise, _PLANNED_REMAINDER_SD**2), 1.0))
    return np.where(is_predicted, np.minimum(prior_df, _MOST_PRIOR_DF), 0.0)


class _VarianceModel:
    """Covariance V = task variance within a task + diagonal, with columns as fixed effects.

    P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1. Tasks are blocks of V, so that no matrix of all cells is made.
    """

    def __init__(self, diagonal: Array, task_variance: float, tasks: NDArray[np.int64], columns: NDArray[np.int64]):
        self._diagonal = diagonal
        self._tasks = np.unique(tasks, return_inverse=True)[1]
        precision = np.bincount(self._tasks, 1 / diagonal)
        self._shrinkage = task_variance / (1 + task_variance * precision)
        design = (columns[:, None] == np.unique(columns)).astype(float)
        self._solved = self._solve(design.T).T
        normal = design.T @ self._solved
        self._normal_inverse = np.linalg.pinv(normal, hermitian=True)
        self._log_determinants = (
            np.log(diagonal).sum() + np.log1p(task_variance * precision).sum() + np.linalg.slogdet(normal)[1]
        )
        inverse_diagonal = 1 / diagonal - self._shrinkage[self._tasks] / diagonal**2
        self._projection_diagonal = inverse_diagonal - ((self._solved @ self._normal_inverse) * self._solved).sum(1)
        self._inverse_diagonal = inverse_diagonal

    def _solve(self, vectors: Array) -> Array:
        """Return V^-1 v of each of the (B, n) vectors v."""
        scaled = vectors / self._diagonal
        sums = np.zeros((vectors.shape[0], self._shrinkage.size))
        np.add.at(sums.T, self._tasks, scaled.T)
        return np.asarray(scaled - (sums * self._shrinkage)[:, self._tasks] / self._diagonal)

    def predict_left_out(self, logs: Array) -> tuple[Array, Array, Array]:
        """Return the prediction of each of the (B, n) values from the others, its (n,) variance, and (B,) likelihoods.

        The variance is infinite for a value that the others do not predict.
        """
        projected = self._solve(logs) - (logs @ self._solved) @ self._normal_inverse @ self._solved.T
        is_predicted = self._projection_diagonal > _LEAST_INFORMATION * self._inverse_diagonal
        diagonal = np.where(is_predicted, self._projection_diagonal, 1.0)
        # Leave-one-out residuals of generalized least squares.
        predicted = np.where(is_predicted, logs - projected / diagonal, 0.0)
        variance = np.where(is_predicted, 1 / diagonal, np.inf)
        likelihood = -(self._log_determinants + (logs * projected).sum(axis=1)) / 2
        return predicted, variance, np.asarray(likelihood)


def _invert_trigamma(values: Array) -> Array:
    """Return x with trigamma(x) = value, by Newton's method on the reciprocal (Smyth 2004, appendix)."""
    from scipy import special

    x = 0.5 + 1 / values
    for _ in range(_NEWTON_STEPS):
        trigamma = special.polygamma(1, x)
        x = np.maximum(x + trigamma * (1 - trigamma / values) / special.polygamma(2, x), 1e-8)
    return np.asarray(x)
