"""What is in a data set, in tables: samples, classes and subjects of each task, and what tasks have in common."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from usaggr.data.read.validation import count_kinds
from usaggr.data.samples import Dataset, Fault, Sample
from usaggr.tasks import Task, has_class_label

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class TaskOverview:
    """What a task's samples are."""

    task: Task
    samples: int
    subjects: int
    images: int
    """Distinct ones, by content."""
    class_counts: dict[str, int]
    """Class name: samples (classification); empty for other types."""
    smallest: tuple[int, int]
    """Height and width of the image with the fewest pixels."""
    largest: tuple[int, int]


@dataclass(frozen=True)
class Overlap:
    """What two tasks have in common: the reason why folds are dealt out over all tasks together."""

    first: str
    second: str
    images: int
    """Distinct images in both, by content."""
    subjects: int
    """Subjects in both."""


def overview(dataset: Dataset) -> list[TaskOverview]:
    """One entry a task that has samples, in the order of ids."""
    return [_overview(dataset.tasks[task_id], samples) for task_id, samples in dataset.by_task.items() if samples]


def overlaps(dataset: Dataset) -> list[Overlap]:
    """Pairs of tasks that share an image or a subject, the largest overlap first."""
    images = {task_id: {s.image_hash for s in samples} for task_id, samples in dataset.by_task.items()}
    subjects = {task_id: {s.subject_id for s in samples} for task_id, samples in dataset.by_task.items()}
    pairs = [
        Overlap(a, b, len(images[a] & images[b]), len(subjects[a] & subjects[b])) for a, b in combinations(images, 2)
    ]
    shared = [pair for pair in pairs if pair.images or pair.subjects]
    return sorted(shared, key=lambda pair: (-pair.images, -pair.subjects, pair.first, pair.second))


def print_check(dataset: Dataset | None, faults: Sequence[Fault]) -> None:
    """Print the lines of `usaggr data check`: every fault, every remark, and a sum. None: a task has no sound row."""
    for fault in faults:
        print(fault)
    for warning in dataset.warnings if dataset else ():
        print(f"note: {warning}")
    sound = (
        f"{len(dataset.samples)} sound samples of {len(dataset.tasks)} tasks"
        if dataset
        else "a task without sound rows"
    )
    print(f"{sound}, {len(faults)} faults" + (f" ({count_kinds(faults)})" if faults else ""))


def write_faults(faults: Sequence[Fault], path: Path) -> None:
    """Write faults as a CSV with a column for each part of `Fault`."""
    columns = [field.name for field in fields(Fault)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([getattr(fault, column) for column in columns] for fault in faults)


def print_overview(dataset: Dataset, console: "Console") -> None:
    """Print the tables of `usaggr data show`."""
    from rich.table import Table

    tasks = Table(
        "task", "type", "organ", "clinical group", "samples", "subjects", "height x width", "classes or points"
    )
    for entry in overview(dataset):
        low, high = ("x".join(map(str, size)) for size in (entry.smallest, entry.largest))
        tasks.add_row(
            entry.task.id,
            entry.task.type,
            entry.task.organ,
            entry.task.clinical_group,
            str(entry.samples),
            str(entry.subjects),
            low if low == high else f"{low} to {high}",
            ", ".join(f"{name} {n}" for name, n in entry.class_counts.items()) or ", ".join(entry.task.class_names),
        )
    console.print(tasks)
    pairs = Table("tasks", "", "images in both", "subjects in both")
    for pair in overlaps(dataset):
        pairs.add_row(pair.first, pair.second, str(pair.images), str(pair.subjects))
    if pairs.row_count:
        console.print("Shared between tasks (kept in one fold):")
        console.print(pairs)
    for line in [f"left out: {fault}" for fault in dataset.skipped] + [f"note: {text}" for text in dataset.warnings]:
        console.print(line, highlight=False, markup=False)


def _overview(task: Task, samples: Sequence[Sample]) -> TaskOverview:
    counts = Counter(sample.label for sample in samples if sample.label is not None)
    named = {name: counts[i] for i, name in enumerate(task.class_names)} if has_class_label(task.type) else {}
    areas = np.array([sample.height * sample.width for sample in samples])
    small, large = samples[int(areas.argmin())], samples[int(areas.argmax())]
    return TaskOverview(
        task=task,
        samples=len(samples),
        subjects=len({sample.subject_id for sample in samples}),
        images=len({sample.image_hash for sample in samples}),
        class_counts=named,
        smallest=(small.height, small.width),
        largest=(large.height, large.width),
    )
