"""Minimum evidence: checks for rare classes, and for differences that depend on a few subjects.

Intervals that assume a normal distribution do not cover rare failures. If 3 % of the subjects lose .8, a nominal 95 %
interval covers 60 % with 30 subjects (docs/coverage.md). A cell whose evidence rests on fewer than ten subjects
therefore gets no verdict.

Each subject counts once: the checks use mean scores of subjects, not pseudo-values, in which subjects with many samples
weigh more. Errors (distances) are compared by their logarithm, because a few large errors are normal for them.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

FEWEST_SUBJECTS = 10
"""Smallest number of subjects in the rarer class, or of failing subjects, that allows a verdict."""
OUTLIER_SDS = 5.0
"""Robust standard deviations from the median beyond which a subject's difference is a failure (or a rescue)."""
MOST_VARIANCE = 0.6
"""Share of the variance between subjects above which it depends on the failing ones."""


def count_rarer_class(labels: NDArray[np.int64], subjects: NDArray[np.int64], classes: int) -> int:
    """Return the smallest number of subjects with a sample of a class, or with a sample outside it, over all classes.

    Args:
        labels: (N,) classes in [0, K).
        subjects: (N,) index of the sample's subject.
        classes: number K of classes. A class of no sample or of all samples is left out, because it has no AUC.
    """
    counts = []
    for label in range(classes):
        inside = labels == label
        if inside.any() and not inside.all():
            counts += [np.unique(subjects[inside]).size, np.unique(subjects[~inside]).size]
    return min(counts, default=0)


def has_few_differing(table: ArrayLike) -> NDArray[np.bool_]:
    """Return for each of tables (..., K seeds, C subjects) whether under ten subjects differ from the median.

    This happens if both groupings are correct on nearly all subjects, so that there is nothing to compare.
    """
    distances, tolerance, _ = _compute_distances(table)
    return np.asarray((distances > tolerance).sum(axis=-1) < FEWEST_SUBJECTS)


def is_driven_by_few(table: ArrayLike) -> NDArray[np.bool_]:
    """Return for each of tables (..., K seeds, C subjects) whether 1 to 9 subjects make up most of the variance.

    A subject counts if its difference, averaged over seeds, is more than OUTLIER_SDS robust standard deviations from
    the median. The check is meant for differences of subjects' mean scores (see `compare_errors` for errors). In scores
    of a complete test set (AUC, F1) the subjects of a rarer class always weigh more.
    """
    distances, tolerance, squares = _compute_distances(table)
    # 1.4826 makes the median absolute deviation of normal values their standard deviation.
    robust_sd = 1.4826 * np.median(distances, axis=-1, keepdims=True)
    is_far = distances > np.maximum(OUTLIER_SDS * robust_sd, tolerance)
    share, number = (squares * is_far).sum(axis=-1), is_far.sum(axis=-1)
    return np.asarray((number > 0) & (number < FEWEST_SUBJECTS) & (share > MOST_VARIANCE * squares.sum(axis=-1)))


def compare_errors(errors: ArrayLike, reference: ArrayLike) -> Array:
    """Return the differences of log errors (K seeds, C subjects), positive if the reference's error is larger.

    The logarithm is that of 1 + error / median error, which is finite for an error of 0. Large errors are compared by
    their ratio, so that log-normal errors do not look like failures of a few subjects.

    Args:
        errors: (K, C) mean errors of subjects, at least 0.
        reference: (K, C) mean errors under the reference.
    """
    # Pseudo-values in the place of mean errors may be slightly below 0.
    values, references = (np.maximum(np.asarray(table, dtype=float), 0.0) for table in (errors, reference))
    typical = float(np.median(np.concatenate([values, references])))
    # If more than half of the errors are 0, any unit of error does.
    unit = typical if typical > 0 else 1.0
    return np.asarray(np.log1p(references / unit) - np.log1p(values / unit))


def _compute_distances(table: ArrayLike) -> tuple[Array, Array, Array]:
    """Return (..., C) distances from the median, the tolerance for rounding, and (..., C) squares about the mean."""
    values = np.asarray(table, dtype=float).mean(axis=-2)
    center = np.median(values, axis=-1, keepdims=True)
    # The tolerance is for rounding: pseudo-values come from divisions.
    return np.abs(values - center), 1e-9 * (1 + np.abs(center)), (values - values.mean(axis=-1, keepdims=True)) ** 2
