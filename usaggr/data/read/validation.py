"""Everything that can be wrong with an index's rows, found in one pass over all of them, before anything is trained.

In: rows as read. Out: samples without a fault, and every fault of every other row, by file, line and column.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from usaggr.config.study import DataConfig
from usaggr.data.read.file_facts import FileFacts, ProbeKey
from usaggr.data.read.index import IndexRow
from usaggr.data.read.index_tasks import Declaration
from usaggr.data.read.labels import Found, Label, box_label, class_label, mask_label, point_labels
from usaggr.data.read.paths import FileFinder, FoundFile, Misplaced
from usaggr.data.read.subjects import Subjects, keep_single_spellings
from usaggr.data.samples import Fault, Sample
from usaggr.tasks import has_mask_label

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


def validate(
    rows: Sequence[tuple[IndexRow, Declaration | None]], root: Path, data: DataConfig, probe: Prober
) -> tuple[list[Sample], list[Fault], list[str]]:
    """Samples of the rows that have no fault, all faults of the others, and what a user should know.

    Of rows without a declaration, whose fault is known already, the image is looked at. `probe` gives the facts of
    files: it is asked once, for all of them.
    """
    finder = FileFinder(str(root))
    faults: list[Fault] = []
    candidates = [_candidate(row, task, number, finder, faults) for row, task, number in _numbered(rows)]
    facts = probe(key for candidate in candidates for key in _keys(candidate))
    judge = _Judge(data, facts, Subjects(data.subject_patterns), faults)
    samples = [sample for candidate in candidates if (sample := judge.sample(candidate)) is not None]
    repeated = _repeated(samples)
    bad = {(fault.csv_file, fault.row) for fault in repeated}
    kept = keep_single_spellings([sample for sample in samples if (sample.csv_file, sample.row) not in bad])
    return kept, [*faults, *repeated], judge.subjects.warnings(kept)


def count_kinds(faults: Iterable[Fault]) -> str:
    """How many faults of each kind, the most frequent first."""
    kinds = Counter(fault.kind for fault in faults)
    return ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A row with the files that it names, where they are to be found."""

    row: IndexRow
    task: Declaration | None
    sample_id: str
    image: FoundFile | None
    mask: FoundFile | None
    faultless: bool
    """So far."""


def _numbered(
    rows: Sequence[tuple[IndexRow, Declaration | None]],
) -> Iterable[tuple[IndexRow, Declaration | None, int]]:
    """Rows with their number among those of the same image and task, over good and bad ones alike."""
    seen: Counter[tuple[str, str]] = Counter()
    for row, task in rows:
        key = (row.text("task_id"), row.text("image_path"))
        seen[key] += 1
        yield row, task, seen[key]


def _candidate(
    row: IndexRow, task: Declaration | None, number: int, finder: FileFinder, faults: list[Fault]
) -> _Candidate:
    known = len(faults)
    text = row.text("image_path")
    image = _locate(row, "image_path", finder, faults)
    segmentation = task is not None and has_mask_label(task.type)
    mask = _locate(row, "mask_path", finder, faults) if segmentation else None
    sample_id = text if number == 1 else f"{text}#{number}"
    return _Candidate(row, task, sample_id, image, mask, len(faults) == known)


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


@dataclass
class _Judge:
    """Makes samples of candidates, and takes down what is wrong with the others."""

    data: DataConfig
    facts: dict[ProbeKey, FileFacts]
    subjects: Subjects
    faults: list[Fault]

    def sample(self, candidate: _Candidate) -> Sample | None:
        """The sample of a row; None, with its faults taken down, where it has any."""
        row, task, known = candidate.row, candidate.task, len(self.faults)
        image = self._usable(row, "image_path", candidate.image, is_mask=False)
        mask = self._usable(row, "mask_path", candidate.mask, is_mask=True)
        found = self._label(row, task, image, mask) if task is not None else Found()
        self.faults += found.faults
        split = row.text("split").lower()
        if split and split not in _FOLDS:
            self.faults.append(row.fault("split", "split", f"unknown '{split}'; allowed: train, val, test"))
        if not candidate.faultless or len(self.faults) > known or task is None:
            return None
        if candidate.image is None or image is None or found.label is None:
            return None
        subject = self.subjects.find(row, image.sha256)
        return Sample(
            task_id=task.task_id,
            sample_id=candidate.sample_id,
            image_path=Path(candidate.image.path),
            subject_id=subject.name,
            image_hash=image.sha256,
            label_hash=mask.sha256 if mask is not None else _hash_of(found.label),
            height=image.height,
            width=image.width,
            csv_file=row.csv_file,
            row=row.line,
            mask_path=Path(candidate.mask.path) if candidate.mask is not None else None,
            label=found.label.class_index,
            box=found.label.box,
            points=found.label.points,
            official_subset=_FOLDS.get(split),
            subject_written=subject.written,
        )

    def _usable(self, row: IndexRow, column: str, file: FoundFile | None, *, is_mask: bool) -> FileFacts | None:
        """Facts of a file that can be used; None, with its fault taken down, of one that cannot."""
        if file is None:
            return None
        found = self.facts[ProbeKey(file, is_mask)]
        if found.too_large:
            message = f"{found.error} are more than data.max_pixels={self.data.max_pixels}"
            self.faults.append(row.fault(column, "too_large", message, row.text(column)))
        elif found.error:
            self.faults.append(row.fault(column, "unreadable_file", found.error, row.text(column)))
        else:
            return found
        return None

    def _label(self, row: IndexRow, task: Declaration, image: FileFacts | None, mask: FileFacts | None) -> Found:
        size = (image.height, image.width) if image is not None else None
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
                return mask_label(row, task, mask, size, self.data)
            case _:
                assert_never(task.type)


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
