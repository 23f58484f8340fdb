"""Read a folder of predictions, and what is wrong with each prediction as the answer to a sample."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, assert_never

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.challenge.findings import Finding
from usaggr.challenge.layout import JSON_FILES
from usaggr.data.read.images import mask_values, open_image, read_bytes
from usaggr.data.read.labels import TOLERANCE
from usaggr.data.samples import Sample
from usaggr.errors import DataError
from usaggr.results.predictions import Prediction
from usaggr.tasks import Task, has_mask_label

_SUM_TOLERANCE = 1e-3
"""By which probabilities may miss a sum of 1: files are often written with few digits."""
_PLACE_TOLERANCE = 1.0
"""Pixels by which a place in pixels and the same as fractions may differ: some write whole pixels."""

Record = Mapping[str, Any]
Key = tuple[str, str]
"""task_id, image_path."""


@dataclass(frozen=True)
class Submission:
    """What a folder of predictions holds."""

    folder: Path
    records: dict[Key, tuple[str, Record]]
    """Of the JSON files, whose name stands first; of several records for one key the last."""
    findings: list[Finding] = field(default_factory=list)
    """Records that are none, and keys that are there more than once."""
    max_pixels: int | None = None
    """Of a mask; None: no limit."""


@dataclass(frozen=True)
class Answer:
    """A prediction that can be scored."""

    prediction: Prediction
    """Its box, points or probabilities are as submitted; its mask has the image's size."""
    predicted_class: int | None = None
    """As submitted, else the most probable one."""


@dataclass(slots=True)
class Judged:
    """An answer, if there is one that can be scored, and what is wrong with it."""

    answer: Answer | None = None
    findings: list[Finding] = field(default_factory=list)


def read_submission(folder: Path, max_pixels: int | None = None) -> Submission:
    """The records of a folder's JSON files; its masks, of `max_pixels` at the most, are read when they are asked for.

    Raises:
        DataError: no such folder, or a file that is no JSON list, or leads out of the folder.
    """
    if not folder.is_dir():
        raise DataError(f"PRED_DIR: {folder}: no such folder")
    found = Submission(folder, {}, max_pixels=max_pixels)
    for task_type, name in JSON_FILES.items():
        if (folder / name).exists():
            _read_records(folder / name, task_type, found)
    return found


def _inside(folder: Path, path: Path) -> Path:
    """Where a file of the folder really is.

    Raises:
        DataError: elsewhere, by a link; or it is no ordinary file.
    """
    real = path.resolve()
    if not real.is_relative_to(folder.resolve()) or not real.is_file():
        raise DataError(f"{path.name}: is no file within the folder of predictions")
    return real


