"""Boxes and landmarks of another unit or order are errors, also where each of them alone would be valid."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.factories import HEIGHT, WIDTH, Row, data_config, read_rows, tiny_data, write_rows
from usaggr.data.read.coordinate_checks import CoordinateChecks
from usaggr.data.read.index import IndexRow
from usaggr.data.read.load_dataset import check_dataset
from usaggr.data.samples import Fault
from usaggr.tasks import TaskType

SIZE = (480, 640)
"""Height and width of the images of most tests, in pixels."""
ROWS = 30
Values = tuple[float, ...]


def examine(
    coordinates: Sequence[Values], task_type: TaskType = "detection", size: tuple[int, int] = SIZE
) -> list[Fault]:
    checks = CoordinateChecks()
    for i, values in enumerate(coordinates):
        checks.add(IndexRow("a.csv", i + 2, {"task_id": "t"}), task_type, values, size)
    return checks.find_faults()


def draw_boxes(n: int = ROWS, seed: int = 0) -> list[Values]:
    """Return boxes of 40 to 200 pixels at random places in the image, as corners."""
    rng = np.random.default_rng(seed)
    width, height = rng.uniform(40, 200, (2, n))
    x, y = rng.uniform(0, SIZE[1] - width), rng.uniform(0, SIZE[0] - height)
    return [tuple(map(float, box)) for box in np.stack([x, y, x + width, y + height], axis=1)]


def to_fractions(values: Values) -> Values:
    return tuple(value / SIZE[1 - i % 2] for i, value in enumerate(values))


def to_size(box: Values) -> Values:
    return (box[0], box[1], box[2] - box[0], box[3] - box[1])


def to_center(box: Values) -> Values:
    return ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1])


def exchange_axes(values: Values) -> Values:
    return tuple(values[i ^ 1] for i in range(len(values)))


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (to_fractions, "fractions", "they look like fractions of the image, but pixels are needed"),
        (lambda box: to_fractions(to_center(box)), "fractions", "fractions"),
        (lambda box: tuple(2 * value - 1 for value in to_fractions(box)), "fractions", "fractions"),
        (to_size, "box_order", "x, y, width, height"),
        (to_center, "box_order", "x and y of the center, width, height"),
        (exchange_axes, "turned", "only with x and y exchanged"),
    ],
)
def test_all_boxes_of_another_unit_or_order_are_errors(
    change: Callable[[Values], Values], kind: str, text: str
) -> None:
    faults = examine([change(box) for box in draw_boxes()])
    assert [(fault.row, fault.kind) for fault in faults] == [(line, kind) for line in range(2, 2 + ROWS)]
    assert text in faults[0].message
    assert f"{ROWS} boxes of t" in faults[0].message


@pytest.mark.parametrize(
    ("change", "kind"), [(to_fractions, "fractions"), (exchange_axes, "turned"), (lambda points: points, None)]
)
def test_landmarks_are_examined_like_boxes(change: Callable[[Values], Values], kind: str | None) -> None:
    faults = examine([change(box) for box in draw_boxes()], "regression")
    assert {fault.kind for fault in faults} == ({kind} if kind else set())
    assert len(faults) == (ROWS if kind else 0)


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_boxes_in_pixels_are_no_error(seed: int, n: int) -> None:
    assert examine(draw_boxes(n, seed)) == []


def test_a_single_box_in_fractions_is_an_error_beside_boxes_in_pixels() -> None:
    boxes = draw_boxes()
    faults = examine([*boxes, to_fractions(boxes[0])])
    assert [(fault.row, fault.kind) for fault in faults] == [(2 + ROWS, "fractions")]


def test_marks_and_tiny_images_are_no_fractions() -> None:
    landmarks = [(0.0, 0.0, 0.0, 0.0), (100.0, 90.0, 80.0, 70.0)]
    assert examine(landmarks, "regression") == []
    assert examine([(0.5, 0.5)], "regression") == []
    assert examine([(0.2, 0.2, 0.9, 0.9)] * 5, size=(4, 4)) == []


def test_a_few_exchanged_corners_and_a_few_outliers_are_left_to_the_checks_of_single_rows() -> None:
    boxes = draw_boxes()
    exchanged = (boxes[0][2], boxes[0][1], boxes[0][0], boxes[0][3])
    assert examine([exchanged, *boxes[1:]]) == []
    assert examine([(10.0, 20.0, 700.0, 30.0), *boxes[1:]]) == []
    assert examine([(1e308, 1e308, 1e308, 1e308), *boxes[1:]]) == []


@pytest.mark.parametrize(
    ("task_type", "values", "note"),
    [
        ("detection", (120.0, 20.0, 200.0, 90.0), "all 20 boxes of t in a.csv are in the upper left of their images"),
        ("detection", (12.0, 20.0, 98.0, 90.0), "all 20 boxes of t in a.csv are below 100 in larger images"),
        ("regression", (12.0, 98.0), "all 20 rows of landmarks of t in a.csv are below 100 in larger images"),
        ("regression", (12.0, 198.0), ""),
        ("regression", (120.0, 198.0, 0.0, 0.0), "20 of 20 rows of landmarks of t in a.csv have a landmark at exactly"),
        ("regression", (0.0, 198.0, 120.0, 0.0), ""),
        ("regression", (12.0, 220.0), "all 20 rows of landmarks of t in a.csv are at most 224 in larger images, as"),
        ("detection", (120.0, 20.0, 600.0, 90.0), ""),
    ],
)
def test_coordinates_that_are_valid_but_unlikely_are_noted(task_type: TaskType, values: Values, note: str) -> None:
    checks = CoordinateChecks()
    for i in range(20):
        checks.add(IndexRow("a.csv", i + 2, {"task_id": "t"}), task_type, values, SIZE)
    assert checks.find_faults() == []
    assert [warning[: len(note)] for warning in checks.warnings] == ([note] if note else [])


def plant(root: Path, name: str, change: Callable[[Row], Row]) -> None:
    write_rows(root, name, [{**row, **change(row)} for row in read_rows(root, name)])


def test_rows_in_fractions_are_one_error_each_and_no_samples(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    sides = {"x_min": "0.1", "y_min": "0.2", "x_max": "0.9", "y_max": "0.8"}
    plant(root, "det.csv", lambda row: sides)
    plant(root, "reg.csv", lambda row: {"point_1_xy": "[0.1, 0.9]", "point_2_xy": "[0.5, 0.5]"})
    dataset, faults = check_dataset(data_config(root, tmp_path / "cache"))
    assert dataset is None
    assert [(f.csv_file, f.row, f.column, f.kind) for f in faults] == [
        *(("det.csv", line, "x_min", "fractions") for line in range(2, 6)),
        *(("reg.csv", line, "point_1_xy", "fractions") for line in range(2, 6)),
    ]


def test_boxes_of_x_y_width_height_replace_the_errors_of_single_rows(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    sizes = {"x_min": str(WIDTH - 8), "y_min": str(HEIGHT - 8), "x_max": "6", "y_max": "7"}
    plant(root, "det.csv", lambda row: sizes)
    _, faults = check_dataset(data_config(root, tmp_path / "cache"))
    assert [(fault.row, fault.kind) for fault in faults] == [(line, "box_order") for line in range(2, 6)]
