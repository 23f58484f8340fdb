"""Trend of a difference over the number of training samples: slope per tenfold samples, and crossing with zero.

A least-squares line is a linear combination of the differences, with weights that depend on the sizes alone. Its slope
therefore has a joint table of seeds x components (joint_tables.py) and an interval (two_way_anova.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.two_way_anova import estimate

Array = NDArray[np.float64]

LEAST_SPAN = 1.5
"""Smallest ratio of the largest to the smallest size of a task that allows a slope."""
NEAR = 2.0
"""Factor beyond the smallest and largest size of a task within which its line is trusted."""
_MOST_DECADES = 20.0
"""Powers of ten from the center beyond which a crossing is clipped, because a flat line would overflow."""
ROUNDING = 1e-12
"""Standard error, relative to the value, below which it is rounding error and nothing varies."""


@dataclass(frozen=True)
class Crossing:
    """Number of training samples at which the line of a difference crosses zero."""

    size: float | None
    """Number of training samples; None if the data do not allow an estimate."""
    low: float | None = None
    """Lower bound of Fieller's interval, at least one sample; None without a crossing."""
    high: float | None = None
    """Upper bound; None without a crossing."""
    reason: str = ""
    """Reason why there is no crossing; empty otherwise."""


@dataclass(frozen=True)
class SignChange:
    """A scale at which a difference is certainly above 0, and one at which it is certainly below 0."""

    better: float | int
    """Scale with a positive difference."""
    worse: float | int
    """Scale with a negative difference."""


@dataclass(frozen=True)
class Association:
    """Association of two quantities over tasks or groups of tasks, which are treated as a random sample."""

    points: int
    rho: float
    """Spearman's rank correlation; NaN with fewer than 4 points, or if one quantity does not vary."""
    p: float
    """P value of the rank correlation."""
    slope: float
    """Least-squares slope, with the bounds `low` and `high`."""
    low: float
    high: float


def has_enough_span(sizes: ArrayLike) -> bool:
    """Return whether the largest and smallest of sizes (n,), in samples, differ enough for a slope."""
    size = np.asarray(sizes, dtype=float)
    return bool(size.size > 1 and size.max() >= LEAST_SPAN * size.min())


def compute_slope_weights(sizes: ArrayLike) -> Array:
    """Return (n,) weights of the differences at these sizes; the weighted sum is the slope per tenfold size."""
    x = np.log10(np.asarray(sizes, dtype=float))
    deviations = x - x.mean()
    return np.asarray(deviations / (deviations**2).sum())


def compute_level_weights(sizes: ArrayLike, size: float) -> Array:
    """Return (n,) weights of the differences at these sizes; the weighted sum is the line's height at `size`."""
    x = np.log10(np.asarray(sizes, dtype=float))
    return np.asarray(1 / x.size + (np.log10(size) - x.mean()) * compute_slope_weights(sizes))


def fieller(
    height: float, slope: float, covariance: tuple[float, float, float], critical: float
) -> tuple[float, float] | None:
    """Return the confidence set of the zero of height + slope x (Fieller, J R Stat Soc B 1954).

    Args:
        height: height of the line at x = 0.
        slope: slope of the line.
        covariance: var(height), cov(height, slope), var(slope).
        critical: number of standard errors of the interval's half width.

    Returns:
        Lower and upper bound; None if the set is not an interval.
    """
    var_height, cov_height_slope, var_slope = covariance
    square = critical**2
    a = slope**2 - square * var_slope
    b = height * slope - square * cov_height_slope
    c = height**2 - square * var_height
    discriminant = b**2 - a * c
    if a <= 0 or discriminant < 0:
        return None
    ends = (-b + np.array([-1.0, 1.0]) * np.sqrt(discriminant)) / a
    return float(ends[0]), float(ends[1])


