"""Confidence intervals of one model's scores over test subjects."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from usaggr.metrics.names import get_metric
from usaggr.statistics.two_way_anova import ROUNDING, estimate


def score_intervals(values: Mapping[str, NDArray[np.float64]], confidence: float) -> dict[str, tuple[float, float]]:
    """Return the interval of each metric's score, clipped to the metric's range.

    Clipping keeps the coverage, because the true score is within the range.

    Args:
        values: (S,) pseudo-values of subjects, whose mean is the score, by metric.
        confidence: confidence of the intervals, in (0, 1).

    Returns:
        Lower and upper bound by metric, for metrics that vary by more than rounding over at least two subjects.
    """
    intervals = {}
    for name, pseudovalues in values.items():
        if pseudovalues.size > 1 and np.ptp(pseudovalues) > ROUNDING * (1 + np.abs(pseudovalues).max()):
            smallest, largest = sorted((get_metric(name).worst, get_metric(name).best))
            # One model is a table with one seed, whose interval includes the variance between subjects alone.
            low, high = (float(bound) for bound in estimate(pseudovalues[None, :]).compute_interval(confidence))
            intervals[name] = (max(low, smallest), min(high, largest))
    return intervals
