"""Validation of all rows of an index, before training.

Valid rows of text become samples. Every error of the other rows is listed by file, line and column.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import assert_never

from usaggr.config.study import DataConfig
from usaggr.data.read.coordinate_checks import REPLACED, CoordinateChecks
from usaggr.data.read.file_facts import FileFacts, ProbeKey
from usaggr.data.read.file_kinds import UNKNOWN_KIND
from usaggr.data.read.image_reading import make_rules
from usaggr.data.read.index import IndexRow, quote_cell
from usaggr.data.read.index_tasks import Declaration
from usaggr.data.read.labels import Label, LabelResult, check_mask, read_box, read_class, read_points
from usaggr.data.read.paths import FileFinder, ListedFile, UnusablePath
from usaggr.data.read.pixel_sizes import format_pixels
from usaggr.data.read.sample_readings import find_palette_conflicts
from usaggr.data.read.subjects import SubjectFinder, keep_single_spellings
from usaggr.data.samples import Fault, Sample
from usaggr.tasks import has_box_label, has_mask_label

Prober = Callable[[Iterable[ProbeKey]], dict[ProbeKey, FileFacts]]
"""Function that reads files and returns their facts."""

_SUBSETS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Subset by the text of the column `split`, in lower case."""


def validate_rows(
    declared: Sequence[tuple[IndexRow, Declaration | None]], root: Path, data: DataConfig, probe: Prober
) -> tuple[list[Sample], list[Fault], list[str]]:
    """Validate the rows of an index.

    Args:
        declared: Rows with their declarations. If the declaration is not valid (an error that the caller lists), only
            the image is checked.
        root: Folder that contains `csv_files/`, as an absolute path with symbolic links resolved.
        data: Configuration of the data set.
        probe: Reads files and returns their facts; it is called once, for all files.

    Returns:
        The valid samples, the errors of the other rows, and warnings about subjects.
    """
    finder = FileFinder(str(root), data.follow_links)
    faults: list[Fault] = []
    candidates = [_make_candidate(row, task, number, finder, faults) for row, task, number in _number_rows(declared)]
    # All files are probed together, so that threads can share the work.
    facts = probe(key for candidate in candidates for key in _list_probe_keys(candidate))
    validator = _RowValidator(data, facts, SubjectFinder(data.subject_patterns), faults)
    samples = [sample for candidate in candidates if (sample := validator.make_sample(candidate)) is not None]
    suspect_faults = validator.coordinates.find_faults()
    suspect_rows = {(fault.csv_file, fault.row) for fault in suspect_faults}
    faults = [f for f in faults if f.kind not in REPLACED or (f.csv_file, f.row) not in suspect_rows] + suspect_faults
    plausible = [sample for sample in samples if (sample.csv_file, sample.row) not in suspect_rows]
    conflicts = find_palette_conflicts(plausible)
    masks = {(row.csv_file, row.line): row.get_text("mask_path") for row, _ in declared} if conflicts else {}
    conflicts = [replace(fault, file=masks[fault.csv_file, fault.row]) for fault in conflicts]
    repetition_faults = [*_find_repeated(plausible), *conflicts]
    invalid = suspect_rows | {(fault.csv_file, fault.row) for fault in repetition_faults}
    valid = keep_single_spellings([sample for sample in samples if (sample.csv_file, sample.row) not in invalid])
    warnings = [*validator.coordinates.warnings, *validator.subjects.list_warnings(valid)]
    return valid, [*faults, *repetition_faults], warnings


