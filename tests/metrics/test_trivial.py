import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from usaggr.metrics.segmentation import mean_dsc
from usaggr.metrics.trivial import LEVELS, TrivialPredictor, choose_constant_mask, fit_trivial
from usaggr.tasks import CATALOGUE

masks_and_classes = st.tuples(st.integers(2, 4), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda s: st.tuples(arrays(np.uint8, s[1:], elements=st.integers(0, s[0] - 1)), st.just(s[0]))
)


def mask_of(predictor: TrivialPredictor, height: int, width: int) -> NDArray[np.uint8]:
    mask = predictor.predict("a", "s", height, width).mask
    assert mask is not None
    return mask


def level_set(masks: NDArray[np.uint8], num_classes: int, level: float) -> NDArray[np.uint8]:
    """Return the level set of the mean mask, by its definition for each pixel."""
    constant = np.zeros(masks.shape[1:], np.uint8)
    for pixel in np.ndindex(constant.shape):
        counts = [int(np.sum(masks[(slice(None), *pixel)] == c)) for c in range(1, num_classes)]
        best = counts.index(max(counts))
        if counts[best] / len(masks) >= level:
            constant[pixel] = best + 1
    return constant


def test_classes_are_predicted_by_their_frequencies() -> None:
    predictor = fit_trivial(CATALOGUE["breast_3cls"], np.array([0, 1, 1, 1]))
    first, second = predictor.predict("a", "s", 10, 20), predictor.predict("b", "t", 30, 5)
    assert first.probs is not None
    assert list(first.probs) == [0.25, 0.75, 0.0]
    assert second.probs is first.probs
    assert (second.task_id, second.sample_id, second.subject_id) == ("breast_3cls", "b", "t")


def test_of_equally_frequent_classes_the_first_is_the_majority() -> None:
    probs = fit_trivial(CATALOGUE["breast_3cls"], np.array([2, 1, 2, 1])).predict("a", "s", 9, 9).probs
    assert probs is not None
    assert probs.argmax() == 1


def test_boxes_and_landmarks_are_the_mean_in_relative_coordinates() -> None:
    boxes = np.array([[0.0, 0.2, 0.5, 0.6], [0.0, 0.2, 0.5, 0.6], [0.3, 0.2, 0.8, 0.9]])
    box = fit_trivial(CATALOGUE["thyroid_nodule_det"], boxes)
    predicted_box = box.predict("a", "s", height=100, width=200).box
    assert predicted_box == pytest.approx([20, 20, 120, 70])
    points = fit_trivial(CATALOGUE["FUGC"], np.array([[[0.0, 0.0], [1.0, 0.5]], [[0.2, 0.4], [0.6, 0.5]]]))
    predicted_points = points.predict("a", "s", height=100, width=200).points
    assert predicted_points == pytest.approx(np.array([[20, 20], [160, 50]]))


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        ("lung", np.zeros((0, 8, 8), np.uint8)),
        ("breast_2cls", np.zeros(0, int)),
        ("thyroid_nodule_det", np.zeros((0, 4))),
        ("FUGC", np.zeros((0, 2, 2))),
    ],
)
def test_without_training_labels_there_is_no_answer(task: str, targets: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"{task}: no training label"):
        fit_trivial(CATALOGUE[task], targets)


@given(masks_and_classes)
def test_the_constant_mask_is_the_level_set_of_the_mean_mask_with_the_highest_dsc(case: tuple[np.ndarray, int]) -> None:
    masks, num_classes = case
    sets = [level_set(masks, num_classes, level) for level in LEVELS]
    quality = [round(float(np.mean([mean_dsc(m, c, num_classes) for m in masks])), 10) for c in sets]
    assert np.array_equal(choose_constant_mask(masks, num_classes), sets[quality.index(max(quality))])


@given(masks_and_classes, st.randoms(use_true_random=False))
def test_the_order_of_training_masks_does_not_matter(case: tuple[np.ndarray, int], random: object) -> None:
    masks, num_classes = case
    order = list(range(len(masks)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert np.array_equal(choose_constant_mask(masks[order], num_classes), choose_constant_mask(masks, num_classes))


def test_of_equally_good_levels_the_highest_is_used() -> None:
    """All pixels and the two most frequent ones have the same mean DSC of 19/30, apart from rounding."""
    masks = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 1], [0, 1, 0]], np.uint8)[:, None]
    everywhere, frequent = np.array([[1, 1, 1]], np.uint8), np.array([[1, 1, 0]], np.uint8)
    for candidate in (everywhere, frequent):
        assert np.mean([mean_dsc(mask, candidate, 2) for mask in masks]) == pytest.approx(19 / 30)
    assert np.array_equal(choose_constant_mask(masks, 2), frequent)


def test_the_constant_mask_of_equal_masks_is_this_mask() -> None:
    mask = np.random.default_rng(0).integers(0, 4, (20, 30), dtype=np.uint8)
    predictor = fit_trivial(CATALOGUE["cardiac_multi"], np.stack([mask] * 3))
    assert np.array_equal(mask_of(predictor, 20, 30), mask)


def test_lesions_at_different_positions_have_a_constant_mask_with_foreground() -> None:
    masks = np.zeros((12, 40, 40), np.uint8)
    for i in range(12):
        masks[i, 10 : 20 + i, 2 * i : 2 * i + 12] = 1
    assert masks.mean(axis=0).max() == 0.5
    assert mask_of(fit_trivial(CATALOGUE["lung"], masks), 40, 40).sum() > (masks.mean(axis=0) >= 0.5).sum()


def test_a_pixel_in_exactly_a_tenth_of_the_masks_reaches_the_lowest_level() -> None:
    disjoint = np.eye(10, dtype=np.uint8)[:, None]
    assert choose_constant_mask(disjoint, 2).all()


def test_a_class_that_is_too_rare_anywhere_is_not_in_the_constant_mask() -> None:
    masks = np.ones((20, 8, 8), np.uint8)
    masks[0, :4] = 2
    assert set(np.unique(choose_constant_mask(masks, 3))) == {1}


def test_training_masks_without_any_foreground_give_an_empty_mask() -> None:
    assert not mask_of(fit_trivial(CATALOGUE["lung"], np.zeros((3, 8, 8), np.uint8)), 30, 20).any()


@pytest.mark.parametrize(("height", "width"), [(100, 60), (1, 1), (17, 300)])
def test_a_constant_mask_has_the_size_of_the_image(height: int, width: int) -> None:
    masks = np.zeros((3, 32, 32), np.uint8)
    masks[:, :16, :8] = 1
    mask = mask_of(fit_trivial(CATALOGUE["lung"], masks), height, width)
    assert mask.shape == (height, width)
    assert mask.dtype == np.uint8
    inside = (np.arange(height)[:, None] + 0.5 < height / 2) & (np.arange(width)[None] + 0.5 < width / 4)
    assert np.array_equal(mask == 1, inside)
