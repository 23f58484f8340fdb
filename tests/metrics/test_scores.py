from pathlib import Path
from typing import Any

import numpy as np
import pytest

from usaggr.metrics.names import METRICS
from usaggr.metrics.scores import (
    compute_task_pseudovalues,
    score_sample,
    score_task,
    score_tasks,
    score_tasks_by_subject,
)
from usaggr.metrics.segmentation import compute_distances, dsc
from usaggr.results.predictions import (
    SAMPLE_METRICS,
    Prediction,
    Truth,
    make_prediction_row,
    make_prediction_table,
    read_predictions,
    write_predictions,
)
from usaggr.tasks import CATALOGUE, Task

TOLERANCE = 0.05


def row(task: Task, prediction: Prediction, truth: Truth, main_only: bool = False) -> dict[str, Any]:
    return make_prediction_row(prediction, truth, score_sample(task, prediction, truth, TOLERANCE, main_only))


def make_mask_rows(
    task: Task, n: int = 5, main_only: bool = False
) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
    masks = np.random.default_rng(0).integers(0, task.num_classes, (2, n, 20, 30), dtype=np.uint8)
    records = [
        row(task, Prediction(task.id, f"{i}", "s", mask=p), Truth(task.id, f"{i}", 20, 30, mask=t), main_only)
        for i, (t, p) in enumerate(zip(*masks, strict=True))
    ]
    return records, masks[0], masks[1]


def make_class_rows(task: Task, cases: list[tuple[int, list[float]]]) -> list[dict[str, Any]]:
    return [
        row(task, Prediction(task.id, f"{i}", "s", probs=np.array(probs)), Truth(task.id, f"{i}", 9, 9, label=label))
        for i, (label, probs) in enumerate(cases)
    ]


def make_box_rows(task: Task, shifts: list[float]) -> list[dict[str, Any]]:
    truth = np.array([0.0, 0, 10, 10])
    return [
        row(
            task,
            Prediction(task.id, f"{i}", "s", box=truth + np.array([shift, 0, shift, 0])),
            Truth(task.id, f"{i}", 50, 50, box=truth),
        )
        for i, shift in enumerate(shifts)
    ]


def test_mre_is_the_mean_distance_of_a_point_and_relative_to_the_diagonal() -> None:
    task = CATALOGUE["FUGC"]
    prediction = Prediction("FUGC", "a", "s", points=np.array([[3.0, 4.0], [10.0, 10.0]]))
    truth = Truth("FUGC", "a", height=30, width=40, points=np.array([[0.0, 0.0], [10.0, 11.0]]))
    assert score_sample(task, prediction, truth, 0.005) == {"mre": 3.0, "mre_relative": 3.0 / 50}


def test_mre_relative_is_computed_for_each_image_before_the_mean() -> None:
    task = CATALOGUE["FUGC"]
    origin = np.zeros((2, 2))
    records = [
        row(
            task,
            Prediction(task.id, f"{side}", "s", points=origin + np.array([error, 0])),
            Truth(task.id, f"{side}", 3 * side, 4 * side, points=origin),
        )
        for side, error in ((10, 5.0), (100, 20.0))
    ]
    scores, remarks = score_task(task, records)
    assert scores == {"mre": 12.5, "mre_relative": pytest.approx((5 / 50 + 20 / 500) / 2)}
    assert remarks == []


def test_nsd_tolerance_is_a_fraction_of_the_diagonal() -> None:
    task = CATALOGUE["lung"]
    truth, predicted = np.zeros((2, 60, 80), np.uint8)
    truth[10:30, 10:30] = predicted[10:30, 15:35] = 1
    pair = Prediction("lung", "a", "s", mask=predicted), Truth("lung", "a", 60, 80, mask=truth)
    assert score_sample(task, *pair, nsd_tolerance=5 / 100)["nsd"] == 1
    assert score_sample(task, *pair, nsd_tolerance=4.9 / 100)["nsd"] < 1


def test_a_subset_is_scored_over_all_its_samples_not_over_batches() -> None:
    task = CATALOGUE["thyroid_nodule_det"]
    scores, notes = score_tasks([task], make_box_rows(task, [0.0, 5.0, 20.0]))
    assert scores == {task.id: {"iou": pytest.approx((1 + 1 / 3 + 0) / 3)}}
    assert notes == {}


def test_masks_are_averaged_over_images_for_each_class_then_over_foreground_classes() -> None:
    task = CATALOGUE["cardiac_multi"]
    records, truths, predicted = make_mask_rows(task)
    by_class = np.array(
        [
            [
                (dsc(t == c, p == c), *compute_distances(t == c, p == c, TOLERANCE * np.hypot(20, 30)))
                for t, p in zip(truths, predicted, strict=True)
            ]
            for c in (1, 2, 3)
        ]
    )
    expected = dict(zip(("dsc", "hd", "hd95", "nsd"), by_class.mean(axis=1).mean(axis=0), strict=True))
    assert score_task(task, records)[0] == pytest.approx(expected, abs=1e-12)


