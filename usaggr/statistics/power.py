"""How many seeds decide, and what differences can be decided: from the parts of a difference's variance."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.two_way_anova import Estimate
from usaggr.statistics.variance_pooling import LEVEL

Array = NDArray[np.float64]

MOST_SEEDS = 1000
"""More seeds are no answer."""
POWER = 0.8
"""With which a difference is to be found."""
_SEED_POINTS, _OTHER_POINTS, _SUBJECT_POINTS = 48, 5, 6
"""Of the quadrature over what mean squares may come out as: of a cell's seeds, of those pooled with it, of subjects."""


def seeds_needed(estimate: Estimate, seeds: int, margin: float, level: float) -> int | None:
    """The smallest number of seeds at which the difference would be decided, if it and its variance stay what they are.

    Decided is: certainly not 0 at `level` (two-sided), or certainly above -margin at half of it. The subjects stay the
    same, so that no number of seeds may do: None, as for a single seed, which tells nothing of how seeds vary.

    Args:
        estimate: of one difference, positive where better.
        seeds: that it rests on.
        margin: of non-inferiority, above 0.
        level: of the two-sided test; for a family of m cells its level over m, as in Holm's first step.
    """
    if seeds < 2:
        return None
    more = np.arange(seeds + 1, MOST_SEEDS + 1)
    later = Estimate(
        np.full(more.shape, float(estimate.value)),
        float(estimate.seed_part) * seeds / more,
        np.full(more.shape, float(estimate.subject_part)),
        float(estimate.seed_df) * (more - 1) / (seeds - 1),
        np.full(more.shape, float(estimate.subject_df)),
    )
    low, high = later.interval(1 - level)
    decided = (low > 0) | (high < 0) | (low > -margin)
    return int(more[decided.argmax()]) if decided.any() else None


def power(
    difference: ArrayLike,
    seed_sd: ArrayLike,
    subject_sd: ArrayLike,
    residual_sd: ArrayLike,
    seeds: ArrayLike,
    subjects: ArrayLike,
    level: ArrayLike,
    pooled: ArrayLike = 1.0,
) -> Array:
    """Probability that a true difference is declared: that its interval lies on the right side of 0.

    It is also the probability that a true difference of 0 is declared to be above -difference, at half the level: what
    decides a difference decides a margin of the same size. All arguments are broadcast.

    The interval is that of `crossed.estimate`, and what its two parts may be estimated as is integrated over, as the
    mean squares of normal effects are chi-square; the residual's is taken as known.

    Args:
        difference: true one, above 0.
        seed_sd: of the difference between seeds, over all subjects there could be.
        subject_sd: of the difference between subjects, over all seeds there could be.
        residual_sd: of what is left of one seed and subject.
        seeds: K; with one, the interval knows of subjects alone.
        subjects: C, from 2 on.
        level: of the two-sided test; for a family of m cells its level over m, as in Holm's first step.
        pooled: how many cells' worth of degrees of freedom the seeds' variance has (see pooling.py).
    """
    true, half = _half_widths(seed_sd, subject_sd, residual_sd, seeds, subjects, level, pooled)
    return _chance(np.asarray(difference, dtype=float), true, half)


def smallest_difference(
    seed_sd: ArrayLike,
    subject_sd: ArrayLike,
    residual_sd: ArrayLike,
    seeds: ArrayLike,
    subjects: ArrayLike,
    level: ArrayLike,
    wanted: float = POWER,
    pooled: ArrayLike = 1.0,
) -> Array:
    """The smallest true difference that is declared with the wanted power, in (0, 1); other arguments as in `power`."""
    true, half = _half_widths(seed_sd, subject_sd, residual_sd, seeds, subjects, level, pooled)
    low, high = np.zeros(true.shape), half.max(axis=-1) + 10 * true
    for _ in range(40):
        middle = (low + high) / 2
        enough = _chance(middle, true, half) >= wanted
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.asarray(high)


def seeds_to_decide(
    difference: ArrayLike,
    seed_sd: ArrayLike,
    subject_sd: ArrayLike,
    residual_sd: ArrayLike,
    subjects: ArrayLike,
    level: ArrayLike,
    wanted: float = POWER,
    pooled: ArrayLike = 1.0,
) -> Array:
    """The smallest number of seeds, from 2 on, at which a true difference is declared with the wanted power.

    NaN where not even MOST_SEEDS are enough: more subjects are needed. Arguments as in `power`.
    """
    arguments = (difference, seed_sd, subject_sd, residual_sd, subjects, level, pooled)
    size, seed, subject, residual, columns, at, cells = np.broadcast_arrays(*(np.asarray(a, float) for a in arguments))
    low, high = np.full(size.shape, 1), np.full(size.shape, MOST_SEEDS)
    possible = power(size, seed, subject, residual, high, columns, at, cells) >= wanted
    while (high - low > 1).any():
        middle = (low + high + 1) // 2
        enough = power(size, seed, subject, residual, np.maximum(middle, 2), columns, at, cells) >= wanted
        low, high = np.where(enough, low, middle), np.where(enough, np.minimum(high, middle), high)
    return np.where(possible, high, np.nan)


