"""Power: the number of seeds that decide a difference, and the smallest detectable difference.

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
"""Default probability with which a true difference is declared."""
_POINTS = (48, 6)
"""Numbers of quadrature points over distributions of mean squares: between seeds and between subjects."""
_FEW_POINTS = (16, 3)
"""The same where the true variance between seeds is integrated too."""
_VARIANCE_POINTS = 12
"""Number of quadrature points over possible true variances between seeds."""


def count_seeds_needed(
    estimates: Estimate, seeds: ArrayLike, subjects: ArrayLike, margin: ArrayLike, level: ArrayLike
) -> Array:
    """Return the number of seeds with which a true difference of 0, or of the margin's size, would be decided.

    A difference of 0 is decided if its interval lies above -margin (at half the level), a difference of the margin's
    size if its interval excludes 0. Both have the probability POWER at the number that is returned. The probability is
    averaged over the true variances between seeds that are plausible given the estimated one: the true variance is the
    estimated one times its degrees of freedom over a chi-square. The observed difference is not used, because the
    undecided cells of a family are a selection by it.

    Args:
        estimates: (n,) estimates of differences from at least two seeds.
        seeds: (n,) numbers of seeds of the estimates; from 2.
        subjects: (n,) numbers of test subjects.
        margin: (n,) margins of non-inferiority, above 0.
        level: (n,) levels of the two-sided test; for a family of m cells, the family's level over m.

    Returns:
        (n,) numbers of seeds; NaN if MOST_SEEDS are not enough, so that more subjects are needed.
    """
    from scipy import special

    own_seeds, subjects, margin, level = (
        np.asarray(value, dtype=float)[..., None] for value in (seeds, subjects, margin, level)
    )
    df, subject_variance = estimates.seed_df[..., None], estimates.subject_variance[..., None]
    tails = (np.arange(_VARIANCE_POINTS) + 0.5) / _VARIANCE_POINTS
    # Equally likely true variances of a seed's difference, from the smallest to the largest.
    true_variances = estimates.seed_variance[..., None] * own_seeds * (df / 2) / special.gammainccinv(df / 2, tails)
    prior_df = np.maximum(df - (own_seeds - 1), 0.0)

    def compute_expected_power(number: Array) -> Array:
        half_widths = _compute_half_widths(
            np.sqrt(true_variances), np.sqrt(subject_variance * subjects), 0.0, number[..., None], subjects, level,
            prior_df, points=_FEW_POINTS,
        )  # fmt: skip
        return np.asarray(_compute_probability_declared(margin, *half_widths).mean(axis=-1))

    return _find_seeds(compute_expected_power, own_seeds[..., 0], POWER)


def _find_seeds(compute: Callable[[Array], Array], low: Array, target_power: float) -> Array:
    """Return the smallest whole number above `low` with the target power, by bisection; NaN if there is none.

    Args:
        compute: power at (n,) numbers of seeds.
        low: (n,) largest numbers of seeds that are not considered.
        target_power: power to reach.
    """
    low, high = np.array(low), np.full(np.shape(low), float(MOST_SEEDS))
    is_possible = compute(high) >= target_power
    while (high - low > 1).any():
        middle = np.floor((low + high + 1) / 2)
        is_enough = compute(np.maximum(middle, 2)) >= target_power
        low, high = np.where(is_enough, low, middle), np.where(is_enough, np.minimum(high, middle), high)
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
        prior_df: degrees of freedom that other cells add to the seeds' variance (see moderated_variances.py).
    """
    true_se, half_widths = _compute_half_widths(seed_sd, subject_sd, residual_sd, seeds, subjects, level, prior_df)
    return _compute_probability_declared(np.asarray(difference, dtype=float), true_se, half_widths)


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
    """Return the smallest true difference that is declared with the target power.

    Args:
        seed_sd: as in `compute_power`.
        subject_sd: as in `compute_power`.
        residual_sd: as in `compute_power`.
        seeds: as in `compute_power`.
        subjects: as in `compute_power`.
        level: as in `compute_power`.
        target_power: probability in (0, 1) with which the difference is declared.
        prior_df: as in `compute_power`.
    """
    true_se, half_widths = _compute_half_widths(seed_sd, subject_sd, residual_sd, seeds, subjects, level, prior_df)
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
    prior_df: ArrayLike = 0.0,
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
        prior_df: as in `compute_power`.

    Returns:
        Number of seeds; NaN if not even MOST_SEEDS are enough, so that more subjects are needed.
    """
    arguments = np.broadcast_arrays(
        *(np.asarray(a, float) for a in (difference, seed_sd, subject_sd, residual_sd, subjects, level, prior_df))
    )
    size, seed, subject, residual, columns, alpha, df = arguments

    def compute(number: Array) -> Array:
        return compute_power(size, seed, subject, residual, number, columns, alpha, df)

    return _find_seeds(compute, np.ones(size.shape), target_power)


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


def _compute_half_widths(*arguments: ArrayLike, points: tuple[int, int] = _POINTS) -> tuple[Array, Array]:
    """Return the true standard error (...) and equally likely half widths (..., Q).

    Args:
        arguments: arguments of `compute_power`, without the difference.
        points: numbers of quadrature points over the mean squares between seeds and between subjects.
    """
    from scipy import special

    seed_sd, subject_sd, residual_sd, seeds, subjects, level, prior_df = np.broadcast_arrays(
        *(np.asarray(argument, dtype=float) for argument in arguments)
    )
    residual = residual_sd**2 / (seeds * subjects)
    seed_variance = seed_sd**2 / seeds + residual
    subject_variance = subject_sd**2 / subjects
    # The prior adds degrees of freedom only where a cell has a variance of its own.
    seed_df, subject_df = np.where(seeds > 1, seeds - 1 + prior_df, 0.0), subjects - 1

    def compute_chi_square_ratios(df: Array, number: int) -> Array:
        """Return quantiles of a mean square over its expectation, in the middle of intervals of equal probability."""
        middles = (np.arange(number) + 0.5) / number
        positive_df = np.maximum(df, 0.5)[..., None]
        return np.asarray(2 * special.gammaincinv(positive_df / 2, middles) / positive_df)

    has_one_seed = (seeds == 1)[..., None]
    by_seed = np.where(has_one_seed, 0.0, seed_variance[..., None] * compute_chi_square_ratios(seed_df, points[0]))
    # With several seeds the residual is subtracted from the subjects' mean square; one seed has no residual.
    mean_square = (subject_variance + residual)[..., None] * compute_chi_square_ratios(subject_df, points[1])
    by_subject = np.where(has_one_seed, mean_square, np.maximum(mean_square - residual[..., None], 0.0))
    shape = (*seeds.shape, *points)
    possible = Estimate(
        np.zeros(shape),
        np.broadcast_to(by_seed[..., :, None], shape),
        np.broadcast_to(by_subject[..., None, :], shape),
        seed_df[..., None, None],
        subject_df[..., None, None],
        np.broadcast_to(mean_square[..., None, :], shape),
    )
    half_widths = possible.compute_half_width(1 - level[..., None, None])
    return np.asarray(np.sqrt(seed_variance + subject_variance)), half_widths.reshape(*seeds.shape, -1)
