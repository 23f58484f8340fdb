"""Pseudo-values, compared with scores from scikit-learn with each subject left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from usaggr.metrics.classification import compute_classification_scores
from usaggr.metrics.jackknife import compute_auc_pseudovalues, compute_confusion_pseudovalues, mean_pseudovalues


def fold(seed: int, classes: int, samples: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, probabilities with ties, and subjects with one or several samples."""
    rng = np.random.default_rng(seed)
    subjects = np.unique(rng.integers(0, 25, samples), return_inverse=True)[1]
    labels = rng.permutation(np.arange(samples) % classes)
    probabilities = np.round(rng.dirichlet(np.ones(classes), samples) + 0.3 * np.eye(classes)[labels], 1)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True), subjects


@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (3, 1), (5, 0)])
def test_pseudovalues_equal_those_of_explicit_leave_one_out(classes: int, seed: int) -> None:
    labels, probabilities, subjects = fold(seed, classes)
    scores, _ = compute_classification_scores(labels, probabilities)
    count = subjects.max() + 1
    pseudovalues = compute_confusion_pseudovalues(labels, probabilities, subjects)
    pseudovalues["auc"] = compute_auc_pseudovalues(labels, probabilities, subjects)
    assert set(pseudovalues) == set(scores)
    for metric, values in pseudovalues.items():
        remaining = [subjects != subject for subject in range(count)]
        without = np.array([compute_classification_scores(labels[r], probabilities[r])[0][metric] for r in remaining])
        assert values == pytest.approx(scores[metric] + (count - 1) * (without.mean() - without), abs=1e-9), metric
        assert values.mean() == pytest.approx(scores[metric])


@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(8, 40))
def test_the_mean_of_pseudovalues_is_the_score(seed: int, classes: int, samples: int) -> None:
    labels, probabilities, subjects = fold(seed, classes, samples)
    scores, _ = compute_classification_scores(labels, probabilities)
    for metric, values in compute_confusion_pseudovalues(labels, probabilities, subjects).items():
        assert values.mean() == pytest.approx(scores[metric])
        assert np.isfinite(values).all()
    auc = compute_auc_pseudovalues(labels, probabilities, subjects)
    assert auc is not None
    assert auc.mean() == pytest.approx(scores["auc"])


def weigh_by_subject(subjects: np.ndarray) -> np.ndarray:
    """Return 1 / number of the subject's samples, for each sample."""
    return 1 / np.bincount(subjects)[subjects]


