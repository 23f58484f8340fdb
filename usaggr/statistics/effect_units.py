"""Differences in units that tasks share, as pseudo-values: relative change, skill, and logarithms of error and skill.

All are positive if better than the reference. The error is the distance to the best possible score. With a fixed
trivial predictor, 1 - skill is the error divided by the trivial predictor's error, so this divisor cancels in
differences of logarithms: a difference in log error is one in log(1 - skill), with the opposite sign. On these scales,
a constant ratio of errors, or of skills, is a constant difference.
"""

import math

import numpy as np
from numpy.typing import NDArray

from usaggr.metrics.names import Metric, compute_improvement

Array = NDArray[np.float64]

LEAST_SKILL = 0.05
"""Smaller skills are replaced by this value before taking logarithms.

At a twentieth of the way from the trivial predictor to perfection, differences are mostly noise, and a logarithm would
magnify it without limit."""


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
    perfect, the pseudo-values of all subjects are equal: this seed adds no variance between subjects.

    Args:
        values: (K seeds, C subjects) pseudo-values of the score.
        trivial: (K,) score of the trivial predictor, which depends on the seed's training samples.
        metric: metric of the score.
    """
    trivial_errors = np.array([compute_improvement(metric.best, float(score), metric) for score in trivial])[:, None]
    sign = 1.0 if metric.higher_is_better else -1.0
    gains = sign * (values - trivial[:, None])
    divisor = np.where(trivial_errors > 0, trivial_errors, 1.0)
    skill = gains.mean(axis=1, keepdims=True) / divisor
    # If the trivial predictor is perfect, skill is 0 for an equal score and -1 for a worse one (as in `compute_skill`).
    clipped = np.where(trivial_errors > 0, np.clip(skill, -1.0, 1.0), np.where(skill < 0, -1.0, 0.0))
    is_unclipped = (trivial_errors > 0) & (np.abs(skill) <= 1)
    return np.asarray(clipped + np.where(is_unclipped, gains / divisor - skill, 0.0))


def compute_log_error_ratio(score: float, reference: float, metric: Metric) -> float:
    """Return the natural logarithm of the reference's error over that of a score, positive if the score is better.

    Args:
        score: a mean score.
        reference: the reference's mean score.
        metric: metric of both.

    Returns:
        The logarithm; NaN if an error is 0 or missing.
    """
    error, reference_error = (compute_improvement(metric.best, mean, metric) for mean in (score, reference))
    return math.log(reference_error / error) if error > 0 and reference_error > 0 else math.nan


def compute_log_error_pseudovalues(values: Array, references: Array, metric: Metric) -> Array:
    """Return (K, C) pseudo-values of the log of the reference's error over that of the score, positive if better.

    The logarithm is linear in neither mean error. Its pseudo-values are those of its first-order expansion about both
    means over seeds and subjects (delta method), as for the relative change. A log of each seed's own error would have
    a bias that grows with the variance between seeds.

    Args:
        values: (K seeds, C subjects) pseudo-values of the score.
        references: (K, C) pseudo-values of the reference's score.
        metric: metric of the score.

    Returns:
        Pseudo-values whose mean is `compute_log_error_ratio` of the mean scores; NaN if that is not defined.
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    mean, reference = float(values.mean()), float(references.mean())
    ratio = compute_log_error_ratio(mean, reference, metric)
    if math.isnan(ratio):
        return np.full(values.shape, np.nan)
    # An error falls where a score rises: d log(error) = -d score / error.
    error, reference_error = sign * (metric.best - mean), sign * (metric.best - reference)
    deviations = sign * (values - mean) / error - sign * (references - reference) / reference_error
    return np.asarray(ratio + deviations)


def compute_log_skill_ratio(skill: float, reference: float) -> float:
    """Return the natural logarithm of a ratio of skills, both raised to LEAST_SKILL; NaN if one is missing."""
    if math.isnan(skill) or math.isnan(reference):
        return math.nan
    return math.log(max(skill, LEAST_SKILL) / max(reference, LEAST_SKILL))


def compute_log_skill_pseudovalues(skills: Array, references: Array) -> Array:
    """Return (K, C) pseudo-values of `compute_log_skill_ratio` of two mean skills, by the delta method.

    Args:
        skills: (K seeds, C subjects) pseudo-values of the skill, see `compute_skill_pseudovalues`.
        references: (K, C) pseudo-values of the reference's skill.
    """
    ratio = compute_log_skill_ratio(float(skills.mean()), float(references.mean()))
    return np.asarray(ratio + _compute_log_deviations(skills) - _compute_log_deviations(references))


def _compute_log_deviations(skills: Array) -> Array:
    """Return the first-order deviations of log skill from the log of the mean skill; 0 below LEAST_SKILL."""
    mean = float(skills.mean())
    return (skills - mean) / mean if mean > LEAST_SKILL else np.zeros_like(skills)
