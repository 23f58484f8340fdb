"""Organs, clinical groups, tasks and words have one spelling over all index files and settings."""

import unicodedata
from pathlib import Path

import pytest

from tests.data.factories import Row, data_config, read_rows, tiny_data, write_rows
from usaggr.data.read.load_dataset import check_dataset, load_dataset
from usaggr.data.read.spellings import Spellings
from usaggr.data.samples import Dataset
from usaggr.errors import DataError

NFC, NFD = unicodedata.normalize("NFC", "útero"), unicodedata.normalize("NFD", "útero")


def load(root: Path, **changes: object) -> Dataset:
    return load_dataset(data_config(root, root.parent / "cache", **changes))


def set_column(root: Path, name: str, column: str, *texts: str) -> None:
    """Write a column of an index file; the texts are repeated over the rows."""
    table: list[Row] = read_rows(root, name)
    write_rows(root, name, [{**row, column: texts[i % len(texts)]} for i, row in enumerate(table)])


@pytest.mark.parametrize("column", ["organ", "clinical_group"])
@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("17", "17.0", "17"),
        (NFC, NFD, NFC),
        ("breast", " breast\u00a0", "breast"),
        ("\ufeffbreast", "breast", "breast"),
    ],
)
def test_spellings_of_a_group_are_one_group_and_are_listed(
    tmp_path: Path, column: str, first: str, second: str, name: str
) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", column, first)
    set_column(root, "det.csv", column, second, first)
    dataset = load(root)
    assert [getattr(dataset.tasks[task], column) for task in ("cls", "det")] == [name, name]
    notes = [note for note in dataset.warnings if "written in several ways" in note]
    assert len(notes) == 1
    assert all(note.startswith(f"{column}: 1 ") and "rows of det.csv" in note for note in notes)


@pytest.mark.parametrize("column", ["organ", "clinical_group"])
@pytest.mark.parametrize(
    ("text", "name"),
    [("g\r\nfake: 0 errors", "g fake: 0 errors"), ("or\x1b[5mgan", "or[5mgan")],
    ids=["line", "escape"],
)
def test_control_characters_in_a_group_are_noted(tmp_path: Path, column: str, text: str, name: str) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", column, text)
    dataset = load(root)
    assert getattr(dataset.tasks["cls"], column) == name
    (note,) = [note for note in dataset.warnings if "control characters" in note]
    assert note.startswith(f"{column}: these ")
    assert note.isprintable()
    assert note.endswith(f" of cls.csv is read as '{name}'")


@pytest.mark.parametrize("mark", ["NA", "#N/A", "<NA>", "N/A", "-"])
def test_a_mark_of_a_missing_group_is_no_group(tmp_path: Path, mark: str) -> None:
    root = tiny_data(tmp_path / "data")
    for name in ("cls.csv", "det.csv"):
        set_column(root, name, "clinical_group", mark)
    dataset = load(root, clinical_groups={"det": "spine"})
    assert [dataset.tasks[task].clinical_group for task in ("cls", "det")] == ["cls", "spine"]
    assert [note for note in dataset.warnings if "read as missing values, not as clinical groups" in note] != []


