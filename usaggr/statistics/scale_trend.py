"""Trend of a difference over training samples: slope per tenfold increase in samples, and crossing with zero.

A least-squares line is a linear combination of the differences, with weights that depend on the sizes alone. Its slope
therefore has a joint table of seeds x components (joint_tables.py) and an interval (two_way_anova.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.two_way_anova import (
    ROUNDING,
    Estimate,
    MeanSquares,
    compute_mean_squares,
    estimate,
    estimate_from_squares,
)

Array = NDArray[np.float64]

LEAST_SPAN = 1.5
"""A slope is estimated only if a task's largest size is at least this multiple of its smallest.

With two sizes this far apart (0.18 decades), the standard error of the slope is already eight times that of a
difference."""
NEAR = 2.0
"""A task's line is extrapolated by at most this factor below its smallest and above its largest size.

A convention: no data support a straight line outside of the sizes, and studies often halve or double them."""
_MOST_DECADES = 20.0
"""Crossings are clipped to 10^+-20 times the center, because a nearly flat line would overflow."""
_SMALLEST_DISTANCE = 1e-4
"""Smallest distance from the crossing, in decades, at which the search for the ends of its interval starts."""
_POSITIONS, _SEARCHES = 40, 8
"""Number of positions of a search, and number of searches: each is between two neighbors of the one before."""


@dataclass(frozen=True)
class Crossing:
    """Number of training samples at which the line of a difference crosses zero."""

    size: float | None
    """Number of training samples; None if the data do not allow an estimate."""
    low: float | None = None
    """Lower bound of its interval (`estimate_crossing`), at least one sample; None without a crossing."""
    high: float | None = None
    """Upper bound; None without a crossing."""
    reason: str = ""
    """Reason why there is no crossing; empty otherwise."""


@dataclass(frozen=True)
class SignChange:
    """A scale at which a difference is significantly above 0, and one at which it is significantly below 0."""

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
    """Least-squares slope."""
    low: float
    """Lower bound of the slope's interval."""
    high: float
    """Upper bound of the slope's interval."""


def has_enough_span(sizes: ArrayLike) -> bool:
    """Return whether the largest and smallest of sizes (n,), in samples, differ enough for a slope."""
    size = np.asarray(sizes, dtype=float)
    return bool(size.size > 1 and size.max() >= LEAST_SPAN * size.min())


def compute_slope_weights(sizes: ArrayLike) -> Array:
    """Return (n,) weights of the differences at these sizes; the sum is the slope per tenfold increase in size."""
    x = np.log10(np.asarray(sizes, dtype=float))
    deviations = x - x.mean()
    return np.asarray(deviations / (deviations**2).sum())


def compute_level_weights(sizes: ArrayLike, size: float) -> Array:
    """Return (n,) weights of the differences at these sizes; their weighted sum is the line's height at `size`."""
    x = np.log10(np.asarray(sizes, dtype=float))
    return np.asarray(1 / x.size + (np.log10(size) - x.mean()) * compute_slope_weights(sizes))


def estimate_crossing(height: Array, slope: Array, center: float, ranges: Sequence[tuple[float, float]],
             confidence: float) -> Crossing:  # fmt: skip
    """Estimate the number of training samples at which the fitted difference is zero, if the data allow it.

    Two conditions must hold: the slope's interval excludes 0, and for at least half of the tasks the crossing lies
    between their smallest size / NEAR and their largest size x NEAR. Between a task's sizes the line is always
    trusted, also if they are far apart.

    The interval is the set of sizes at which the interval of the line's height includes 0 (Fieller, J R Stat Soc B
    1954), each with its own variance, critical value and floor over subjects. It is bounded because the slope's
    interval excludes 0. If the set has gaps, the interval spans them.

    Args:
        height: (K seeds, C components) joint table of the line's height at the size `center`.
        slope: (K, C) joint table of its slope per tenfold increase in size, with the same seeds and components.
        center: a size, preferably in the middle of the observed ones.
        ranges: smallest and largest size of each task.
        confidence: confidence of the interval, in (0, 1).
    """
    slope_estimate, mean_slope = estimate(slope), float(slope.mean())
    low, high = (float(bound) for bound in slope_estimate.compute_interval(confidence))
    if not float(slope_estimate.se) > ROUNDING * (1 + abs(mean_slope)):
        reason = "the slope does not vary between seeds or test subjects, so it has no interval"
        return Crossing(None, reason=reason)
    if not (low > 0 or high < 0):
        return Crossing(None, reason="the interval of the slope includes 0")
    decades = -float(height.mean()) / mean_slope
    size = _compute_size(center, decades)
    near = sum(smallest / NEAR <= size <= largest * NEAR for smallest, largest in ranges)
    if 2 * near < len(ranges):
        return Crossing(None, reason=_explain_extrapolation(size, near, ranges))
    ends = _find_crossing_ends(_make_height_estimator(height, slope), decades, confidence)
    low_end, high_end = (_compute_size(center, end) for end in ends)
    # There is no size below 1, but the line may cross 0 there if a task was trained with one sample.
    return Crossing(size, max(low_end, min(size, 1.0)), high_end)


