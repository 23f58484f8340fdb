"""Power: the number of seeds that decide a difference, and the smallest detectable difference.

Both follow from the variance components of a difference: between seeds, between subjects, and residual.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.two_way_anova import Estimate
from usaggr.statistics.variance_pooling import LEVEL

Array = NDArray[np.float64]

MOST_SEEDS = 1000
"""Largest number of seeds that is considered."""
POWER = 0.8
"""Default probability with which a true difference is declared."""
_SEED_POINTS, _OTHER_POINTS, _SUBJECT_POINTS = 48, 5, 6
"""Numbers of quadrature points over distributions of mean squares: a cell's seeds, seeds pooled with it, subjects."""


def count_seeds_needed(estimate: Estimate, seeds: int, margin: float, level: float) -> int | None:
    """Return the smallest number of seeds that would decide a difference, if it and its variance stay the same.

    A difference is decided if its interval excludes 0 (two-sided `level`), or lies above -margin (half of `level`).

    Args:
        estimate: estimate of one difference, positive if better.
        seeds: number of seeds of the estimate.
        margin: margin of non-inferiority, above 0.
        level: level of the two-sided test; for a family of m cells, the family's level over m, as in Holm's first step.

    Returns:
        None if no number of seeds is enough, because the subjects stay the same, or if there is a single seed, which
        does not show how seeds vary.
    """
    if seeds < 2:
        return None
    more_seeds = np.arange(seeds + 1, MOST_SEEDS + 1)
    extrapolated = Estimate(
        np.full(more_seeds.shape, float(estimate.value)),
        float(estimate.seed_variance) * seeds / more_seeds,
        np.full(more_seeds.shape, float(estimate.subject_variance)),
        float(estimate.seed_df) * (more_seeds - 1) / (seeds - 1),
        np.full(more_seeds.shape, float(estimate.subject_df)),
    )
    low, high = extrapolated.compute_interval(1 - level)
    is_decided = (low > 0) | (high < 0) | (low > -margin)
    return int(more_seeds[is_decided.argmax()]) if is_decided.any() else None


def compute_power(
    difference: ArrayLike,
    seed_sd: ArrayLike,
    subject_sd: ArrayLike,
    residual_sd: ArrayLike,
    seeds: ArrayLike,
    subjects: ArrayLike,
    level: ArrayLike,
    pooled: ArrayLike = 1.0,
) -> Array:
    """Return the probability that a true difference is declared, because its interval lies on its side of 0.

    This is also the probability that a true difference of 0 is declared to be above -difference, at half the level.
    Seeds that decide a difference therefore decide a margin of the same size. All arguments are broadcast.

    The interval is that of `two_way_anova.estimate`. The probability is integrated over the possible estimates of both
    variance components, because mean squares of normal effects have chi-square distributions. The residual variance is
    taken as given.

    Args:
        difference: true difference, above 0.
        seed_sd: standard deviation of the difference between seeds, in the limit of many subjects.
        subject_sd: standard deviation of the difference between subjects, in the limit of many seeds.
        residual_sd: standard deviation of the residual of one seed and subject.
        seeds: number K of seeds; with one, the interval includes the variance between subjects alone.
        subjects: number C of subjects, from 2.
        level: level of the two-sided test; for a family of m cells, the family's level over m, as in Holm's first step.
        pooled: degrees of freedom of the seeds' variance, in multiples of one cell's (see variance_pooling.py).
    """
    true_se, half_widths = _compute_half_widths(seed_sd, subject_sd, residual_sd, seeds, subjects, level, pooled)
    return _compute_probability_declared(np.asarray(difference, dtype=float), true_se, half_widths)


