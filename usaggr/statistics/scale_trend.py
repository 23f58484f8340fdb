"""How a difference changes with the number of training samples: slopes per tenfold, and where the line crosses zero.

A least-squares line is a linear combination of the differences with weights that depend on the sizes alone, so that
its slope has a table seeds x components of its own (joint.py) and an interval from crossed.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.two_way_anova import estimate

Array = NDArray[np.float64]

LEAST_SPAN = 1.5
"""Largest over smallest size, under which a task says too little about size to have a slope."""
NEAR = 2.0
"""A factor on either side of the sizes of a task, within which its line is believed."""


ROUNDING = 1e-12
"""Standard errors so small, beside the value, come of rounding: nothing varies."""


@dataclass(frozen=True)
class Crossing:
    """The size at which a line of the difference crosses zero."""

    size: float | None
    """Training samples; None where the data do not bear one."""
    low: float | None = None
    """Of Fieller's interval, and not under one sample; None where there is no crossing."""
    high: float | None = None
    why: str = ""
    """Why there is no crossing."""


@dataclass(frozen=True)
class Association:
    """How two quantities go together over tasks or groups of tasks, which are taken as a sample."""

    points: int
    rho: float
    """Spearman's rank correlation; NaN under 4 points, or where one quantity does not vary."""
    p: float
    slope: float
    """By least squares."""
    low: float
    high: float


def bears_slope(sizes: ArrayLike) -> bool:
    """Whether sizes (n,), in samples, differ enough for a slope."""
    size = np.asarray(sizes, dtype=float)
    return bool(size.size > 1 and size.max() >= LEAST_SPAN * size.min())


def slope_weights(sizes: ArrayLike) -> Array:
    """(n,) weights of the differences at these sizes whose sum is the least-squares slope per tenfold size."""
    x = np.log10(np.asarray(sizes, dtype=float))
    away = x - x.mean()
    return np.asarray(away / (away**2).sum())


def level_weights(sizes: ArrayLike, at: float) -> Array:
    """(n,) weights whose sum is the height of the least-squares line at a size."""
    x = np.log10(np.asarray(sizes, dtype=float))
    return np.asarray(1 / x.size + (np.log10(at) - x.mean()) * slope_weights(sizes))


def fieller(
    height: float, slope: float, covariance: tuple[float, float, float], critical: float
) -> tuple[float, float] | None:
    """Confidence set of the zero of height + slope x (Fieller, J R Stat Soc B 1954); None where it is not an interval.

    Args:
        height: of the line at x = 0.
        slope: of the line.
        covariance: var(height), cov(height, slope), var(slope).
        critical: how many standard errors make the interval.
    """
    var_height, both, var_slope = covariance
    square = critical**2
    a = slope**2 - square * var_slope
    b = height * slope - square * both
    c = height**2 - square * var_height
    root = b**2 - a * c
    if a <= 0 or root < 0:
        return None
    ends = (-b + np.array([-1.0, 1.0]) * np.sqrt(root)) / a
    return float(ends[0]), float(ends[1])


def crossing(height: Array, slope: Array, centre: float, ranges: Sequence[tuple[float, float]],
             confidence: float) -> Crossing:  # fmt: skip
    """Where a line of the difference against log10 of the size is zero, if the data bear it.

    They do where the slope is certain (its interval excludes 0) and at least half of the tasks were seen near the
    crossing, at sizes within a factor NEAR of it.

    Args:
        height: (K, C) table of the line's height at the size `centre`.
        slope: (K, C) table of its slope per tenfold size, with the same seeds and components.
        centre: size, best in the middle of those observed.
        ranges: smallest and largest size of each task.
        confidence: of the interval, in (0, 1).
    """
    level, rise, both = estimate(height), estimate(slope), estimate(height + slope)
    a, b = float(level.value), float(rise.value)
    low, high = (float(bound) for bound in rise.interval(confidence))
    if not float(rise.se) > ROUNDING * (1 + abs(b)):
        return Crossing(None, why="no seed and no test subject differs, so that the slope has no interval")
    if not (low > 0 or high < 0):
        return Crossing(None, why="the slope is not certain: by these runs alone, its interval includes 0")
    at = centre * 10.0 ** np.clip(-a / b, -20.0, 20.0)
    near = sum(first / NEAR <= at <= last * NEAR for first, last in ranges)
    if 2 * near < len(ranges):
        return Crossing(None, why=_beyond(float(at), near, ranges))
    variances = [float(found.se) ** 2 for found in (level, both, rise)]
    covariance = (variances[1] - variances[0] - variances[2]) / 2
    critical = float(estimate(height - (a / b) * slope).critical(confidence))
    ends = fieller(a, b, (variances[0], covariance, variances[2]), critical)
    if ends is None:
        return Crossing(None, why="the slope is too uncertain for the interval of the crossing to be bounded")
    bounds = [centre * 10.0 ** float(np.clip(end, -20.0, 20.0)) for end in ends]
    return Crossing(float(at), max(bounds[0], 1.0), bounds[1])


def _beyond(at: float, near: int, ranges: Sequence[tuple[float, float]]) -> str:
    """Why a crossing at a size is not believed."""
    least, most = min(first for first, _ in ranges), max(last for _, last in ranges)
    if at < least or at > most:
        side = "below" if at < least else "above"
        return f"the line crosses 0 far {side} the sizes that were trained ({least:,.0f} to {most:,.0f} samples)"
    return f"the line crosses 0 near {at:,.0f} samples, where only {near} of {len(ranges)} tasks were trained"


def association(x: ArrayLike, y: ArrayLike, confidence: float) -> Association:
    """Rank correlation and least-squares slope of y on x, (n,) each; the points are taken as independent."""
    from scipy import special, stats

    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    points, unknown = first.size, float("nan")
    if points < 4 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Association(points, unknown, unknown, unknown, unknown, unknown)
    ranks = stats.spearmanr(first, second)
    line = stats.linregress(first, second)
    half = float(-special.stdtrit(points - 2, (1 - confidence) / 2)) * float(line.stderr)
    slope = float(line.slope)
    return Association(points, float(ranks.statistic), float(ranks.pvalue), slope, slope - half, slope + half)
