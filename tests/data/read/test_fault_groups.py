"""Many errors of one kind are one line, and few are listed one by one."""

from pathlib import Path

import pytest

from tests.data.factories import data_config, tiny_data
from usaggr.data.read.fault_groups import MAX_EACH, list_fault_groups
from usaggr.data.read.load_dataset import check_dataset, load_dataset
from usaggr.data.samples import Fault
from usaggr.errors import DataError


def make_fault(row: int, column: str = "mask", kind: str = "label", csv_file: str = "a.csv") -> Fault:
    return Fault(csv_file, row, column, "", kind, "is empty")


def test_few_errors_are_listed_in_their_order() -> None:
    faults = [make_fault(row) for row in range(2, 2 + MAX_EACH)]
    assert list_fault_groups(faults) == [str(fault) for fault in faults]
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
        "a.csv, line 2 (row 1), mask: is empty; 499 more errors of this kind (label) up to line 501 of a.csv "
        "(usaggr data check --out FILE lists all)"
    )


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