def find_smallest_difference(
    seed_sd: ArrayLike,
    subject_sd: ArrayLike,
    residual_sd: ArrayLike,
    seeds: ArrayLike,
    subjects: ArrayLike,
    level: ArrayLike,
    target_power: float = POWER,
    pooled: ArrayLike = 1.0,
) -> Array:
    """Return the smallest true difference that is declared with the target power.

    Args:
        seed_sd: as in `compute_power`.
        subject_sd: as in `compute_power`.
        residual_sd: as in `compute_power`.
        seeds: as in `compute_power`.
        subjects: as in `compute_power`.
        level: as in `compute_power`.
        target_power: probability in (0, 1) with which the difference is declared.
        pooled: as in `compute_power`.
    """
    true_se, half_widths = _compute_half_widths(seed_sd, subject_sd, residual_sd, seeds, subjects, level, pooled)
    # Ten standard errors beyond the widest interval are declared with certainty.
    low, high = np.zeros(true_se.shape), half_widths.max(axis=-1) + 10 * true_se
    for _ in range(40):  # bisection to 2^-40 of the range
        middle = (low + high) / 2
        is_enough = _compute_probability_declared(middle, true_se, half_widths) >= target_power
        low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
    return np.asarray(high)


def count_seeds_to_decide(
    difference: ArrayLike,
    seed_sd: ArrayLike,
    subject_sd: ArrayLike,
    residual_sd: ArrayLike,
    subjects: ArrayLike,
    level: ArrayLike,
    target_power: float = POWER,
    pooled: ArrayLike = 1.0,
) -> Array:
    """Return the smallest number of seeds, from 2, with which a true difference is declared with the target power.

    Args:
        difference: as in `compute_power`.
        seed_sd: as in `compute_power`.
        subject_sd: as in `compute_power`.
        residual_sd: as in `compute_power`.
        subjects: as in `compute_power`.
        level: as in `compute_power`.
        target_power: probability in (0, 1) with which the difference is declared.
        pooled: as in `compute_power`.

    Returns:
        Number of seeds; NaN if not even MOST_SEEDS are enough, so that more subjects are needed.
    """
    arguments = (difference, seed_sd, subject_sd, residual_sd, subjects, level, pooled)
    size, seed, subject, residual, columns, alpha, cells = np.broadcast_arrays(
        *(np.asarray(argument, float) for argument in arguments)
    )
    low, high = np.full(size.shape, 1), np.full(size.shape, MOST_SEEDS)
    is_possible = compute_power(size, seed, subject, residual, high, columns, alpha, cells) >= target_power
    while (high - low > 1).any():
        middle = (low + high + 1) // 2
        is_enough = (
            compute_power(size, seed, subject, residual, np.maximum(middle, 2), columns, alpha, cells) >= target_power
        )
        low, high = np.where(is_enough, low, middle), np.where(is_enough, np.minimum(high, middle), high)
    return np.where(is_possible, high, np.nan)