def _make_height_estimator(height: Array, slope: Array) -> Callable[[Array], Estimate]:
    """Return a function that maps positions, in decades from the center, to estimates of the line's height there.

    Args:
        height: (K, C) joint table of the height at the center.
        slope: (K, C) joint table of the slope.
    """
    squares = [compute_mean_squares(table) for table in (height, slope, height + slope)]

    def compute_mean_square(decades: Array, name: str) -> Array:
        at_center, of_slope, of_sum = (getattr(square, name) for square in squares)
        # MS(height + slope) = MS(height) + MS(slope) + 2 x mean product
        product = (of_sum - at_center - of_slope) / 2
        return np.asarray(np.maximum(at_center + 2 * decades * product + decades**2 * of_slope, 0.0))

    def estimate_height(decades: Array) -> Estimate:
        seeds, subjects, residual = (compute_mean_square(decades, name) for name in ("seeds", "subjects", "residual"))
        at_decades = MeanSquares(seeds, subjects, residual, *height.shape)
        return estimate_from_squares(height.mean() + decades * slope.mean(), at_decades)

    return estimate_height


def _find_crossing_ends(
    estimate_height: Callable[[Array], Estimate], crossing: float, confidence: float
) -> tuple[float, float]:
    """Return the outermost positions on both sides of the crossing at which the height's interval includes 0.

    Args:
        estimate_height: maps positions, in decades from the center, to estimates of the line's height.
        crossing: position at which the height is 0.
        confidence: confidence of the interval, in (0, 1).
    """

    def includes_zero(decades: Array) -> NDArray[np.bool_]:
        heights = estimate_height(decades)
        return np.asarray(np.abs(heights.value) <= heights.compute_half_width(confidence))

    distances = np.concatenate([[0.0], np.geomspace(_SMALLEST_DISTANCE, 2 * _MOST_DECADES, _POSITIONS - 1)])
    positions = np.clip(crossing + np.array([[-1.0], [1.0]]) * distances, -_MOST_DECADES, _MOST_DECADES)
    inside = positions[:, 0]
    for _ in range(_SEARCHES):
        is_inside = includes_zero(positions)
        is_inside[:, 0] = True  # by construction; rounding may say otherwise
        outermost = _POSITIONS - 1 - np.argmax(is_inside[:, ::-1], axis=1)
        inside, outside = (positions[[0, 1], np.minimum(outermost + step, _POSITIONS - 1)] for step in (0, 1))
        positions = np.linspace(inside, outside, _POSITIONS, axis=1)
    return float(inside[0]), float(inside[1])


def find_sign_change(intervals: Mapping[float | int, Sequence[tuple[float, float]]]) -> SignChange | None:
    """Return the scales with opposite significant signs, or None.

    No monotone transformation of the score can remove such a change. This is the range test of Piantadosi and Gail
    (Stat Med 1993) for a qualitative interaction. A scale counts only if all its intervals are on one side of 0. A
    false change of sign needs a false rejection. In the worst case one true difference is large and the other n - 1
    are 0, so that any of these may be falsely significant. With intervals of confidence 1 - alpha / (n - 1), the
    probability of a false change of sign is therefore at most alpha / 2.

    Args:
        intervals: lower and upper bounds of the difference in one or more units, by scale in ascending order.
    """
    better = [scale for scale, bounds in intervals.items() if all(low > 0 for low, _ in bounds)]
    worse = [scale for scale, bounds in intervals.items() if all(high < 0 for _, high in bounds)]
    if not better or not worse:
        return None
    order = list(intervals)
    # If several pairs qualify, the two scales that are farthest apart are returned.
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
