import os
from pathlib import Path

import pytest

from tests.data.factories import Row, tiny_data, write_rows
from usaggr.data.read.index import read_index
from usaggr.errors import DataError

ROW = {"image_path": "../a.png", "task_name": "classification", "task_id": "t", "num_classes": "2", "mask": "0"}


def write_text(root: Path, name: str, text: str | bytes) -> None:
    (root / "csv_files").mkdir(exist_ok=True)
    (root / "csv_files" / name).write_bytes(text.encode() if isinstance(text, str) else text)


HEADER = "image_path,task_name,task_id,num_classes,mask\n"


def test_files_are_read_by_name_and_rows_by_line(tmp_path: Path) -> None:
    tiny_data(tmp_path, 2)
    index, faults = read_index(tmp_path)
    assert [(row.csv_file, row.line) for row in index] == [
        (f"{task}.csv", line) for task in ("cls", "det", "reg", "seg") for line in (2, 3)
    ]
    assert faults == []
    assert index[0].get_text("mask") == "0"
    assert index[0].get_text("mask_path") == ""  # a column of another file
    assert index[4].get_text("point_1_xy") == "[0.5, 3]"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_no_break_space_survives_every_encoding(tmp_path: Path, encoding: str) -> None:
    write_text(tmp_path, "a.csv", f"{HEADER}../uterine\u00a0fibroid/é.png,classification,t,2,1\n".encode(encoding))
    index, _ = read_index(tmp_path)
    assert index[0].get_text("image_path") == "../uterine\u00a0fibroid/é.png"


def test_lines_are_numbered_as_in_an_editor(tmp_path: Path) -> None:
    """Also after blank lines, cells of several lines, and characters that some programs read as line ends."""
    text = f'{HEADER}\r\n"../a\n.png",classification,t,2,0\n../b\u2028.png,classification,t,2,0\n\n../c.png,x,t,2,0'
    write_text(tmp_path, "a.csv", text)
    index, _ = read_index(tmp_path)
    assert [(row.line, row.get_text("image_path")) for row in index] == [
        (3, "../a\n.png"),
        (5, "../b\u2028.png"),
        (7, "../c.png"),
    ]


def test_marks_of_empty_cells_are_read_as_empty(tmp_path: Path) -> None:
    write_rows(tmp_path, "a.csv", [{**ROW, "subject_id": text, "extra": "x"} for text in ("", "nan", "NaN", " ", "p1")])
    assert [row.get_text("subject_id") for row in read_index(tmp_path)[0]] == ["", "", "", "", "p1"]


def test_a_row_that_is_longer_than_its_header_is_an_error(tmp_path: Path) -> None:
    write_text(tmp_path, "a.csv", f"{HEADER}../a.png,classification,t,2,0,,\n../b.png,classification,t,2,[1, 2]\nx\n")
    index, faults = read_index(tmp_path)
    assert [row.line for row in index] == [2, 4]
    assert [(fault.csv_file, fault.row, fault.kind) for fault in faults] == [("a.csv", 3, "row_shape")]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([{k: v for k, v in ROW.items() if k != "task_id"}], r"^a\.csv: no column task_id;"),
        ([{k: v for k, v in ROW.items() if k in ("image_path", "mask")}], "no column task_name, task_id, num_classes"),
        ([{k: v for k, v in ROW.items() if k != "mask"}], r"^a\.csv: has classification rows but no column mask$"),
        ([{**ROW, "task_name": "Segmentation"}], "has segmentation rows but no column mask_path"),
        ([{**ROW, "task_name": "detection", "x_min": "1"}], "has detection rows but no column y_min, x_max, y_max"),
        ([{**ROW, "task_name": "Regression"}], "has regression rows but no column point_1_xy"),
    ],
)
def test_missing_columns_are_named_with_their_file(tmp_path: Path, table: list[Row], message: str) -> None:
    write_rows(tmp_path, "a.csv", table)
    with pytest.raises(DataError, match=message):
        read_index(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_path;task_name;task_id;num_classes\n", "columns are separated by commas"),
        ("", "no column image_path"),
        (HEADER, "the index has no rows"),
        ("image_path,task_name,task_id,num_classes,mask,mask\n", "column mask exists more than once"),
        (f'{HEADER}"../a.png,classification,t,2,0\n', r"a\.csv, line 2: not a CSV table"),
    ],
)
def test_a_file_that_is_not_an_index_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    write_text(tmp_path, "a.csv", text)
    with pytest.raises(DataError, match=message):
        read_index(tmp_path)


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    write_text(tmp_path, "notes.txt", "x")
    write_text(tmp_path, "._a.csv", "left by another system")
    with pytest.raises(DataError, match=r"no \.csv file"):
        read_index(tmp_path)


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a device"])
def test_an_index_that_is_no_regular_file_is_refused_without_reading_it(tmp_path: Path, kind: str) -> None:
    (tmp_path / "csv_files").mkdir()
    path = tmp_path / "csv_files" / "a.csv"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match=rf"a\.csv: is {kind}, not a regular file"):
        read_index(tmp_path, follow_links=True)


def test_an_index_beyond_the_largest_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path, "a.csv", f"{HEADER}{'x' * 100}\n")
    monkeypatch.setattr("usaggr.data.read.index.MAX_BYTES", 100)
    with pytest.raises(DataError, match=r"a\.csv: is larger than 100 bytes, the most that is read"):
        read_index(tmp_path)