def test_classification_is_scored_from_the_probabilities_of_the_fold() -> None:
    task = CATALOGUE["breast_2cls"]
    records = make_class_rows(task, [(0, [0.9, 0.1]), (0, [0.4, 0.6]), (1, [0.3, 0.7]), (1, [0.1, 0.9])])
    scores, _ = score_tasks([task], records)
    assert list(scores[task.id]) == [m.name for m in METRICS["classification"]]
    assert (scores[task.id]["auc"], scores[task.id]["accuracy"]) == (1.0, 0.75)
    assert scores[task.id]["accuracy"] == np.mean([r["accuracy"] for r in records])


def test_a_subset_of_one_class_has_no_auc_and_a_note() -> None:
    task = CATALOGUE["breast_2cls"]
    scores, notes = score_tasks([task], make_class_rows(task, [(1, [0.4, 0.6]), (1, [0.6, 0.4])]))
    assert list(scores[task.id]) == [m.name for m in METRICS["classification"][1:]]
    assert notes == {task.id: ["AUC not defined: one class in the fold"]}


def all_types() -> tuple[list[Task], list[dict[str, Any]]]:
    mask, label, box = (CATALOGUE[name] for name in ("cardiac_multi", "breast_3cls", "thyroid_nodule_det"))
    cases = [(0, [0.5, 0.3, 0.2]), (1, [0.4, 0.5, 0.1]), (1, [0.6, 0.3, 0.1])]
    return [mask, label, box], [
        *make_box_rows(box, [1.0, 2.0]),
        *make_mask_rows(mask)[0],
        *make_class_rows(label, cases),
    ]


def test_rows_in_memory_a_table_and_the_stored_file_have_the_same_scores(tmp_path: Path) -> None:
    tasks, records = all_types()
    scores, notes = score_tasks(tasks, records)
    assert list(scores) == [task.id for task in tasks]
    assert notes == {"breast_3cls": ["AUC over 2 of 3 classes"]}
    write_predictions(tmp_path / "predictions.parquet", records)
    stored = read_predictions(tmp_path / "predictions.parquet")
    for again in (make_prediction_table(records), stored, stored.to_dict("records")):
        assert score_tasks(tasks, again) == (scores, notes)


def test_the_mean_of_the_pseudovalues_of_a_metric_is_its_score() -> None:
    tasks, records = all_types()
    for task in tasks:
        selected = [row for row in records if row["task_id"] == task.id]
        scores, components = score_task(task, selected)[0], np.arange(len(selected))
        values = compute_task_pseudovalues(task, selected, components)
        assert values.keys() == scores.keys()
        assert {name: array.mean() for name, array in values.items()} == pytest.approx(scores)
        from_table = compute_task_pseudovalues(task, make_prediction_table(selected), components)
        assert all((from_table[name] == array).all() for name, array in values.items())


@pytest.mark.parametrize("as_table", [False, True])
def test_each_subject_counts_once_in_scores_by_subject(as_table: bool) -> None:
    tasks, records = all_types()
    records = [{**record, "subject_id": "one" if i % 3 else f"s{i}"} for i, record in enumerate(records)]
    table = make_prediction_table(records)
    scores = score_tasks_by_subject(tasks, table if as_table else records)
    for task in tasks:
        task_rows = table[table["task_id"] == task.id]
        assert set(scores[task.id]) == {metric.name for metric in METRICS[task.type]}
        for metric in METRICS[task.type]:
            if metric.is_per_sample:
                mean = task_rows.groupby("subject_id")[metric.name].mean().mean()
                assert scores[task.id][metric.name] == pytest.approx(mean)
    assert score_tasks_by_subject(tasks, []) == {}


def test_samples_and_test_sets_have_the_scores_of_the_registry() -> None:
    tasks, records = all_types()
    point = CATALOGUE["FUGC"]
    points = Prediction(point.id, "a", "s", points=np.ones((2, 2))), Truth(point.id, "a", 9, 9, points=np.ones((2, 2)))
    for task in (*tasks, point):
        selected = [record for record in (*records, row(point, *points)) if record["task_id"] == task.id]
        per_sample = [metric.name for metric in METRICS[task.type] if metric.is_per_sample]
        assert [name for name in selected[0] if name in SAMPLE_METRICS] == per_sample
        assert list(score_task(task, selected)[0]) == [metric.name for metric in METRICS[task.type]]


def test_a_metric_that_some_samples_do_not_have_has_no_pseudovalues() -> None:
    task = CATALOGUE["cardiac_multi"]
    records = make_mask_rows(task)[0]
    some = [{**records[0], "hd": float("nan")}, *records[1:]]
    assert list(compute_task_pseudovalues(task, some, np.arange(len(records)))) == ["dsc", "hd95", "nsd"]


