"""The number of seeds that are likely to decide a cell whose variances are only estimated.

Power (power.py) needs true variances. Three seeds and 30 test subjects estimate them poorly, and where they are
underestimated, too few seeds seem to be enough. The power is therefore averaged over all true variances that are
plausible given the estimated ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.moderated_variances import compute_log_density
from usaggr.statistics.power import (
    POWER,
    compute_chi_square_ratios,
    compute_detection_probability,
    find_seeds,
)
from usaggr.statistics.two_way_anova import Estimate

Array = NDArray[np.float64]

_POINTS = 256
"""Number of points over which the power is averaged."""
_LOG_RATIOS = np.linspace(-7, 9, 321)
"""Grid of logarithms of the ratio of two true variances: between subjects, and of the residual."""
_LOG_WEIGHTS = 2 * _LOG_RATIOS - 3 * np.logaddexp(0, _LOG_RATIOS)
"""Logarithms of the prior weights of the grid. The density of the subjects' share in the sum of both variances is
proportional to the share (a beta distribution with the parameters 2 and 1).

With few subjects the estimated share is often 0 by chance. With a uniform density, only 70 % instead of 80 % of the
cells were decided at the named number (30 subjects, 8 tasks, a true share of .14); with one that is proportional to the
square root of the share, 62 to 75 % (seeds of SD .06)."""


def count_seeds_needed(estimates: Estimate, seeds: ArrayLike, margin: ArrayLike, level: ArrayLike) -> Array:
    """Return the number of seeds needed to show that a true difference of 0 is no loss, or to detect one of the margin.

    A true difference of 0 is shown to be no loss if its interval lies above -margin (at half the level); a difference
    of the margin's size is detected if its interval excludes 0. At the returned number of seeds, each has a probability
    of at least POWER, averaged over the true variances that are plausible given the estimated ones. The observed
    difference is not used, because cells are undecided partly because their observed difference happened to be small.

    Approximations:

    - The prior of the variance between seeds keeps its degrees of freedom, although the other cells would get more
      seeds too. This asks for too many seeds.
    - The variance between seeds and that of the residual are taken to be independent, although the first includes the
      second.
    - The study with more seeds is treated as a new one, although it keeps the finished seeds and the test subjects. Its
      residual mean square is taken to equal its expectation.
    - The margin is taken as known. That of a distance is a fraction of an estimated mean.
    - Power is taken to grow with the number of seeds.
    - The condition of *no loss* on unseen failures is ignored; it depends on test subjects, not on seeds.

    Args:
        estimates: (...) estimates of differences from at least two seeds and two test subjects.
        seeds: current number of seeds, which the estimates are based on; from 2. Broadcast, as are the next two.
        margin: margin of non-inferiority, above 0.
        level: level of the two-sided test; for a family of m cells, the family's level over m.

    Returns:
        (...) numbers of seeds; NaN if MOST_SEEDS of power.py are not enough, so that more subjects are needed.
    """
    shape = np.shape(estimates.value)
    current_seeds, margin, level = (
        np.broadcast_to(np.asarray(value, dtype=float), shape)[..., None] for value in (seeds, margin, level)
    )
    plausible = _find_plausible_variances(estimates, current_seeds)

    def compute_expected_power(number: Array) -> Array:
        true_se, possible = plausible.predict_estimates(number[..., None])
        half_widths = possible.compute_half_width(1 - level)
        return np.asarray(compute_detection_probability(margin, true_se, half_widths[..., None]).mean(axis=-1))

    return find_seeds(compute_expected_power, current_seeds[..., 0], POWER)


@dataclass(frozen=True)
class _PlausibleVariances:
    """True variances, and mean squares of a future study, in arrays (..., P) of equally likely points."""

    by_seed: Array
    """Variance of a seed's mean difference over subjects, including the residual."""
    by_subject: Array
    """Variance of the mean over subjects, without the residual."""
    residual: Array
    """Variance of the residual in a seed's mean."""
    subject_ratios: Array
    """Mean square between subjects of the future study over its expectation."""
    seed_probabilities: Array
    """(P,) probability of a smaller mean square between seeds in the future study."""
    subject_df: Array
    """(..., 1) degrees of freedom between subjects."""
    prior_df: Array
    """(..., 1) degrees of freedom that other cells add to the variance between seeds."""

    def predict_estimates(self, seeds: Array) -> tuple[Array, Estimate]:
        """Return the true standard errors (..., P) of a future study, and its estimates of a difference of 0.

        Args:
            seeds: (..., 1) numbers of seeds.
        """
        seed_df = seeds - 1 + self.prior_df
        residual = self.residual / seeds
        alone = (self.by_subject + residual) * self.subject_ratios
        estimates = Estimate(
            np.zeros(alone.shape),
            self.by_seed / seeds * compute_chi_square_ratios(seed_df, self.seed_probabilities),
            np.maximum(alone - residual, 0.0),
            seed_df,
            self.subject_df,
            alone,
            residual,
        )
        return np.asarray(np.sqrt(self.by_seed / seeds + self.by_subject)), estimates