def test_settings_and_the_index_mean_the_same_group(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", "organ", NFD)
    set_column(root, "reg.csv", "organ", "Útero")
    dataset = load(root, organs={"det": NFC})
    assert dataset.tasks["cls"].organ == dataset.tasks["det"].organ == NFC
    assert dataset.tasks["reg"].organ == "Útero"
    assert any("differ only in letter case or leading zeros are different organs" in w for w in dataset.warnings)
    assert any("(data.organs)" in w for w in dataset.warnings)


def test_an_index_file_whose_name_begins_like_a_key_of_the_configuration_has_its_number_of_rows() -> None:
    spellings = Spellings("organ", "organs")
    for text, source in (("17", "data.csv"), ("17.0", "data.train.CSV"), ("17.0", "data.organs"), ("NA", "data.csv")):
        spellings.add(text, source)
    missing, merged = spellings.list_warnings()
    assert missing.endswith(": 'NA' in 1 row of data.csv")
    assert merged.endswith(": '17' (1 row of data.csv) and '17.0' (data.organs) and '17.0' (1 row of data.train.CSV)")


def test_groups_that_no_rule_touches_give_no_note() -> None:
    spellings = Spellings("organ", "organs")
    for name in ("breast", "017", "na", "A-1"):
        assert spellings.add(name, "a.csv") == name
    assert spellings.list_warnings() == []


def test_spellings_of_a_task_are_one_task_and_settings_find_it(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", "task_id", NFC, NFD)
    dataset = load(root, organs={NFD: "uterus"}, class_names={NFD: ["a", "b", "c"]})
    assert len(dataset.by_task[NFC]) == 4
    assert dataset.tasks[NFC].organ == "uterus"
    assert dataset.tasks[NFC].class_names == ("a", "b", "c")
    assert any(note.startswith("task_id: 1 task is written in several ways") for note in dataset.warnings)
    assert not any("names tasks that the data do not have" in note for note in dataset.warnings)


def test_a_task_with_a_single_spelling_keeps_it(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", "task_id", NFD)
    set_column(root, "det.csv", "task_id", "2.0")
    assert sorted(load(root).tasks) == sorted(["2.0", "reg", "seg", NFD])


def test_tasks_that_differ_only_in_letter_case_are_refused(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", "task_id", "Det")
    with pytest.raises(DataError, match="the tasks 'Det' and 'det' differ only in letter case"):
        check_dataset(data_config(root, tmp_path / "cache"))


@pytest.mark.parametrize(
    ("task_id", "message"),
    [
        ("x" * 121, "has 121 bytes in UTF-8; a name can have 120"),
        ("\u4e73" * 100, "has 300 bytes in UTF-8; a name can have 120"),
        ("NA", "is read as a missing value"),
        ("a/b", "is not a valid name"),
        ("a\x1b[31m", "is not a valid name"),
    ],
)
def test_ids_that_cannot_be_names_of_files_are_errors(tmp_path: Path, task_id: str, message: str) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", "task_id", task_id)
    _, faults = check_dataset(data_config(root, tmp_path / "cache"))
    assert {(fault.csv_file, fault.column, fault.kind) for fault in faults} == {("cls.csv", "task_id", "task_id")}
    assert message in faults[0].message
    assert faults[0].message.isprintable()
    assert len(faults[0].message) < 300


@pytest.mark.parametrize("task_id", ["x" * 120, "\u4e73" * 40])
def test_ids_of_the_largest_length_are_valid(tmp_path: Path, task_id: str) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", "task_id", task_id)
    assert task_id in load(root).tasks


@pytest.mark.parametrize("word", ["Train", " TRAINING\u00a0", "train\u200b", "\ufefftrain"])
def test_words_of_the_split_are_read_without_stray_characters(tmp_path: Path, word: str) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", "split", word)
    set_column(root, "det.csv", "split", "NA")
    dataset = load(root)
    assert {sample.official_subset for sample in dataset.by_task["cls"]} == {"train"}
    assert {sample.official_subset for sample in dataset.by_task["det"]} == {None}


def test_numbers_and_words_are_read_without_stray_characters_and_marks(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "det.csv", "x_min", "2\u00a0", "\ufeff2")
    set_column(root, "det.csv", "task_name", "detection\u00a0")
    set_column(root, "reg.csv", "point_3_xy", "NA")
    assert load(root).by_task["det"][0].box == (2.0, 0.5, 20.0, 21.0)


def test_columns_that_are_almost_those_of_the_index_are_named(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", "Patient ID", "p1", "p2")
    set_column(root, "det.csv", "Subject_Id", "p1")
    set_column(root, "reg.csv", "\ufeffsubject_id", "p1")
    assert [note for note in load(root).warnings if "is not read" in note] == [
        "cls.csv: the column Patient ID is not read; if it is meant as subject_id, rename it",
        "det.csv: the column Subject_Id is not read; if it is meant as subject_id, rename it",
    ]


@pytest.mark.parametrize(("name", "task"), [("cls.csv", "cls"), ("reg.csv", "reg"), ("seg.csv", "seg")])
def test_a_billion_classes_are_an_error_of_each_row(tmp_path: Path, name: str, task: str) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, name, "num_classes", "1000000000")
    _, faults = check_dataset(data_config(root, tmp_path / "cache"))
    assert [(fault.row, fault.kind) for fault in faults] == [(line, "num_classes") for line in range(2, 6)]


@pytest.mark.parametrize(
    ("name", "column", "text"),
    [
        ("reg.csv", "point_1_xy", f"[{'9' * 5000}, 1]"),
        ("reg.csv", "point_1_xy", "[" * 5000),
        ("det.csv", "x_max", "9" * 5000),
        ("det.csv", "x_max", "1e308"),
        ("cls.csv", "mask", "9" * 5000),
        ("cls.csv", "image_path", f"../{'a' * 5000}.png"),
        ("cls.csv", "image_path", "../a\0b.png"),
    ],
)
def test_a_cell_of_any_size_is_one_short_error(tmp_path: Path, name: str, column: str, text: str) -> None:
    root = tiny_data(tmp_path / "data")
    table = read_rows(root, name)
    write_rows(root, name, [{**table[0], column: text}, *table[1:]])
    _, faults = check_dataset(data_config(root, tmp_path / "cache"))
    assert [(fault.csv_file, fault.row, fault.column) for fault in faults] == [(name, 2, column)]
    assert len(str(faults[0])) < 400


def test_many_missing_landmarks_of_a_row_are_counted(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "reg.csv", "num_classes", "5000")
    _, faults = check_dataset(data_config(root, tmp_path / "cache"))
    assert len(faults) == 4 * 10
    assert "(and 4988 more errors of landmarks in this row)" in faults[9].message


@pytest.mark.parametrize("column", ["organ", "clinical_group"])
def test_a_group_that_cannot_be_part_of_a_file_name_is_refused(tmp_path: Path, column: str) -> None:
    root = tiny_data(tmp_path / "data")
    set_column(root, "cls.csv", column, "x" * 120)
    assert getattr(load(root).tasks["cls"], column) == "x" * 120
    set_column(root, "cls.csv", column, "x" * 121)
    with pytest.raises(DataError, match=f"task cls: the {column} 'xxx.* has 121 bytes in UTF-8; a name can have 120"):
        check_dataset(data_config(root, tmp_path / "cache"))
