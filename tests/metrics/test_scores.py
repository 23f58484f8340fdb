import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usaggr.metrics.detection import iou
from usaggr.metrics.names import METRICS, improvement, main_metric, metric, skill
from usaggr.metrics.predictions import Prediction, Truth, prediction_row
from usaggr.metrics.scores import score_sample, score_tasks
from usaggr.tasks import CATALOGUE

boxes = st.tuples(*[st.floats(0, 100)] * 4).map(
    lambda b: np.array([min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]) + 1, max(b[1], b[3]) + 1])
)


@settings(deadline=None)
@given(boxes, boxes)
def test_iou_is_that_of_torchvision(a: np.ndarray, b: np.ndarray) -> None:
    import torch
    from torchvision.ops import box_iou

    assert iou(a, b) == pytest.approx(float(box_iou(torch.tensor(a)[None], torch.tensor(b)[None])), abs=1e-9)


def test_an_inverted_box_meets_nothing() -> None:
    assert iou(np.array([0.0, 0, 10, 10]), np.array([8.0, 8, 2, 2])) == 0
    assert iou(np.array([3.0, 3, 3, 3]), np.array([3.0, 3, 3, 3])) == 0


def test_mre_is_the_mean_distance_of_a_point_and_relative_to_the_diagonal() -> None:
    task = CATALOGUE["FUGC"]
    prediction = Prediction("FUGC", "a", "s", points=np.array([[3.0, 4.0], [10.0, 10.0]]))
    truth = Truth("FUGC", "a", height=30, width=40, points=np.array([[0.0, 0.0], [10.0, 11.0]]))
    assert score_sample(task, prediction, truth, 0.005) == {"mre": 3.0, "mre_relative": 3.0 / 50}


def test_a_fold_is_scored_over_all_its_samples_not_over_batches() -> None:
    task = CATALOGUE["thyroid_nodule_det"]
    truth = np.array([0.0, 0, 10, 10])
    rows = []
    for i, shift in enumerate((0.0, 5.0, 20.0)):
        prediction = Prediction(task.id, f"{i}", "s", box=truth + np.array([shift, 0, shift, 0]))
        t = Truth(task.id, f"{i}", 50, 50, box=truth)
        rows.append(prediction_row(prediction, t, score_sample(task, prediction, t, 0.005)))
    scores, notes = score_tasks([task], rows)
    assert scores == {task.id: {"iou": pytest.approx((1 + 1 / 3 + 0) / 3)}}
    assert notes == {}


def test_classification_is_scored_from_the_probabilities_of_the_fold() -> None:
    task = CATALOGUE["breast_2cls"]
    rows = []
    for i, (label, p) in enumerate([(0, 0.1), (0, 0.6), (1, 0.7), (1, 0.9)]):
        prediction = Prediction(task.id, f"{i}", "s", probs=np.array([1 - p, p]))
        t = Truth(task.id, f"{i}", 50, 50, label=label)
        rows.append(prediction_row(prediction, t, score_sample(task, prediction, t, 0.005)))
    scores, _ = score_tasks([task], rows)
    assert list(scores[task.id]) == [m.name for m in METRICS["classification"]]
    assert (scores[task.id]["auc"], scores[task.id]["accuracy"]) == (1.0, 0.75)


def test_the_quick_score_of_a_mask_is_the_whole_ones_dsc() -> None:
    task = CATALOGUE["cardiac_multi"]
    rng = np.random.default_rng(0)
    prediction = Prediction(task.id, "a", "s", mask=rng.integers(0, 4, (20, 30), dtype=np.uint8))
    truth = Truth(task.id, "a", 20, 30, mask=rng.integers(0, 4, (20, 30), dtype=np.uint8))
    whole = score_sample(task, prediction, truth, 0.005)
    assert score_sample(task, prediction, truth, 0.005, main_only=True) == {"dsc": whole["dsc"]}
    assert list(whole) == ["dsc", "hd", "hd95", "nsd"]


def test_a_mask_of_another_size_or_a_wrong_kind_of_prediction_is_refused() -> None:
    task = CATALOGUE["lung"]
    mask = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="truth of"):
        score_sample(task, Prediction("lung", "a", "s", mask=mask), Truth("lung", "a", 5, 4, mask=mask[:3]), 0.005)
    with pytest.raises(ValueError, match="not of a segmentation task"):
        score_sample(task, Prediction("lung", "a", "s", box=np.zeros(4)), Truth("lung", "a", 4, 4, mask=mask), 0.005)


@pytest.mark.parametrize(
    ("score", "trivial", "name", "expected"),
    [
        (0.9, 0.5, "auc", 0.8),
        (0.3, 0.5, "auc", -0.4),
        (5.0, 20.0, "mre", 0.75),
        (90.0, 20.0, "mre", -1.0),
        (1.0, 1.0, "dsc", 0.0),
        (0.9, 1.0, "dsc", -1.0),
    ],
)
def test_skill_is_the_way_from_the_trivial_predictor_to_perfection(
    score: float, trivial: float, name: str, expected: float
) -> None:
    assert skill(score, trivial, metric(name)) == pytest.approx(expected)


def test_improvement_is_positive_when_better_whatever_the_direction() -> None:
    assert improvement(0.8, 0.7, metric("dsc")) == pytest.approx(0.1)
    assert improvement(20, 30, metric("hd")) == 10
    assert [main_metric(t).name for t in METRICS] == ["dsc", "auc", "iou", "mre"]