def _find_plausible_variances(estimates: Estimate, seeds: Array) -> _PlausibleVariances:
    """Return true variances that are plausible given the estimated ones.

    Between seeds they are the estimate x df / chi-square with df degrees of freedom.

    Args:
        estimates: (...) estimates.
        seeds: (..., 1) numbers of seeds of the estimates.
    """
    df, subject_df, by_seed, alone, residual = (
        np.asarray(value, dtype=float)[..., None]
        for value in (
            estimates.seed_df, estimates.subject_df,
            estimates.seed_variance, estimates.subjects_alone, estimates.residual,
        )
    )  # fmt: skip
    points = make_lattice(5, _POINTS)
    subject_variances, residuals = find_subject_variances(alone, residual, seeds, subject_df, points[:2])
    return _PlausibleVariances(
        by_seed * seeds / compute_chi_square_ratios(df, points[2]),
        subject_variances,
        residuals * seeds,
        compute_chi_square_ratios(subject_df, points[3]),
        points[4],
        subject_df,
        np.maximum(df - (seeds - 1), 0.0),
    )


def find_subject_variances(
    alone: Array, residual: Array, seeds: Array, subject_df: Array, points: Array
) -> tuple[Array, Array]:
    """Return true variances between subjects, and of the residual, from their posterior given the two mean squares.

    Prior: the ratio of both variances has the weights `_LOG_WEIGHTS`, independent of their sum, whose logarithm is
    uniform. Likelihood: the ratio of the mean squares over 1 + seeds x ratio has an F distribution.

    Args:
        alone: (..., 1) MS_subjects / (K C), as `Estimate.subjects_alone`.
        residual: (..., 1) MS_residual / (K C).
        seeds: (..., 1) numbers of seeds K.
        subject_df: (..., 1) degrees of freedom between subjects.
        points: (2, P) points of the unit square.

    Returns:
        (..., P) variances of the mean over seeds and subjects.
    """
    alone = np.maximum(alone, np.finfo(float).tiny)
    # The smallest residual for which the grid has a ratio.
    residual = np.maximum(residual, alone / (1 + seeds * np.exp(_LOG_RATIOS[-1])))
    residual_df = subject_df * (seeds - 1)
    # Logarithms of the ratios of the two expected mean squares: (..., grid).
    log_expected = np.log1p(seeds * np.exp(_LOG_RATIOS))
    log_weights = compute_log_density(np.log(alone) - np.log(residual) - log_expected, subject_df, residual_df)
    log_weights += _LOG_WEIGHTS
    cumulative = np.exp(log_weights - log_weights.max(axis=-1, keepdims=True)).cumsum(axis=-1)
    cumulative /= cumulative[..., -1:]
    # The point of the grid at which the cumulated weight reaches the probability; its weight is spread over one step.
    positions = (cumulative[..., None, :] < points[0][:, None]).sum(axis=-1)
    reached = np.take_along_axis(cumulative, positions, axis=-1)
    weight = np.take_along_axis(np.diff(cumulative, prepend=0.0), positions, axis=-1)
    step = _LOG_RATIOS[1] - _LOG_RATIOS[0]
    log_ratio = _LOG_RATIOS[positions] + step * (0.5 - (reached - points[0]) / weight)
    expected = 1 + seeds * np.exp(log_ratio)
    df = subject_df + residual_df
    # Given the ratio, both mean squares estimate the residual's variance.
    pooled = (subject_df * alone / expected + residual_df * residual) / df
    residuals = pooled / compute_chi_square_ratios(df, points[1])
    return np.asarray((expected - 1) * residuals), np.asarray(residuals)


def make_lattice(dimensions: int, number: int) -> Array:
    """Return points (dimensions, number) that fill the unit cube evenly: an additive recurrence.

    Its steps are powers of 1 / x, where x^(dimensions + 1) = x + 1. For one dimension x is the golden ratio.
    """
    root = 1.0
    for _ in range(60):  # fixed-point iteration; converges to a double's precision
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    return np.asarray((0.5 + steps[:, None] * np.arange(1, number + 1)) % 1)
