"""Samples, subjects and classes of each task in each subset.

The smallest class of the test set limits which differences a study can detect.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from usaggr.data.check.image_scan import ImageScan
from usaggr.data.samples import Dataset, Sample
from usaggr.data.split.make_split import Split
from usaggr.results.split import SUBSETS, Subset
from usaggr.tasks import Task, has_class_label, has_mask_label


@dataclass(frozen=True)
class SubsetBalance:
    """Counts of one task in one subset."""

    task: str
    subset: Subset
    samples: int
    subjects: int
    class_counts: dict[str, int]
    """Samples of each class (classification), or samples that show it (segmentation); empty for other types."""

    @property
    def smallest(self) -> tuple[str, int] | None:
        """The class with the fewest samples, if the task has classes."""
        return min(self.class_counts.items(), key=lambda item: item[1], default=None)


def count_balance(dataset: Dataset, split: Split, scan: ImageScan) -> list[SubsetBalance]:
    """Count the samples, subjects and classes of each task in each subset.

    Args:
        dataset: The valid samples.
        split: Subset of each sample, in the data set's order.
        scan: Summaries of the masks, with the classes that each mask shows.

    Returns:
        One entry per task and subset, in the order of tasks and then of subsets.
    """
    groups: dict[tuple[str, Subset], list[Sample]] = {(t, subset): [] for t in dataset.tasks for subset in SUBSETS}
    for sample, subset in zip(dataset.samples, split.subsets, strict=True):
        if subset is not None:
            groups[sample.task_id, subset].append(sample)
    return [
        SubsetBalance(
            task=task_id,
            subset=subset,
            samples=len(samples),
            subjects=len({sample.subject_id for sample in samples}),
            class_counts=_count_classes(dataset.tasks[task_id], samples, scan),
        )
        for (task_id, subset), samples in groups.items()
    ]


def _count_classes(task: Task, samples: Sequence[Sample], scan: ImageScan) -> dict[str, int]:
    """Return the number of samples by class name, as `SubsetBalance.class_counts`."""
    counts: Counter[int] = Counter()
    for sample in samples:
        if has_class_label(task.type) and sample.label is not None:
            counts[sample.label] += 1
        elif has_mask_label(task.type):
            shares = scan.masks[sample.label_hash, task.num_classes].shares
            counts.update(number for number, share in enumerate(shares) if number > 0 and share > 0)
    match task.type:
        case "classification":
            return {name: counts[number] for number, name in enumerate(task.class_names)}
        case "segmentation":
            return {name: counts[number] for number, name in enumerate(task.class_names) if number > 0}
        case "detection" | "regression":
            return {}
        case _:
            assert_never(task.type)
