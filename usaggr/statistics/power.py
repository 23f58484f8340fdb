"""Power: the number of seeds needed to detect a difference, and the smallest detectable difference.

Both follow from the variance components of a difference: between seeds, between subjects, and residual.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.two_way_anova import Estimate

Array = NDArray[np.float64]

MOST_SEEDS = 1000
"""Largest number of seeds that is considered."""
POWER = 0.8
"""Default probability with which a true difference is detected, as is usual in planning."""
_POINTS = (48, 6)
"""Numbers of quadrature points for the mean squares between seeds and between subjects.

There are more for seeds, whose few degrees of freedom spread their mean square over orders of magnitude."""


def find_seeds(compute: Callable[[Array], Array], low: Array, target_power: float) -> Array:
    """Return the smallest whole number above `low` with the target power, by bisection; NaN if there is none.

    Args:
        compute: power at (n,) numbers of seeds.
        low: (n,) numbers of seeds below the search range; at least 1.
        target_power: power to reach.
    """
    low, high = np.array(low), np.full(np.shape(low), float(MOST_SEEDS))
    is_possible = compute(high) >= target_power
    while (high - low > 1).any():
        middle = np.floor((low + high + 1) / 2)
        is_enough = compute(middle) >= target_power
        low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
    return np.where(is_possible, high, np.nan)


def compute_power(
    difference: ArrayLike,
    seed_sd: ArrayLike,
    subject_sd: ArrayLike,
    residual_sd: ArrayLike,
    seeds: ArrayLike,
    subjects: ArrayLike,
    level: ArrayLike,
    prior_df: ArrayLike = 0.0,
) -> Array:
    """Return the power: the probability that the interval of a positive true difference lies above 0.

    It is also the power of the one-sided test, at half the level, that shows a true difference of 0 to be above
    -difference. The same number of seeds therefore serves a difference and a margin of that size. All arguments are
    broadcast.

    The interval is that of `two_way_anova.estimate`. The probability is integrated over the chi-square distributions of
    both mean squares (normal effects). The residual variance is taken as given.

    Args:
        difference: true difference, above 0.
        seed_sd: standard deviation of the difference between seeds, without the error from sampling subjects.
        subject_sd: standard deviation of the difference between subjects, without the variation between seeds.
        residual_sd: standard deviation of the residual of one seed and subject.
        seeds: number K of seeds; with one, the interval includes the variance between subjects alone.
        subjects: number C of subjects, from 2.
        level: level of the two-sided test; for a family of m cells, the family's level over m, as in Holm's first step.
        prior_df: degrees of freedom that other cells add to the seeds' variance (see moderated_variances.py).
    """
    true_se, half_widths = _compute_half_widths(seed_sd, subject_sd, residual_sd, seeds, subjects, level, prior_df)
    return compute_detection_probability(np.asarray(difference, dtype=float), true_se, half_widths)


def find_smallest_difference(
    seed_sd: ArrayLike,
    subject_sd: ArrayLike,
    residual_sd: ArrayLike,
    seeds: ArrayLike,
    subjects: ArrayLike,
    level: ArrayLike,
    target_power: float = POWER,
    prior_df: ArrayLike = 0.0,
) -> Array:
    """Return the smallest true difference that is detected with the target power.

    Args:
        seed_sd: as in `compute_power`.
        subject_sd: as in `compute_power`.
        residual_sd: as in `compute_power`.
        seeds: as in `compute_power`.
        subjects: as in `compute_power`.
        level: as in `compute_power`.
        target_power: probability in (0, 1) with which the difference is detected.
        prior_df: as in `compute_power`.
    """
    true_se, half_widths = _compute_half_widths(seed_sd, subject_sd, residual_sd, seeds, subjects, level, prior_df)
    # A difference ten standard errors larger than the largest half width is always detected.
    low, high = np.zeros(true_se.shape), half_widths.max(axis=-1) + 10 * true_se
    for _ in range(40):  # bisection to 2^-40 of the range
        middle = (low + high) / 2
        is_enough = compute_detection_probability(middle, true_se, half_widths) >= target_power
        low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
    return np.asarray(high)


def count_seeds_from_sds(
    difference: ArrayLike,
    seed_sd: ArrayLike,
    subject_sd: ArrayLike,
    residual_sd: ArrayLike,
    subjects: ArrayLike,
    level: ArrayLike,
    target_power: float = POWER,
    prior_df: ArrayLike = 0.0,
) -> Array:
    """Return the smallest number of seeds, from 2, with which a true difference is detected with the target power.

    Unlike `seeds_needed.count_seeds_needed`, it starts from assumed standard deviations, before any run is finished.

    Args:
        difference: as in `compute_power`.
        seed_sd: as in `compute_power`.
        subject_sd: as in `compute_power`.
        residual_sd: as in `compute_power`.
        subjects: as in `compute_power`.
        level: as in `compute_power`.
        target_power: probability in (0, 1) with which the difference is detected.
        prior_df: as in `compute_power`.

    Returns:
        Number of seeds; NaN if not even MOST_SEEDS are enough, so that more subjects are needed.
    """
    shape = np.broadcast_shapes(
        *map(np.shape, (difference, seed_sd, subject_sd, residual_sd, subjects, level, prior_df))
    )

    def compute(number: Array) -> Array:
        return compute_power(difference, seed_sd, subject_sd, residual_sd, number, subjects, level, prior_df)

    return find_seeds(compute, np.ones(shape), target_power)


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


def compute_detection_probability(difference: Array, true_se: Array, half_widths: Array) -> Array:
    """Return the probability (...) that an estimated difference exceeds the half width of its interval.

    Args:
        difference: (...) true difference.
        true_se: (...) true standard error.
        half_widths: (..., Q) equally likely half widths.
    """
    from scipy import special

    divisor = np.maximum(true_se, np.finfo(float).tiny)[..., None]
    return np.asarray(special.ndtr((difference[..., None] - half_widths) / divisor).mean(axis=-1))


def _compute_half_widths(
    seed_sd: ArrayLike,
    subject_sd: ArrayLike,
    residual_sd: ArrayLike,
    seeds: ArrayLike,
    subjects: ArrayLike,
    level: ArrayLike,
    prior_df: ArrayLike,
) -> tuple[Array, Array]:
    """Return the true standard error (...) and equally likely half widths (..., Q).

    Args:
        seed_sd: as in `compute_power`.
        subject_sd: as in `compute_power`.
        residual_sd: as in `compute_power`.
        seeds: as in `compute_power`.
        subjects: as in `compute_power`.
        level: as in `compute_power`.
        prior_df: as in `compute_power`.
    """
    seed_sd, subject_sd, residual_sd, seeds, subjects, level, prior_df = np.broadcast_arrays(
        *(np.asarray(value, float) for value in (seed_sd, subject_sd, residual_sd, seeds, subjects, level, prior_df))
    )
    residual = residual_sd**2 / (seeds * subjects)
    seed_variance = seed_sd**2 / seeds + residual
    subject_variance = subject_sd**2 / subjects
    # With one seed there is no variance between seeds, so the prior adds nothing.
    seed_df, subject_df = np.where(seeds > 1, seeds - 1 + prior_df, 0.0), subjects - 1

    # Probabilities in the middle of intervals of equal probability.
    middles = [(np.arange(number) + 0.5) / number for number in _POINTS]
    has_one_seed = (seeds == 1)[..., None]
    seed_ratios = compute_chi_square_ratios(seed_df[..., None], middles[0])
    by_seed = np.where(has_one_seed, 0.0, seed_variance[..., None] * seed_ratios)
    # With several seeds the residual is subtracted from the subjects' mean square; one seed has no residual.
    mean_square = (subject_variance + residual)[..., None] * compute_chi_square_ratios(
        subject_df[..., None], middles[1]
    )
    by_subject = np.where(has_one_seed, mean_square, np.maximum(mean_square - residual[..., None], 0.0))
    shape = (*seeds.shape, *_POINTS)
    possible = Estimate(
        np.zeros(shape),
        np.broadcast_to(by_seed[..., :, None], shape),
        np.broadcast_to(by_subject[..., None, :], shape),
        seed_df[..., None, None],
        subject_df[..., None, None],
        np.broadcast_to(mean_square[..., None, :], shape),
        residual[..., None, None],
    )
    half_widths = possible.compute_half_width(1 - level[..., None, None])
    return np.asarray(np.sqrt(seed_variance + subject_variance)), half_widths.reshape(*seeds.shape, -1)


def compute_chi_square_ratios(df: Array, probabilities: Array) -> Array:
    """Return quantiles of a mean square over its expectation; `df` and `probabilities` are broadcast."""
    from scipy import special

    positive_df = np.maximum(df, 0.5)
    return np.asarray(2 * special.gammaincinv(positive_df / 2, probabilities) / positive_df)