def estimate_auc_variance(area: float, positives: int, negatives: int) -> float:
    """Return the variance of an area under the ROC curve over subjects (Hanley and McNeil, Radiology 1982).

    Args:
        area: true area, in (0, 1).
        positives: number of subjects of the class, from 1.
        negatives: number of other subjects, from 1.
    """
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    numerator = area * (1 - area) + (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    return numerator / (positives * negatives)


def _compute_probability_declared(difference: Array, true_se: Array, half_widths: Array) -> Array:
    """Return the probability (...) that an estimated difference exceeds the half width of its interval.

    Args:
        difference: (...) true difference.
        true_se: (...) true standard error.
        half_widths: (..., Q) equally likely half widths.
    """
    from scipy import special

    divisor = np.maximum(true_se, np.finfo(float).tiny)[..., None]
    return np.asarray(special.ndtr((difference[..., None] - half_widths) / divisor).mean(axis=-1))


def _compute_half_widths(*arguments: ArrayLike) -> tuple[Array, Array]:
    """Return the true standard error (...) and equally likely half widths (..., Q); arguments as for the power."""
    from scipy import special

    seed_sd, subject_sd, residual_sd, seeds, subjects, level, pooled = np.broadcast_arrays(
        *(np.asarray(argument, dtype=float) for argument in arguments)
    )
    residual = residual_sd**2 / (seeds * subjects)
    seed_variance = seed_sd**2 / seeds + residual
    subject_variance = subject_sd**2 / subjects
    subject_df = subjects - 1

    def compute_chi_square_ratios(df: Array, points: int) -> Array:
        """Return quantiles of a mean square over its expectation, in the middle of intervals of equal probability."""
        middles = (np.arange(points) + 0.5) / points
        positive_df = np.maximum(df, 0.5)[..., None]
        return np.asarray(2 * special.gammaincinv(positive_df / 2, middles) / positive_df)

    has_one_seed = (seeds == 1)[..., None]
    cell_ratios = compute_chi_square_ratios(np.maximum(seeds - 1, 0.0), _SEED_POINTS)
    other_ratios = compute_chi_square_ratios(np.maximum((seeds - 1) * (pooled - 1), 0.0), _OTHER_POINTS)
    ratios, seed_df = _pool_ratios(cell_ratios, other_ratios, seeds - 1, pooled)
    by_seed = np.where(has_one_seed, 0.0, seed_variance[..., None] * ratios)
    # With several seeds the residual is subtracted from the subjects' mean square; one seed has no residual.
    mean_square = (subject_variance + residual)[..., None] * compute_chi_square_ratios(subject_df, _SUBJECT_POINTS)
    by_subject = np.where(has_one_seed, mean_square, np.maximum(mean_square - residual[..., None], 0.0))
    shape = (*seeds.shape, ratios.shape[-1], _SUBJECT_POINTS)
    possible = Estimate(
        np.zeros(shape),
        np.broadcast_to(by_seed[..., :, None], shape),
        np.broadcast_to(by_subject[..., None, :], shape),
        np.broadcast_to(seed_df[..., :, None], shape),
        np.broadcast_to(subject_df[..., None, None], shape),
    )
    half_widths = possible.compute_critical_value(1 - level[..., None, None]) * possible.se
    return np.asarray(np.sqrt(seed_variance + subject_variance)), half_widths.reshape(*seeds.shape, -1)


def _pool_ratios(cell_ratios: Array, other_ratios: Array, df: Array, cells: Array) -> tuple[Array, Array]:
    """Apply the rule of variance_pooling.py to possible mean squares between seeds.

    Args:
        cell_ratios: (..., Q) possible mean squares of a cell, over their expectation.
        other_ratios: (..., R) possible mean squares of the cells that it may be pooled with.
        df: (...) degrees of freedom of a cell's mean square.
        cells: (...) number of cells, including itself, whose degrees of freedom are available; 1: no pooling.

    Returns:
        Mean squares after pooling and their degrees of freedom, both (..., Q * R).
    """
    from scipy import special

    cell, other = cell_ratios[..., :, None], np.maximum(other_ratios[..., None, :], np.finfo(float).tiny)
    # f and g: degrees of freedom of the cell's mean square, and of all others together.
    f, g = df[..., None, None], (df * (cells - 1))[..., None, None]
    is_alone = (cells <= 1)[..., None, None] | (f <= 0)
    # A cell that is not pooled gets 1 for both, so that the divisions below are defined; their result is not used.
    f, g = np.where(is_alone, 1.0, f), np.where(is_alone, 1.0, g)
    mean = (f * cell + g * other) / (f + g)
    # Bartlett's test of two mean squares: the cell's own, and all others together.
    statistic = (f + g) * np.log(mean) - f * np.log(np.maximum(cell, np.finfo(float).tiny)) - g * np.log(other)
    is_homogeneous = special.chdtrc(1.0, statistic / (1 + (1 / f + 1 / g - 1 / (f + g)) / 3)) > LEVEL
    is_pooled = is_homogeneous & ~is_alone
    squares = np.where(is_pooled, np.maximum(cell, mean), cell)
    pooled_df = np.where(is_pooled, f + g, np.broadcast_to(df[..., None, None], squares.shape))
    shape = (*cell_ratios.shape[:-1], -1)
    return squares.reshape(shape), np.maximum(pooled_df, 0.0).reshape(shape)
