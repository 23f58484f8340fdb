"""Standard deviation (SD) of the true means of groups of tasks, with an interval.

An SD of 0 means that all groups have the same mean. Groups are fixed effects, as tasks are: the interval is for
these groups. The observed means also differ by chance, that is, between seeds and between test subjects, so that their
standard deviation is too large. The variance by chance is estimated from the joint table of all groups and subtracted.
Subjects are the components of the joint tables: samples of one patient or video.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.statistics.two_way_anova import estimate

Array = NDArray[np.float64]

_ROUNDING = 1e-24
"""Sum of squares by chance, relative to 1 + the observed one, up to which it is a rounding error of 0."""
_MAX_DF = 1e4
"""Degrees of freedom that replace infinite ones, which scipy's function does not accept."""
_BISECTIONS = 50
"""Halvings of a range that contains a bound of the interval; the error is 2^-50 of the range."""


@dataclass(frozen=True)
class GroupSd:
    """Standard deviation (divisor groups - 1) of the true means of groups, with an interval."""

    groups: int
    """Number of groups."""
    value: float
    low: float
    """Lower bound; NaN if nothing varies between seeds or subjects, so that chance cannot be estimated."""
    high: float
    """Upper bound; NaN as for `low`."""


@dataclass(frozen=True)
class _SumOfSquares:
    """Sum of squared deviations of the observed means from their mean, and how much of it is due to chance."""

    observed: float
    by_seeds: float
    """Expected sum of squares from differences between seeds."""
    by_subjects: float
    """Expected sum of squares from differences between subjects."""
    effective_contrasts: float
    """Degrees of freedom of the sum by chance, in [1, groups - 1]; below groups - 1 if groups vary unequally."""
    seed_df: float
    """Degrees of freedom of the estimate `by_seeds`."""
    subject_df: float
    """Degrees of freedom of the estimate `by_subjects`."""

    @property
    def by_chance(self) -> float:
        """Expected sum of squared deviations if all true means were equal."""
        return self.by_seeds + self.by_subjects

    @property
    def beyond_chance(self) -> float:
        """Estimated sum of squared deviations of the true means, at least 0."""
        return max(self.observed - self.by_chance, 0.0)


def estimate_group_sd(tables: Array, confidence: float) -> GroupSd:
    """Estimate the SD of the true means of groups, with an interval.

    The interval is a weighted mean of two intervals. The second one has the greater weight, the more the groups differ
    beyond chance.

    1. Noncentral F. The ratio of the observed sum of squares to the sum expected by chance approximately follows a
       noncentral F distribution. Its noncentrality is proportional to the sum of squared true deviations. The interval
       contains all noncentralities that the observed ratio does not reject (Steiger, Psychol Methods 2004). The degrees
       of freedom match the first two moments if groups vary unequally (Satterthwaite, as in Box, Ann Math Stat 1954).
       Seeds and subjects have their own degrees of freedom; they are combined as in two_way_anova.py.
    2. Delta method. Near the observed means, the SD is a linear combination of the means, along the direction in
       which they differ. Its interval is that of two_way_anova.py.

    Simulated coverage of a nominal 95 % is 92 to 100 %, with 2 to 8 groups, 2 to 5 seeds, equal and unequal variances
    (tests/statistics/test_group_sd.py).

    Args:
        tables: (G groups, K seeds, C subjects) joint tables of the groups' means (joint_tables.py); G at least 2.
        confidence: confidence of the interval, in (0, 1).

    Raises:
        ValueError: there are fewer than two groups.
    """
    values = np.asarray(tables, dtype=float)
    groups = values.shape[0]
    if groups < 2:
        raise ValueError("a standard deviation needs two groups")
    contrasts = np.einsum("ij,jkc->ikc", _make_helmert_contrasts(groups), values)
    squares = _estimate_squares(contrasts)
    # The SD is the root of a sum of squares over this divisor; bounds are computed for the root alone.
    divisor = np.sqrt(groups - 1.0)
    root = np.sqrt(squares.beyond_chance)
    value = root / divisor
    if not squares.by_chance > _ROUNDING * (1 + squares.observed):
        return GroupSd(groups, float(value), float("nan"), float("nan"))
    low, high = _compute_noncentral_interval(squares, confidence)
    direction = contrasts.mean(axis=(1, 2))
    combination = estimate(np.einsum("i,ikc->kc", direction / np.linalg.norm(direction), contrasts))
    half_width = float(combination.compute_half_width(confidence))
    # Weight of the delta method: 0 if chance explains all differences between groups, near 1 if it explains none.
    delta_weight = squares.beyond_chance / (squares.beyond_chance + squares.by_chance)
    # A noncentral interval that contains 0 keeps its lower bound: chance may explain all differences.
    lower = (1 - delta_weight) * low + delta_weight * max(root - half_width, 0.0) if low > 0 else 0.0
    upper = (1 - delta_weight) * high + delta_weight * (root + half_width)
    return GroupSd(groups, float(value), float(lower / divisor), float(upper / divisor))


