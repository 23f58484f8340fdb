"""Rules for reading the files of a task together: one bit depth for all images, one palette for all masks."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from usaggr.config.study import DataConfig
from usaggr.data.read.image_reading import ReadingRules, describe_depth, make_rules
from usaggr.data.samples import Fault, Sample


def assign_readings(
    samples: Sequence[Sample], data: DataConfig
) -> tuple[list[Sample], dict[str, ReadingRules], list[str]]:
    """Choose how the images of each task are read.

    Args:
        samples: Valid samples of all tasks.
        data: Configuration of the data set.

    Returns:
        The samples with their readings, the rules of each task, and notes about bit depths.
    """
    by_task: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_task[sample.task_id].append(sample)
    rules: dict[str, ReadingRules] = {}
    notes: list[str] = []
    for task_id, members in by_task.items():
        kinds = [sample.image_kind for sample in members]
        rules[task_id] = make_rules(data, kinds)
        if (note := describe_depth(task_id, kinds, rules[task_id])) is not None:
            notes.append(note)
    readings = {task_id: rule.make_reading() for task_id, rule in rules.items()}
    # Most files are plain: their samples need no reading of their own.
    assigned = [
        sample if sample.image_kind.is_plain(is_mask=False) else replace(sample, reading=readings[sample.task_id])
        for sample in samples
    ]
    return assigned, rules, notes


def find_palette_conflicts(samples: Sequence[Sample]) -> list[Fault]:
    """Return the errors of masks whose palette gives a class another color than most masks of the task.

    Programs that make files smaller number the colors of each file at random. The indices of such files are no classes.
    """
    by_task: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.mask_kind.colors:
            by_task[sample.task_id].append(sample)
    faults = []
    for members in by_task.values():
        counts = Counter(entry for sample in members for entry in sample.mask_kind.colors)
        usual: dict[int, str] = {}
        for (index, color), _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            usual.setdefault(index, color)
        indices = {color: index for index, color in reversed(usual.items())}
        for sample in members:
            for index, color in sample.mask_kind.colors:
                if usual[index] != color or indices.get(color, index) != index:
                    faults.append(_make_fault(sample, index, color, usual[index]))
                    break
    return faults


def _make_fault(sample: Sample, index: int, color: str, usual: str) -> Fault:
    """Return the error of a mask.

    Args:
        sample: Sample of the mask.
        index: Index whose color differs.
        color: Color in this mask, as rrggbb.
        usual: Color of the index in most masks of the task.
    """
    message = (
        f"is a mask with a palette in which number {index} is the color #{color}; in most masks of the task it is "
        f"#{usual}, or this color has another number; save all masks as grayscale files of class indices"
    )
    file = str(sample.mask_path or "")
    return Fault(sample.csv_file, sample.row, "mask_path", file, "palette", message, sample.task_id)
