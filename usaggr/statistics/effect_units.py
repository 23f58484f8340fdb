"""Differences in units that tasks share, as pseudo-values: relative to the reference's score, and in skill."""

import numpy as np
from numpy.typing import NDArray

from usaggr.metrics.names import Metric, improvement

Array = NDArray[np.float64]


def relative_pseudovalues(values: Array, references: Array, metric: Metric) -> Array:
    """(K, C) pseudo-values of the relative change of a score, positive where better; both arguments (K, C).

    The change is (mean - reference's mean) / |reference's mean|, signed. A ratio of means is linear in neither, so its
    pseudo-values are those of its first-order expansion about both means (delta method).

    Raises:
        ZeroDivisionError: the reference's mean is 0.
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    mean, reference = float(values.mean()), float(references.mean())
    if reference == 0:
        raise ZeroDivisionError("a relative change from 0 is not defined")
    size = abs(reference)
    moved = (values - mean) / size - (mean / reference) * (references - reference) / size
    return np.asarray(sign * (moved + (mean - reference) / size))


def skill_pseudovalues(values: Array, trivial: Array, metric: Metric) -> Array:
    """(K, C) pseudo-values of the skill of each seed's score: (score - trivial) / (best - trivial), clipped to [-1, 1].

    The trivial predictor's score, (K,), is taken as fixed. Where a seed's skill is clipped, or the trivial predictor is
    perfect, it is the same for all subjects.

    Args:
        values: (K, C) pseudo-values of the score.
        trivial: (K,) score of the trivial predictor, which differs by the training samples.
        metric: that of the score.
    """
    room = np.array([improvement(metric.best, float(score), metric) for score in trivial])[:, None]
    sign = 1.0 if metric.higher_is_better else -1.0
    gained = sign * (values - trivial[:, None])
    safe = np.where(room > 0, room, 1.0)
    skill = gained.mean(axis=1, keepdims=True) / safe
    clipped = np.where(room > 0, np.clip(skill, -1.0, 1.0), np.where(skill < 0, -1.0, 0.0))
    free = (room > 0) & (np.abs(skill) <= 1)
    return np.asarray(clipped + np.where(free, gained / safe - skill, 0.0))
