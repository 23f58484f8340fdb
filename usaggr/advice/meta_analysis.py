"""Effects of several tasks (or data sets) as draws from a population: mean, spread, and where a new one falls.

Random-effects meta-analysis. A new task is not the mean task: what it will show is told by the prediction interval, not
by the interval of the mean.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST = 3
"""Effects under which the spread between them is not known: no prediction interval."""
TOGETHER = 0.5
"""Correlation of the errors of two tasks of one sweep, at the most: what the seeds of a shared model do to both. Their
task-specific models have runs of their own, and these are half of the variance of a difference where both sides vary
alike."""
_POINTS = 48
"""Of the quadrature over the spread."""
_STEPS = 32
"""Of bisection."""


@dataclass(frozen=True)
class Pooled:
    """A population of effects, as far as a few of them tell."""

    effects: int
    mean: float
    tau: float
    """Standard deviation of true effects."""
    low: float
    high: float
    """Bounds within which the true effect of a new task falls."""


def pool(
    effects: Sequence[float], standard_errors: Sequence[float], confidence: float, sweeps: Sequence[Hashable]
) -> Pooled:
    """Mean of a population of effects, and the prediction interval of one that is not among them.

    The spread is that of Paule and Mandel (J Res Natl Bur Stand 1982): Cochran's Q, weighted by it, is its expectation,
    k - 1. What else it may be is told by Q's distribution, chi-square with k - 1 degrees of freedom: each of its values
    belongs to a spread, and the interval is that of the mixture, over all of them, of the normal distributions of a new
    effect (a confidence distribution of the spread, as Nagashima, Noma and Furukawa, Stat Methods Med Res 2019). Errors
    of effects of one sweep are taken to be correlated by TOGETHER. docs/advice.md says how often it covers.

    Args:
        effects: (k,) estimates, of different tasks.
        standard_errors: (k,) of each, above 0; taken as known.
        confidence: of the interval, in (0, 1).
        sweeps: (k,) what each comes from.

    Raises:
        ValueError: under FEWEST effects, or a standard error that is not above 0.
    """
    if len(effects) < FEWEST:
        raise ValueError(f"{len(effects)} effects; a prediction interval needs {FEWEST}")
    if not min(standard_errors) > 0:
        raise ValueError("each effect needs a standard error above 0")
    return _pool(tuple(effects), tuple(standard_errors), confidence, tuple(sweeps))


@lru_cache(maxsize=1024)
def _pool(
    effects: tuple[float, ...], errors: tuple[float, ...], confidence: float, sweeps: tuple[Hashable, ...]
) -> Pooled:
    from scipy import special

    values, shared = np.array(effects), _shared(np.array(errors), sweeps)
    own = np.array(errors) ** 2 - np.diag(shared)
    df = values.size - 1
    tau2 = spreads(values, own, np.array([float(df)]))
    mean = float(_means(values, own, tau2)[0][0])
    squares = np.asarray(2 * special.gammaincinv(df / 2, (np.arange(_POINTS) + 0.5) / _POINTS), dtype=np.float64)
    likely = spreads(values, own, squares)
    centres, weights = _means(values, own, likely)
    of_mean = (weights**2 * (own + likely[:, None])).sum(axis=1) + np.einsum("ni,ij,nj->n", weights, shared, weights)
    scales = np.sqrt(likely + of_mean)
    bounds = [_quantile(centres, scales, tail) for tail in ((1 - confidence) / 2, (1 + confidence) / 2)]
    return Pooled(values.size, mean, float(np.sqrt(tau2[0])), bounds[0], bounds[1])


def spreads(effects: Array, variances: Array, squares: Array) -> Array:
    """Variances of the true effects at which Cochran's Q takes these values; 0 where it is smaller without any.

    Q falls as the variance grows, so that each is found by bisection.

    Args:
        effects: (k,) estimates.
        variances: (k,) of each, of errors that are not correlated.
        squares: (n,) values of Q, above 0.
    """

    def excess(tau2: Array) -> Array:
        centres, _ = _means(effects, variances, tau2)
        away = (effects - centres[:, None]) ** 2
        return np.asarray((away / (variances + tau2[:, None])).sum(axis=1) - squares)

    # All weights are below 1 / tau^2: Q is at most the sum of squares over it.
    high = ((effects - effects.mean()) ** 2).sum() / squares
    low = np.zeros_like(high)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        more = excess(middle) > 0
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.where(excess(np.zeros_like(squares)) > 0, (low + high) / 2, 0.0)


def _means(effects: Array, variances: Array, tau2: Array) -> tuple[Array, Array]:
    """(n,) weighted means, and (n, k) their weights, which sum to 1."""
    weights = 1 / (variances + tau2[:, None])
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray((weights * effects).sum(axis=1)), weights


def _shared(errors: Array, sweeps: tuple[Hashable, ...]) -> Array:
    """(k, k) covariance of the part of the errors that effects of one sweep have in common; 0 for one alone."""
    same = np.array([[one == other for other in sweeps] for one in sweeps])
    several = same.sum(axis=1) > 1
    return np.asarray(np.where(same & several[:, None], TOGETHER * np.outer(errors, errors), 0.0))


def _quantile(centres: Array, scales: Array, tail: float) -> float:
    """Of a mixture of equal parts of normal distributions."""
    from scipy import special

    low, high = float((centres - 40 * scales).min()), float((centres + 40 * scales).max())
    for _ in range(_STEPS):
        middle = (low + high) / 2
        below = float(special.ndtr((middle - centres) / scales).mean()) < tail
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2
