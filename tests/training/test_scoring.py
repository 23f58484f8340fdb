from pathlib import Path

import numpy as np
import pytest

from tests.data.factories import data_config
from tests.training.factories import mask_sample, sample
from usaggr.metrics.segmentation import score_classes
from usaggr.results.predictions import Prediction, decode_mask
from usaggr.tasks import CATALOGUE
from usaggr.training.scoring import SubsetScorer, compute_mean_skill

TASK = CATALOGUE["cardiac_multi"]
OTHER = CATALOGUE["breast_2cls"]
TOLERANCE = 0.05


def fold(tmp_path: Path, **options: bool) -> tuple[SubsetScorer, np.ndarray, np.ndarray]:
    """Scorer with a subset of two tasks, and the truths and predictions of the first task."""
    truths, predicted = np.random.default_rng(0).integers(0, TASK.num_classes, (2, 4, 20, 30), dtype=np.uint8)
    tasks = {task.id: task for task in (TASK, OTHER)}
    scorer = SubsetScorer(tasks, data_config(tmp_path, tmp_path / "cache"), TOLERANCE, **options)
    samples = [mask_sample(tmp_path, TASK.id, f"m{i}", mask) for i, mask in enumerate(truths)]
    scorer.add(
        [Prediction(TASK.id, s.sample_id, "s", mask=m) for s, m in zip(samples, predicted, strict=True)], samples
    )
    other_samples = [sample(OTHER.id, f"c{i}", 9, 9, label=i % 2) for i in range(4)]
    probs = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.4, 0.6]])
    scorer.add(
        [Prediction(OTHER.id, s.sample_id, "s", probs=p) for s, p in zip(other_samples, probs, strict=True)],
        other_samples,
    )
    return scorer, truths, predicted


def test_a_subset_has_the_means_of_its_samples_scores(tmp_path: Path) -> None:
    scorer, truths, predicted = fold(tmp_path)
    scores, notes = scorer.compute_scores()
    pairs = zip(truths, predicted, strict=True)
    each = [score_classes(t, p, TASK.num_classes, TOLERANCE * np.hypot(20, 30)) for t, p in pairs]
    assert scores[TASK.id] == pytest.approx(
        {name: np.mean([sample_scores[name] for sample_scores in each]) for name in each[0]}, abs=1e-12
    )
    assert scores[OTHER.id]["accuracy"] == 0.75
    assert notes == {}


def test_masks_are_kept_in_the_rows_of_segmentation_samples(tmp_path: Path) -> None:
    scorer, _, predicted = fold(tmp_path)
    assert all((decode_mask(row["mask"]) == mask).all() for row, mask in zip(scorer.rows[:4], predicted, strict=True))
    assert all(row["mask"] is None for row in scorer.rows[4:])


@pytest.mark.parametrize("options", [{"main_only": True, "keep_masks": False}, {"keep_masks": False}], ids=str)
def test_masks_that_are_not_written_are_not_encoded_and_have_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool]
) -> None:
    expected = fold(tmp_path)[0].compute_scores()[0]

    def never(mask: np.ndarray) -> bytes:
        raise AssertionError("encoded")

    monkeypatch.setattr("usaggr.results.predictions.encode_mask", never)
    scorer = fold(tmp_path, **options)[0]
    assert [row["mask"] for row in scorer.rows] == [None] * 8
    scores_without_masks = scorer.compute_scores()[0]
    names = {"dsc"} if "main_only" in options else {"dsc", "hd", "hd95", "nsd"}
    assert scores_without_masks[TASK.id] == {name: expected[TASK.id][name] for name in names}
    assert scores_without_masks[OTHER.id] == expected[OTHER.id]


def test_skill_is_a_mean_over_tasks_of_main_metrics() -> None:
    trivial = {TASK.id: {"dsc": 0.5}, OTHER.id: {"auc": 0.5}}
    scores = {TASK.id: {"dsc": 0.75, "hd": 3.0}, OTHER.id: {"auc": 1.0}}
    assert compute_mean_skill(scores, trivial, [TASK, OTHER]) == 0.75
    # A task without a score is left out: an AUC is not defined if a class is missing.
    assert compute_mean_skill({**scores, OTHER.id: {}}, trivial, [TASK, OTHER]) == 0.5
    assert compute_mean_skill({}, trivial, [TASK, OTHER]) == 0.0
