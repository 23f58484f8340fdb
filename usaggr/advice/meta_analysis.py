"""Random-effects meta-analysis: effects of several tasks (or data sets) as draws from a population.

A new task is not the average task. Its effect is therefore predicted by the prediction interval, not by the interval of
the mean.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MIN_EFFECTS = 3
"""Fewest effects for a prediction interval; with fewer, the spread between them cannot be estimated."""
SHARED_CORRELATION = 0.5
"""Largest correlation between the errors of two tasks of one sweep, which the seeds of their shared model cause.

Their task-specific models have separate runs. If both sides of a difference have equal variance, these separate runs
contribute half of it.
"""
_POINTS = 48
"""Number of points of the quadrature over the spread."""
_STEPS = 32
"""Number of bisection steps."""


@dataclass(frozen=True)
class Pooled:
    """Population of effects, estimated from a few of them."""

    effects: int
    """Number of effects."""
    mean: float
    """Mean of the population."""
    tau: float
    """Standard deviation of the true effects."""
    low: float
    """Lower bound of the prediction interval for the true effect of a new task."""
    high: float
    """Upper bound of the prediction interval."""


def pool(
    effects: Sequence[float], standard_errors: Sequence[float], confidence: float, sweeps: Sequence[Hashable]
) -> Pooled:
    """Return the mean of a population of effects and the prediction interval of a new effect.

    The spread tau is estimated by Paule and Mandel (J Res Natl Bur Stand 1982): at this tau, Cochran's Q equals its
    expectation k - 1. The uncertainty of tau follows from Q's distribution (chi-square with k - 1 degrees of freedom),
    because each value of Q corresponds to one tau. The interval is that of the mixture, over all these values, of the
    normal distributions of a new effect (a confidence distribution of tau, as in Nagashima, Noma and Furukawa, Stat
    Methods Med Res 2019). Errors of effects from one sweep are assumed to have the correlation SHARED_CORRELATION.
    docs/advice.md gives the simulated coverage.

    Args:
        effects: (k,) estimates for different tasks.
        standard_errors: (k,) standard errors, above 0; treated as exact.
        confidence: Confidence level of the interval, in (0, 1).
        sweeps: (k,) sweep of each effect.

    Raises:
        ValueError: There are fewer than MIN_EFFECTS effects, or a standard error is not above 0.
    """
    if len(effects) < MIN_EFFECTS:
        raise ValueError(f"{len(effects)} effects; a prediction interval needs {MIN_EFFECTS}")
    if not min(standard_errors) > 0:
        raise ValueError("each effect needs a standard error above 0")
    return _pool_effects(tuple(effects), tuple(standard_errors), confidence, tuple(sweeps))


@lru_cache(maxsize=1024)
def _pool_effects(
    effects: tuple[float, ...], errors: tuple[float, ...], confidence: float, sweeps: tuple[Hashable, ...]
) -> Pooled:
    from scipy import special

    values, shared = np.array(effects), _make_shared_covariance(np.array(errors), sweeps)
    independent = np.array(errors) ** 2 - np.diag(shared)
    df = values.size - 1
    tau2 = solve_spreads(values, independent, np.array([float(df)]))
    mean = float(_compute_means(values, independent, tau2)[0][0])
    # Equally likely values of Q: the midpoints of _POINTS intervals of equal probability under the chi-square.
    squares = np.asarray(2 * special.gammaincinv(df / 2, (np.arange(_POINTS) + 0.5) / _POINTS), dtype=np.float64)
    likely = solve_spreads(values, independent, squares)
    centers, weights = _compute_means(values, independent, likely)
    variances = (weights**2 * (independent + likely[:, None])).sum(axis=1)
    variances += np.einsum("ni,ij,nj->n", weights, shared, weights)
    scales = np.sqrt(likely + variances)
    bounds = [_find_quantile(centers, scales, tail) for tail in ((1 - confidence) / 2, (1 + confidence) / 2)]
    return Pooled(values.size, mean, float(np.sqrt(tau2[0])), bounds[0], bounds[1])


def solve_spreads(effects: Array, variances: Array, squares: Array) -> Array:
    """Return the variances tau^2 of the true effects at which Cochran's Q takes the given values.

    Q decreases with tau^2, so that each value is found by bisection. If Q is smaller at tau^2 = 0, the result is 0.

    Args:
        effects: (k,) estimates.
        variances: (k,) variances of their uncorrelated errors.
        squares: (n,) values of Q, above 0.
    """

    def compute_excess(tau2: Array) -> Array:
        centers, _ = _compute_means(effects, variances, tau2)
        deviations = (effects - centers[:, None]) ** 2
        return np.asarray((deviations / (variances + tau2[:, None])).sum(axis=1) - squares)

    # All weights are below 1 / tau^2, so that Q is at most the sum of squares divided by tau^2.
    high = ((effects - effects.mean()) ** 2).sum() / squares
    low = np.zeros_like(high)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        too_small = compute_excess(middle) > 0
        low, high = np.where(too_small, middle, low), np.where(too_small, high, middle)
    return np.where(compute_excess(np.zeros_like(squares)) > 0, (low + high) / 2, 0.0)


def _compute_means(effects: Array, variances: Array, tau2: Array) -> tuple[Array, Array]:
    """Return (n,) weighted means and their (n, k) weights, which sum to 1."""
    weights = 1 / (variances + tau2[:, None])
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray((weights * effects).sum(axis=1)), weights


def _make_shared_covariance(errors: Array, sweeps: tuple[Hashable, ...]) -> Array:
    """Return the (k, k) covariance that effects of one sweep share; 0 for the only effect of a sweep."""
    same = np.array([[sweep == other for other in sweeps] for sweep in sweeps])
    # The only effect of a sweep shares nothing; all of its error counts as independent.
    several = same.sum(axis=1) > 1
    return np.asarray(np.where(same & several[:, None], SHARED_CORRELATION * np.outer(errors, errors), 0.0))


def _find_quantile(centers: Array, scales: Array, tail: float) -> float:
    """Return a quantile of a mixture of normal distributions with equal weights."""
    from scipy import special

    # 40 standard deviations contain every quantile to machine precision.
    low, high = float((centers - 40 * scales).min()), float((centers + 40 * scales).max())
    for _ in range(_STEPS):
        middle = (low + high) / 2
        is_below = float(special.ndtr((middle - centers) / scales).mean()) < tail
        low, high = (middle, high) if is_below else (low, middle)
    return (low + high) / 2
