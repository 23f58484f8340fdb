"""Subjects of rows, the normalization of their names, and the warnings about spellings."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.factories import Row, data_config, read_rows, tiny_data, write_rows
from usaggr.config.study import DataConfig
from usaggr.data.read.index import IndexRow
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.read.subject_names import normalize_subject
from usaggr.data.read.subjects import SubjectFinder
from usaggr.data.samples import Dataset
from usaggr.data.split.manifest import make_manifest, prove_split

SAME = {
    "17": [
        "17",
        "17.0",
        "17.00",
        "17.",
        " 17",
        "17\u00a0",
        "\u300017\u2003",
        "\ufeff17",
        "17\u200b",
        "\t17.0 ",
        "17,0",
        "17,00",
        "\uff11\uff17",
        "\uff11\uff17\uff0e\uff10",
        "\uff11\uff17,0",
    ],
    "170": ["170", "1.7e+02"],
    "-3": ["-3", "-3.0"],
    "0": ["0", "0.0"],
    "100000": ["100000", "1e+05", "1E+05", "100000.0"],
    "017": ["017", "017.0", "017,0"],
    "P17": ["P17", "\uff30\uff11\uff17"],
    "P\u00e9rez 1": ["P\u00e9rez 1", "Pe\u0301rez 1", "P\u00e9rez\u00a01", "P\u00e9rez  1 "],
}
"""Texts by the normalized name that they have."""
MISSING = [
    "", " ", "\u00a0", "NA", "N/A", "n/a", "<NA>", "#N/A", "#N/A N/A", "#NA", "#NV", "nan", "NaN", "-nan", "-NaN",
    "NaT", "None", "none", "null", "NULL", "(null)", "\\N", "#REF!", "#DIV/0!", "1.#QNAN", ".", "-", "--", "?",
]  # fmt: skip
NAMES = [
    "017", "17a", "P1", "p1", "na", "Na", "NAT", "Nana", "NA1", "N", "1.5", "17.01", "1e5", "2E3", "1e+5", "1.25e+01",
    "17,", "17,5", "1,000", "17,0,0", "1.2.0", "17.0.0", "0x11", "+17", "inf", "P.1", "A-1", "1-0", "01e+05", "unknown",
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in SAME.items() for text in texts])
def test_spellings_of_one_subject_have_one_name(name: str, text: str) -> None:
    assert normalize_subject(text) == name


@pytest.mark.parametrize("text", MISSING)
def test_marks_of_missing_values_are_not_subjects(text: str) -> None:
    assert normalize_subject(text) == ""


@pytest.mark.parametrize("text", NAMES)
def test_other_names_keep_their_text(text: str) -> None:
    assert normalize_subject(text) == text


@given(st.text(st.sampled_from("0017.,eE+-P\u00e9e\u0301 \u00a0\u200bNA/n\uff10\uff0e")))
def test_a_normalized_name_does_not_change_when_normalized_again(text: str) -> None:
    name = normalize_subject(text)
    assert normalize_subject(name) == name


def row(task_id: str, path: str, subject: str = "") -> IndexRow:
    cells = {"task_id": task_id, "image_path": path}
    return IndexRow("a.csv", 2, {**cells, "subject_id": subject} if subject else cells)


def name_of(subjects: SubjectFinder, row: IndexRow, image_hash: str = "hash") -> str:
    return subjects.find(row, image_hash).name


def test_the_index_comes_before_the_pattern_and_the_pattern_before_the_image() -> None:
    subjects = SubjectFinder({"planes": r"(Patient\d+)"})
    assert name_of(subjects, row("planes", "../p/Patient00123_Plane1.png", "s1")) == "s1"
    assert name_of(subjects, row("planes", "../p/Patient00123_Plane1.png", "NA")) == "Patient00123"
    assert name_of(subjects, row("planes", "../p/Patient00123_Plane1.png")) == "Patient00123"
    assert name_of(subjects, row("other", "../p/Patient00123_Plane1.png")) == "hash"


def test_a_patient_is_the_same_in_every_task() -> None:
    subjects = SubjectFinder({"planes": r"(Patient\d+)", "femur": r"Patient\d+"})
    in_planes = name_of(subjects, row("planes", "../p/Patient007_1.png"), "a")
    assert in_planes == name_of(subjects, row("femur", "../f/x_Patient007.png"), "b") == "Patient007"


def test_a_subject_of_a_file_name_is_normalized_like_one_of_the_index() -> None:
    subjects = SubjectFinder({"t": r"^([^_]+)_"})
    assert name_of(subjects, row("t", "../p/17.0_3.png")) == name_of(subjects, row("t", "../p/x.png", "17")) == "17"
    assert name_of(subjects, row("t", "../p/nan_3.png")) == "hash"


def test_a_pattern_without_a_slash_searches_only_the_file_name() -> None:
    subjects = SubjectFinder({"t": r"^(.+)_\d+\.[^.]+$"})
    assert name_of(subjects, row("t", "../video_9/clip_a_017.png")) == "clip_a"


def test_a_pattern_with_a_slash_searches_the_path() -> None:
    subjects = SubjectFinder({"t": r"(?:^|/)(P\d+)/"})
    assert name_of(subjects, row("t", "../grades/P3/000.png")) == "P3"
    assert name_of(subjects, row("t", "../P4/P3.png")) == "P4"
    assert name_of(subjects, row("t", "../grades/P3.png")) == "hash"


def test_names_without_a_subject_are_counted_in_one_line_per_task() -> None:
    subjects = SubjectFinder({"t": r"(Patient\d+)?\.png", "u": "x"})
    assert name_of(subjects, row("t", "../a.png"), "hash a") == "hash a"  # the group is not part of the match
    assert name_of(subjects, row("t", "../b.jpg"), "hash b") == "hash b"
    assert name_of(subjects, row("t", "../Patient1.png"), "hash c") == "Patient1"
    (warning,) = subjects.list_warnings([])
    assert warning.startswith("task t: data.subject_patterns finds no subject in the names of 2 of 3 images")


@pytest.fixture
def add_subjects(tmp_path: Path) -> Callable[..., DataConfig]:
    """Return a function that writes subjects into index files of 40 rows, from a function of the row's number."""

    def write(**names: Callable[[int], str]) -> DataConfig:
        root = tiny_data(tmp_path / "data", n=40)
        for file, name in names.items():
            table: list[Row] = read_rows(root, f"{file}.csv")
            write_rows(root, f"{file}.csv", [{**row, "subject_id": name(i)} for i, row in enumerate(table)])
        return data_config(root, tmp_path / "cache")

    return write


