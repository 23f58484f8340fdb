"""Everything that can be wrong with an index's rows, found in one pass over all of them, before anything is trained.

In: rows as read. Out: samples without a fault, and every fault of every other row, by file, line and column.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.config import DataConfig
from usaggr.data.index import IndexRow
from usaggr.data.index_tasks import Declaration
from usaggr.data.labels import Found, Label, box_label, class_label, mask_faults, point_labels
from usaggr.data.locations import FileFinder, FoundFile, Misplaced
from usaggr.data.probe import FileFacts, ProbeKey
from usaggr.data.samples import Fault, Sample
from usaggr.data.subjects import Subjects

Prober = Callable[[Iterable[ProbeKey]], dict[ProbeKey, FileFacts]]

_FOLDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A row whose task is known, with the files it names."""

    row: IndexRow
    task: Declaration
    sample_id: str
    image: FoundFile | None
    mask: FoundFile | None


def validate(
    rows: Sequence[tuple[IndexRow, Declaration]], root: Path, data: DataConfig, probe: Prober
) -> tuple[list[Sample], list[Fault], list[str]]:
    """Samples of the rows that have no fault, all faults of the others, and what a user should know.

    `probe` gives the facts of files: it is asked once, for all of them.
    """
    finder = FileFinder(str(root))
    faults: list[Fault] = []
    candidates = [_candidate(row, task, number, finder, faults) for row, task, number in _numbered(rows)]
    facts = probe(key for candidate in candidates for key in _keys(candidate))
    subjects = Subjects(data.subject_patterns)
    samples: list[Sample] = []
    for candidate in candidates:
        before = len(faults)
        sample = _sample(candidate, facts, data, subjects, faults)
        if sample is not None and len(faults) == before:
            samples.append(sample)
    repeated = _repeated(samples)
    faults += repeated
    bad = {(fault.csv_file, fault.row) for fault in repeated}
    return [s for s in samples if (s.csv_file, s.row) not in bad], faults, subjects.warnings()


def count_kinds(faults: Iterable[Fault]) -> str:
    """How many faults of each kind, the most frequent first."""
    kinds = Counter(fault.kind for fault in faults)
    return ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def _numbered(rows: Sequence[tuple[IndexRow, Declaration]]) -> Iterable[tuple[IndexRow, Declaration, int]]:
    """Rows with their number among those of the same image and task, over good and bad ones alike."""
    seen: Counter[tuple[str, str]] = Counter()
    for row, task in rows:
        key = (task.task_id, row.text("image_path"))
        seen[key] += 1
        yield row, task, seen[key]


def _candidate(row: IndexRow, task: Declaration, number: int, finder: FileFinder, faults: list[Fault]) -> _Candidate:
    text = row.text("image_path")
    image = _locate(row, "image_path", finder, faults)
    mask = _locate(row, "mask_path", finder, faults) if task.type == "segmentation" else None
    return _Candidate(row, task, text if number == 1 else f"{text}#{number}", image, mask)


def _locate(row: IndexRow, column: str, finder: FileFinder, faults: list[Fault]) -> FoundFile | None:
    text = row.text(column)
    if not text:
        faults.append(row.fault(column, "no_mask" if column == "mask_path" else "no_image", "is empty"))
        return None
    found = finder.find(text)
    if isinstance(found, Misplaced):
        faults.append(row.fault(column, found.kind, found.message, text))
        return None
    return found


def _keys(candidate: _Candidate) -> Iterable[ProbeKey]:
    if candidate.image is not None:
        yield ProbeKey(candidate.image, False)
    if candidate.mask is not None:
        yield ProbeKey(candidate.mask, True)


