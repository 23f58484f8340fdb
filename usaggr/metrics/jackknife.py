"""Pseudo-values: a score over a test set, written as one value per subject whose mean is the score.

These are jackknife pseudo-values (Quenouille, 1956; Dorfman, Berbaum and Metz, 1992). They are normalized so that their
mean is the score itself (Hillis, Obuchowski, Schartz and Berbaum, Stat Med 2005): score + (C - 1) (mean of scores
without a subject - score without this one), for C subjects. All samples of a subject are left out together. If one
subject has all positives (or all negatives) of a class, the class keeps its score when this subject is left out.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def mean_pseudovalues(values: Array, subjects: Indices) -> Array:
    """Return (C,) pseudo-values of a mean over samples.

    Args:
        values: (N,) score of each sample.
        subjects: (N,) index of the sample's subject; all of 0..C-1 occur.
    """
    sums, counts = np.bincount(subjects, values), np.bincount(subjects)
    return _make_pseudovalues(values.mean(), _divide(sums.sum() - sums, counts.sum() - counts, values.mean()))


def compute_auc_pseudovalues(labels: Indices, probabilities: Array, subjects: Indices) -> Array | None:
    """Return (C,) pseudo-values of the AUC, as `metrics.classification` defines it; None if no class has an AUC.

    Args:
        labels: (N,) classes in [0, K).
        probabilities: (N, K) class probabilities.
        subjects: (N,) index of the sample's subject; all of 0..C-1 occur.
    """
    classes = probabilities.shape[1]
    present = [c for c in range(classes) if 0 < np.sum(labels == c) < len(labels)]
    if not present:
        return None
    scored = [1] if classes == 2 else present
    aucs = [_leave_out_auc(labels == c, probabilities[:, c], subjects) for c in scored]
    mean_without = np.mean([without for _, without in aucs], axis=0)
    return _make_pseudovalues(float(np.mean([auc for auc, _ in aucs])), mean_without)


def compute_confusion_pseudovalues(
    labels: Indices, probabilities: Array, subjects: Indices, predicted: Indices | None = None
) -> dict[str, Array]:
    """Return (C,) pseudo-values of accuracy, balanced accuracy, macro and weighted F1 and MCC, by metric.

    Args:
        labels: (N,) classes in [0, K).
        probabilities: (N, K).
        subjects: (N,) index of the sample's subject; all of 0..C-1 occur.
        predicted: (N,) classes in [0, K). Default: the most probable ones, the first of equal ones.
    """
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1) if predicted is None else predicted
    count = int(subjects.max()) + 1
    cell = (subjects * classes + labels) * classes + predicted
    by_subject = np.bincount(cell, minlength=count * classes**2).reshape(count, classes, classes).astype(float)
    total = by_subject.sum(axis=0)
    scores, without = _score_confusion(total, total), _score_confusion(total - by_subject, total)
    return {name: _make_pseudovalues(float(scores[name]), without[name]) for name in scores}


def _make_pseudovalues(score: float, without: Array) -> Array:
    """Return (C,) normalized pseudo-values of a score from the scores without each subject."""
    return np.asarray(score + (without.size - 1) * (without.mean() - without))


def _divide(numerator: Array, denominator: NDArray[np.number], default: float | Array) -> Array:
    """Divide elementwise.

    Args:
        numerator: (...) dividends.
        denominator: (...) divisors, at least 0.
        default: result where the divisor is 0.
    """
    divisor = np.where(denominator > 0, denominator, 1)
    return np.asarray(np.where(denominator > 0, numerator / divisor, default))


def _leave_out_auc(positive: NDArray[np.bool_], scores: Array, subjects: Indices) -> tuple[float, Array]:
    """Return the AUC of a class, and (C,) AUCs without each subject.

    The AUC is the share of pairs of a positive and a negative sample that the positive one wins. An AUC without a
    subject is computed from the pairs won in total, less those with samples of this subject.

    Args:
        positive: (N,) whether the sample is of the class.
        scores: (N,) predicted probability of the class.
        subjects: (N,) index of the sample's subject.
    """
    count = int(subjects.max()) + 1
    rank = np.unique(scores, return_inverse=True)[1].astype(np.int64)
    high, low = rank[positive], rank[~positive]
    won_by = _count_below(low, high)
    lost_by = high.size - _count_below(high, low)
    # Pairs within a subject are subtracted twice, so they are added once. Ranks are shifted by subject to count them.
    size = int(rank.max()) + 1
    start = size * subjects[positive]
    within = _count_below_from(low + size * subjects[~positive], high + start, start)
    won = np.bincount(subjects[positive], won_by, count) + np.bincount(subjects[~positive], lost_by, count)
    won -= np.bincount(subjects[positive], within, count)
    n_high = high.size - np.bincount(subjects[positive], minlength=count)
    n_low = low.size - np.bincount(subjects[~positive], minlength=count)
    auc = float(won_by.sum()) / (high.size * low.size)
    return auc, _divide(won_by.sum() - won, n_high * n_low, auc)


def _count_below(values: Indices, limits: Indices) -> Array:
    """Count, for each limit, the smaller values; equal ones count half."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, limits, "left") + np.searchsorted(ordered, limits, "right")) / 2


def _count_below_from(values: Indices, limits: Indices, start: Indices) -> Array:
    """Count, for each limit, the smaller values that are at least `start`; equal ones count half.

    Args:
        values: (M,) values.
        limits: (N,) limits.
        start: (N,) smallest value that counts, for each limit.
    """
    return _count_below(values, limits) - np.searchsorted(np.sort(values), start, "left")


def _score_confusion(confusion: Array, complete: Array) -> dict[str, Array]:
    """Return the scores of confusion matrices, by metric.

    A class that is in `complete` but not in a matrix keeps the recall or F1 that it has in `complete`.

    Args:
        confusion: (..., K, K) counts of true class by predicted class.
        complete: (K, K) confusion matrix of all subjects.
    """
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    correct, total = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1))
    all_true, all_predicted, all_correct = complete.sum(axis=-1), complete.sum(axis=-2), np.diagonal(complete)
    recall = _divide(correct, true, _divide(all_correct, all_true, 0.0))
    f1 = _divide(2 * correct, true + predicted, _divide(2 * all_correct, all_true + all_predicted, 0.0))
    # MCC of several classes is a correlation: the covariance of true and predicted classes over both SDs.
    covariance = correct.sum(axis=-1) * total - (true * predicted).sum(axis=-1)
    sd_product = np.sqrt((total**2 - (true**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1)))
    return {
        "accuracy": _divide(correct.sum(axis=-1), total, float(all_correct.sum() / complete.sum())),
        "balanced_accuracy": recall[..., all_true > 0].mean(axis=-1),
        "f1_macro": f1[..., all_true + all_predicted > 0].mean(axis=-1),
        "f1_weighted": _divide((f1 * true).sum(axis=-1), total, 0.0),
        "mcc": _divide(covariance, sd_product, 0.0),
    }