def folds_of(dataset: Dataset, config: DataConfig) -> dict[str, set[str | None]]:
    """Return the subsets of each patient, whose number is at the start of every spelling here."""
    folds: dict[str, set[str | None]] = {}
    manifest = make_manifest(dataset, config, [0])
    for sample, fold in zip(dataset.samples, manifest.split.subsets, strict=True):
        if sample.subject_written:
            folds.setdefault(sample.subject_written.strip().partition(".")[0], set()).add(fold)
    assert prove_split(dataset, manifest.split).is_disjoint
    return folds


def test_a_patient_who_is_17_in_one_table_and_17_0_in_another_is_in_one_subset(
    add_subjects: Callable[..., DataConfig],
) -> None:
    config = add_subjects(
        cls=lambda i: "" if i == 39 else f"{i // 2}.0", seg=lambda i: str(i // 2), det=lambda i: f"\u00a0{i // 2}"
    )
    dataset = load_dataset(config)
    folds = folds_of(dataset, config)
    assert len(folds) == 20
    assert [names for names in folds.values() if len(names) != 1] == []
    (note,) = [line for line in dataset.warnings if "several ways" in line]
    assert note.startswith("subject_id: 20 subjects are written in several ways, and treated as one each: ")
    assert "'0' (2 rows of seg.csv) and '0.0' (2 rows of cls.csv) and '\\xa00' (2 rows of det.csv); " in note
    assert note.endswith("; and 10 more")


def test_a_patient_of_a_spreadsheet_is_in_one_subset_and_named_in_the_note(
    add_subjects: Callable[..., DataConfig],
) -> None:
    wide = str.maketrans("0123456789", "".join(map(chr, range(0xFF10, 0xFF1A))))
    dataset = load_dataset(
        add_subjects(cls=lambda i: f"{i // 2},0", seg=lambda i: str(i // 2), det=lambda i: str(i // 2).translate(wide))
    )
    assert {sample.subject_id for sample in dataset.samples if sample.subject_written} == set(map(str, range(20)))
    (note,) = [line for line in dataset.warnings if "several ways" in line]
    assert "'0' (2 rows of seg.csv) and '0,0' (2 rows of cls.csv) and '\\uff10' (2 rows of det.csv); " in note


def test_subjects_with_one_spelling_keep_their_text_so_that_results_stay_valid(
    add_subjects: Callable[..., DataConfig],
) -> None:
    dataset = load_dataset(add_subjects(cls=lambda i: f"{i // 2},0", seg=lambda i: f"P{i // 2}"))
    with_subject = [sample for sample in dataset.samples if sample.subject_written]
    assert len(with_subject) == 80
    assert {sample.subject_id for sample in with_subject} == {
        *(f"{i},0" for i in range(20)),
        *(f"P{i}" for i in range(20)),
    }
    assert not [line for line in dataset.warnings if "subject_id" in line]


def test_marks_of_missing_values_are_counted_by_file_and_their_images_are_single_subjects(
    add_subjects: Callable[..., DataConfig],
) -> None:
    dataset = load_dataset(add_subjects(cls=lambda i: "NA" if i < 3 else str(i // 2), seg=lambda i: "#N/A"))
    (note,) = [line for line in dataset.warnings if "missing" in line]
    assert note == (
        "subject_id: these texts are read as missing values, not as subjects: '#N/A' in 40 rows of seg.csv; 'NA' in 3 "
        "rows of cls.csv"
    )
    unknown = [sample for sample in dataset.samples if sample.task_id == "seg"]
    assert len({sample.subject_id for sample in unknown}) == 40


def test_names_that_differ_in_case_or_leading_zeros_stay_different_with_a_warning(
    add_subjects: Callable[..., DataConfig],
) -> None:
    names = {"cls": ("P1", "017", "2"), "seg": ("p1", "17", "3")}
    config = add_subjects(cls=lambda i: names["cls"][i % 3], seg=lambda i: names["seg"][i % 3])
    dataset = load_dataset(config)
    assert {sample.subject_id for sample in dataset.samples if sample.subject_written} == {
        "P1", "p1", "017", "17", "2", "3",
    }  # fmt: skip
    (note,) = [line for line in dataset.warnings if "subject_id" in line]
    assert note.endswith(
        "write them in the same way: '017' (cls.csv) and '17' (seg.csv); 'P1' (cls.csv) and 'p1' (seg.csv)"
    )
