import numpy as np
import pytest

from usaggr.metrics.segmentation import mean_dsc
from usaggr.metrics.trivial import LEVELS, fit_trivial
from usaggr.tasks import CATALOGUE


def test_classes_are_predicted_by_their_frequencies() -> None:
    predictor = fit_trivial(CATALOGUE["breast_3cls"], np.array([0, 1, 1, 1]))
    first, second = predictor.predict("a", "s", 10, 20), predictor.predict("b", "t", 30, 5)
    assert first.probs is not None
    assert list(first.probs) == [0.25, 0.75, 0.0]
    assert second.probs is first.probs


def test_boxes_and_landmarks_are_the_mean_in_relative_coordinates() -> None:
    box = fit_trivial(CATALOGUE["thyroid_nodule_det"], np.array([[0.0, 0.2, 0.5, 0.6], [0.2, 0.2, 0.7, 0.8]]))
    found = box.predict("a", "s", height=100, width=200).box
    assert found is not None
    assert found == pytest.approx([20, 20, 120, 70])
    points = fit_trivial(CATALOGUE["FUGC"], np.array([[[0.0, 0.0], [1.0, 0.5]], [[0.2, 0.4], [0.6, 0.5]]]))
    place = points.predict("a", "s", height=100, width=200).points
    assert place is not None
    assert place == pytest.approx(np.array([[20, 20], [160, 50]]))


def test_masks_are_the_level_set_of_the_mean_mask_that_fits_the_training_masks_best() -> None:
    masks = np.zeros((12, 40, 40), np.uint8)
    for i in range(12):
        masks[i, 10 : 20 + i, 2 * i : 2 * i + 12] = 1
    predictor = fit_trivial(CATALOGUE["lung"], masks)
    answer = predictor.predict("a", "s", 40, 40).mask
    assert answer is not None
    assert answer.any()
    quality = np.mean([mean_dsc(mask, answer, 2) for mask in masks])
    for level in LEVELS:
        other = (masks.mean(axis=0) >= level).astype(np.uint8)
        assert quality >= np.mean([mean_dsc(mask, other, 2) for mask in masks])


def test_a_constant_mask_takes_the_size_of_the_image() -> None:
    masks = np.zeros((3, 32, 32), np.uint8)
    masks[:, :16, :8] = 1
    mask = fit_trivial(CATALOGUE["lung"], masks).predict("a", "s", height=100, width=60).mask
    assert mask is not None
    assert mask.shape == (100, 60)
    assert mask[:50, :15].all()
    assert mask.sum() == 50 * 15
