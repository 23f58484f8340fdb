import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usaggr.metrics.classification import classification_scores


def fold(seed: int, classes: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + np.eye(classes)[labels]
    probabilities = np.exp(logits)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3, 8])
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_torchmetrics(classes: int, seed: int) -> None:
    import torch
    from torchmetrics.functional import classification as oracle

    labels, probabilities = fold(seed, classes)
    scores, remarks = classification_scores(labels, probabilities)
    p, y = torch.from_numpy(probabilities), torch.from_numpy(labels)
    auc = oracle.binary_auroc(p[:, 1], y) if classes == 2 else oracle.multiclass_auroc(p, y, classes)
    expected = {
        "auc": auc,
        "accuracy": oracle.multiclass_accuracy(p, y, classes, average="micro"),
        "balanced_accuracy": oracle.multiclass_accuracy(p, y, classes, average="macro"),
        "f1_macro": oracle.multiclass_f1_score(p, y, classes, average="macro"),
        "f1_weighted": oracle.multiclass_f1_score(p, y, classes, average="weighted"),
        "mcc": oracle.multiclass_matthews_corrcoef(p, y, classes),
    }
    assert scores == pytest.approx({name: float(value) for name, value in expected.items()}, abs=1e-6)
    assert remarks == []


def test_auc_leaves_out_classes_that_the_fold_lacks_and_says_so() -> None:
    labels, probabilities = fold(0, 3)
    there = labels < 2
    scores, remarks = classification_scores(labels[there], probabilities[there])
    pairs = [
        np.mean(
            probabilities[there][labels[there] == c, c][:, None] > probabilities[there][labels[there] != c, c][None]
        )
        for c in (0, 1)
    ]
    assert scores["auc"] == pytest.approx(np.mean(pairs))
    assert remarks == ["AUC over 2 of 3 classes"]


def test_without_a_second_class_there_is_no_auc() -> None:
    scores, remarks = classification_scores(np.zeros(5, int), np.tile([0.6, 0.4], (5, 1)))
    assert "auc" not in scores
    assert scores["accuracy"] == 1
    assert remarks == ["AUC not defined: one class in the fold"]


def test_a_constant_prediction_has_an_auc_of_one_half() -> None:
    labels, _ = fold(1, 4)
    scores, _ = classification_scores(labels, np.tile([0.4, 0.3, 0.2, 0.1], (len(labels), 1)))
    assert scores["auc"] == pytest.approx(0.5)
    assert scores["mcc"] == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 50), st.integers(2, 5), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(seed: int, classes: int, random: object) -> None:
    labels, probabilities = fold(seed, classes, 30)
    order = list(range(30))
    random.shuffle(order)  # type: ignore[attr-defined]
    first, second = (
        classification_scores(labels, probabilities),
        classification_scores(labels[order], probabilities[order]),
    )
    assert first[0] == pytest.approx(second[0])