def score_with_weights(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Return the scores of scikit-learn with `sample_weight`."""
    predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    of_classes = [c for c in range(classes) if 0 < np.sum(labels == c) < len(labels)]
    scored = [1] if classes == 2 else of_classes
    aucs = [metrics.roc_auc_score(labels == c, probabilities[:, c], sample_weight=weights) for c in scored]
    return {
        "auc": float(np.mean(aucs)),
        "accuracy": metrics.accuracy_score(labels, predicted, sample_weight=weights),
        "balanced_accuracy": metrics.recall_score(
            labels, predicted, labels=np.unique(labels), average="macro", sample_weight=weights
        ),
        "f1_macro": metrics.f1_score(labels, predicted, average="macro", sample_weight=weights),
        "f1_weighted": metrics.f1_score(labels, predicted, average="weighted", sample_weight=weights),
        "mcc": metrics.matthews_corrcoef(labels, predicted, sample_weight=weights),
    }


@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (3, 1), (5, 0)])
def test_weighted_pseudovalues_equal_those_of_leave_one_subject_out_with_scikit_learn(classes: int, seed: int) -> None:
    labels, probabilities, subjects = fold(seed, classes)
    weights, count = weigh_by_subject(subjects), subjects.max() + 1
    scores = score_with_weights(labels, probabilities, weights)
    assert scores["auc"] != pytest.approx(compute_classification_scores(labels, probabilities)[0]["auc"])
    pseudovalues = compute_confusion_pseudovalues(labels, probabilities, subjects, weights=weights)
    pseudovalues["auc"] = compute_auc_pseudovalues(labels, probabilities, subjects, weights)
    assert set(pseudovalues) == set(scores)
    remaining = [subjects != subject for subject in range(count)]
    without = [score_with_weights(labels[r], probabilities[r], weights[r]) for r in remaining]
    for metric, values in pseudovalues.items():
        left_out = np.array([scores_of_rest[metric] for scores_of_rest in without])
        assert values == pytest.approx(scores[metric] + (count - 1) * (left_out.mean() - left_out), abs=1e-9), metric
        assert values.mean() == pytest.approx(scores[metric])


def test_weighted_pseudovalues_of_a_mean_are_the_means_of_the_subjects() -> None:
    values, subjects = np.array([1.0, 0.4, 0.1, 0.0, 0.8]), np.array([0, 0, 0, 1, 2])
    assert mean_pseudovalues(values, subjects, weigh_by_subject(subjects)) == pytest.approx([0.5, 0.0, 0.8])


def test_several_subjects_of_a_component_are_left_out_together() -> None:
    values, subjects, components = np.array([1.0, 0.0, 0.5, 0.2]), np.array([0, 0, 1, 2]), np.array([0, 0, 0, 1])
    pseudovalues = mean_pseudovalues(values, components, weigh_by_subject(subjects))
    # Means of the subjects: .5, .5 and .2. The mean is .2 without the first component, .5 without the second one.
    assert pseudovalues == pytest.approx([0.4 + 0.15, 0.4 - 0.15])


def test_a_weighted_class_of_one_subject_keeps_its_term_in_spite_of_rounding() -> None:
    # Weights of 1/3 do not add up exactly: without its only subject, a class must count as absent, not as tiny.
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    subjects = np.array([0, 0, 0, 1, 1, 1, 2, 3])
    positive = np.array([0.9, 0.2, 0.6, 0.1, 0.7, 0.3, 0.5, 0.8])
    probabilities, weights = np.stack([1 - positive, positive], axis=1), weigh_by_subject(subjects)
    auc = compute_auc_pseudovalues(labels, probabilities, subjects, weights)
    assert auc is not None
    values = {**compute_confusion_pseudovalues(labels, probabilities, subjects, weights=weights), "auc": auc}
    scores = score_with_weights(labels, probabilities, weights)
    for metric, pseudovalues in values.items():
        assert pseudovalues.mean() == pytest.approx(scores[metric])
        assert np.abs(pseudovalues).max() < 4, metric


def test_weights_do_not_make_an_mcc_of_one_predicted_class() -> None:
    labels, subjects = np.array([0, 1, 1, 0, 1, 1, 0]), np.array([0, 0, 0, 1, 1, 1, 2])
    probabilities = np.tile([0.4, 0.6], (7, 1))
    values = compute_confusion_pseudovalues(labels, probabilities, subjects, weights=weigh_by_subject(subjects))
    assert values["mcc"].tolist() == [0.0, 0.0, 0.0]


@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(8, 40))
def test_equal_weights_change_no_bit_of_the_pseudovalues(seed: int, classes: int, samples: int) -> None:
    labels, probabilities, subjects = fold(seed, classes, samples)
    weights = np.ones(samples)
    plain = compute_confusion_pseudovalues(labels, probabilities, subjects)
    weighted = compute_confusion_pseudovalues(labels, probabilities, subjects, weights=weights)
    assert {name: values.tolist() for name, values in plain.items()} == {
        name: values.tolist() for name, values in weighted.items()
    }
    values = probabilities[:, 0]
    assert mean_pseudovalues(values, subjects).tolist() == mean_pseudovalues(values, subjects, weights).tolist()


def test_pseudovalues_of_a_mean_are_the_values_if_each_sample_is_a_subject() -> None:
    values = np.array([0.2, 0.9, 0.4])
    assert mean_pseudovalues(values, np.arange(3)) == pytest.approx(values)


def test_a_subject_with_more_samples_has_more_weight() -> None:
    values, subjects = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 0, 1])
    # The mean is 0 without the first subject, and 1 without the second one.
    assert mean_pseudovalues(values, subjects) == pytest.approx([0.75 + 0.5, 0.75 - 0.5])


def test_a_class_of_one_subject_keeps_its_term_without_this_subject() -> None:
    labels = np.array([1, 0, 0, 0])
    probabilities = np.array([[0.4, 0.6], [0.5, 0.5], [0.3, 0.7], [0.9, 0.1]])
    values = compute_auc_pseudovalues(labels, probabilities, np.arange(4))
    assert values is not None
    auc = 2 / 3
    without = np.array([auc, 0.5, 1.0, 0.5])
    assert values == pytest.approx(auc + 3 * (without.mean() - without))


def test_one_class_has_no_auc() -> None:
    assert compute_auc_pseudovalues(np.zeros(4, dtype=int), np.full((4, 2), 0.5), np.arange(4)) is None


def test_the_auc_of_two_classes_has_the_variance_of_delong() -> None:
    """The jackknife's variance is close to DeLong's, which is computed here from its structural components."""
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], [60, 40])
    scores = rng.normal(size=100) + labels
    wins = scores[labels == 1][:, None] > scores[labels == 0]
    delong = wins.mean(axis=1).var(ddof=1) / 40 + wins.mean(axis=0).var(ddof=1) / 60
    values = compute_auc_pseudovalues(labels, np.stack([-scores, scores], axis=1), np.arange(100))
    assert values is not None
    assert values.var(ddof=1) / 100 == pytest.approx(delong, rel=0.03)