def count_kinds(faults: Iterable[Fault]) -> str:
    """Return the number of errors of each kind as text, the most frequent first."""
    kinds = Counter(fault.kind for fault in faults)
    return ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A row and its files, before the files are read."""

    row: IndexRow
    task: Declaration | None
    """Declaration of the row; None if it is not valid."""
    sample_id: str
    """Id that the sample gets if the row is valid; see `Sample.sample_id`."""
    image: ListedFile | None
    """Image file; None if it was not found."""
    mask: ListedFile | None
    """Mask file; None if the row needs none, or if it was not found."""
    files_exist: bool
    """True if all files that the row needs were found."""


def _number_rows(
    declared: Sequence[tuple[IndexRow, Declaration | None]],
) -> Iterable[tuple[IndexRow, Declaration | None, int]]:
    """Yield each row with its number among the rows of the same image and task, from 1.

    Invalid rows are counted, too, so that fixing one row does not change the sample ids of others.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for row, task in declared:
        key = (row.get_text("task_id"), row.get_text("image_path"))
        counts[key] += 1
        yield row, task, counts[key]


def _make_candidate(
    row: IndexRow, task: Declaration | None, number: int, finder: FileFinder, faults: list[Fault]
) -> _Candidate:
    """Find the files of a row, and add an error for each that does not exist.

    Args:
        row: The row.
        task: Declaration of the row; None if it is not valid.
        number: Number of the row among those of the same image and task, from 1.
        finder: Finds files of the index.
        faults: List that errors are added to.
    """
    faults_before = len(faults)
    text = row.get_text("image_path")
    image = _find_file(row, "image_path", finder, faults)
    needs_mask = task is not None and has_mask_label(task.type)
    mask = _find_file(row, "mask_path", finder, faults) if needs_mask else None
    sample_id = text if number == 1 else f"{text}#{number}"
    return _Candidate(row, task, sample_id, image, mask, len(faults) == faults_before)


def _find_file(row: IndexRow, column: str, finder: FileFinder, faults: list[Fault]) -> ListedFile | None:
    """Find the file in a column of a row; if it cannot be used, add the error to `faults` and return None."""
    text = row.get_text(column)
    if not text:
        faults.append(row.make_fault(column, "no_mask" if column == "mask_path" else "no_image", "is empty"))
        return None
    file = finder.find(text)
    if isinstance(file, UnusablePath):
        faults.append(row.make_fault(column, file.kind, file.message, text))
        return None
    return file


def _list_probe_keys(candidate: _Candidate) -> Iterable[ProbeKey]:
    if candidate.image is not None:
        yield ProbeKey(candidate.image, False)
    if candidate.mask is not None:
        yield ProbeKey(candidate.mask, True)


