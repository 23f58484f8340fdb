"""Scores of class probabilities over a complete subset, by scikit-learn."""

import numpy as np
from numpy.typing import NDArray


def compute_classification_scores(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], predicted: NDArray[np.integer] | None = None
) -> tuple[dict[str, float], list[str]]:
    """Return AUC, accuracy, balanced accuracy, macro and weighted F1 and MCC of a subset.

    AUC is the mean one-vs-rest AUC over the classes that have positives and negatives in the subset; with two classes,
    it is the AUC of class 1. It is left out if there is no such class. Balanced accuracy is the mean over the classes
    in the labels. The F1 scores include the classes in labels or predictions, as in scikit-learn. MCC, in [-1, 1], is 0
    if all labels or all predictions are of one class.

    Args:
        labels: (N,) classes in [0, K), N at least 1.
        probabilities: (N, K) class probabilities.
        predicted: (N,) predicted classes in [0, K). Default: the most probable class, the first one of equal ones.

    Returns:
        The scores by name, and remarks about scores that are left out or do not cover all classes.
    """
    from sklearn import metrics

    if predicted is None:
        predicted = probabilities.argmax(axis=1)
    _, _, f1, support = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
    scores = {
        "accuracy": float(np.mean(predicted == labels)),
        "balanced_accuracy": _balanced_accuracy(labels, predicted),
        "f1_macro": float(np.mean(f1)),
        "f1_weighted": float(np.average(f1, weights=support)),
        "mcc": float(metrics.matthews_corrcoef(labels, predicted)) if len({*labels, *predicted}) > 1 else 0.0,
    }
    classes = probabilities.shape[1]
    present = [c for c in range(classes) if 0 < np.sum(labels == c) < len(labels)]
    if not present:
        return scores, ["AUC not defined: one class in the fold"]
    if classes == 2:
        auc = metrics.roc_auc_score(labels == 1, probabilities[:, 1])
    else:  # one call for all classes takes a third of the time of one call per class
        truth = labels[:, None] == np.array(present)
        auc = np.mean(metrics.roc_auc_score(truth, probabilities[:, present], average=None))
    remarks = [f"AUC over {len(present)} of {classes} classes"] if len(present) < classes else []
    return {"auc": float(auc), **scores}, remarks


def _balanced_accuracy(labels: NDArray[np.integer], predicted: NDArray[np.integer]) -> float:
    """Return the mean recall over the classes in the labels.

    It equals scikit-learn's score, which would warn about classes that are only in the predictions.
    """
    return float(np.mean([np.mean(predicted[labels == c] == c) for c in np.unique(labels)]))
