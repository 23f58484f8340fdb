"""Scores of class probabilities over a whole fold, by scikit-learn."""

import numpy as np
from numpy.typing import NDArray


def classification_scores(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], predicted: NDArray[np.integer] | None = None
) -> tuple[dict[str, float], list[str]]:
    """AUC, accuracy, balanced accuracy, macro and weighted F1 and MCC of a fold, with remarks.

    AUC is the mean one-vs-rest over the classes that have positives and negatives in the fold; for two classes that of
    class 1. It is left out where there is no such class. The predicted class is the one of highest probability, the
    first of equal ones. Balanced accuracy is over the classes in the labels, the F1 scores over those in labels or
    predictions (as scikit-learn has it), and MCC, in [-1, 1], is 0 where labels or predictions are all of one class.

    Args:
        labels: (N,) classes in [0, K), N at least 1.
        probabilities: (N, K).
        predicted: (N,) classes in [0, K), where others than those of highest probability are meant.
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
    else:  # all in one call, which costs a third of a call each
        truth = labels[:, None] == np.array(present)
        auc = np.mean(metrics.roc_auc_score(truth, probabilities[:, present], average=None))
    remarks = [f"AUC over {len(present)} of {classes} classes"] if len(present) < classes else []
    return {"auc": float(auc), **scores}, remarks


def _balanced_accuracy(labels: NDArray[np.integer], predicted: NDArray[np.integer]) -> float:
    """Mean recall over the classes that are there (scikit-learn's, which warns of classes only predicted)."""
    return float(np.mean([np.mean(predicted[labels == c] == c) for c in np.unique(labels)]))
