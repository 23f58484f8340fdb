"""Differences in units that tasks share, as pseudo-values: relative to the reference's score, or in skill."""

import numpy as np
from numpy.typing import NDArray

from usaggr.metrics.names import Metric, compute_improvement

Array = NDArray[np.float64]


def compute_relative_pseudovalues(values: Array, references: Array, metric: Metric) -> Array:
    """Return (K, C) pseudo-values of the relative change of a score, positive if better.

    The change is (mean - reference's mean) / |reference's mean|, with the sign of the metric. A ratio of means is
    linear in neither mean. Its pseudo-values are therefore those of its first-order expansion about both (delta
    method).

    Args:
        values: (K seeds, C subjects) pseudo-values of the score.
        references: (K, C) pseudo-values of the reference's score.
        metric: metric of the score.

    Raises:
        ZeroDivisionError: the reference's mean is 0.
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    mean, reference = float(values.mean()), float(references.mean())
    if reference == 0:
        raise ZeroDivisionError("a relative change from 0 is not defined")
    size = abs(reference)
    deviations = (values - mean) / size - (mean / reference) * (references - reference) / size
    return np.asarray(sign * (deviations + (mean - reference) / size))


def compute_skill_pseudovalues(values: Array, trivial: Array, metric: Metric) -> Array:
    """Return (K, C) pseudo-values of the skill of each seed: (score - trivial) / (best - trivial), clipped to [-1, 1].

    The trivial predictor's scores are taken as fixed. If a seed's skill is clipped, or the trivial predictor is
    perfect, the pseudo-values of all subjects are equal.

    Args:
        values: (K seeds, C subjects) pseudo-values of the score.
        trivial: (K,) score of the trivial predictor, which depends on the seed's training samples.
        metric: metric of the score.
    """
    room = np.array([compute_improvement(metric.best, float(score), metric) for score in trivial])[:, None]
    sign = 1.0 if metric.higher_is_better else -1.0
    gains = sign * (values - trivial[:, None])
    divisor = np.where(room > 0, room, 1.0)
    skill = gains.mean(axis=1, keepdims=True) / divisor
    # Without room above the trivial score, any loss is -1, because no skill could be larger than 0.
    clipped = np.where(room > 0, np.clip(skill, -1.0, 1.0), np.where(skill < 0, -1.0, 0.0))
    is_unclipped = (room > 0) & (np.abs(skill) <= 1)
    return np.asarray(clipped + np.where(is_unclipped, gains / divisor - skill, 0.0))
