"""Counts of the kinds of image and mask files of each task: format, mode, bit depth, orientation and transparency."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from usaggr.data.samples import Dataset, Sample

KIND_COLUMNS = ("file", "kind", "read", "files", "tasks")
"""Columns of the table of kinds; `KindCount.format_row` gives its rows."""


@dataclass(frozen=True)
class KindCount:
    """Number of files of one kind in each task."""

    role: str
    """image or mask."""
    kind: str
    """Kind in words; see `FileKind.describe`."""
    reading: str
    """Choice of how the files are read: bit depth, orientation, transparency, palette; otherwise empty."""
    tasks: dict[str, int]
    """Number of files by task, the most frequent first."""

    @property
    def files(self) -> int:
        """Number of files; a file of two tasks counts twice."""
        return sum(self.tasks.values())

    def format_row(self, all_tasks: int, max_tasks: int | None) -> tuple[str, ...]:
        """Return the row of the table, in the order of `KIND_COLUMNS`.

        Args:
            all_tasks: Number of tasks of the data set.
            max_tasks: Largest number of tasks that are named; None for all.
        """
        if len(self.tasks) == all_tasks > 1 and max_tasks is not None:
            names = f"all {all_tasks}"
        else:
            named = list(self.tasks.items())[:max_tasks]
            names = ", ".join(task if len(self.tasks) == 1 else f"{task} {count}" for task, count in named)
            if len(named) < len(self.tasks):
                names += f", and {len(self.tasks) - len(named)} more"
        return self.role, self.kind, self.reading, str(self.files), names


def count_file_kinds(dataset: Dataset) -> list[KindCount]:
    """Return the kinds of files of a data set: images before masks, and the most frequent first."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for task_id, samples in dataset.by_task.items():
        # Several samples can have the same file.
        for role, kind, reading, _ in dict.fromkeys(entry for sample in samples for entry in _list_files(sample)):
            counts.setdefault((role, kind, reading), Counter())[task_id] += 1
    entries = [KindCount(*key, dict(tasks.most_common())) for key, tasks in counts.items()]
    return sorted(entries, key=lambda entry: (entry.role, -entry.files, entry.kind, entry.reading))


def _list_files(sample: Sample) -> Iterator[tuple[str, str, str, str]]:
    """Yield role, kind, reading and path of the files of a sample."""
    image, mask = sample.image_kind, sample.mask_kind
    if image.format:
        reading = sample.changed_image
        if image.maximum is not None and "bits" not in reading:
            depth = f"bits {sample.reading.choose_depth(image.maximum)}"
            reading = f"{depth}, {reading}" if reading else depth
        yield "image", image.describe(), reading, str(sample.image_path)
    if mask.format:
        yield "mask", mask.describe(), sample.changed_mask, str(sample.mask_path)
