"""How unlike groups of tasks are: the spread of their true means, with an interval, and the difference of two spreads.

Groups are fixed, as tasks are. What the observed means differ by is in part chance, so that their standard deviation
is too large: the variance of chance, known from the joint table of all groups, is taken off.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usaggr.statistics.two_way_anova import estimate

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Standard deviation (divisor groups - 1) of the true means of groups; bounds NaN where nothing is known."""

    groups: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class _Chance:
    """What the sum of squared deviations of the observed means consists of."""

    observed: float
    seeds: float
    """Expected part of chance by seed."""
    subjects: float
    like: float
    """How many independent contrasts of equal variance vary by chance as these do: in [1, groups - 1]."""
    seed_df: float
    subject_df: float

    @property
    def expected(self) -> float:
        return self.seeds + self.subjects

    @property
    def true(self) -> float:
        """Sum of squared deviations of the true means; not below 0."""
        return max(self.observed - self.expected, 0.0)


def spread(tables: Array, confidence: float) -> Spread:
    """Spread of the means of groups, with an interval.

    Observed squares over those expected of chance follow, nearly, a noncentral F distribution, whose noncentrality is
    the sum of squared true deviations; the interval is all noncentralities that the ratio does not refute (Steiger,
    Psychol Methods 2004). Its degrees of freedom match the first two moments where groups vary unlike (Satterthwaite,
    as Box, Ann Math Stat 1954), and the two sources' are mixed as in crossed.py. The more the groups differ beyond
    chance, the more the bounds are instead those of the spread as a linear combination of the means, along the
    direction in which they differ (delta method). Simulated coverage of a nominal 95 % is 92 to 100 %, with 2 to 8
    groups, 2 to 5 seeds, like and unlike groups (tests/statistics/test_group_spread.py).

    Args:
        tables: (G, K, C) of each group's mean, over the same seeds and components (joint.py); G at least 2.
        confidence: in (0, 1).

    Raises:
        ValueError: under two groups.
    """
    values = np.asarray(tables, dtype=float)
    groups = values.shape[0]
    if groups < 2:
        raise ValueError("a spread needs two groups")
    contrasts = np.einsum("ij,jkc->ikc", _helmert(groups), values)
    chance = _chance(contrasts)
    size = np.sqrt(groups - 1.0)
    value = np.sqrt(chance.true) / size
    if not chance.expected > _ROUNDING * (1 + chance.observed):
        return Spread(groups, float(value), float("nan"), float("nan"))
    low, high = _noncentral(chance, confidence)
    direction = contrasts.mean(axis=(1, 2))
    along = estimate(np.einsum("i,ikc->kc", direction / np.linalg.norm(direction), contrasts))
    half = float(along.critical(confidence) * along.se)
    weight, root = chance.true / (chance.true + chance.expected), np.sqrt(chance.true)
    # A spread that chance explains keeps its lower bound of 0.
    lower = (1 - weight) * low + weight * max(root - half, 0.0) if low > 0 else 0.0
    upper = (1 - weight) * high + weight * (root + half)
    return Spread(groups, float(value), float(lower / size), float(upper / size))


def spread_difference(first: Array, second: Array, confidence: float) -> tuple[float, float, float]:
    """The first spread minus the second, and the bounds of its interval, from the bounds of each.

    As Zou and Donner (Stat Med 2008), who recover variances from the distances of the bounds. How the two spreads are
    correlated (they share the reference's runs, seeds and components) is that of their linear combinations; where
    either spread may be 0 it has no direction, and no correlation is assumed. Simulated coverage of a nominal 95 % is
    92 to 100 %, with 3 and 8 groups, 2 to 5 seeds, and a reference that both share.

    Args:
        first: (G, K, C) as for `spread`.
        second: (G, K, C) of the same groups, seeds and components.
        confidence: in (0, 1).
    """
    one, other = spread(first, confidence), spread(second, confidence)
    rho = _correlation(first, second) if one.low > 0 and other.low > 0 else 0.0
    down = one.value - one.low, other.high - other.value
    up = one.high - one.value, other.value - other.low
    difference = one.value - other.value
    return difference, difference - _recovered(*down, rho), difference + _recovered(*up, rho)


def _recovered(first: float, second: float, rho: float) -> float:
    return float(np.sqrt(max(first**2 + second**2 - 2 * rho * first * second, 0.0)))