def _sample(
    candidate: _Candidate,
    facts: dict[ProbeKey, FileFacts],
    data: DataConfig,
    subjects: Subjects,
    faults: list[Fault],
) -> Sample | None:
    """The sample of a row; None, with its faults added, where it is not one."""
    row, task = candidate.row, candidate.task
    image = _usable(row, "image_path", candidate.image, False, facts, data, faults)
    mask = _usable(row, "mask_path", candidate.mask, True, facts, data, faults)
    size = (image.height, image.width) if image is not None else None
    label = _label(row, task, size, mask, data)
    faults += label.faults
    split = row.text("split")
    if split and split.lower() not in _FOLDS:
        faults.append(row.fault("split", "split", f"unknown '{split}'; allowed: train, val, test"))
    if image is None or candidate.image is None or label.label is None:
        return None
    return Sample(
        task_id=task.task_id,
        sample_id=candidate.sample_id,
        image_path=Path(candidate.image.path),
        subject_id=subjects.of(row, image.sha256),
        image_hash=image.sha256,
        label_hash=mask.sha256 if mask is not None else _hash_of(label.label),
        height=image.height,
        width=image.width,
        csv_file=row.csv_file,
        row=row.line,
        mask_path=Path(candidate.mask.path) if candidate.mask is not None else None,
        label=label.label.class_index,
        box=label.label.box,
        points=label.label.points,
        official_fold=_FOLDS.get(split.lower()),
    )


def _usable(
    row: IndexRow,
    column: str,
    file: FoundFile | None,
    is_mask: bool,
    facts: dict[ProbeKey, FileFacts],
    data: DataConfig,
    faults: list[Fault],
) -> FileFacts | None:
    """Facts of a file that can be used; None, with its fault added, of one that cannot."""
    if file is None:
        return None
    found = facts[ProbeKey(file, is_mask)]
    if found.too_large:
        message = f"{found.error} are more than data.max_pixels={data.max_pixels}"
        faults.append(row.fault(column, "too_large", message, row.text(column)))
    elif found.error:
        faults.append(row.fault(column, "unreadable_file", found.error, row.text(column)))
    else:
        return found
    return None


def _label(
    row: IndexRow, task: Declaration, size: tuple[int, int] | None, mask: FileFacts | None, data: DataConfig
) -> Found:
    match task.type:
        case "classification":
            return class_label(row, task)
        case "detection":
            return box_label(row, size)
        case "regression":
            return point_labels(row, task, size)
        case "segmentation":
            if mask is None:
                return Found()
            wrong = mask_faults(row, task, mask, size, data.allow_empty_masks, data.foreground_255)
            return Found(Label() if not wrong else None, wrong)


def _hash_of(label: Label) -> str:
    return hashlib.sha256(repr((label.class_index, label.box, label.points)).encode()).hexdigest()


def _repeated(samples: Sequence[Sample]) -> list[Fault]:
    """Rows that say again what an earlier one says, and classification rows that contradict each other.

    The later ones of equal rows are faults. Of rows that give one image (the same bytes) two classes, all are, since
    nobody knows which is right.
    """
    faults: list[Fault] = []
    first: dict[Hashable, Sample] = {}
    same_image: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        kept = first.setdefault((sample.task_id, sample.image_path, sample.label_hash), sample)
        if kept is not sample:
            faults.append(_fault(sample, "image_path", "duplicate", f"repeats {_place(kept)}"))
        elif sample.label is not None:
            same_image[sample.task_id, sample.image_hash].append(sample)
    for group in same_image.values():
        for sample in group:
            other = next((s for s in group if s.label != sample.label), None)
            if other is not None:
                message = f"label {sample.label}, but {_place(other)} gives the same image the label {other.label}"
                faults.append(_fault(sample, "mask", "contradiction", message))
    return faults


def _place(sample: Sample) -> str:
    return f"{sample.csv_file}, line {sample.row}"


def _fault(sample: Sample, column: str, kind: str, message: str) -> Fault:
    image_path = re.sub(r"#\d+$", "", sample.sample_id)
    return Fault(sample.csv_file, sample.row, column, image_path, kind, message)
