"""Every score of the challenge agrees with an independent implementation, for random and for unusual predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.challenge import oracle
from tests.challenge.factories import Made
from usaggr.challenge import evaluate
from usaggr.challenge.challenge_scores import score_in_both_modes
from usaggr.challenge.evaluate import TaskEvaluation
from usaggr.tasks import CATALOGUE

Expected = dict[str, dict[str, float]]
RANDOM = 50
"""Tasks find_task each type."""


def blobs(rng: np.random.Generator, height: int, width: int, classes: int) -> Any:
    """Return a label map of random rectangles; some classes may be missing."""
    mask = np.zeros((height, width), np.uint8)
    for label in range(1, classes):
        if rng.random() < 0.75:
            top, left = rng.integers(0, height), rng.integers(0, width)
            mask[top : top + rng.integers(1, height), left : left + rng.integers(1, width)] = label
    return mask


def random_tasks(made: Made, rng: np.random.Generator, tasks: int = RANDOM) -> Expected:
    """Make `tasks` tasks of each type and return their scores, computed by the oracle."""
    expected: Expected = {}
    for number in range(tasks):
        n, classes = int(rng.integers(1, 6)), int(rng.integers(2, 5))
        sizes = rng.integers(4, 20, (n, 2))
        truths = [blobs(rng, *size, classes) for size in sizes]
        masks = [blobs(rng, *(size if rng.random() < 0.7 else rng.integers(3, 25, 2)), classes) for size in sizes]
        made.segmentation(f"seg{number}", classes, truths, masks)
        expected[f"seg{number}"] = oracle.segmentation(truths, masks, classes)
        n = int(rng.integers(1, 12))
        labels = rng.integers(0, classes, n).tolist()
        probs = rng.dirichlet(np.ones(classes), n).round(1 if rng.random() < 0.5 else 9)  # rounded: with ties
        chosen = [int(row.argmax()) for row in probs]
        if rng.random() < 0.3:
            chosen = rng.integers(0, classes, n).tolist()
        records = [{"predicted_class": c, "predicted_probs": p.tolist()} for c, p in zip(chosen, probs, strict=True)]
        made.classification(f"cls{number}", classes, labels, records)
        expected[f"cls{number}"] = oracle.classification(labels, chosen, probs)
        boxes = [np.sort(rng.uniform(0, 30, (2, 2)), axis=0).ravel() for _ in range(n)]
        predicted_boxes = [box + rng.normal(0, 4, 4) for box in boxes]
        made.detection(f"det{number}", (31, 31), boxes, [{"bbox_pixels": box.tolist()} for box in predicted_boxes])
        expected[f"det{number}"] = oracle.detection(boxes, predicted_boxes)
        points = [rng.uniform(0, 30, (classes, 2)) for _ in range(n)]
        predicted_points = [p + rng.normal(0, 9, p.shape) for p in points]
        made.regression(
            f"reg{number}",
            (31, 31),
            points,
            [{"predicted_points_pixels": p.ravel().tolist()} for p in predicted_points],
        )
        expected[f"reg{number}"] = oracle.regression(points, predicted_points)
    return expected


def find_task(tasks: tuple[TaskEvaluation, ...], task_id: str) -> TaskEvaluation:
    return next(task for task in tasks if task.task.id == task_id)


def test_scores_of_random_tasks_agree_with_an_independent_implementation(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", tmp_path / "predictions")
    expected = random_tasks(made, np.random.default_rng(0))
    evaluation = made.evaluated(tmp_path / "cache")
    assert len(expected) == 200
    for task_id, scores in expected.items():
        scored = find_task(evaluation.tasks, task_id).scored
        assert scored is not None
        assert scored.challenge == pytest.approx(scores, abs=1e-6), task_id
    assert sum(scores.get("auc") == 0 for scores in expected.values()) >= 5  # tasks with a class without labels


EMPTY, FULL = np.zeros((12, 10), np.uint8), np.ones((12, 10), np.uint8)
DOT, CORNER = EMPTY.copy(), EMPTY.copy()
DOT[5, 4], CORNER[11, 9] = 1, 1
INNER = EMPTY.copy()
INNER[3:9, 2:8] = 1
THREE = INNER.copy()
THREE[:2] = 2


def palette(mask: Any) -> Image.Image:
    image = Image.fromarray(mask, mode="P")
    image.putpalette([0, 0, 0, 200, 10, 30, 7, 7, 7])
    return image


MASKS: dict[str, tuple[int, Any, Any, Any]] = {
    # name: classes, truth, submitted mask, its meaning
    "both empty": (2, EMPTY, EMPTY, EMPTY),
    "truth empty": (2, EMPTY, DOT, DOT),
    "prediction empty": (2, INNER, EMPTY, EMPTY),
    "whole image": (2, INNER, FULL, FULL),
    "inside the truth": (2, FULL, INNER, INNER),
    "one pixel each": (2, DOT, CORNER, CORNER),
    "the same": (2, INNER, INNER, INNER),
    "a class absent from both": (4, THREE, THREE, THREE),
    "a class missed": (3, THREE, INNER, INNER),
    "classes exchanged": (3, THREE, np.where(THREE > 0, 3 - THREE, 0).astype(np.uint8), np.where(THREE, 3 - THREE, 0)),
    "twice as large": (2, INNER, np.kron(INNER, np.ones((2, 2), np.uint8)), INNER),
    "smaller": (2, INNER, INNER[::2, ::2], oracle.nearest(INNER[::2, ::2], 12, 10)),
    "turned": (2, INNER, INNER.T.copy(), oracle.nearest(INNER.T, 12, 10)),
    "one pixel in all": (2, INNER, FULL[:1, :1], FULL),
    "16 bits": (3, THREE, THREE.astype(np.uint16), THREE),
    "a palette": (3, THREE, palette(THREE), THREE),
    "gray in colors": (2, INNER, np.repeat(INNER[:, :, None], 3, axis=2), INNER),
    "one bit": (2, INNER, Image.fromarray(INNER.astype(bool)), INNER),
    "255 for 1": (2, INNER, INNER * 255, EMPTY),
    "257 for 1": (2, INNER, INNER.astype(np.uint16) * 257, EMPTY),  # 1 in its lower 8 bits
    "values that are no class": (2, INNER, np.where(INNER == 0, 7, INNER).astype(np.uint8), INNER),
}

CLASSES: dict[str, tuple[int, list[int], list[int], list[list[float]]]] = {
    # name: classes, labels, predicted classes, probabilities
    "one sample": (2, [1], [1], [[0.1, 0.9]]),
    "one class find_task two": (2, [0, 0, 0], [0, 1, 0], [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]]),
    "one class find_task three is absent": (
        3,
        [0, 1, 1],
        [0, 1, 2],
        [[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]],
    ),
    "all alike": (2, [0, 1, 0, 1], [0, 0, 0, 0], [[0.5, 0.5]] * 4),
    "always wrong": (2, [0, 1], [1, 0], [[0.0, 1.0], [1.0, 0.0]]),
    "not the most probable": (2, [0, 1, 1], [1, 1, 0], [[0.7, 0.3], [0.2, 0.8], [0.4, 0.6]]),
    "sums find_task two": (
        3,
        [0, 1, 2, 1],
        [0, 1, 2, 0],
        [[1.4, 0.3, 0.3], [0.1, 1.5, 0.4], [0, 0.5, 1.5], [1, 0.6, 0.4]],
    ),
    "a class predicted and not there": (3, [0, 0, 1], [2, 0, 1], [[0.2, 0.2, 0.6], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]),
}

BOXES: dict[str, tuple[list[float], dict[str, Any], list[float]]] = {
    # name: truth, record, its meaning; the image is 20 pixels high and 30 wide
    "the same": ([3, 4, 13, 14], {"bbox_pixels": [3, 4, 13, 14]}, [3, 4, 13, 14]),
    "swapped": ([3, 4, 13, 14], {"bbox_pixels": [13, 14, 3, 4]}, [13, 14, 3, 4]),
    "swapped one way": ([3, 4, 13, 14], {"bbox_pixels": [13, 4, 3, 14]}, [13, 4, 3, 14]),
    "without area": ([3, 4, 13, 14], {"bbox_pixels": [5, 5, 5, 9]}, [5, 5, 5, 9]),
    "touching": ([3, 4, 13, 14], {"bbox_pixels": [13, 4, 20, 14]}, [13, 4, 20, 14]),
    "out find_task the image": ([3, 4, 13, 14], {"bbox_pixels": [-9, -9, 50, 60]}, [-9, -9, 50, 60]),
    "fractions alone": ([3, 4, 13, 14], {"bbox_normalized": [0.1, 0.2, 0.5, 0.7]}, [3, 4, 15, 14]),
    "fractions that disagree": (
        [3, 4, 13, 14], {"bbox_pixels": [3, 4, 13, 13], "bbox_normalized": [0, 0, 1, 1]}, [3, 4, 13, 13],
    ),
}  # fmt: skip


def test_scores_of_unusual_predictions_agree_with_an_independent_implementation(tmp_path: Path) -> None:
    made = Made(tmp_path / "data", tmp_path / "predictions")
    expected: Expected = {}
    for number, (classes, truth, written, expected_mask) in enumerate(MASKS.values()):
        made.segmentation(f"seg{number}", classes, [truth], [written])
        expected[f"seg{number}"] = oracle.segmentation([truth], [np.asarray(expected_mask)], classes)
    for number, (classes, labels, chosen, probs) in enumerate(CLASSES.values()):
        records = [{"predicted_class": c, "predicted_probs": p} for c, p in zip(chosen, probs, strict=True)]
        made.classification(f"cls{number}", classes, labels, records)
        expected[f"cls{number}"] = oracle.classification(labels, chosen, np.array(probs))
    for number, (box, record, meant_box) in enumerate(BOXES.values()):
        made.detection(f"det{number}", (20, 30), [box], [record])
        expected[f"det{number}"] = oracle.detection([np.array(box)], [np.array(meant_box)])
    points = np.array([[1.5, 2.0], [29.0, 19.5]])
    for number, record in enumerate(
        [
            {"predicted_points_pixels": [[1.5, 2.0], [20.0, 19.5]]},
            {"predicted_points_normalized": [0.05, 0.1, 20 / 30, 19.5 / 20]},
        ]
    ):
        made.regression(f"reg{number}", (20, 30), [points], [record])
        expected[f"reg{number}"] = oracle.regression([points], [np.array([[1.5, 2.0], [20.0, 19.5]])])
    assert len(expected) >= 30
    evaluation = made.evaluated(tmp_path / "cache")
    names = [*MASKS, *CLASSES, *BOXES, "nested points", "points as fractions"]
    for name, (task_id, scores) in zip(names, expected.items(), strict=True):
        scored = find_task(evaluation.tasks, task_id).scored
        assert scored is not None, name
        assert scored.challenge == pytest.approx(scores, abs=1e-6), name


def test_a_repeated_image_of_a_patient_does_not_narrow_the_intervals() -> None:
    rng = np.random.default_rng(0)
    boxes = [{"iou": value} for value in rng.random(12)]
    probs = rng.dirichlet(np.ones(3), 12)
    classes = [
        {"label": n % 3, "probs": row, "predicted_class": int(row.argmax())} for n, row in enumerate(probs.round(3))
    ]
    for task, records in ((CATALOGUE["thyroid_nodule_det"], boxes), (CATALOGUE["breast_3cls"], classes)):
        patients = np.arange(12)
        once = score_in_both_modes(task, records, patients)
        twice = score_in_both_modes(task, records * 2, np.tile(patients, 2))
        assert twice.strict == pytest.approx(once.strict)
        assert once.intervals.keys() == twice.intervals.keys() >= once.challenge.keys()
        for name, bounds in once.intervals.items():
            assert twice.intervals[name] == pytest.approx(bounds), name


def test_scores_do_not_depend_on_the_order_in_which_samples_are_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(tmp_path / "data", tmp_path / "predictions")
    random_tasks(made, np.random.default_rng(1), 3)
    first = made.evaluated(tmp_path / "cache").tasks
    monkeypatch.setattr(evaluate, "_PIECE", 1)
    monkeypatch.setattr(evaluate, "map_in_threads", lambda work, pieces, _: [work(piece) for piece in reversed(pieces)])
    assert made.evaluated(tmp_path / "cache").tasks == first