def estimate_group_sd_difference(first: Array, second: Array, confidence: float) -> tuple[float, float, float]:
    """Return the first SD between groups minus the second, and the lower and upper bound of its interval.

    The method (MOVER) recovers variances from the distances between an SD and its bounds (Zou and Donner, Stat Med
    2008). The two SDs are correlated, because they share the reference's runs, seeds and subjects. The correlation of
    their linear combinations (delta method, see `estimate_group_sd`) is used. If either SD may be 0, it has no
    direction, and no correlation is assumed. Simulated coverage of a nominal 95 % is 92 to 100 %, with 3 and 8 groups,
    2 to 5 seeds, and a reference that both share.

    Args:
        first: (G, K, C) joint tables as for `estimate_group_sd`.
        second: (G, K, C) joint tables of the same groups, seeds and subjects.
        confidence: confidence of the interval, in (0, 1).
    """
    a, b = estimate_group_sd(first, confidence), estimate_group_sd(second, confidence)
    rho = _estimate_correlation(first, second) if a.low > 0 and b.low > 0 else 0.0
    # The difference is smallest if the first SD is at its lower bound and the second one at its upper bound.
    lower_distance = _combine_distances(a.value - a.low, b.high - b.value, rho)
    upper_distance = _combine_distances(a.high - a.value, b.value - b.low, rho)
    difference = a.value - b.value
    return difference, difference - lower_distance, difference + upper_distance


def _combine_distances(first: float, second: float, rho: float) -> float:
    """Return the distance between a difference and its bound; distances combine as standard errors do.

    Args:
        first: distance between the first term of the difference and its bound.
        second: distance between the second term and its bound.
        rho: correlation of the terms.
    """
    return float(np.sqrt(max(first**2 + second**2 - 2 * rho * first * second, 0.0)))


def _estimate_correlation(first: Array, second: Array) -> float:
    """Return the correlation of two SDs between groups, in [-1, 1].

    Each SD is treated as a linear combination of group means, with weights proportional to their deviations.
    """
    combinations = []
    for tables in (first, second):
        means = tables.mean(axis=(1, 2))
        deviations = means - means.mean()
        combinations.append(np.einsum("g,gkc->kc", deviations / np.linalg.norm(deviations), tables))
    variances = [float(estimate(combination).se) ** 2 for combination in combinations]
    variance_of_sum = float(estimate(combinations[0] + combinations[1]).se) ** 2
    if not min(variances) > 0:
        return 0.0
    # Var(a + b) = Var(a) + Var(b) + 2 rho sd(a) sd(b), solved for rho.
    denominator = 2 * np.sqrt(variances[0] * variances[1])
    return float(np.clip((variance_of_sum - sum(variances)) / denominator, -1.0, 1.0))


def _make_helmert_contrasts(groups: int) -> Array:
    """Return (G - 1, G) orthonormal contrasts; the squared contrasts of G means sum to their squared deviations."""
    contrasts = np.zeros((groups - 1, groups))
    for i in range(1, groups):
        contrasts[i - 1, :i], contrasts[i - 1, i] = 1.0, -i
        contrasts[i - 1] /= np.sqrt(i * (i + 1.0))
    return contrasts


