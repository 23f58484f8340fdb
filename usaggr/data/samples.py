"""The types that all of `usaggr.data` uses: a sample, an error of an index row, and a data set."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from usaggr.data.read.file_kinds import UNKNOWN_KIND, FileKind
from usaggr.data.read.image_reading import FILE_READING, ImageReading, ReadingRules
from usaggr.io.terminal_text import escape_line
from usaggr.tasks import Task

Box = tuple[float, float, float, float]
Points = tuple[tuple[float, float], ...]
LabelKind = Literal["mask", "class", "box", "points"]
"""Every `match` over it ends in `assert_never`, so mypy reports each place that a new kind of label must handle."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One valid row of an index: an image with its label for one task. Coordinates are pixels of the original image."""

    task_id: str
    sample_id: str
    """The row's image_path; if a task has several rows of one image, the later ones end in '#2', '#3', ..."""
    image_path: Path
    """Absolute path of the image file."""
    subject_id: str
    """Patient or video, normalized so that all spellings are equal; the image's hash if the subject is unknown."""
    image_hash: str
    """SHA-256 of the image file's bytes."""
    label_hash: str
    """SHA-256 of the mask file's bytes, or of the label's values."""
    height: int
    """Height of the image, in pixels."""
    width: int
    """Width of the image, in pixels."""
    csv_file: str
    """Name of the index file."""
    row: int
    """Line in the index file; the header is line 1."""
    mask_path: Path | None = None
    """Absolute path of the mask file (segmentation)."""
    label: int | None = None
    """Class index, from 0 (classification)."""
    box: Box | None = None
    """x_min, y_min, x_max, y_max (detection)."""
    points: Points | None = None
    """(x, y) of each landmark (regression)."""
    official_subset: str | None = None
    """Official subset (train, val or test) from the index's column `split`; None without one."""
    subject_written: str = ""
    """Subject as written in the index or in the file's name; empty if it is unknown."""
    image_kind: FileKind = UNKNOWN_KIND
    """Kind of the image file."""
    mask_kind: FileKind = UNKNOWN_KIND
    """Kind of the mask file (segmentation)."""
    reading: ImageReading = FILE_READING
    """Rules by which the image's pixels are read."""

    @property
    def changed_image(self) -> str:
        """Difference from the first version of the readers in how the image is read; empty if it is read as before."""
        return self.reading.describe_change(self.image_kind)

    @property
    def changed_mask(self) -> str:
        """The same for the mask."""
        return "gray values of the palette" if self.mask_kind.drawn else ""

    @property
    def changed_files(self) -> str:
        """The changes of both files as they enter hashes; empty if both files are read as before."""
        changes = (self.changed_image, self.changed_mask)
        return "".join(f"\0{change}" for change in changes) if any(changes) else ""

    @property
    def image_key(self) -> str:
        """Key of the image's pixels in caches: its hash, combined with how it is read otherwise than before."""
        return _make_key(self.image_hash, self.changed_image)

    @property
    def mask_key(self) -> str:
        """Key of the mask's values in caches."""
        return _make_key(self.label_hash, self.changed_mask)

    @property
    def label_kind(self) -> LabelKind:
        """Kind of the label, which all samples of a task share.

        Raises:
            ValueError: The sample has no label.
        """
        labels: dict[LabelKind, object] = {
            "mask": self.mask_path, "class": self.label, "box": self.box, "points": self.points,
        }  # fmt: skip
        for kind, label in labels.items():
            if label is not None:
                return kind
        raise ValueError(f"{self.csv_file}, line {self.row}: {self.sample_id} has no label")

    @property
    def stratum(self) -> int:
        """Class of a classification sample, otherwise 0; subsets and scales keep the proportions of strata."""
        return self.label if self.label is not None else 0


def _make_key(digest: str, change: str) -> str:
    """Return the key of a file in caches: its SHA-256, or another one if the file is read otherwise than before."""
    return hashlib.sha256(f"{digest} {change}".encode()).hexdigest() if change else digest


@dataclass(frozen=True, slots=True)
class Fault:
    """One error in one row of an index."""

    csv_file: str
    row: int
    """Line in the index file; the header is line 1."""
    column: str
    file: str
    """Path of the image or mask as written in the index; empty if the error is not in a file."""
    kind: str
    """Short name of the kind of error: missing_file, unreadable_file, mask_size, label_range, box_outside, ..."""
    message: str
    """Description of the value and of the allowed values."""
    task_id: str = field(default="", compare=False)
    """Task of the row as written in the index; empty if the row cannot be read."""

    def __str__(self) -> str:
        file = f" {self.file if len(self.file) <= 255 else self.file[:255] + '...'}" if self.file else ""
        # Spreadsheets count the header as line 1, pandas and most people do not: both numbers are given.
        text = f"{self.csv_file}, line {self.row} (row {self.row - 1}), {self.column}:{file} {self.message}"
        return escape_line(text)


@dataclass(frozen=True)
class Dataset:
    """The valid samples of all tasks of a data set, and the errors of invalid rows."""

    root: Path
    """Folder that contains `csv_files/`."""
    tasks: dict[str, Task]
    """Tasks by id, in the order of ids."""
    samples: tuple[Sample, ...]
    """Valid samples, sorted by (task_id, sample_id), so that nothing depends on the order of files or rows."""
    skipped: tuple[Fault, ...]
    """Errors of the rows that are left out (`data.on_bad_sample=skip`)."""
    warnings: tuple[str, ...] = ()
    """Messages for the user, such as the tasks without a clinical group."""
    rules: dict[str, ReadingRules] = field(default_factory=dict)
    """Rules by which images are read, by task."""

    @cached_property
    def by_task(self) -> dict[str, tuple[Sample, ...]]:
        """Samples of each task, in the order of `samples`."""
        groups: dict[str, list[Sample]] = {task_id: [] for task_id in self.tasks}
        for sample in self.samples:
            groups[sample.task_id].append(sample)
        return {task_id: tuple(samples) for task_id, samples in groups.items()}

    @cached_property
    def content_hash(self) -> str:
        """Hash of all tasks, images, labels and subjects; it does not depend on the folder of the data."""
        return self._hash_content(include_changes=True)

    @cached_property
    def first_content_hash(self) -> str:
        """Content hash as if all files were read as by the first version of the readers."""
        return self._hash_content(include_changes=False)

    def _hash_content(self, *, include_changes: bool) -> str:
        digest = hashlib.sha256()
        # Class names, organs and clinical groups are left out, because they change no result.
        for task in self.tasks.values():
            digest.update(repr((task.id, task.type, task.num_classes)).encode())
        for s in self.samples:
            # Null characters cannot be part of a path, so different samples never give the same line.
            changes = s.changed_files if include_changes else ""
            line = f"{s.task_id}\0{s.sample_id}\0{s.subject_id}\0{s.image_hash}\0{s.label_hash}{changes}\n"
            digest.update(line.encode())
        return digest.hexdigest()
