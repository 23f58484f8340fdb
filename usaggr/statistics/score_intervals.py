"""Intervals of one model's scores over test subjects."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from usaggr.metrics.names import metric
from usaggr.statistics.scale_trend import ROUNDING
from usaggr.statistics.two_way_anova import estimate


def score_intervals(values: Mapping[str, NDArray[np.float64]], confidence: float) -> dict[str, tuple[float, float]]:
    """Lower and upper bound of each metric's score, no further than the metric itself reaches.

    The score lies within the metric's range, so that what is cut off cannot hold it.

    Args:
        values: metric: (S,) pseudovalues of subjects, whose mean is the score.
        confidence: in (0, 1).

    Returns:
        Metric: bounds; only of those that vary by more than rounding over at least two subjects.
    """
    found = {}
    for name, of_subjects in values.items():
        if of_subjects.size > 1 and np.ptp(of_subjects) > ROUNDING * (1 + np.abs(of_subjects).max()):
            least, most = sorted((metric(name).worst, metric(name).best))
            low, high = (float(bound) for bound in estimate(of_subjects[None, :]).interval(confidence))
            found[name] = (max(low, least), min(high, most))
    return found
