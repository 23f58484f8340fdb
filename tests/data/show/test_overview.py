"""Counts of classes, subjects and image sizes of a data set, and of images that tasks share."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from usaggr.data.samples import Dataset, Fault, Sample
from usaggr.data.show.overview import Overlap, find_overlaps, list_check, print_overview, summarize_tasks, write_faults
from usaggr.tasks import Task


def sample(task: str, number: int, image: str, subject: str, label: int | None = None, height: int = 20) -> Sample:
    return Sample(
        task_id=task,
        sample_id=f"{number}.png",
        image_path=Path(f"/data/{number}.png"),
        subject_id=subject,
        image_hash=image,
        label_hash="",
        height=height,
        width=30,
        csv_file=f"{task}.csv",
        row=number + 2,
        label=label,
    )


GRADES = Task("grades", "classification", 3, "breast", "breast", ("benign", "malignant", "normal"))
BOXES = Task("boxes", "detection", 1, "breast", "breast", ("box",))
ALONE = Task("alone", "detection", 1, "lung", "lung", ("box",))
FAULT = Fault("grades.csv", 9, "image_path", "../x.png", "missing_file", "is not there")


@pytest.fixture
def dataset() -> Dataset:
    samples = (
        sample("alone", 0, "z", "P9"),
        sample("boxes", 0, "a", "P1"),
        sample("boxes", 1, "b", "P2"),
        sample("boxes", 2, "d", "P3"),
        sample("grades", 0, "a", "P1", 0),
        sample("grades", 1, "b", "P2", 0, height=10),
        sample("grades", 2, "c", "P3", 1),
        sample("grades", 3, "c", "P3", 1, height=40),
    )
    tasks = {task.id: task for task in (ALONE, BOXES, GRADES)}
    return Dataset(Path("/data"), tasks, samples, (FAULT,), ("no organ for alone",))


def test_samples_subjects_images_classes_and_sizes_are_counted(dataset: Dataset) -> None:
    entry = next(entry for entry in summarize_tasks(dataset) if entry.task is GRADES)
    assert (entry.samples, entry.subjects, entry.images) == (4, 3, 3)
    assert entry.class_counts == {"benign": 2, "malignant": 2, "normal": 0}
    assert (entry.smallest, entry.largest) == ((10, 30), (40, 30))
    assert [other.class_counts for other in summarize_tasks(dataset) if other.task is not GRADES] == [{}, {}]


def test_a_task_without_samples_is_left_out(dataset: Dataset) -> None:
    empty = Dataset(dataset.root, dataset.tasks, dataset.samples[:1], ())
    assert [entry.task.id for entry in summarize_tasks(empty)] == ["alone"]


def test_images_and_subjects_in_two_tasks_are_counted(dataset: Dataset) -> None:
    assert find_overlaps(dataset) == [Overlap("boxes", "grades", images=2, subjects=3)]


def test_the_tables_show_tasks_overlaps_and_what_was_left_out(dataset: Dataset) -> None:
    console = Console(file=io.StringIO(), width=200)
    print_overview(dataset, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "benign 2, malignant 2, normal 0" in text
    assert "10 x 30 to 40 x 30" in text
    assert "images in both" in text
    assert f"left out: {FAULT}" in text
    assert "note: no organ for alone" in text


def test_the_check_ends_with_the_number_of_samples_and_errors(
    dataset: Dataset,
) -> None:
    lines = list_check(dataset, [FAULT], 36)
    assert lines[0].startswith("grades.csv, line 9 (row 8), image_path: ../x.png is not there; restore the file, or")
    assert lines[-1].startswith("8 valid samples of 3 tasks, 1 error (")
    assert "missing" in lines[-1]


def test_errors_are_written_with_one_column_per_field(tmp_path: Path) -> None:
    write_faults([FAULT], tmp_path / "new" / "faults.csv")
    with (tmp_path / "new" / "faults.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {
                "csv_file": "grades.csv",
                "row": "9",
                "column": "image_path",
                "file": "../x.png",
                "kind": "missing_file",
                "message": "is not there",
            }
        ]


NUMBERS = [(60, 12, 2), (60, 2, 2), (10, 12, 10), (0, 10, 10), (0, 60, 10)]


@pytest.mark.parametrize(("kinds", "notes", "shown"), NUMBERS)
def test_notes_beyond_the_room_are_counted(dataset: Dataset, kinds: int, notes: int, shown: int) -> None:
    dataset = replace(dataset, warnings=tuple(f"warning {number}" for number in range(notes)))
    faults = [replace(FAULT, kind=f"kind{number}", row=number) for number in range(kinds)]
    lines = list_check(dataset, faults, 36)
    written = [line for line in lines if line.startswith("note: ")]
    assert len(lines) <= 36
    assert len(written) == shown
    last = f"note: {notes - shown + 1} more notes (--html FILE shows all)"
    assert written[-1] == (last if shown < notes else f"note: warning {notes - 1}")
