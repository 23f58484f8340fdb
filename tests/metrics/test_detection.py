import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.metrics.detection import iou

corners = st.tuples(*[st.integers(0, 40)] * 4)
boxes = corners.map(lambda c: np.array([min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3])], float))
"""Boxes of whole pixels, some of them without area."""


def pixels(box: np.ndarray) -> np.ndarray:
    image = np.zeros((41, 41), bool)
    x_min, y_min, x_max, y_max = box.astype(int)
    image[y_min:y_max, x_min:x_max] = True
    return image


@given(boxes, boxes)
def test_iou_equals_the_count_of_pixels(a: np.ndarray, b: np.ndarray) -> None:
    union = (pixels(a) | pixels(b)).sum()
    expected = (pixels(a) & pixels(b)).sum() / union if union else 0.0
    assert iou(a, b) == pytest.approx(expected, abs=1e-12)
    assert iou(b, a) == iou(a, b)


@given(st.tuples(*[st.floats(-1e4, 1e4)] * 2), st.tuples(*[st.floats(1e-3, 1e4)] * 2), st.floats(1e-3, 1e3))
def test_iou_with_itself_is_1_and_does_not_depend_on_the_unit(
    low: tuple[float, float], sides: tuple[float, float], unit: float
) -> None:
    box = np.array([*low, *np.add(low, sides)])
    assert iou(box, box) == 1
    half = box - np.array([0, 0, sides[0] / 2, 0])
    assert iou(box * unit, half * unit) == pytest.approx(iou(box, half), rel=1e-6)
    assert iou(box, half) == pytest.approx(0.5, rel=1e-6)


def test_iou_equals_torchvisions_for_boxes_that_are_not_whole_pixels() -> None:
    import torch
    from torchvision.ops import box_iou

    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (2, 200, 2))
    a, b = np.concatenate([low, low + rng.uniform(0.1, 50, low.shape)], axis=2)
    expected = box_iou(torch.from_numpy(a), torch.from_numpy(b)).diagonal().numpy()
    assert [iou(x, y) for x, y in zip(a, b, strict=True)] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "predicted",
    [[8, 8, 2, 2], [2, 8, 8, 2], [8, 2, 2, 8], [5, 5, 5, 5], [0, 5, 10, 5], [20, 20, 30, 30], [10, 0, 20, 10]],
    ids=["inverted", "upside_down", "left_right", "point", "line", "apart", "touching"],
)
def test_a_box_without_area_or_at_another_position_has_an_iou_of_0(predicted: list[float]) -> None:
    truth = np.array([0.0, 0, 10, 10])
    assert iou(truth, np.array(predicted, float)) == 0


def test_two_boxes_without_area_have_an_iou_of_0() -> None:
    assert iou(np.full(4, 3.0), np.full(4, 3.0)) == 0


def test_a_box_partly_outside_the_image_is_not_clipped() -> None:
    assert iou(np.array([0.0, 0, 10, 10]), np.array([-10.0, 0, 10, 10])) == 0.5


def test_a_nan_box_gives_nan_instead_of_0() -> None:
    assert np.isnan(iou(np.array([0.0, 0, 10, 10]), np.array([0.0, 0, np.nan, 10])))