def auc_variance(area: float, positives: int, negatives: int) -> float:
    """Variance of an area under the ROC curve over subjects (Hanley and McNeil, Radiology 1982).

    Args:
        area: the true one, in (0, 1).
        positives: subjects of the class, from 1 on.
        negatives: the others, from 1 on.
    """
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    return spread / (positives * negatives)


def _chance(difference: Array, true: Array, half: Array) -> Array:
    """Of a difference beyond half of its interval, given the true standard error."""
    from scipy import special

    safe = np.maximum(true, np.finfo(float).tiny)[..., None]
    return np.asarray(special.ndtr((difference[..., None] - half) / safe).mean(axis=-1))


def _half_widths(*arguments: ArrayLike) -> tuple[Array, Array]:
    """True standard error (...), and half widths (..., Q) of intervals that are equally likely."""
    from scipy import special

    seed_sd, subject_sd, residual_sd, seeds, subjects, level, pooled = np.broadcast_arrays(
        *(np.asarray(argument, dtype=float) for argument in arguments)
    )
    residual = residual_sd**2 / (seeds * subjects)
    of_seeds = seed_sd**2 / seeds + residual
    of_subjects = subject_sd**2 / subjects
    subject_df = subjects - 1

    def likely(df: Array, points: int) -> Array:
        """Mean square over its expectation, at the middles of equal parts of its distribution."""
        middles = (np.arange(points) + 0.5) / points
        safe = np.maximum(df, 0.5)[..., None]
        return np.asarray(2 * special.gammaincinv(safe / 2, middles) / safe)

    single = (seeds == 1)[..., None]
    own = likely(np.maximum(seeds - 1, 0.0), _SEED_POINTS)
    others = likely(np.maximum((seeds - 1) * (pooled - 1), 0.0), _OTHER_POINTS)
    seen, seed_df = _pooled(own, others, seeds - 1, pooled)
    by_seed = np.where(single, 0.0, of_seeds[..., None] * seen)
    whole = (of_subjects + residual)[..., None] * likely(subject_df, _SUBJECT_POINTS)
    by_subject = np.where(single, whole, np.maximum(whole - residual[..., None], 0.0))
    shape = (*seeds.shape, seen.shape[-1], _SUBJECT_POINTS)
    seed_part = np.broadcast_to(by_seed[..., :, None], shape)
    subject_part = np.broadcast_to(by_subject[..., None, :], shape)
    found = Estimate(
        np.zeros(shape),
        seed_part,
        subject_part,
        np.broadcast_to(seed_df[..., :, None], shape),
        np.broadcast_to(subject_df[..., None, None], shape),
    )
    half = found.critical(1 - level[..., None, None]) * found.se
    return np.asarray(np.sqrt(of_seeds + of_subjects)), half.reshape(*seeds.shape, -1)


def _pooled(own: Array, others: Array, df: Array, cells: Array) -> tuple[Array, Array]:
    """Mean squares between seeds as the rule of pooling.py leaves them, and their degrees of freedom, (..., Q * R).

    Args:
        own: (..., Q) likely mean squares of a cell, over their expectation.
        others: (..., R) likely ones of the cells that it is pooled with.
        df: (...,) degrees of freedom of a cell's own.
        cells: (...,) how many cells' worth there are, itself among them; 1: none to pool with.
    """
    from scipy import special

    one, rest = own[..., :, None], np.maximum(others[..., None, :], np.finfo(float).tiny)
    f, g = df[..., None, None], (df * (cells - 1))[..., None, None]
    alone = (cells <= 1)[..., None, None] | (f <= 0)
    f, g = np.where(alone, 1.0, f), np.where(alone, 1.0, g)
    mean = (f * one + g * rest) / (f + g)
    # Bartlett's test of two mean squares: the cell's own, and all others together.
    statistic = (f + g) * np.log(mean) - f * np.log(np.maximum(one, np.finfo(float).tiny)) - g * np.log(rest)
    alike = special.chdtrc(1.0, statistic / (1 + (1 / f + 1 / g - 1 / (f + g)) / 3)) > LEVEL
    pool = alike & ~alone
    squares = np.where(pool, np.maximum(one, mean), one)
    freedom = np.where(pool, f + g, np.broadcast_to(df[..., None, None], squares.shape))
    shape = (*own.shape[:-1], -1)
    return squares.reshape(shape), np.maximum(freedom, 0.0).reshape(shape)
