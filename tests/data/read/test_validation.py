"""Each kind of error is planted alone in a tiny data set, and must be the only one found, with its position."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.factories import (
    HEIGHT,
    WIDTH,
    change_cell,
    data_config,
    disc,
    noise,
    read_rows,
    tiny_data,
    write_image,
    write_rows,
)
from usaggr.data.read.load_dataset import check_dataset, load_dataset
from usaggr.data.samples import Fault
from usaggr.errors import DataError

Plant = Callable[[Path], object]


def cell(name: str, line: int, column: str, text: str) -> Plant:
    return lambda root: change_cell(root, name, line, column, text)


def cut(path: str) -> Plant:
    def plant(root: Path) -> None:
        content = (root / path).read_bytes()
        (root / path).write_bytes(content[: len(content) // 2])

    return plant


def mask(pixels: np.ndarray) -> Plant:  # type: ignore[type-arg]
    return lambda root: write_image(root / "seg" / "masks" / "1.png", pixels)


def repeat(name: str, **changes: str) -> Plant:
    """Add a copy of the first row in which some cells are changed."""

    def plant(root: Path) -> None:
        table = read_rows(root, name)
        write_rows(root, name, [*table, {**table[0], **changes}])

    return plant


def add_column(name: str, column: str, line: int, text: str) -> Plant:
    def plant(root: Path) -> None:
        table = [{**row, column: text if i == line - 2 else ""} for i, row in enumerate(read_rows(root, name))]
        write_rows(root, name, table)

    return plant


def link(path: str, target: str) -> Plant:
    def plant(root: Path) -> None:
        outside = root.parent / "outside"
        write_image(outside / "a.png", noise(77))
        (root / path).unlink()
        (root / path).symlink_to(os.path.relpath(outside / target, (root / path).parent))

    return plant


def all_of(*plants: Plant) -> Plant:
    return lambda root: [plant(root) for plant in plants]


WHITE = disc(255)
DOTTED = disc(1)
DOTTED[0, :4] = (0, 2, 7, 9)

# kind, change of the data, file, line, column, text in the message
FAULTS: list[tuple[str, Plant, str, int, str, str]] = [
    ("missing_file", lambda root: (root / "cls/s0_1.png").unlink(), "cls.csv", 3, "image_path", "cannot be found"),
    (
        "missing_file",
        cell("cls.csv", 3, "image_path", "../cls/none.png"),
        "cls.csv",
        3,
        "image_path",
        "cannot be found",
    ),
    ("missing_file", cell("seg.csv", 2, "mask_path", "../seg/none.png"), "seg.csv", 2, "mask_path", "cannot be found"),
    ("missing_file", cell("det.csv", 3, "image_path", "../det"), "det.csv", 3, "image_path", "is not a file"),
    ("unreadable_file", cut("reg/s0_0.png"), "reg.csv", 2, "image_path", "cannot be decoded"),
    ("unreadable_file", cut("seg/masks/1.png"), "seg.csv", 3, "mask_path", "cannot be decoded"),
    ("unreadable_file", lambda root: (root / "det/s0_1.png").write_text("x"), "det.csv", 3, "image_path", "image"),
    ("unreadable_file", mask(noise(0, channels=3)), "seg.csv", 3, "mask_path", "is a color mask"),
    ("no_image", cell("cls.csv", 4, "image_path", ""), "cls.csv", 4, "image_path", "is empty"),
    ("no_mask", cell("seg.csv", 4, "mask_path", ""), "seg.csv", 4, "mask_path", "is empty"),
    ("path_outside", cell("cls.csv", 2, "image_path", "../../a.png"), "cls.csv", 2, "image_path", "outside the root"),
    ("path_outside", cell("seg.csv", 2, "mask_path", "/etc/hostname"), "seg.csv", 2, "mask_path", "absolute"),
    ("link_outside", link("reg/s0_1.png", "a.png"), "reg.csv", 3, "image_path", "is a symbolic link to "),
    ("label", cell("cls.csv", 3, "mask", "benign"), "cls.csv", 3, "mask", "'benign' is not a whole number"),
    ("label", cell("cls.csv", 3, "mask", "1.5"), "cls.csv", 3, "mask", "'1.5' is not a whole number"),
    ("label", cell("cls.csv", 3, "mask", ""), "cls.csv", 3, "mask", "is empty"),
    ("label_range", cell("cls.csv", 5, "mask", "3"), "cls.csv", 5, "mask", "label 3 is out of range: 0 to 2"),
    ("label_range", cell("cls.csv", 5, "mask", "-1"), "cls.csv", 5, "mask", "label -1 is out of range: 0 to 2"),
    ("mask_values", mask(DOTTED), "seg.csv", 3, "mask_path", "the values 2, 7, 9; allowed are 0 to 1"),
    ("mask_values", mask(WHITE), "seg.csv", 3, "mask_path", "set data.foreground_255=true to read 255 as 1"),
    ("empty_mask", mask(np.zeros((HEIGHT, WIDTH), np.uint8)), "seg.csv", 3, "mask_path", "no foreground"),
    (
        "mask_size",
        mask(disc(1, WIDTH, HEIGHT)),
        "seg.csv",
        3,
        "mask_path",
        "32 x 24 pixels (height x width), but its image has 24 x 32",
    ),
    ("box", cell("det.csv", 4, "y_min", "top"), "det.csv", 4, "y_min", "'top' is not a number"),
    ("box", cell("det.csv", 4, "x_max", ""), "det.csv", 4, "x_max", "is empty"),
    ("box", cell("det.csv", 4, "x_max", "inf"), "det.csv", 4, "x_max", "'inf' is not a number"),
    ("box_outside", cell("det.csv", 4, "x_max", "33"), "det.csv", 4, "x_max", "outside the image of 24 x 32 pixels"),
    ("box_outside", cell("det.csv", 4, "y_min", "-2"), "det.csv", 4, "y_min", "outside the image of 24 x 32 pixels"),
    ("box_empty", cell("det.csv", 4, "x_min", "20"), "det.csv", 4, "x_max", "x_max=20 is not larger than x_min=20"),
    ("box_empty", cell("det.csv", 4, "y_min", "23"), "det.csv", 4, "y_max", "y_max=21 is not larger than y_min=23"),
    ("points", cell("reg.csv", 2, "point_2_xy", ""), "reg.csv", 2, "point_2_xy", "is empty; the task has 2 points"),
    ("points", cell("reg.csv", 2, "point_1_xy", "3, 4"), "reg.csv", 2, "point_1_xy", "'3, 4' is not a point"),
    ("points", cell("reg.csv", 2, "point_1_xy", "[3, 4, 5]"), "reg.csv", 2, "point_1_xy", "is not a point"),
    ("points", cell("reg.csv", 2, "point_1_xy", "[NaN, 4]"), "reg.csv", 2, "point_1_xy", "is not a point"),
    ("points", cell("reg.csv", 2, "point_1_xy", f"[1{'0' * 400}, 4]"), "reg.csv", 2, "point_1_xy", "is not a point"),
    (
        "points_outside",
        cell("reg.csv", 2, "point_2_xy", "[7, 24.6]"),
        "reg.csv",
        2,
        "point_2_xy",
        "is outside the image",
    ),
    ("points_outside", cell("reg.csv", 2, "point_2_xy", "[-1, 3]"), "reg.csv", 2, "point_2_xy", "is outside the image"),
    ("points_count", add_column("reg.csv", "point_3_xy", 3, "[1, 1]"), "reg.csv", 3, "point_3_xy", "has 2 points"),
    ("duplicate", repeat("cls.csv"), "cls.csv", 6, "image_path", "repeats cls.csv, line 2"),
    ("duplicate", repeat("det.csv", x_min="2.0"), "det.csv", 6, "image_path", "repeats det.csv, line 2"),
    ("duplicate", repeat("seg.csv", image_path="../seg/./s0_0.png"), "seg.csv", 6, "image_path", "repeats seg.csv"),
    ("num_classes", cell("cls.csv", 3, "num_classes", "three"), "cls.csv", 3, "num_classes", "not a whole number"),
    ("num_classes", cell("det.csv", 3, "num_classes", "0"), "det.csv", 3, "num_classes", "is too few"),
    ("num_classes", cell("det.csv", 3, "num_classes", "2"), "det.csv", 3, "num_classes", "task has 1 (one box)"),
    ("num_classes", cell("seg.csv", 3, "num_classes", "1"), "seg.csv", 3, "num_classes", "has at least 2"),
    ("num_classes", cell("seg.csv", 3, "num_classes", "256"), "seg.csv", 3, "num_classes", "has at most 255 classes"),
    ("task_name", cell("cls.csv", 3, "task_name", "grading"), "cls.csv", 3, "task_name", "unknown 'grading'; allowed"),
    ("task_id", cell("cls.csv", 3, "task_id", ""), "cls.csv", 3, "task_id", "is empty"),
    ("split", add_column("cls.csv", "split", 3, "holdout"), "cls.csv", 3, "split", "unknown 'holdout'"),
]


@pytest.mark.parametrize(("kind", "plant", "file", "line", "column", "text"), FAULTS)
def test_a_planted_error_is_the_only_one_found(
    tmp_path: Path, kind: str, plant: Plant, file: str, line: int, column: str, text: str
) -> None:
    root = tiny_data(tmp_path / "data")
    plant(root)
    config = data_config(root, tmp_path / "cache")
    dataset, faults = check_dataset(config)
    assert [(f.kind, f.csv_file, f.row, f.column) for f in faults] == [(kind, file, line, column)]
    assert text in faults[0].message
    with pytest.raises(DataError) as caught:
        load_dataset(config)
    first, *listed = str(caught.value).splitlines()
    assert f"1 {kind}" in first
    assert "data.on_bad_sample=skip" in first
    assert len(listed) == 1
    assert listed[0].startswith(f"  {faults[0]}")
    assert f"{file}, line {line} (row {line - 1}), {column}:" in listed[0]
    skipped = load_dataset(data_config(root, tmp_path / "cache", on_bad_sample="skip"))
    assert skipped.skipped == faults
    assert skipped == dataset
    row_count = sum(len(read_rows(root, path.name)) for path in (root / "csv_files").iterdir())
    assert len(skipped.samples) == row_count - 1


def test_an_invalid_file_is_named(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    cut("seg/masks/1.png")(root)
    _, faults = check_dataset(data_config(root, tmp_path / "cache"))
    assert faults[0].file == "../seg/masks/1.png"


def test_an_image_that_exceeds_the_limit_is_an_error(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    write_image(root / "cls" / "s0_1.png", noise(0, 100, 100))
    _, faults = check_dataset(data_config(root, tmp_path / "cache", max_pixels=9999))
    assert [(f.kind, f.row, f.column) for f in faults] == [("too_large", 3, "image_path")]
    assert "has 100 x 100 pixels (height x width), more than data.max_pixels=9999" in faults[0].message


def test_two_classes_of_one_image_contradict_each_other(tmp_path: Path) -> None:
    """Both are errors, because it is unknown which is correct; the same bytes under another name are the same image."""
    root = tiny_data(tmp_path / "data")
    (root / "cls" / "copy.png").write_bytes((root / "cls" / "s0_0.png").read_bytes())
    repeat("cls.csv", mask="2", image_path="../cls/copy.png")(root)
    dataset, faults = check_dataset(data_config(root, tmp_path / "cache"))
    assert [(f.kind, f.csv_file, f.row, f.column) for f in faults] == [
        ("contradiction", "cls.csv", 2, "mask"),
        ("contradiction", "cls.csv", 6, "mask"),
    ]
    assert "label 0, but cls.csv, line 6 gives the same image the label 2" in faults[0].message
    assert "label 2, but cls.csv, line 2 gives the same image the label 0" in faults[1].message
    assert dataset is not None
    assert len(dataset.by_task["cls"]) == 3


def test_all_errors_are_found_in_one_pass(tmp_path: Path) -> None:
    """Also several in one row, and in rows without a valid task."""
    root = tiny_data(tmp_path / "data", n=6)
    all_of(
        cell("cls.csv", 3, "task_name", "grading"),
        cell("cls.csv", 3, "image_path", "../cls/none.png"),
        cell("cls.csv", 4, "mask", "x"),
        cut("cls/s1_2.png"),
        cell("det.csv", 2, "x_min", "-9"),
        cell("det.csv", 2, "y_max", "99"),
        cell("seg.csv", 7, "mask_path", "../none.png"),
        cut("seg/s2_5.png"),
    )(root)
    _, faults = check_dataset(data_config(root, tmp_path / "cache"))
    assert [(f.csv_file, f.row, f.kind) for f in faults] == [
        ("cls.csv", 3, "task_name"),
        ("cls.csv", 3, "missing_file"),
        ("cls.csv", 4, "unreadable_file"),
        ("cls.csv", 4, "label"),
        ("det.csv", 2, "box_outside"),
        ("det.csv", 2, "box_outside"),
        ("seg.csv", 7, "missing_file"),
        ("seg.csv", 7, "unreadable_file"),
    ]


def test_a_long_list_of_errors_is_short_in_the_exception_and_complete_in_the_check(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data", n=30)
    table = read_rows(root, "cls.csv")
    write_rows(root, "cls.csv", [{**row, "mask": "9" if i else "0"} for i, row in enumerate(table)])
    for i in range(25):
        write_rows(root, f"cls{i}.csv", [{**table[0], "mask": "9"}])
    config = data_config(root, tmp_path / "cache")
    assert len(check_dataset(config)[1]) == 54
    with pytest.raises(DataError) as caught:
        load_dataset(config)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("54 errors in the index (54 label_range)")
    assert lines[1:] == [
        "  cls.csv, line 3 (row 2), mask: label 9 is out of range: 0 to 2 (num_classes=3); correct the label, or "
        "num_classes in all rows of the task; 53 more errors of this kind (label_range) in cls.csv, cls0.csv and 24 "
        "more files (usaggr data check --out FILE lists all)"
    ]


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_a_task_without_a_valid_row_is_an_error(tmp_path: Path, policy: str) -> None:
    root = tiny_data(tmp_path / "data")
    write_rows(root, "cls.csv", [{**row, "mask": "9"} for row in read_rows(root, "cls.csv")])
    config = data_config(root, tmp_path / "cache", on_bad_sample=policy)
    dataset, faults = check_dataset(config)
    assert dataset is None
    assert len(faults) == 4
    with pytest.raises(DataError, match="no valid row is left for cls" if policy == "skip" else "4 errors"):
        load_dataset(config)


def test_empty_masks_are_samples_if_they_are_allowed(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    mask(np.zeros((HEIGHT, WIDTH), np.uint8))(root)
    assert check_dataset(data_config(root, tmp_path / "cache", allow_empty_masks=True))[1] == ()


def test_255_is_a_class_if_it_is_requested_and_the_task_has_two_classes(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    mask(WHITE)(root)
    assert check_dataset(data_config(root, tmp_path / "cache", foreground_255=True))[1] == ()
    write_rows(root, "seg.csv", [{**row, "num_classes": "3"} for row in read_rows(root, "seg.csv")])
    _, faults = check_dataset(data_config(root, tmp_path / "cache", foreground_255=True))
    assert [(f.kind, f.row) for f in faults] == [("mask_values", 3)]
    assert "foreground_255" not in faults[0].message


@pytest.mark.parametrize(
    ("name", "column", "text"),
    [
        ("det.csv", "x_max", "32.5"),
        ("det.csv", "y_min", "-0.5"),
        ("reg.csv", "point_1_xy", "[32, 24]"),
        ("reg.csv", "point_1_xy", "[-0.5, 24.5]"),
    ],
)
def test_half_a_pixel_outside_is_tolerated(tmp_path: Path, name: str, column: str, text: str) -> None:
    root = tiny_data(tmp_path / "data")
    change_cell(root, name, 2, column, text)
    assert check_dataset(data_config(root, tmp_path / "cache"))[1] == ()


def test_another_label_of_an_image_is_another_sample(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    all_of(repeat("det.csv", x_min="3"), repeat("det.csv", x_min="4"))(root)
    dataset, faults = check_dataset(data_config(root, tmp_path / "cache"))
    assert faults == ()
    assert dataset is not None
    boxes = {s.sample_id: s.box for s in dataset.by_task["det"] if "s0_0" in s.sample_id}
    assert {name: box and box[0] for name, box in boxes.items()} == {
        "../det/s0_0.png": 2,
        "../det/s0_0.png#2": 3,
        "../det/s0_0.png#3": 4,
    }


def test_an_error_names_its_position_in_one_line() -> None:
    fault = Fault("a.csv", 3, "mask_path", "../m.png", "empty_mask", "mask has no foreground")
    assert str(fault) == "a.csv, line 3 (row 2), mask_path: ../m.png mask has no foreground"
