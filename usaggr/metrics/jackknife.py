"""Pseudo-values: a score over a test set, written as one value per subject whose mean is the score.

These are jackknife pseudo-values (Quenouille, 1956; Dorfman, Berbaum and Metz, 1992). They are normalized so that their
mean is the score itself (Hillis, Obuchowski, Schartz and Berbaum, Stat Med 2005): score + (C - 1) (mean of scores
without a subject - score without this one), for C subjects. All samples of a subject are left out together. If one
subject has all positives (or all negatives) of a class, the class keeps its score when this subject is left out.

Samples may have weights, such as 1 / number of the patient's samples, so that each patient counts once. Weighted scores
are those of scikit-learn with `sample_weight`.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_ROUNDING = 1e-12
"""Variance of classes, relative to the square of the total weight, below which it is rounding error."""


def mean_pseudovalues(values: Array, subjects: Indices, weights: Array | None = None) -> Array:
    """Return (C,) pseudo-values of a mean over samples.

    Args:
        values: (N,) score of each sample.
        subjects: (N,) index of the sample's subject; all of 0..C-1 occur.
        weights: (N,) weight of each sample, above 0. Default: equal weights.
    """
    if weights is None:
        weights = np.ones(len(values))
    sums, totals = np.bincount(subjects, weights * values), np.bincount(subjects, weights)
    mean = float((weights * values).sum() / weights.sum())
    # Without its only subject, a mean has no weight left: rounding must not leave a weight near 0.
    remaining = totals.sum() - totals if len(totals) > 1 else np.zeros(1)
    return _make_pseudovalues(mean, _divide(sums.sum() - sums, remaining, mean))


def compute_auc_pseudovalues(
    labels: Indices, probabilities: Array, subjects: Indices, weights: Array | None = None
) -> Array | None:
    """Return (C,) pseudo-values of the AUC, as `metrics.classification` defines it; None if no class has an AUC.

    Args:
        labels: (N,) classes in [0, K).
        probabilities: (N, K) class probabilities.
        subjects: (N,) index of the sample's subject; all of 0..C-1 occur.
        weights: (N,) weight of each sample, above 0. Default: equal weights.
    """
    if weights is None:
        weights = np.ones(len(labels))
    classes = probabilities.shape[1]
    present = [c for c in range(classes) if 0 < np.sum(labels == c) < len(labels)]
    if not present:
        return None
    scored = [1] if classes == 2 else present
    aucs = [_leave_out_auc(labels == c, probabilities[:, c], subjects, weights) for c in scored]
    mean_without = np.mean([without for _, without in aucs], axis=0)
    return _make_pseudovalues(float(np.mean([auc for auc, _ in aucs])), mean_without)


def compute_confusion_pseudovalues(
    labels: Indices,
    probabilities: Array,
    subjects: Indices,
    predicted: Indices | None = None,
    weights: Array | None = None,
) -> dict[str, Array]:
    """Return (C,) pseudo-values of accuracy, balanced accuracy, macro and weighted F1 and MCC, by metric.

    Args:
        labels: (N,) classes in [0, K).
        probabilities: (N, K).
        subjects: (N,) index of the sample's subject; all of 0..C-1 occur.
        predicted: (N,) classes in [0, K). Default: the most probable ones, the first of equal ones.
        weights: (N,) weight of each sample, above 0. Default: equal weights.
    """
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1) if predicted is None else predicted
    shape = (int(subjects.max()) + 1, classes, classes)
    cell = (subjects * classes + labels) * classes + predicted
    counts = np.bincount(cell, minlength=shape[0] * classes**2).reshape(shape)
    by_subject = counts.astype(float)
    if weights is not None:
        by_subject = np.bincount(cell, weights, minlength=shape[0] * classes**2).reshape(shape)
    total = by_subject.sum(axis=0)
    # A cell without samples must be exactly 0, which a difference of weights is only up to rounding.
    remaining = np.where(counts.sum(axis=0) > counts, total - by_subject, 0.0)
    scores, without = _score_confusion(total, total), _score_confusion(remaining, total)
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


def _leave_out_auc(
    positive: NDArray[np.bool_], scores: Array, subjects: Indices, weights: Array
) -> tuple[float, Array]:
    """Return the AUC of a class, and (C,) AUCs without each subject.

    The AUC is the share of pairs of a positive and a negative sample that the positive one wins. A pair's weight is the
    product of its samples' weights. An AUC without a subject is computed from the pairs won in total, less those with
    samples of this subject.

    Args:
        positive: (N,) whether the sample is of the class.
        scores: (N,) predicted probability of the class.
        subjects: (N,) index of the sample's subject.
        weights: (N,) weight of the sample.
    """
    count = int(subjects.max()) + 1
    rank = np.unique(scores, return_inverse=True)[1].astype(np.int64)
    high, low = rank[positive], rank[~positive]
    high_weights, low_weights = weights[positive], weights[~positive]
    high_subjects, low_subjects = subjects[positive], subjects[~positive]
    won_by = high_weights * _weigh_below(low, low_weights, high)
    lost_by = low_weights * (high_weights.sum() - _weigh_below(high, high_weights, low))
    # Pairs within a subject are subtracted twice, so they are added once. Ranks are shifted by subject to find them.
    size = int(rank.max()) + 1
    start = size * high_subjects
    within = high_weights * _weigh_below(low + size * low_subjects, low_weights, high + start, start)
    won = np.bincount(high_subjects, won_by, count) + np.bincount(low_subjects, lost_by, count)
    won -= np.bincount(high_subjects, within, count)
    pairs = _sum_others(high_subjects, high_weights, count) * _sum_others(low_subjects, low_weights, count)
    auc = float(won_by.sum()) / float(high_weights.sum() * low_weights.sum())
    return auc, _divide(won_by.sum() - won, pairs, auc)


def _sum_others(subjects: Indices, weights: Array, count: int) -> Array:
    """Return (C,) the weight of all samples that are not of a subject, exactly 0 if there are none.

    Args:
        subjects: (N,) index of the sample's subject.
        weights: (N,) weight of the sample.
        count: Number of subjects C.
    """
    has_others = np.bincount(subjects, minlength=count) < subjects.size
    return np.where(has_others, weights.sum() - np.bincount(subjects, weights, count), 0.0)


def _weigh_below(values: Indices, weights: Array, limits: Indices, start: Indices | None = None) -> Array:
    """Return, for each limit, the total weight of the smaller values; equal ones count half.

    Args:
        values: (M,) values.
        weights: (M,) weights of the values.
        limits: (N,) limits.
        start: (N,) smallest value that counts, for each limit. Default: all count.
    """
    order = np.argsort(values, kind="stable")  # so that the rounding of sums is the same on all machines
    ordered, total = values[order], np.concatenate([[0.0], np.cumsum(weights[order])])
    smaller = (total[np.searchsorted(ordered, limits, "left")] + total[np.searchsorted(ordered, limits, "right")]) / 2
    return np.asarray(smaller if start is None else smaller - total[np.searchsorted(ordered, start, "left")])


def _score_confusion(confusion: Array, complete: Array) -> dict[str, Array]:
    """Return the scores of confusion matrices, by metric.

    A class that is in `complete` but not in a matrix keeps the recall or F1 that it has in `complete`.

    Args:
        confusion: (..., K, K) counts, or weights, of true class by predicted class.
        complete: (K, K) confusion matrix of all subjects.
    """
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    correct, total = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1))
    smallest = _ROUNDING * total**2
    all_true, all_predicted, all_correct = complete.sum(axis=-1), complete.sum(axis=-2), np.diagonal(complete)
    recall = _divide(correct, true, _divide(all_correct, all_true, 0.0))
    f1 = _divide(2 * correct, true + predicted, _divide(2 * all_correct, all_true + all_predicted, 0.0))
    # MCC of several classes is a correlation: the covariance of true and predicted classes over both SDs.
    covariance = correct.sum(axis=-1) * total - (true * predicted).sum(axis=-1)
    variances = [total**2 - (classes**2).sum(axis=-1) for classes in (true, predicted)]
    # With one class, a variance is 0 only up to the rounding of the weights.
    sd_product = np.sqrt(np.prod([np.where(variance > smallest, variance, 0.0) for variance in variances], axis=0))
    return {
        "accuracy": _divide(correct.sum(axis=-1), total, float(all_correct.sum() / complete.sum())),
        "balanced_accuracy": recall[..., all_true > 0].mean(axis=-1),
        "f1_macro": f1[..., all_true + all_predicted > 0].mean(axis=-1),
        "f1_weighted": _divide((f1 * true).sum(axis=-1), total, 0.0),
        "mcc": _divide(covariance, sd_product, 0.0),
    }
