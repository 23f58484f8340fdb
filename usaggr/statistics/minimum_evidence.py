"""Minimum evidence: checks for rare classes, and for differences that depend on a few subjects.

Intervals that assume normality cover too rarely if a few subjects fail badly. If 3 % of the subjects lose .8, a nominal
95 % interval covers 60 % with 30 subjects and five seeds (docs/coverage.md). A difference that depends on fewer than
ten subjects therefore gets no verdict.

Subjects are independent here: those that share images are one component and count as one subject. Each counts once,
because the checks use mean scores of subjects, not pseudo-values, in which subjects with many samples weigh more.
Errors (distances) are compared by their logarithm, because a few large errors are normal for them.

The limits are a compromise that docs/too_few.md measures: at most 10 % of the studies whose intervals hold may lose
their verdict, and at most 2.5 % of those with rare failures may have an unqualified no loss.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

FEWEST_SUBJECTS = 10
"""Smallest number of test subjects, of those in the rarer class, and of those that differ, that allows a verdict.

If some subjects fail and account for most of the variance, they must be at least this many too. The mean of ten
failures is the first whose interval roughly holds.
"""
OUTLIER_SDS = 5.0
"""Robust standard deviations from the median beyond which a subject's difference is a failure of either grouping.

Fewer than one in a million normal differences are farther; scores with long tails have such values more often.
"""
MOST_VARIANCE = 0.6
"""If the failing subjects have more than this share of the variance between subjects, there is no verdict.

With a smaller share, the other subjects determine the width of the interval as well.
"""


def count_rarer_class(labels: NDArray[np.int64], subjects: NDArray[np.int64], classes: int) -> int:
    """Return the number of subjects with the rarest class, or without a class that nearly all have.

    For each class, subjects with a sample of it and subjects with a sample of another class are counted.

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
    """Return for each of tables (..., K seeds, C subjects) whether too few subjects have another than the median value.

    The limit is FEWEST_SUBJECTS. With fewer subjects in total it is always true. Otherwise the median is usually 0,
    because both groupings are correct on nearly all subjects, so that there is nothing to compare.
    """
    distances, tolerance, _ = _compute_distances(table)
    return np.asarray((distances > tolerance).sum(axis=-1) < FEWEST_SUBJECTS)


def is_driven_by_few(table: ArrayLike) -> NDArray[np.bool_]:
    """Return for each of tables (..., K seeds, C subjects) whether 1 to 9 subjects have most of the variance.

    These subjects are outliers: their difference, averaged over seeds, is more than OUTLIER_SDS robust standard
    deviations from the median, and together they contribute more than MOST_VARIANCE of the variance between subjects.

    The check is meant for differences of subjects' mean scores (see `compare_errors` for errors). Do not use it for
    scores of a complete test set (AUC, F1). Their pseudo-values have long tails without a failure: at an AUC of .9,
    most subjects keep their rank and a few change it. With 15 to 60 subjects in the rarer class, the check would refuse
    half of the sound studies, even if it is applied within each class.
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
    # Callers without mean errors pass pseudo-values, which may be slightly negative.
    values, references = (np.maximum(np.asarray(table, dtype=float), 0.0) for table in (errors, reference))
    typical = float(np.median(np.concatenate([values, references])))
    # If the median error is 0, use one unit of the metric.
    unit = typical if typical > 0 else 1.0
    return np.asarray(np.log1p(references / unit) - np.log1p(values / unit))


def _compute_distances(table: ArrayLike) -> tuple[Array, Array, Array]:
    """Return (..., C) distances from the median, their rounding error, and (..., C) squares about the mean."""
    values = np.asarray(table, dtype=float).mean(axis=-2)
    center = np.median(values, axis=-1, keepdims=True)
    # Pseudo-values come from divisions, so equal differences may differ by rounding.
    return np.abs(values - center), 1e-9 * (1 + np.abs(center)), (values - values.mean(axis=-1, keepdims=True)) ** 2