@dataclass
class _RowValidator:
    """Turns valid candidates into samples, and collects the errors of the others."""

    data: DataConfig
    facts: dict[ProbeKey, FileFacts]
    subjects: SubjectFinder
    faults: list[Fault]
    coordinates: CoordinateChecks = field(default_factory=CoordinateChecks)

    def __post_init__(self) -> None:
        self.rules = make_rules(self.data, ())

    def make_sample(self, candidate: _Candidate) -> Sample | None:
        """Return the sample of a row; None if the row has errors, which are added to `faults`."""
        row, task, faults_before = candidate.row, candidate.task, len(self.faults)
        image = self._check_file(row, "image_path", candidate.image, is_mask=False)
        mask = self._check_file(row, "mask_path", candidate.mask, is_mask=True)
        result = self._read_label(row, task, image, mask) if task is not None else LabelResult()
        self.faults += result.faults
        split = row.get_text("split").lower()
        if split and split not in _SUBSETS:
            self.faults.append(
                row.make_fault("split", "split", f"unknown {quote_cell(split)}; allowed: train, val, test")
            )
        if not candidate.files_exist or len(self.faults) > faults_before:
            return None
        # Each of these has an error in the list already, possibly one of the caller; the check is for the types.
        if task is None or candidate.image is None or image is None or result.label is None:
            return None
        subject = self.subjects.find(row, image.sha256)
        return Sample(
            task_id=task.task_id,
            sample_id=candidate.sample_id,
            image_path=Path(candidate.image.path),
            subject_id=subject.name,
            image_hash=image.sha256,
            label_hash=mask.sha256 if mask is not None else _hash_label(result.label),
            height=image.height,
            width=image.width,
            csv_file=row.csv_file,
            row=row.line,
            mask_path=Path(candidate.mask.path) if candidate.mask is not None else None,
            label=result.label.class_index,
            box=result.label.box,
            points=result.label.points,
            official_subset=_SUBSETS.get(split),
            subject_written=subject.written,
            image_kind=image.kind,
            mask_kind=mask.kind if mask is not None else UNKNOWN_KIND,
        )

    def _check_file(self, row: IndexRow, column: str, file: ListedFile | None, *, is_mask: bool) -> FileFacts | None:
        """Return the facts of a valid file; None for an invalid file, whose error is added to `faults`."""
        if file is None:
            return None
        facts = self.facts[ProbeKey(file, is_mask)]
        if facts.too_large:
            message = (
                f"has {format_pixels(facts.height, facts.width)}, more than data.max_pixels={self.data.max_pixels}"
            )
            self.faults.append(row.make_fault(column, "too_large", message, row.get_text(column)))
        elif facts.error:
            self.faults.append(row.make_fault(column, "unreadable_file", facts.error, row.get_text(column)))
        elif not is_mask and (ambiguity := self.rules.find_ambiguity(facts.kind)):
            message = f"{ambiguity.reason}; {ambiguity.remedy}"
            self.faults.append(row.make_fault(column, ambiguity.kind, message, row.get_text(column)))
        elif not is_mask and self.rules.exif_orientation == "apply" and facts.kind.is_transposed:
            return replace(facts, height=facts.width, width=facts.height)
        else:
            return facts
        return None

    def _read_label(
        self, row: IndexRow, task: Declaration, image: FileFacts | None, mask: FileFacts | None
    ) -> LabelResult:
        """Read the label of a row.

        Args:
            row: The row.
            task: Declaration of the row.
            image: Facts of the image; None if it could not be read. Then coordinates are not compared with its size.
            mask: Facts of the mask; None if there is none, or if it could not be read.
        """
        size = (image.height, image.width) if image is not None else None
        match task.type:
            case "classification":
                return read_class(row, task)
            case "detection" | "regression":
                result = read_box(row, size) if has_box_label(task.type) else read_points(row, task, size)
                self.coordinates.add(row, task.type, result.coordinates, size)
                return result
            case "segmentation":
                if mask is None:
                    return LabelResult()
                return check_mask(row, task, mask, size, self.data)
            case _:
                assert_never(task.type)


def _hash_label(label: Label) -> str:
    # The text is part of fingerprints of finished runs, so its format must not change.
    return hashlib.sha256(repr((label.class_index, label.box, label.points)).encode()).hexdigest()


def _find_repeated(samples: Sequence[Sample]) -> list[Fault]:
    """Return the errors of rows that repeat or contradict each other.

    Of equal rows, all but the first are errors. If the rows of a classification task give an image (the same bytes)
    different classes, all these rows are errors. It is unknown which class is correct.
    """
    faults: list[Fault] = []
    first: dict[Hashable, Sample] = {}
    by_image: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        original = first.setdefault((sample.task_id, sample.image_path, sample.label_hash), sample)
        if original is not sample:
            faults.append(_make_sample_fault(sample, "image_path", "duplicate", f"repeats {_describe_row(original)}"))
        elif sample.label is not None:
            by_image[sample.task_id, sample.image_hash].append(sample)
    for group in by_image.values():
        for sample in group:
            other = next((s for s in group if s.label != sample.label), None)
            if other is not None:
                message = (
                    f"has the label {sample.label}, but {_describe_row(other)} gives the same image the label "
                    f"{other.label}"
                )
                faults.append(_make_sample_fault(sample, "mask", "contradiction", message))
    return faults


def _describe_row(sample: Sample) -> str:
    return f"{sample.csv_file}, line {sample.row}"


def _make_sample_fault(sample: Sample, column: str, kind: str, message: str) -> Fault:
    image_path = re.sub(r"#\d+$", "", sample.sample_id)
    return Fault(sample.csv_file, sample.row, column, image_path, kind, message, sample.task_id)
