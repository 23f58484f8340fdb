"""Many errors of one kind are one line, and few are listed one by one."""

from pathlib import Path

import pytest

from tests.data.factories import data_config, tiny_data
from usaggr.data.read.fault_groups import MAX_EACH, MAX_KINDS, list_fault_groups
from usaggr.data.read.load_dataset import check_dataset, load_dataset
from usaggr.data.samples import Fault
from usaggr.errors import DataError


def make_fault(row: int, column: str = "mask", kind: str = "label", csv_file: str = "a.csv") -> Fault:
    return Fault(csv_file, row, column, "", kind, "is empty")


def test_few_errors_are_listed_in_their_order_with_a_remedy() -> None:
    faults = [make_fault(row) for row in range(2, 2 + MAX_EACH)]
    assert list_fault_groups(faults) == [f"{fault}; write the class as a number from 0" for fault in faults]
    assert list_fault_groups([]) == []


def test_errors_are_grouped_by_file_column_and_kind() -> None:
    columns = [
        ("a.csv", "mask", "label"),
        ("a.csv", "split", "label"),
        ("a.csv", "mask", "b"),
        ("b.csv", "mask", "label"),
    ]
    faults = [make_fault(row, column, kind, file) for row in range(2, 502) for file, column, kind in columns]
    lines = list_fault_groups(faults)
    assert len(lines) == len(columns)
    assert lines[0] == (
        "a.csv, line 2 (row 1), mask: is empty; write the class as a number from 0; 499 more errors of this kind "
        "(label) up to line 501 of a.csv (usaggr data check --out FILE lists all)"
    )


def test_errors_of_many_kinds_and_files_have_one_line_per_kind() -> None:
    faults = [make_fault(2, "mask", f"kind{n % 15}", f"{n}.csv") for n in range(60)]
    lines = list_fault_groups(faults)
    assert len(lines) == 15
    assert lines[0] == (
        "0.csv, line 2 (row 1), mask: is empty; 3 more errors of this kind (kind0) in 0.csv, 15.csv and 2 more files "
        "(usaggr data check --out FILE lists all)"
    )
    lines = list_fault_groups([make_fault(2, kind=f"kind{n}") for n in range(MAX_KINDS + 5)])
    assert len(lines) == MAX_KINDS + 1
    assert lines[-1] == "... and 5 more kinds (usaggr data check --out FILE lists all)"


def test_after_a_repair_no_line_proposes_it_again() -> None:
    fault = make_fault(2, "x_max", "box_outside")
    assert "--fix DIR clips it" in list_fault_groups([fault])[0]
    assert list_fault_groups([fault], with_repair=False) == [f"{fault}; correct the box, or remove the row"]


def test_unreadable_files_are_grouped_by_reason() -> None:
    messages = [f"has {n} frames or pages; save one" for n in range(2, 12)] + ["cannot be decoded: broken"] * 9
    faults = [Fault("a.csv", row, "mask_path", "", "unreadable_file", text) for row, text in enumerate(messages, 2)]
    lines = list_fault_groups(faults)
    assert [line.split("; ")[-1].split(" of")[0] for line in lines] == ["9 more errors", "8 more errors"]
    assert "replace it by an intact copy" in lines[1], "other reasons name their own remedy"
    assert "intact copy" not in lines[0]


def test_links_out_of_the_root_are_one_line_that_names_the_setting(tmp_path: Path) -> None:
    elsewhere, root = tiny_data(tmp_path / "elsewhere", n=12), tmp_path / "data"
    root.mkdir()
    (elsewhere / "csv_files").rename(root / "csv_files")
    for folder in elsewhere.iterdir():
        (root / folder.name).symlink_to(folder)
    config = data_config(root, tmp_path / "cache")
    with pytest.raises(DataError) as caught:
        load_dataset(config)
    assert str(caught.value).count("add data.follow_links=true") == 5  # the images of four tasks, and the masks of one
    assert len(check_dataset(config)[1]) == 60
    assert len(load_dataset(config.model_copy(update={"follow_links": True})).samples) == 48