def _estimate_squares(contrasts: Array) -> _SumOfSquares:
    """Estimate the sum of squares and its part by chance from tables of contrasts (G - 1, K seeds, C subjects).

    The part by chance is the trace of the covariance of the contrasts' means, from a two-way analysis of variance.
    """
    number, seeds, subjects = contrasts.shape
    means = contrasts.mean(axis=(1, 2))
    seed_effects = contrasts.mean(axis=2) - means[:, None]
    subject_effects = contrasts.mean(axis=1) - means[:, None]
    seed_covariance, subject_covariance = np.zeros((number, number)), np.zeros((number, number))
    if seeds > 1:
        seed_covariance = seed_effects @ seed_effects.T / (seeds * (seeds - 1))
    if subjects > 1:
        subject_covariance = subject_effects @ subject_effects.T / (subjects * (subjects - 1))
    if seeds > 1 and subjects > 1:
        # Both covariances contain the residual variance, which must count once; it is subtracted from one of them.
        residuals = contrasts - means[:, None, None] - seed_effects[:, :, None] - subject_effects[:, None, :]
        residuals = residuals.reshape(number, -1)
        divisor = seeds * subjects * (seeds - 1) * (subjects - 1)
        subject_covariance = subject_covariance - residuals @ residuals.T / divisor
        # The difference of two estimates may have negative eigenvalues, which no covariance has.
        eigenvalues, vectors = np.linalg.eigh(subject_covariance)
        subject_covariance = (vectors * np.maximum(eigenvalues, 0.0)) @ vectors.T
    by_seeds, by_subjects = float(np.trace(seed_covariance)), float(np.trace(subject_covariance))
    # Satterthwaite: a sum of squares with covariance S has tr(S)^2 / tr(S^2) degrees of freedom. S is the sum of both
    # covariances, so tr(S^2) has three terms. Only that of the few seeds needs a correction of its bias.
    seed_square = _estimate_trace_of_square(seed_covariance, seeds - 1)
    mixed_square = 2 * float((seed_covariance * subject_covariance).sum())
    total_square = seed_square + mixed_square + float((subject_covariance**2).sum())
    effective = float(np.clip((by_seeds + by_subjects) ** 2 / total_square, 1.0, number)) if total_square > 0 else 1.0
    seed_df = (seeds - 1) * by_seeds**2 / seed_square if seed_square > 0 else 1.0
    return _SumOfSquares(float(means @ means), by_seeds, by_subjects, effective, seed_df, max(subjects - 1.0, 1.0))


def _estimate_trace_of_square(covariance: Array, df: int) -> float:
    """Return an estimate of tr(S^2) for a true covariance S, from an estimate of S with few degrees of freedom.

    Args:
        covariance: (n, n) estimate of S; the trace of its own square would be too large.
        df: its degrees of freedom.

    Returns:
        An estimate that is unbiased under normality (moments of the Wishart distribution), limited to the range
        tr(S)^2 / n to tr(S)^2. With one degree of freedom or none: the upper limit.
    """
    squared_trace = float(np.trace(covariance)) ** 2
    if df < 2:
        return squared_trace
    unbiased = df**2 / ((df - 1.0) * (df + 2.0)) * (float((covariance**2).sum()) - squared_trace / df)
    return float(min(max(unbiased, squared_trace / covariance.shape[0]), squared_trace))


def _compute_noncentral_interval(squares: _SumOfSquares, confidence: float) -> tuple[float, float]:
    """Return the bounds of the root of the sum of squared true deviations: step 1 of `estimate_group_sd`."""
    from scipy import special

    seed_share = squares.by_seeds / squares.by_chance
    variance = squares.by_chance / squares.effective_contrasts
    seed_df, subject_df = (min(max(df, 1.0), _MAX_DF) for df in (squares.seed_df, squares.subject_df))

    def compute_probability(true_squares: float, ratio: float) -> float:
        """Return the probability of at most this ratio, if the true deviations have this sum of squares."""
        seed_probability, subject_probability = (
            special.ncfdtr(squares.effective_contrasts, df, true_squares / variance, ratio)
            for df in (seed_df, subject_df)
        )
        return float(seed_share * seed_probability + (1 - seed_share) * subject_probability)

    observed_ratio, tail = squares.observed / squares.by_chance, (1 - confidence) / 2
    # Means that are more alike than expected by chance do not prove an SD near 0. The upper bound therefore uses at
    # least the median of the ratio under an SD of 0.
    main_df = seed_df if seed_share > 0.5 else subject_df
    median_ratio = float(special.fdtri(squares.effective_contrasts, main_df, 0.5))

    def find_bound(probability: float, ratio: float) -> float:
        """Return the root of the true sum of squares at which the ratio has this probability; 0 if there is none."""
        # The probability of at most this ratio falls as the true sum of squares rises.
        if compute_probability(0.0, ratio) <= probability:
            return 0.0
        low, high = 0.0, squares.observed + squares.by_chance
        while compute_probability(high, ratio) > probability:
            low, high = high, 2 * high
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if compute_probability(middle, ratio) > probability else (low, middle)
        return float(np.sqrt(high))

    return find_bound(1 - tail, observed_ratio), find_bound(tail, max(observed_ratio, median_ratio))