def _read_records(path: Path, task_type: str, found: Submission) -> None:
    try:
        content = json.loads(read_bytes(_inside(path.parent, path)).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({' '.join(str(error).split())})") from error
    if not isinstance(content, list):
        raise DataError(f"{path}: a {type(content).__name__}; {task_type} predictions are a list of records")
    for number, record in enumerate(content, start=1):
        names = [record.get(name) for name in ("task_id", "image_path")] if isinstance(record, dict) else []
        if len(names) != 2 or not all(isinstance(name, str) and name for name in names):
            message = f"record {number} does not name its task_id and image_path"
            found.findings.append(Finding("unusable", "", "", path.name, message))
            continue
        key = (str(names[0]), str(names[1]))
        if key in found.records:
            found.findings.append(Finding("twice", *key, path.name, f"record {number} is not the first of it"))
        found.records[key] = (path.name, record)


def judge(task: Task, sample: Sample, image_path: str, submission: Submission, place: PurePosixPath | None) -> Judged:
    """The answer to a sample, if there is one.

    Args:
        task: the sample's.
        sample: gives the image's size.
        image_path: of the index.
        submission: read before.
        place: of the mask in the submission, for a segmentation.
    """
    if has_mask_label(task.type):
        assert place is not None
        return _Mask(task, sample, image_path, submission.folder, submission.max_pixels, place).judged()
    name, record = submission.records.get((task.id, image_path), (JSON_FILES[task.type], None))
    if record is None:
        return Judged(findings=[Finding("missing", task.id, image_path, name, "no record of it")])
    judged = _Record(task, sample, image_path, name, record)
    match task.type:
        case "classification":
            return judged.classes()
        case "detection":
            return judged.coordinates(box=True)
        case "regression":
            return judged.coordinates(box=False)
        case "segmentation":
            raise AssertionError("masks are files, not records")
        case _:
            assert_never(task.type)


@dataclass
class _Mask:
    task: Task
    sample: Sample
    image_path: str
    folder: Path
    max_pixels: int | None
    place: PurePosixPath

    def judged(self) -> Judged:
        path = self.folder / self.place
        if not path.exists():
            return Judged(findings=[self._finding("missing", "no such file")])
        try:
            content = read_bytes(_inside(self.folder, path))
            mask = mask_values(open_image(content, "the file", self.max_pixels), "the file", foreground_255=False)
        except DataError as error:
            return Judged(findings=[self._finding("unusable", str(error))])
        findings = []
        height, width = self.sample.height, self.sample.width
        if mask.shape != (height, width):
            message = f"{mask.shape[1]} x {mask.shape[0]} pixels, its image {width} x {height}"
            findings.append(self._finding("size", message))
            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
        wrong = [int(value) for value in np.unique(mask) if value >= self.task.num_classes]
        if wrong:
            listed = ", ".join(map(str, wrong[:10])) + (", ..." if len(wrong) > 10 else "")
            message = f"has the values {listed}; allowed are 0 to {self.task.num_classes - 1}"
            findings.append(self._finding("values", message))
        # What is no class is background to every class's score.
        labels = np.where(mask < self.task.num_classes, mask, 0).astype(np.uint8)
        prediction = Prediction(self.task.id, self.sample.sample_id, self.sample.subject_id, mask=labels)
        return Judged(Answer(prediction), findings)

    def _finding(self, kind: str, message: str) -> Finding:
        return Finding(kind, self.task.id, self.image_path, str(self.place), message)


@dataclass
class _Record:
    task: Task
    sample: Sample
    image_path: str
    file: str
    record: Record

    def classes(self) -> Judged:
        """Of a classification."""
        count = self.task.num_classes
        probs = _numbers(self.record.get("predicted_probs"), count)
        if probs is None:
            return self._unusable(f"predicted_probs are not {count} numbers")
        findings = []
        if probs.min() < 0 or probs.max() > 1 or abs(probs.sum() - 1) > _SUM_TOLERANCE:
            findings.append(
                self._finding(
                    "probabilities", f"predicted_probs from {probs.min():g} to {probs.max():g}, sum {probs.sum():g}"
                )
            )
        most = int(probs.argmax())
        given = self.record.get("predicted_class", most)
        if isinstance(given, bool) or not isinstance(given, int | float) or given not in range(count):
            return self._unusable(f"predicted_class {given!r} is not one of 0 to {count - 1}")
        if probs[int(given)] < probs[most]:
            findings.append(self._finding("class", f"predicted_class {int(given)}, but class {most} is more probable"))
        prediction = Prediction(self.task.id, self.sample.sample_id, self.sample.subject_id, probs=probs)
        return Judged(Answer(prediction, int(given)), findings)

    def coordinates(self, box: bool) -> Judged:
        """Judge a box, or else landmarks."""
        name, count = ("bbox", 4) if box else ("predicted_points", 2 * self.task.num_classes)
        sides = np.tile([self.sample.width, self.sample.height], count // 2).astype(float)
        fractions = _numbers(self.record.get(f"{name}_normalized"), count)
        pixels = _numbers(self.record.get(f"{name}_pixels"), count)
        if pixels is None and (fractions is None or self.record.get(f"{name}_pixels") is not None):
            return self._unusable(f"{name}_pixels are not {count} numbers")
        if pixels is None:
            assert fractions is not None
            pixels = fractions * sides
        findings = []
        if fractions is not None and np.abs(fractions * sides - pixels).max() > _PLACE_TOLERANCE:
            apart = np.abs(fractions * sides - pixels).max()
            findings.append(self._finding("disagree", f"{name}_normalized lies up to {apart:.1f} pixels away"))
        if box and (pixels[0] > pixels[2] or pixels[1] > pixels[3]):
            findings.append(self._finding("swapped", f"bbox_pixels {_listed(pixels)}"))
        if (pixels < -TOLERANCE).any() or (pixels > sides + TOLERANCE).any():
            message = f"{name}_pixels {_listed(pixels)}, image {self.sample.width} x {self.sample.height}"
            findings.append(self._finding("outside", message))
        shape = {"box": pixels} if box else {"points": pixels.reshape(-1, 2)}
        prediction = Prediction(self.task.id, self.sample.sample_id, self.sample.subject_id, **shape)
        return Judged(Answer(prediction), findings)

    def _finding(self, kind: str, message: str) -> Finding:
        return Finding(kind, self.task.id, self.image_path, self.file, message)

    def _unusable(self, message: str) -> Judged:
        return Judged(findings=[self._finding("unusable", message)])


def _numbers(found: Any, count: int) -> NDArray[np.float64] | None:
    """So many finite numbers of a JSON list, which may be nested once; None of anything else."""
    if not isinstance(found, list):
        return None
    flat = [value for part in found for value in (part if isinstance(part, list) else [part])]
    if len(flat) != count or any(isinstance(value, bool) or not isinstance(value, int | float) for value in flat):
        return None
    try:
        values = [float(value) for value in flat]
    except OverflowError:
        return None
    return np.array(values) if all(map(math.isfinite, values)) else None


def _listed(values: Sequence[float] | NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