def _correlation(first: Array, second: Array) -> float:
    """Of the two spreads, each as the linear combination of its groups' means along their deviations."""
    lines = []
    for tables in (first, second):
        means = tables.mean(axis=(1, 2))
        away = means - means.mean()
        lines.append(np.einsum("g,gkc->kc", away / np.linalg.norm(away), tables))
    own = [float(estimate(line).se) ** 2 for line in lines]
    both = float(estimate(lines[0] + lines[1]).se) ** 2
    if not min(own) > 0:
        return 0.0
    return float(np.clip((both - sum(own)) / (2 * np.sqrt(own[0] * own[1])), -1.0, 1.0))


def _helmert(groups: int) -> Array:
    """(G - 1, G) orthonormal contrasts: squares of them sum to those of the deviations from the mean."""
    contrasts = np.zeros((groups - 1, groups))
    for i in range(1, groups):
        contrasts[i - 1, :i], contrasts[i - 1, i] = 1.0, -i
        contrasts[i - 1] /= np.sqrt(i * (i + 1.0))
    return contrasts


def _chance(contrasts: Array) -> _Chance:
    """From tables of contrasts (G - 1, K, C): their covariance by seed and by subject, as mean squares."""
    number, seeds, subjects = contrasts.shape
    means = contrasts.mean(axis=(1, 2))
    by_seed = contrasts.mean(axis=2) - means[:, None]
    by_subject = contrasts.mean(axis=1) - means[:, None]
    of_seeds, of_subjects = np.zeros((number, number)), np.zeros((number, number))
    if seeds > 1:
        of_seeds = by_seed @ by_seed.T / (seeds * (seeds - 1))
    if subjects > 1:
        of_subjects = by_subject @ by_subject.T / (subjects * (subjects - 1))
    if seeds > 1 and subjects > 1:
        rest = contrasts - means[:, None, None] - by_seed[:, :, None] - by_subject[:, None, :]
        rest = rest.reshape(number, -1)
        of_subjects = of_subjects - rest @ rest.T / (seeds * subjects * (seeds - 1) * (subjects - 1))
        roots, vectors = np.linalg.eigh(of_subjects)
        of_subjects = (vectors * np.maximum(roots, 0.0)) @ vectors.T
    seed, subject = float(np.trace(of_seeds)), float(np.trace(of_subjects))
    seed_square = _squared_trace(of_seeds, seeds - 1)
    squares = seed_square + 2 * float((of_seeds * of_subjects).sum()) + float((of_subjects**2).sum())
    like = float(np.clip((seed + subject) ** 2 / squares, 1.0, number)) if squares > 0 else 1.0
    seed_df = (seeds - 1) * seed**2 / seed_square if seed_square > 0 else 1.0
    return _Chance(float(means @ means), seed, subject, like, seed_df, max(subjects - 1.0, 1.0))


def _squared_trace(covariance: Array, df: int) -> float:
    """Trace of the square of a true covariance, from an estimate with few degrees of freedom, whose own is too large.

    Unbiased under normality (moments of the Wishart distribution), within what is possible; with one degree of freedom
    nothing is known of it, and it is taken as large as it can be.
    """
    trace = float(np.trace(covariance)) ** 2
    if df < 2:
        return trace
    raw = df**2 / ((df - 1.0) * (df + 2.0)) * (float((covariance**2).sum()) - trace / df)
    return float(min(max(raw, trace / covariance.shape[0]), trace))


def _noncentral(chance: _Chance, confidence: float) -> tuple[float, float]:
    """Bounds of the root of the sum of squared true deviations."""
    from scipy import special

    share, scale = chance.seeds / chance.expected, chance.expected / chance.like
    seed_df, subject_df = (min(max(df, 1.0), _LARGE) for df in (chance.seed_df, chance.subject_df))

    def below(true: float, ratio: float) -> float:
        by = [special.ncfdtr(chance.like, df, true / scale, ratio) for df in (seed_df, subject_df)]
        return float(share * by[0] + (1 - share) * by[1])

    ratio, tail = chance.observed / chance.expected, (1 - confidence) / 2
    # Means more alike than chance makes them do not prove a spread of 0.
    typical = float(special.fdtri(chance.like, seed_df if share > 0.5 else subject_df, 0.5))
    bounds = []
    for level, at in ((1 - tail, ratio), (tail, max(ratio, typical))):
        low, high = 0.0, chance.observed + chance.expected
        if below(0.0, at) <= level:
            high = 0.0
        while high > 0 and below(high, at) > level:
            low, high = high, 2 * high
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if below(middle, at) > level else (low, middle)
        bounds.append(float(np.sqrt(high)))
    return bounds[0], bounds[1]


_ROUNDING = 1e-24
"""A variance so small, beside the squares, comes of rounding: nothing varies."""
_LARGE = 1e4
"""Degrees of freedom that are as good as infinite."""