def test_a_stored_predicted_class_is_used_for_all_scores_except_auc() -> None:
    task = CATALOGUE["breast_2cls"]
    records = make_class_rows(task, [(0, [0.9, 0.1]), (0, [0.8, 0.2]), (1, [0.3, 0.7]), (1, [0.1, 0.9])])
    mistaken = [{**row, "predicted_class": 1 - row["label"]} for row in records]
    scores, _ = score_task(task, mistaken)
    assert (scores.pop("auc"), scores["mcc"], set(scores.values())) == (1.0, -1.0, {0.0, -1.0})
    values = compute_task_pseudovalues(task, mistaken, np.arange(4))
    assert (values["auc"].mean(), values["mcc"].mean(), values["accuracy"].mean()) == pytest.approx((1.0, -1.0, 0.0))


def test_the_order_of_rows_does_not_matter() -> None:
    tasks, records = all_types()
    (first, notes), (second, again) = score_tasks(tasks, records), score_tasks(tasks, records[::-1])
    assert notes == again
    assert first.keys() == second.keys()
    for task_id, scores in first.items():
        assert second[task_id] == pytest.approx(scores, abs=1e-12)


def test_a_task_is_scored_from_its_own_rows_and_has_no_scores_without_any() -> None:
    tasks, records = all_types()
    assert score_tasks(tasks[:1], records)[0] == {"cardiac_multi": score_tasks(tasks, records)[0]["cardiac_multi"]}
    assert list(score_tasks([*tasks, CATALOGUE["FUGC"]], records)[0]) == [task.id for task in tasks]
    assert score_tasks(tasks, []) == ({}, {})
    assert score_tasks(tasks, make_prediction_table([])) == ({}, {})


def test_the_main_score_of_a_mask_is_the_dsc_of_the_complete_scores() -> None:
    task = CATALOGUE["cardiac_multi"]
    quick, _ = score_task(task, make_mask_rows(task, main_only=True)[0])
    complete, _ = score_task(task, make_mask_rows(task)[0])
    assert quick == {"dsc": complete["dsc"]}
    assert score_task(task, make_prediction_table(make_mask_rows(task, main_only=True)[0])) == (quick, [])
    assert list(complete) == ["dsc", "hd", "hd95", "nsd"]


def test_a_sample_without_a_score_is_not_ignored() -> None:
    task = CATALOGUE["thyroid_nodule_det"]
    records = make_box_rows(task, [0.0, 1.0, float("nan")])
    assert np.isnan(score_task(task, records)[0]["iou"])
    assert np.isnan(score_task(task, make_box_rows(task, [float("nan")]))[0]["iou"])
    assert np.isnan(score_task(task, make_prediction_table(records))[0]["iou"])


def test_a_metric_that_some_samples_do_not_have_is_nan_and_one_that_none_has_is_left_out() -> None:
    task = CATALOGUE["cardiac_multi"]
    records = make_mask_rows(task)[0]
    some = [{**records[0], "hd": float("nan")}, *records[1:]]
    scores, _ = score_task(task, some)
    assert list(scores) == ["dsc", "hd", "hd95", "nsd"]
    assert [name for name, value in scores.items() if np.isnan(value)] == ["hd"]
    assert list(score_task(task, [{**row, "hd": float("nan")} for row in records])[0]) == ["dsc", "hd95", "nsd"]


def test_a_wrong_kind_of_prediction_is_refused() -> None:
    mask = np.zeros((4, 4), np.uint8)
    truth = Truth("lung", "a", 4, 4, mask=mask)
    with pytest.raises(ValueError, match="a: prediction or truth is not of a segmentation task"):
        score_sample(CATALOGUE["lung"], Prediction("lung", "a", "s", box=np.zeros(4)), truth, 0.005)
    with pytest.raises(ValueError, match="a: prediction or truth is not of a detection task"):
        score_sample(CATALOGUE["thyroid_nodule_det"], Prediction("lung", "a", "s", mask=mask), truth, 0.005)


def test_a_prediction_that_numpy_would_broadcast_is_refused() -> None:
    mask, points = np.zeros((4, 4), np.uint8), np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"a: the prediction has the shape \(1, 4\), but the true label has \(4, 4\)"):
        score_sample(
            CATALOGUE["lung"], Prediction("lung", "a", "s", mask=mask[:1]), Truth("lung", "a", 4, 4, mask=mask), 0.005
        )
    with pytest.raises(ValueError, match=r"a: the prediction has the shape \(1, 2\), but the true label has \(2, 2\)"):
        score_sample(
            CATALOGUE["FUGC"],
            Prediction("FUGC", "a", "s", points=points[:1]),
            Truth("FUGC", "a", 4, 4, points=points),
            0.005,
        )
