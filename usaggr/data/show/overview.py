"""Overview of a data set: samples, classes and subjects of each task, and the images and subjects that tasks share."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from usaggr.data.read.fault_groups import list_fault_groups
from usaggr.data.read.remedies import describe_with_remedy
from usaggr.data.read.validation import count_kinds
from usaggr.data.samples import Dataset, Fault, Sample
from usaggr.document.display_names import pluralize
from usaggr.io.terminal_text import escape_line
from usaggr.tasks import Task, has_class_label

if TYPE_CHECKING:
    from rich.console import Console


MAX_NOTES = 10
"""Largest number of lines with warnings."""


@dataclass(frozen=True)
class TaskOverview:
    """Counts and image sizes of a task's samples."""

    task: Task
    samples: int
    subjects: int
    images: int
    """Number of distinct images, by content."""
    class_counts: dict[str, int]
    """Number of samples by class name (classification); empty for other types."""
    smallest: tuple[int, int]
    """Height and width of the image with the fewest pixels."""
    largest: tuple[int, int]
    """Height and width of the image with the most pixels."""


@dataclass(frozen=True)
class Overlap:
    """Numbers of images and subjects that two tasks share; because of them, all tasks are split together."""

    first: str
    second: str
    images: int
    """Number of distinct images in both tasks, by content."""
    subjects: int
    """Number of subjects in both tasks."""


def summarize_tasks(dataset: Dataset) -> list[TaskOverview]:
    """Return one entry per task that has samples, in the order of ids."""
    return [_summarize_task(dataset.tasks[task_id], samples) for task_id, samples in dataset.by_task.items() if samples]


def find_overlaps(dataset: Dataset) -> list[Overlap]:
    """Return the pairs of tasks that share an image or a subject, the largest overlap first."""
    images = {task_id: {s.image_hash for s in samples} for task_id, samples in dataset.by_task.items()}
    subjects = {task_id: {s.subject_id for s in samples} for task_id, samples in dataset.by_task.items()}
    pairs = [
        Overlap(a, b, len(images[a] & images[b]), len(subjects[a] & subjects[b])) for a, b in combinations(images, 2)
    ]
    overlapping = [pair for pair in pairs if pair.images or pair.subjects]
    return sorted(overlapping, key=lambda pair: (-pair.images, -pair.subjects, pair.first, pair.second))


def list_check(dataset: Dataset | None, faults: Sequence[Fault], most_lines: int) -> list[str]:
    """Return lines with the errors of each kind and the warnings of a data set, and a summary.

    Args:
        dataset: The valid samples; None if a task has no valid row.
        faults: Errors of the invalid rows.
        most_lines: Number of lines up to which all warnings are listed; the lines of errors come first.
    """
    if dataset:
        valid = f"{pluralize(len(dataset.samples), 'valid sample')} of {pluralize(len(dataset.tasks), 'task')}"
    else:
        valid = "a task has no valid row"
    errors = pluralize(len(faults), "error")
    fault_lines = list_fault_groups(faults)
    return [
        *fault_lines,
        *_list_notes(dataset.warnings if dataset else (), min(MAX_NOTES, most_lines - len(fault_lines) - 1)),
        f"{valid}, {errors}" + (f" ({count_kinds(faults)})" if faults else ""),
    ]


def _list_notes(warnings: Sequence[str], most_lines: int) -> list[str]:
    """Return a line per warning; if there are more than `most_lines`, the last line counts the others."""
    lines = [f"note: {escape_line(warning)}" for warning in warnings]
    if len(lines) <= most_lines:
        return lines
    shown = lines[: max(0, most_lines - 1)]
    return [*shown, f"note: {pluralize(len(lines) - len(shown), 'more note')} (--html FILE shows all)"]


def write_faults(faults: Sequence[Fault], path: Path, with_remedy: bool = False) -> None:
    """Write errors as a CSV.

    Args:
        faults: The errors.
        path: File to write.
        with_remedy: True to add what to do to each message.
    """
    columns = [field.name for field in fields(Fault) if field.name != "task_id"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for fault in faults:
            written = replace(fault, message=describe_with_remedy(fault)) if with_remedy else fault
            writer.writerow([getattr(written, column) for column in columns])


def print_overview(dataset: Dataset, console: "Console") -> None:
    """Print the tables of `usaggr data show`."""
    from rich.table import Table

    tasks = Table(
        "task", "type", "organ", "clinical group", "samples", "subjects", "height x width", "classes or points"
    )
    for entry in summarize_tasks(dataset):
        smallest, largest = (" x ".join(map(str, size)) for size in (entry.smallest, entry.largest))
        class_counts = ", ".join(f"{name} {n}" for name, n in entry.class_counts.items())
        tasks.add_row(
            entry.task.id,
            entry.task.type,
            entry.task.organ,
            entry.task.clinical_group,
            str(entry.samples),
            str(entry.subjects),
            smallest if smallest == largest else f"{smallest} to {largest}",
            class_counts or ", ".join(entry.task.class_names),
        )
    console.print(tasks, markup=False)
    pairs = Table("tasks", "", "images in both", "subjects in both")
    for pair in find_overlaps(dataset):
        pairs.add_row(pair.first, pair.second, str(pair.images), str(pair.subjects))
    if pairs.row_count:
        console.print("Shared between tasks (in the same subset for all tasks):")
        console.print(pairs, markup=False)
    # No markup: names of files may contain square brackets, which rich would read as styles.
    for line in [f"left out: {fault}" for fault in dataset.skipped] + [f"note: {text}" for text in dataset.warnings]:
        console.print(escape_line(line), highlight=False, markup=False)


def _summarize_task(task: Task, samples: Sequence[Sample]) -> TaskOverview:
    counts = Counter(sample.label for sample in samples if sample.label is not None)
    class_counts = {name: counts[i] for i, name in enumerate(task.class_names)} if has_class_label(task.type) else {}
    areas = np.array([sample.height * sample.width for sample in samples])
    small, large = samples[int(areas.argmin())], samples[int(areas.argmax())]
    return TaskOverview(
        task=task,
        samples=len(samples),
        subjects=len({sample.subject_id for sample in samples}),
        images=len({sample.image_hash for sample in samples}),
        class_counts=class_counts,
        smallest=(small.height, small.width),
        largest=(large.height, large.width),
    )
