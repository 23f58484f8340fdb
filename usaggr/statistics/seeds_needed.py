"""The number of seeds that are likely to decide a cell whose variances are only estimated.

Power (power.py) needs true variances. Three seeds and 30 test subjects estimate them poorly, and where they are
underestimated, too few seeds seem to be enough. The power is therefore averaged over all true variances that are
plausible given the estimated ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.moderated_variances import compute_log_f_density
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
_RATIOS = np.exp(np.linspace(-5, 8, 131))
"""Grid of possible ratios of the true variances between subjects and of the residual, equally spaced in logarithms."""
_RATIO_WEIGHTS = _RATIOS**1.5 / (1 + _RATIOS) ** 2.5
"""Weights of the grid before any variance is estimated: the density of the subjects' share in the sum grows with its
square root.

A share of 0 has no weight, because any two models differ more on some subjects than on others. With few subjects the
estimated share is nevertheless often 0 by chance. If all shares had equal density, only 70 % instead of 80 % of the
cells with 30 subjects and 8 tasks would be decided at the named number (simulated as in docs/seeds_needed.md)."""
_LEAST_RESIDUAL = 1e-3
"""Smallest residual mean square, as a fraction of the mean square between subjects."""


def count_seeds_needed(estimates: Estimate, seeds: ArrayLike, margin: ArrayLike, level: ArrayLike) -> Array:
    """Return the number of seeds needed to show that a true difference of 0 is no loss, or to detect one of the margin.

    A true difference of 0 is shown to be no loss if its interval lies above -margin (at half the level); a difference
    of the margin's size is detected if its interval excludes 0. At the returned number of seeds, each has a probability
    of at least POWER, averaged over the true variances that are plausible given the estimated ones. The observed
    difference is not used, because cells are undecided partly because their observed difference happened to be small.

    Approximations:

    - The prior of the variance between seeds keeps its degrees of freedom, although the other cells would get more
      seeds too. This asks for too many seeds.
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
        true_se, possible = plausible.draw_estimates(number[..., None])
        half_widths = possible.compute_half_width(1 - level)
        return np.asarray(compute_detection_probability(margin, true_se, half_widths[..., None]).mean(axis=-1))

    return find_seeds(compute_expected_power, current_seeds[..., 0], POWER)


@dataclass(frozen=True)
class _PlausibleVariances:
    """True variances, in arrays (..., P) of points that are equally likely given the estimated ones."""

    by_seed: Array
    """Of a seed's mean difference over subjects, including the residual."""
    by_subject: Array
    """Of the mean over subjects, without the residual."""
    residual: Array
    """Of the residual in a seed's mean."""
    prior_df: Array
    """(..., 1) degrees of freedom that other cells add to the variance between seeds."""
    subject_df: Array
    """(..., 1) degrees of freedom between subjects."""
    probabilities: Array
    """(2, P) probabilities of the future mean squares between seeds and between subjects."""

    def draw_estimates(self, seeds: Array) -> tuple[Array, Estimate]:
        """Return the true standard errors (..., P) of studies with more seeds, and estimates of a difference of 0.

        Args:
            seeds: (..., 1) numbers of seeds.
        """
        seed_df = seeds - 1 + self.prior_df
        residual = self.residual / seeds
        alone = (self.by_subject + residual) * compute_chi_square_ratios(self.subject_df, self.probabilities[1])
        estimates = Estimate(
            np.zeros(alone.shape),
            self.by_seed / seeds * compute_chi_square_ratios(seed_df, self.probabilities[0]),
            np.maximum(alone - residual, 0.0),
            seed_df,
            self.subject_df,
            alone,
        )
        return np.asarray(np.sqrt(self.by_seed / seeds + self.by_subject)), estimates


def _find_plausible_variances(estimates: Estimate, seeds: Array) -> _PlausibleVariances:
    """Return true variances that are plausible given the estimated ones.

    Between seeds they are estimate x df / chi-square with df degrees of freedom. They are taken to be independent of
    the residual's variance, although they include it.

    Args:
        estimates: (...) estimates.
        seeds: (..., 1) numbers of seeds of the estimates.
    """
    df, subject_df, by_seed, alone, by_subject = (
        np.asarray(value, dtype=float)[..., None]
        for value in (
            estimates.seed_df, estimates.subject_df,
            estimates.seed_variance, estimates.subjects_alone, estimates.subject_variance,
        )
    )  # fmt: skip
    points = make_lattice(5, _POINTS)
    subject_variances, residuals = draw_subject_variances(alone, alone - by_subject, seeds, subject_df, points[:2])
    return _PlausibleVariances(
        by_seed * seeds / compute_chi_square_ratios(df, points[2]),
        subject_variances,
        residuals * seeds,
        np.maximum(df - (seeds - 1), 0.0),
        subject_df,
        points[3:],
    )


def draw_subject_variances(
    alone: Array, residual: Array, seeds: Array, subject_df: Array, points: Array
) -> tuple[Array, Array]:
    """Return true variances between subjects, and of the residual, from their posterior given the two mean squares.

    Before, the ratio of the two variances has the weights `_RATIO_WEIGHTS`, and the logarithm of their sum is uniform.
    The likelihood of the ratio is an F distribution.

    Args:
        alone: (..., 1) mean square between subjects over the number of values.
        residual: (..., 1) residual mean square over the same number.
        seeds: (..., 1) numbers of seeds.
        subject_df: (..., 1) degrees of freedom between subjects.
        points: (2, P) points of the unit square.

    Returns:
        (..., P) variances of the mean over seeds and subjects.
    """
    residual = np.maximum(residual, np.maximum(_LEAST_RESIDUAL * alone, np.finfo(float).tiny))
    residual_df = subject_df * (seeds - 1)
    # Ratios of the expectations of the two mean squares: (..., grid).
    expected = 1 + seeds * _RATIOS
    with np.errstate(divide="ignore"):  # a mean square of 0
        log_weights = compute_log_f_density(np.log(alone / residual / expected), subject_df, residual_df)
    weights = np.exp(log_weights - log_weights.max(axis=-1, keepdims=True)) * _RATIO_WEIGHTS
    cumulative = weights.cumsum(axis=-1)
    positions = (cumulative[..., None, :] < points[0][:, None] * cumulative[..., None, -1:]).sum(axis=-1)
    expected = np.take_along_axis(expected, positions, axis=-1)
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
