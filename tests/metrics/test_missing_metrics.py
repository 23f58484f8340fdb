"""Metrics that a stored result does not have."""

from usaggr.metrics.missing_metrics import find_missing_metrics


def test_metrics_of_the_type_of_task_that_are_not_stored_are_missing() -> None:
    scores = {
        "lesion": {"dsc": 0.8, "hd": 9.0, "hd95": 5.0},
        "grade": {"auc": 0.9, "accuracy": 0.8, "f1_macro": 0.8, "f1_weighted": 0.8},
        "box": {"iou": 0.5},
        "femur": {"mre_relative": 0.1},
    }
    assert find_missing_metrics(scores, {}) == {
        "lesion": ("nsd",),
        "grade": ("balanced_accuracy", "mcc"),
        "femur": ("mre",),
    }


def test_a_metric_that_a_note_explains_is_not_missing() -> None:
    scores = {"grade": {"accuracy": 1.0, "balanced_accuracy": 1.0, "f1_macro": 1.0, "f1_weighted": 1.0, "mcc": 0.0}}
    assert find_missing_metrics(scores, {"grade": ["seen 3 times", "AUC not defined: one class in the fold"]}) == {}
    assert find_missing_metrics(scores, {"other": ["AUC not defined: one class in the fold"]}) == {"grade": ("auc",)}
