"""Scores of classifications, compared with torchmetrics, scikit-learn and the AUC as the share of ordered pairs."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import share_of_examples
from usaggr.metrics.classification import compute_classification_scores

ABSENT = "AUC not defined: one class in the fold"


def fold(seed: int, classes: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + np.eye(classes)[labels]
    probabilities = np.exp(logits)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


@st.composite
def odd_folds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw few samples with missing classes and tied probabilities."""
    classes, n = draw(st.integers(2, 5)), draw(st.integers(1, 12))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n))
    weights = draw(st.lists(st.tuples(*[st.integers(0, 3)] * classes), min_size=n, max_size=n))
    shares = np.array(weights, float) + 0.25
    return np.array(labels), shares / shares.sum(axis=1, keepdims=True)


def share_of_ordered_pairs(positive: np.ndarray, score: np.ndarray) -> float:
    difference = score[positive][:, None] - score[~positive][None]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


@pytest.mark.parametrize("classes", [2, 3, 8])
@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_those_of_torchmetrics(classes: int, seed: int) -> None:
    import torch
    from torchmetrics.functional import classification as oracle

    labels, probabilities = fold(seed, classes)
    scores, remarks = compute_classification_scores(labels, probabilities)
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


@pytest.mark.parametrize("classes", [3, 8])
def test_auc_of_a_whole_fold_is_scikit_learns_macro_one_vs_rest(classes: int) -> None:
    from sklearn.metrics import roc_auc_score

    labels, probabilities = fold(4, classes, 80)
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert compute_classification_scores(labels, probabilities)[0]["auc"] == pytest.approx(expected, abs=1e-12)


@given(odd_folds())
def test_odd_folds_have_the_scores_of_their_definitions_and_no_warning(case: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn import metrics

    labels, probabilities = case
    classes = probabilities.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores, remarks = compute_classification_scores(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    assert scores["accuracy"] == np.mean(predicted == labels)
    assert scores["balanced_accuracy"] == pytest.approx(
        metrics.recall_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)
    )
    assert all(0 <= value <= 1 for name, value in scores.items() if name != "mcc")
    assert -1 <= scores["mcc"] <= 1
    present = [c for c in range(classes) if 0 < np.sum(labels == c) < len(labels)]
    if present:
        aucs = [share_of_ordered_pairs(labels == c, probabilities[:, c]) for c in present]
        assert scores["auc"] == pytest.approx(np.mean(aucs))
        expected = [f"AUC over {len(present)} of {classes} classes"] if len(present) < classes else []
        assert remarks == expected
    else:
        assert "auc" not in scores
        assert remarks == [ABSENT]


@pytest.mark.parametrize("classes", [2, 5])
def test_a_perfect_prediction_has_perfect_scores(classes: int) -> None:
    labels = np.arange(20) % classes
    scores, _ = compute_classification_scores(labels, np.eye(classes)[labels])
    assert scores == dict.fromkeys(["auc", "accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc"], 1.0)


def test_two_classes_always_mistaken_for_each_other_are_the_worst() -> None:
    labels = np.arange(20) % 2
    scores, _ = compute_classification_scores(labels, np.eye(2)[1 - labels])
    assert (scores["auc"], scores["accuracy"], scores["mcc"]) == (0, 0, -1)


def test_a_hand_counted_fold() -> None:
    """The confusion matrix, with true classes in rows, is 2 1 0 / 0 1 1 / 0 0 1."""
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 2, 2])
    scores, _ = compute_classification_scores(labels, np.eye(3)[predicted] * 0.9 + 0.05)
    f1 = (2 * 2 / (3 + 2), 2 * 1 / (2 + 2), 2 * 1 / (1 + 2))
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert scores["f1_macro"] == pytest.approx(np.mean(f1))
    assert scores["f1_weighted"] == pytest.approx((3 * f1[0] + 2 * f1[1] + 1 * f1[2]) / 6)
    assert scores["mcc"] == pytest.approx((4 * 6 - 12) / np.sqrt((36 - 12) * (36 - 14)))


def test_a_class_that_is_only_predicted_has_an_f1_of_zero_in_the_macro_mean() -> None:
    """Class 0 has a recall of 2/3, a precision of 1 and an F1 of 0.8; class 1 an F1 of 1; class 2 an F1 of 0."""
    labels, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1])
    scores, _ = compute_classification_scores(labels, np.eye(3)[predicted])
    assert scores["f1_macro"] == pytest.approx((0.8 + 1 + 0) / 3)
    assert scores["f1_weighted"] == pytest.approx((3 * 0.8 + 1) / 4)


def test_auc_leaves_out_missing_classes_with_a_remark() -> None:
    labels, probabilities = fold(0, 3)
    selected = labels < 2
    scores, remarks = compute_classification_scores(labels[selected], probabilities[selected])
    pairs = [share_of_ordered_pairs(labels[selected] == c, probabilities[selected, c]) for c in (0, 1)]
    assert scores["auc"] == pytest.approx(np.mean(pairs))
    assert remarks == ["AUC over 2 of 3 classes"]


@pytest.mark.parametrize("classes", [2, 4])
def test_without_a_second_class_there_is_no_auc(classes: int) -> None:
    probabilities = np.tile(np.linspace(0.6, 0.4, classes), (5, 1))
    scores, remarks = compute_classification_scores(np.zeros(5, int), probabilities)
    assert "auc" not in scores
    assert scores["accuracy"] == 1
    assert scores["mcc"] == 0
    assert remarks == [ABSENT]


def test_a_constant_prediction_has_an_auc_of_one_half() -> None:
    labels, _ = fold(1, 4)
    scores, _ = compute_classification_scores(labels, np.tile([0.4, 0.3, 0.2, 0.1], (len(labels), 1)))
    assert scores["auc"] == pytest.approx(0.5)
    assert scores["balanced_accuracy"] == pytest.approx(0.25)
    assert scores["mcc"] == 0


def test_of_equal_probabilities_the_first_class_is_predicted() -> None:
    scores, _ = compute_classification_scores(np.array([0, 1, 1, 1]), np.full((4, 2), 0.5))
    assert scores["accuracy"] == 0.25


def test_nan_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        compute_classification_scores(np.array([0, 1]), np.array([[0.5, 0.5], [np.nan, np.nan]]))


@share_of_examples(0.5)
@given(st.integers(0, 50), st.integers(2, 5), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(seed: int, classes: int, random: object) -> None:
    labels, probabilities = fold(seed, classes, 30)
    order = list(range(30))
    random.shuffle(order)  # type: ignore[attr-defined]
    first, _ = compute_classification_scores(labels, probabilities)
    second, _ = compute_classification_scores(labels[order], probabilities[order])
    assert first == pytest.approx(second)


@share_of_examples(0.5)
@given(st.integers(0, 50), st.integers(3, 5), st.randoms(use_true_random=False))
def test_the_numbers_of_classes_do_not_matter(seed: int, classes: int, random: object) -> None:
    labels, probabilities = fold(seed, classes, 30)
    names = list(range(classes))
    random.shuffle(names)  # type: ignore[attr-defined]
    first, _ = compute_classification_scores(labels, probabilities)
    second, _ = compute_classification_scores(np.argsort(names)[labels], probabilities[:, names])
    assert first == pytest.approx(second)
