"""Pseudo-values: a score over a test fold, written as one value for each subject whose mean is the score.

Jackknife pseudo-values (Quenouille, 1956; Dorfman, Berbaum and Metz, 1992), normalised so that their mean is the score
itself (Hillis, Obuchowski, Schartz and Berbaum, Stat Med 2005): score + (C - 1) (mean of scores without a subject -
score without this one). All samples of a subject are left out together. Where a class has its positives (or negatives)
in one subject alone, that class's part is taken as it is when this subject is left out.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def mean_pseudovalues(values: Array, subjects: Indices) -> Array:
    """(C,) pseudo-values of a mean over samples.

    Args:
        values: (N,) a score a sample.
        subjects: (N,) index of the sample's subject, all of 0..C-1.
    """
    sums, counts = np.bincount(subjects, values), np.bincount(subjects)
    return _normalised(values.mean(), _ratio(sums.sum() - sums, counts.sum() - counts, values.mean()))


def auc_pseudovalues(labels: Indices, probabilities: Array, subjects: Indices) -> Array | None:
    """(C,) pseudo-values of the AUC, as `metrics.classification` has it; None where no class has an AUC.

    Args:
        labels: (N,) classes in [0, K).
        probabilities: (N, K).
        subjects: (N,) index of the sample's subject, all of 0..C-1.
    """
    classes = probabilities.shape[1]
    present = [c for c in range(classes) if 0 < np.sum(labels == c) < len(labels)]
    if not present:
        return None
    asked = [1] if classes == 2 else present
    found = [_auc_without(labels == c, probabilities[:, c], subjects) for c in asked]
    return _normalised(float(np.mean([score for score, _ in found])), np.mean([rest for _, rest in found], axis=0))


def confusion_pseudovalues(
    labels: Indices, probabilities: Array, subjects: Indices, predicted: Indices | None = None
) -> dict[str, Array]:
    """(C,) pseudo-values of accuracy, balanced accuracy, macro and weighted F1 and MCC.

    Args:
        labels: (N,) classes in [0, K).
        probabilities: (N, K).
        subjects: (N,) index of the sample's subject, all of 0..C-1.
        predicted: (N,) classes in [0, K). Default: the most probable ones, the first of equal ones.
    """
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1) if predicted is None else predicted
    count = int(subjects.max()) + 1
    cell = (subjects * classes + labels) * classes + predicted
    own = np.bincount(cell, minlength=count * classes**2).reshape(count, classes, classes).astype(float)
    whole = own.sum(axis=0)
    scores, rest = _confusion_scores(whole, whole), _confusion_scores(whole - own, whole)
    return {name: _normalised(float(scores[name]), rest[name]) for name in scores}


def _normalised(score: float, without: Array) -> Array:
    """Pseudo-values of a score from the scores without each subject."""
    return np.asarray(score + (without.size - 1) * (without.mean() - without))


def _ratio(numerator: Array, denominator: NDArray[np.number], otherwise: float | Array) -> Array:
    """Their quotient; `otherwise` where the denominator is 0."""
    safe = np.where(denominator > 0, denominator, 1)
    return np.asarray(np.where(denominator > 0, numerator / safe, otherwise))


def _auc_without(positive: NDArray[np.bool_], scores: Array, subjects: Indices) -> tuple[float, Array]:
    """The AUC of a class, and without each subject: pairs won, less those that the subject has a part in."""
    count = int(subjects.max()) + 1
    rank = np.unique(scores, return_inverse=True)[1].astype(np.int64)
    high, low = rank[positive], rank[~positive]
    won_by = _below(low, high)
    lost_by = high.size - _below(high, low)
    # Pairs within a subject are taken away twice: ranks that never meet those of another subject count them.
    size = int(rank.max()) + 1
    own = _below_own(low + size * subjects[~positive], high + size * subjects[positive], size * subjects[positive])
    won = np.bincount(subjects[positive], won_by, count) + np.bincount(subjects[~positive], lost_by, count)
    won -= np.bincount(subjects[positive], own, count)
    n_high = high.size - np.bincount(subjects[positive], minlength=count)
    n_low = low.size - np.bincount(subjects[~positive], minlength=count)
    auc = float(won_by.sum()) / (high.size * low.size)
    return auc, _ratio(won_by.sum() - won, n_high * n_low, auc)


def _below(values: Indices, than: Indices) -> Array:
    """For each of `than`, how many values are smaller, equal ones counting half."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, than, "left") + np.searchsorted(ordered, than, "right")) / 2


def _below_own(values: Indices, than: Indices, start: Indices) -> Array:
    """As `_below`, of the values from `start` on alone."""
    return _below(values, than) - np.searchsorted(np.sort(values), start, "left")


def _confusion_scores(confusion: Array, whole: Array) -> dict[str, Array]:
    """Scores of confusion matrices (..., K, K), true class by predicted class; `whole` is that of all subjects.

    A class that is in `whole` and not in a matrix keeps the recall or F1 that it has in `whole`.
    """
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    right, total = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1))
    t, p, r = whole.sum(axis=-1), whole.sum(axis=-2), np.diagonal(whole)
    recall = _ratio(right, true, _ratio(r, t, 0.0))
    f1 = _ratio(2 * right, true + predicted, _ratio(2 * r, t + p, 0.0))
    covariance = right.sum(axis=-1) * total - (true * predicted).sum(axis=-1)
    spread = np.sqrt((total**2 - (true**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1)))
    return {
        "accuracy": _ratio(right.sum(axis=-1), total, float(r.sum() / whole.sum())),
        "balanced_accuracy": recall[..., t > 0].mean(axis=-1),
        "f1_macro": f1[..., t + p > 0].mean(axis=-1),
        "f1_weighted": _ratio((f1 * true).sum(axis=-1), total, 0.0),
        "mcc": _ratio(covariance, spread, 0.0),
    }
