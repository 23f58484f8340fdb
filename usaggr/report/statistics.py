"""Intervals over seeds: Student's t on a mean, and on the mean of differences paired by seed.

They say how far a mean over seeds would move with other seeds. They do not cover which subjects stand in the test fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; without bounds and degrees of freedom where a single value tells nothing of spread."""

    mean: float
    low: float | None
    high: float | None
    df: int | None


def half_width(spread: ArrayLike, count: ArrayLike, confidence: float) -> NDArray[np.float64]:
    """Half the width of the t-interval of a mean, NaN where there are fewer than two values.

    `spread` is the standard deviation with ddof 1, `count` the number of values, both of one shape; `confidence` is in
    (0, 1).
    """
    from scipy import stats

    spread, n = np.asarray(spread, dtype=float), np.asarray(count, dtype=float)
    enough = n > 1
    df = np.where(enough, n - 1, 1.0)
    quantile = np.asarray(stats.t.ppf((1 + confidence) / 2, df))
    return np.where(enough, quantile * spread / np.sqrt(np.where(enough, n, 1.0)), np.nan)


def t_interval(values: Sequence[float], confidence: float) -> Interval:
    """Mean of at least one value, and its t-interval (Student, 1908).

    Raises:
        ValueError: no values.
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.size == 0:
        raise ValueError("an interval needs at least one value")
    mean = float(numbers.mean())
    if numbers.size == 1:
        return Interval(mean, None, None, None)
    half = float(half_width(numbers.std(ddof=1), numbers.size, confidence))
    return Interval(mean, mean - half, mean + half, numbers.size - 1)


def paired_difference(
    values: Sequence[float], references: Sequence[float], higher_is_better: bool, confidence: float
) -> Interval:
    """Mean difference of values and references with the same seeds in the same order; positive is better.

    Raises:
        ValueError: no pairs, or sequences of different lengths.
    """
    if len(values) != len(references):
        raise ValueError(f"{len(values)} values and {len(references)} references make no pairs")
    difference = np.asarray(values, dtype=float) - np.asarray(references, dtype=float)
    return t_interval((difference if higher_is_better else -difference).tolist(), confidence)
