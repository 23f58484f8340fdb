import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from usaggr.data.read.coordinate_checks import TOLERANCE
from usaggr.data.read.index import IndexRow
from usaggr.data.read.index_tasks import Declaration, parse_declaration
from usaggr.data.read.labels import BOX_COLUMNS, LabelResult, read_box, read_class, read_points

SIZE = (24, 32)  # height, width
numbers = st.floats(-5, 40).map(lambda value: round(value, 2))
junk = st.one_of(
    st.text(max_size=8), numbers.map(str), st.sampled_from(["[1, 2]", "[[]]", "1e999", "nan", "{}", '"1"'])
)


near_numbers = st.sampled_from(["0", "1", "2.5", "20", "23.5", "-0.0", "inf", "nan", "1e999"])
"""Texts that often make a label; junk almost never does."""


def row(**cells: str) -> IndexRow:
    return IndexRow("a.csv", 2, {name: text for name, text in cells.items() if text})


def has_either_label_or_faults(result: LabelResult) -> bool:
    return (result.label is None) == bool(result.faults)


@given(st.tuples(numbers, numbers, numbers, numbers))
def test_a_box_is_taken_if_and_only_if_it_lies_in_the_image_and_has_an_area(box: tuple[float, ...]) -> None:
    result = read_box(row(**dict(zip(BOX_COLUMNS, map(str, box), strict=True))), SIZE)
    x_min, y_min, x_max, y_max = box
    inside = all(-TOLERANCE <= x <= 32 + TOLERANCE for x in (x_min, x_max)) and all(
        -TOLERANCE <= y <= 24 + TOLERANCE for y in (y_min, y_max)
    )
    assert (result.label is not None) == (inside and x_min < x_max and y_min < y_max)
    assert has_either_label_or_faults(result)
    if result.label is not None:
        assert result.label.box == box


@pytest.mark.parametrize(
    ("box", "accepted"),
    [
        ((-0.5, -0.5, 32.5, 24.5), True),
        ((-0.51, 0, 32, 24), False),
        ((0, -0.51, 32, 24), False),
        ((0, 0, 32.51, 24), False),
        ((0, 0, 32, 24.51), False),
    ],
)
def test_a_box_may_reach_up_to_half_a_pixel_beyond_the_image(box: tuple[float, ...], accepted: bool) -> None:
    result = read_box(row(**dict(zip(BOX_COLUMNS, map(str, box), strict=True))), SIZE)
    assert (result.label is not None) == accepted


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4), st.integers(1, 4))
def test_points_are_taken_if_and_only_if_all_are_there_and_in_the_image(
    points: list[tuple[float, float]], num_points: int
) -> None:
    cells = {f"point_{i}_xy": f"[{x}, {y}]" for i, (x, y) in enumerate(points, 1)}
    result = read_points(row(**cells), Declaration("t", "regression", num_points), SIZE)
    inside = all(-TOLERANCE <= x <= 32 + TOLERANCE and -TOLERANCE <= y <= 24 + TOLERANCE for x, y in points)
    assert (result.label is not None) == (inside and len(points) == num_points)
    assert has_either_label_or_faults(result)
    if result.label is not None:
        assert result.label.points == tuple(points)


@given(st.integers(-3, 6), st.sampled_from(["", ".0"]))
def test_a_class_is_taken_if_and_only_if_the_task_has_it(label: int, ending: str) -> None:
    result = read_class(row(mask=f"{label}{ending}"), Declaration("t", "classification", 4))
    assert (result.label is not None) == (0 <= label < 4)
    assert has_either_label_or_faults(result)
    if result.label is not None:
        assert result.label.class_index == label


@given(st.tuples(*[junk] * 4) | st.tuples(*[near_numbers] * 4))
@example(("1", "2.5", "20", "23.5"))
def test_no_text_breaks_the_reading_of_labels(texts: tuple[str, ...]) -> None:
    boxed = read_box(row(**dict(zip(BOX_COLUMNS, texts, strict=True))), SIZE)
    pointed = read_points(row(point_1_xy=texts[0], point_2_xy=texts[1]), Declaration("t", "regression", 2), SIZE)
    classed = read_class(row(mask=texts[0]), Declaration("t", "classification", 4))
    assert all(has_either_label_or_faults(result) for result in (boxed, pointed, classed))
    declared, faults = parse_declaration(row(task_id=texts[0], task_name=texts[1], num_classes=texts[2]))
    assert (declared is None) == bool(faults)
    if boxed.label is not None:
        assert boxed.label.box is not None
        assert all(map(math.isfinite, boxed.label.box))
    pair = read_points(row(point_1_xy=f"[{texts[0]}, {texts[1]}]"), Declaration("t", "regression", 1), SIZE)
    assert has_either_label_or_faults(pair)
    if pair.label is not None:
        assert pair.label.points is not None
        assert all(map(math.isfinite, pair.label.points[0]))


def test_deeply_nested_text_is_no_point() -> None:
    text = "[" * 100_000
    (fault,) = read_points(row(point_1_xy=text), Declaration("t", "regression", 1), SIZE).faults
    assert fault.kind == "points"
