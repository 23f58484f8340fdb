"""What travels through the data room: a sample, a fault found in it, and the data set that they make up."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from usaggr.tasks import Task

Box = tuple[float, float, float, float]
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of a task's index: an image with its label. Coordinates are pixels of the original image."""

    task_id: str
    sample_id: str
    """The image_path of the index; '#2', '#3', ... follow for further rows of it in the same task."""
    image_path: Path
    """Absolute."""
    subject_id: str
    """Patient or video: one name for all spellings; the hash of the image where it is unknown."""
    image_hash: str
    """Of the file's bytes."""
    label_hash: str
    """Of the mask file's bytes, or of the label as written in the index."""
    height: int
    width: int
    csv_file: str
    """Name of the index file."""
    row: int
    """Line in the index file; the header is line 1."""
    mask_path: Path | None = None
    label: int | None = None
    box: Box | None = None
    """x_min, y_min, x_max, y_max."""
    points: Points | None = None
    """(x, y) a landmark."""
    official_subset: str | None = None
    """train, val or test, where the index has a column `split`."""
    subject_written: str = ""
    """The subject as the index or the file's name has it; empty where it is unknown."""

    @property
    def stratum(self) -> int:
        """The class of a classification sample, else 0: what folds and scales keep in proportion."""
        return self.label if self.label is not None else 0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with one row of an index."""

    csv_file: str
    row: int
    """Line in the index file; the header is line 1."""
    column: str
    file: str
    """The image or mask meant, as the index writes it; empty where the row itself is at fault."""
    kind: str
    """Short name: missing_file, unreadable_file, mask_size, empty_mask, label_range, box_outside, ..."""
    message: str
    """What was found and what is allowed."""

    def __str__(self) -> str:
        file = f" {self.file}" if self.file else ""
        return f"{self.csv_file}, line {self.row} (row {self.row - 1}), {self.column}:{file} {self.message}"


@dataclass(frozen=True)
class Dataset:
    """All samples of all tasks of a data set that passed validation, with those that were skipped."""

    root: Path
    tasks: dict[str, Task]
    """By id, sorted."""
    samples: tuple[Sample, ...]
    """Sorted by (task_id, sample_id): nothing depends on the order of files or rows."""
    skipped: tuple[Fault, ...]
    """Rows left out under `on_bad_sample: skip`."""
    warnings: tuple[str, ...] = ()
    """What a user should know, such as tasks without a clinical group."""

    @cached_property
    def by_task(self) -> dict[str, tuple[Sample, ...]]:
        """Samples of each task, in order."""
        groups: dict[str, list[Sample]] = {task_id: [] for task_id in self.tasks}
        for sample in self.samples:
            groups[sample.task_id].append(sample)
        return {task_id: tuple(samples) for task_id, samples in groups.items()}

    @cached_property
    def content_hash(self) -> str:
        """Changes where any task, image, label or subject does."""
        digest = hashlib.sha256()
        for task in self.tasks.values():
            digest.update(repr((task.id, task.type, task.num_classes)).encode())
        for s in self.samples:
            digest.update(f"{s.task_id}\0{s.sample_id}\0{s.subject_id}\0{s.image_hash}\0{s.label_hash}\n".encode())
        return digest.hexdigest()