def estimate_crossing(height: Array, slope: Array, center: float, ranges: Sequence[tuple[float, float]],
             confidence: float) -> Crossing:  # fmt: skip
    """Estimate where the line of a difference against log10 of the size is zero, if the data allow it.

    Two conditions must hold: the slope's interval excludes 0, and at least half of the tasks were trained at sizes
    within a factor NEAR of the crossing.

    Args:
        height: (K seeds, C components) joint table of the line's height at the size `center`.
        slope: (K, C) joint table of its slope per tenfold size, with the same seeds and components.
        center: a size, preferably in the middle of the observed ones.
        ranges: smallest and largest size of each task.
        confidence: confidence of the interval, in (0, 1).
    """
    level, rise, total = estimate(height), estimate(slope), estimate(height + slope)
    a, b = float(level.value), float(rise.value)
    low, high = (float(bound) for bound in rise.compute_interval(confidence))
    if not float(rise.se) > ROUNDING * (1 + abs(b)):
        return Crossing(None, reason="seeds and test subjects do not differ, so that the slope has no interval")
    if not (low > 0 or high < 0):
        return Crossing(None, reason="the slope is not certain: its interval includes 0")
    size = _compute_size(center, -a / b)
    near = sum(smallest / NEAR <= size <= largest * NEAR for smallest, largest in ranges)
    if 2 * near < len(ranges):
        return Crossing(None, reason=_explain_extrapolation(size, near, ranges))
    # var(height + slope) = var(height) + var(slope) + 2 cov(height, slope)
    variances = [float(term.se) ** 2 for term in (level, total, rise)]
    covariance = (variances[1] - variances[0] - variances[2]) / 2
    critical = float(estimate(height - (a / b) * slope).compute_critical_value(confidence))
    ends = fieller(a, b, (variances[0], covariance, variances[2]), critical)
    if ends is None:
        return Crossing(None, reason="the slope is too uncertain: the interval of the crossing is unbounded")
    low_end, high_end = (_compute_size(center, end) for end in ends)
    return Crossing(size, max(low_end, 1.0), high_end)


def find_sign_change(intervals: Mapping[float | int, Sequence[tuple[float, float]]]) -> SignChange | None:
    """Return a change of sign over scales, if intervals show one: no monotone transformation of a score removes it.

    This is the range test of Piantadosi and Gail (Stat Med 1993) for a qualitative interaction. A scale counts only if
    all its intervals are on one side of 0. If the true differences have one sign, the other sign must appear by chance.
    It may do so at each of n - 1 scales if the difference at the remaining one is large. With intervals of confidence
    1 - alpha / (n - 1), a change of sign is therefore found with a probability of at most alpha / 2.

    Args:
        intervals: lower and upper bounds of the difference in one or more units, by scale in ascending order.
    """
    better = [scale for scale, bounds in intervals.items() if all(low > 0 for low, _ in bounds)]
    worse = [scale for scale, bounds in intervals.items() if all(high < 0 for _, high in bounds)]
    if not better or not worse:
        return None
    order = list(intervals)
    # Of several scales, those that are farthest apart are named.
    pairs = [(first, second) for first in better for second in worse]
    return SignChange(*max(pairs, key=lambda pair: abs(order.index(pair[0]) - order.index(pair[1]))))


def _compute_size(center: float, decades: float) -> float:
    """Return the size that lies this many powers of ten above `center`."""
    return float(center * 10.0 ** np.clip(decades, -_MOST_DECADES, _MOST_DECADES))


def _explain_extrapolation(size: float, near: int, ranges: Sequence[tuple[float, float]]) -> str:
    """Return why a crossing is not trusted.

    Args:
        size: number of samples at the crossing.
        near: number of tasks trained near it.
        ranges: smallest and largest size of each task.
    """
    smallest, largest = min(low for low, _ in ranges), max(high for _, high in ranges)
    if size < smallest or size > largest:
        side = "below" if size < smallest else "above"
        return f"the line crosses 0 far {side} the sizes that were trained ({smallest:,.0f} to {largest:,.0f} samples)"
    return f"the line crosses 0 near {size:,.0f} samples, where only {near} of {len(ranges)} tasks were trained"


def estimate_association(x: ArrayLike, y: ArrayLike, confidence: float) -> Association:
    """Return the rank correlation and the least-squares slope of y on x; points are assumed independent.

    Args:
        x: (n,) first quantity.
        y: (n,) second quantity.
        confidence: confidence of the slope's interval, in (0, 1).
    """
    from scipy import special, stats

    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    points, nan = first.size, float("nan")
    if points < 4 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Association(points, nan, nan, nan, nan, nan)
    ranks = stats.spearmanr(first, second)
    line = stats.linregress(first, second)
    half_width = float(-special.stdtrit(points - 2, (1 - confidence) / 2)) * float(line.stderr)
    slope = float(line.slope)
    return Association(
        points, float(ranks.statistic), float(ranks.pvalue), slope, slope - half_width, slope + half_width
    )
