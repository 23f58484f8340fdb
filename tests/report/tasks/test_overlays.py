"""Marks are at the position of the label for every size of panel, and other pixels of the image do not change."""

from typing import Any

import cv2
import numpy as np
import pytest

from usaggr.report.tasks.overlays import Marks, draw_marks, get_color

GRAY = np.full((100, 200, 3), 60, dtype=np.uint8)
SIZES = [(50, 100), (100, 200), (160, 320)]


def mask(top: int, left: int, height: int, width: int, label: int = 1) -> np.ndarray[Any, Any]:
    values = np.zeros(GRAY.shape[:2], dtype=np.uint8)
    values[top : top + height, left : left + width] = label
    return values


def changed(panel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the pixels that are no longer gray, as (H, W) bool at the original size."""
    difference = (np.abs(panel.astype(int) - 60).max(axis=2) > 3).astype(np.uint8)
    return cv2.resize(difference, (200, 100), interpolation=cv2.INTER_NEAREST).astype(bool)


def extent(marked: np.ndarray[Any, Any]) -> tuple[int, int, int, int]:
    """Return the first and last row, and the first and last column."""
    y, x = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return int(y[0]), int(y[-1]), int(x[0]), int(x[-1])


def test_an_image_without_marks_is_only_resized() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    panel = draw_marks(image, (32, 48), None, None)
    assert panel.shape == (32, 48, 3)
    assert panel.dtype == np.uint8
    expected = cv2.resize(image, (48, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(panel.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("size", SIZES)
def test_only_the_predicted_region_is_tinted_in_the_get_color_its_class(size: tuple[int, int]) -> None:
    panel = draw_marks(GRAY, size, None, Marks(mask=mask(30, 60, 40, 80, label=2)))
    marked = changed(panel)
    assert extent(marked) == pytest.approx((30, 69, 60, 139), abs=3 * max(1, 100 / size[0]))
    inside = panel[size[0] // 2, size[1] // 2]
    assert inside == pytest.approx(0.65 * 60 + 0.35 * np.array(get_color(2)), abs=2)


def test_the_truth_is_a_white_dashed_outline_over_the_prediction() -> None:
    overlaid = draw_marks(GRAY, (100, 200), Marks(mask=mask(30, 60, 40, 80)), Marks(mask=mask(30, 60, 40, 80)))
    prediction = draw_marks(GRAY, (100, 200), None, Marks(mask=mask(30, 60, 40, 80)))
    edge = overlaid[30, 70:130].min(axis=1)
    white = edge > 200
    changes = np.flatnonzero(np.diff(white.astype(int))).size
    assert white.mean() == pytest.approx(0.5, abs=0.2)
    assert changes >= 8, "dashes with gaps between"
    assert (overlaid[40:60, 70:130] == prediction[40:60, 70:130]).all(), "the truth is not filled over a prediction"
    assert not (prediction.min(axis=2) > 200).any(), "only the truth is white"


def test_a_truth_without_a_prediction_is_filled() -> None:
    panel = draw_marks(GRAY, (100, 200), Marks(mask=mask(30, 60, 40, 80)), None)
    assert panel[50, 100] == pytest.approx(0.65 * 60 + 0.35 * np.array(get_color(1)), abs=2)


def test_a_region_smaller_than_a_pixel_of_the_panel_is_still_visible() -> None:
    large = np.full((1000, 2000, 3), 60, dtype=np.uint8)
    values = np.zeros((1000, 2000), dtype=np.uint8)
    values[500, 1000] = 1
    for truth, prediction in ((Marks(mask=values), None), (None, Marks(mask=values))):
        panel = draw_marks(large, (50, 100), truth, prediction)
        assert extent(np.abs(panel.astype(int) - 60).max(axis=2) > 20) == pytest.approx((25, 25, 50, 50), abs=3)


@pytest.mark.parametrize("size", SIZES)
def test_boxes_are_drawn_at_their_edges(size: tuple[int, int]) -> None:
    box = Marks(box=np.array([40.0, 20.0, 160.0, 80.0]))
    for panel in (draw_marks(GRAY, size, box, None), draw_marks(GRAY, size, None, box)):
        marked = changed(panel)
        assert extent(marked) == pytest.approx((20, 80, 40, 160), abs=4 * max(1, 100 / size[0]))
        assert not marked[30:70, 50:150].any(), "a box is not filled"


def test_true_and_predicted_boxes_have_different_lines() -> None:
    true, predicted = Marks(box=np.array([20.0, 20, 90, 80])), Marks(box=np.array([110.0, 20, 180, 80]))
    panel = draw_marks(GRAY, (100, 200), true, predicted)
    assert (panel[:, :100].min(axis=2) > 200).any()
    assert not (panel[:, 100:].min(axis=2) > 200).any()
    assert panel[50, 110] == pytest.approx(np.array(get_color(1)), abs=25)


def test_a_line_connects_the_circle_of_a_true_landmark_and_the_cross_of_the_predicted_one() -> None:
    true, predicted = np.array([[50.5, 50.5]]), np.array([[150.5, 50.5]])
    truth = draw_marks(GRAY, (100, 200), Marks(points=true), None)
    assert (truth[50, 50] == 60).all(), "the circle does not hide the landmark"
    assert extent(changed(truth)) == pytest.approx((43, 57, 43, 57), abs=3)
    overlaid = draw_marks(GRAY, (100, 200), Marks(points=true), Marks(points=predicted))
    assert overlaid[50, 150] == pytest.approx(np.array(get_color(1)), abs=25)
    assert overlaid[50, 100].min() > 120, "a line between them"
    assert (overlaid[50, 160:] == 60).all()


def test_each_landmark_has_its_color() -> None:
    points = Marks(points=np.array([[50.5, 50.5], [150.5, 50.5]]))
    panel = draw_marks(GRAY, (100, 200), points, points)
    assert panel[50, 50] == pytest.approx(np.array(get_color(1)), abs=25)
    assert panel[50, 150] == pytest.approx(np.array(get_color(2)), abs=25)


@pytest.mark.parametrize("far", [1e9, -1e9, np.nan, np.inf])
def test_the_visible_part_of_predictions_far_outside_is_drawn(far: float) -> None:
    prediction = Marks(box=np.array([40.0, 20.0, far, 80.0]), points=np.array([[far, 50.0]]))
    panel = draw_marks(GRAY, (50, 100), Marks(points=np.array([[50.0, 50.0]])), prediction)
    assert changed(panel)[:, 40:60].any()
