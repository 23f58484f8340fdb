"""Read a folder of predictions, and check the prediction of each sample."""

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
from usaggr.data.read.coordinate_checks import TOLERANCE
from usaggr.data.read.images import decode_mask_values, open_image, read_bytes
from usaggr.data.read.pixel_sizes import format_pixels
from usaggr.data.samples import Sample
from usaggr.errors import DataError
from usaggr.io.bounded_content import parse_json
from usaggr.results.predictions import Prediction
from usaggr.tasks import Task, has_mask_label

_MAX_JSON_VALUES = 50_000_000
"""Most values in a JSON file of predictions: about a million records with the probabilities of many classes."""
_SUM_TOLERANCE = 1e-3
"""Largest accepted difference between the sum of probabilities and 1; files are often written with few digits."""
_DISTANCE_TOLERANCE = 1.0
"""Largest accepted distance, in pixels, between coordinates in pixels and as fractions; some files round to pixels."""
_MAX_VALUES = 10
"""Largest number of invalid values of a mask in a message."""

Record = Mapping[str, Any]
Key = tuple[str, str]
"""The task_id and image_path of a record."""


@dataclass(frozen=True)
class Submission:
    """Content of a folder of predictions."""

    folder: Path
    records: dict[Key, tuple[str, Record]]
    """File name and record of each prediction in the JSON files; of several records with one key, the last."""
    findings: list[Finding] = field(default_factory=list)
    """Errors of the files: records that do not name their sample, and repeated keys."""
    max_pixels: int | None = None
    """Largest number of pixels of a mask that is read; None: no limit."""


@dataclass(frozen=True)
class UsablePrediction:
    """A prediction that can be scored."""

    prediction: Prediction
    """The box, points or probabilities as submitted; a mask has the image's size."""
    predicted_class: int | None = None
    """Submitted class; the most probable class if none was submitted."""


@dataclass(slots=True)
class CheckedPrediction:
    """The prediction of one sample, if it can be scored, and its errors."""

    usable: UsablePrediction | None = None
    findings: list[Finding] = field(default_factory=list)


def read_submission(folder: Path, max_pixels: int | None = None) -> Submission:
    """Read the records of a folder's JSON files; masks are read later, when they are scored.

    Args:
        folder: Folder in the challenge's layout.
        max_pixels: Largest number of pixels of a mask; None: no limit.

    Raises:
        DataError: The folder does not exist, or a file is not a JSON list or leads out of the folder.
    """
    if not folder.is_dir():
        raise DataError(f"PRED_DIR: {folder}: no such folder")
    submission = Submission(folder, {}, max_pixels=max_pixels)
    for task_type, name in JSON_FILES.items():
        if (folder / name).exists():
            _read_records(folder / name, task_type, submission)
    return submission


def _resolve_inside(folder: Path, path: Path) -> Path:
    """Return the resolved path of a file, after checking that it is a regular file within the folder.

    Raises:
        DataError: A symbolic link leads out of the folder, or the path is not a regular file.
    """
    # A submission may come from others: a link could lead to private files, or to a device that never ends.
    resolved = path.resolve()
    if not resolved.is_relative_to(folder.resolve()) or not resolved.is_file():
        raise DataError(f"{path.name}: is not a regular file within the folder of predictions")
    return resolved


def _read_records(path: Path, task_type: str, submission: Submission) -> None:
    try:
        content = parse_json(read_bytes(_resolve_inside(path.parent, path)), _MAX_JSON_VALUES, wide_integers=True)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({' '.join(str(error).split())})") from error
    if not isinstance(content, list):
        raise DataError(f"{path}: is a {type(content).__name__}; {task_type} predictions must be a list of records")
    for number, record in enumerate(content, start=1):
        key = _read_key(record)
        if not all(key):
            message = f"record {number} does not name its task_id and image_path"
            submission.findings.append(Finding("unnamed", *key, path.name, message))
            continue
        if key in submission.records:
            message = f"record {number} repeats this image and task"
            submission.findings.append(Finding("twice", *key, path.name, message))
        submission.records[key] = (path.name, record)


def _read_key(record: object) -> Key:
    """Return the task_id and image_path of a record; an empty text for each that is missing or no text."""
    texts = [record.get(name) if isinstance(record, dict) else None for name in ("task_id", "image_path")]
    task_id, image_path = (text if isinstance(text, str) else "" for text in texts)
    return task_id, image_path


def check_prediction(
    task: Task, sample: Sample, image_path: str, submission: Submission, mask_path: PurePosixPath | None
) -> CheckedPrediction:
    """Check the prediction of one sample.

    Args:
        task: Task of the sample.
        sample: Sample, with the image's size.
        image_path: Path of the image, as written in the index.
        submission: Predictions, as `read_submission` returns them.
        mask_path: Path of the predicted mask within the submission; None for other tasks than segmentation.
    """
    if has_mask_label(task.type):
        assert mask_path is not None
        return _PredictedMask(task, sample, image_path, submission.folder, submission.max_pixels, mask_path).check()
    name, record = submission.records.get((task.id, image_path), (JSON_FILES[task.type], None))
    if record is None:
        return CheckedPrediction(
            findings=[Finding("missing", task.id, image_path, name, "no record of this image and task")]
        )
    prediction = _PredictedRecord(task, sample, image_path, name, record)
    match task.type:
        case "classification":
            return prediction.check_classes()
        case "detection":
            return prediction.check_coordinates(is_box=True)
        case "regression":
            return prediction.check_coordinates(is_box=False)
        case "segmentation":
            raise AssertionError("masks are files, not records")
        case _:
            assert_never(task.type)


@dataclass
class _PredictedMask:
    """The predicted mask of one sample."""

    task: Task
    sample: Sample
    image_path: str
    folder: Path
    max_pixels: int | None
    mask_path: PurePosixPath

    def check(self) -> CheckedPrediction:
        """Check the file; a mask of another size is resized."""
        path = self.folder / self.mask_path
        if not path.exists():
            return CheckedPrediction(findings=[self._make_finding("missing", "no such file")])
        try:
            content = read_bytes(_resolve_inside(self.folder, path))
            mask = decode_mask_values(
                open_image(content, "the file", self.max_pixels), "the file", foreground_255=False
            )
        except DataError as error:
            return CheckedPrediction(findings=[self._make_finding("unusable", str(error))])
        findings = []
        height, width = self.sample.height, self.sample.width
        if mask.shape != (height, width):
            message = f"the mask has {format_pixels(*mask.shape)}, its image {height} x {width}"
            findings.append(self._make_finding("size", message))
            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
        invalid = [int(value) for value in np.unique(mask) if value >= self.task.num_classes]
        if invalid:
            values = ", ".join(map(str, invalid[:_MAX_VALUES])) + (", ..." if len(invalid) > _MAX_VALUES else "")
            message = f"has the values {values}; allowed are 0 to {self.task.num_classes - 1}"
            findings.append(self._make_finding("values", message))
        # A value that is no class counts as background, so the score of every class treats it as a wrong pixel.
        labels = np.where(mask < self.task.num_classes, mask, 0).astype(np.uint8)
        prediction = Prediction(self.task.id, self.sample.sample_id, self.sample.subject_id, mask=labels)
        return CheckedPrediction(UsablePrediction(prediction), findings)

    def _make_finding(self, kind: str, message: str) -> Finding:
        return Finding(kind, self.task.id, self.image_path, str(self.mask_path), message)


@dataclass
class _PredictedRecord:
    """The JSON record of one sample's predicted class, box or points."""

    task: Task
    sample: Sample
    image_path: str
    file: str
    record: Record

    def check_classes(self) -> CheckedPrediction:
        """Check class probabilities and the predicted class."""
        count = self.task.num_classes
        probs = _parse_numbers(self.record.get("predicted_probs"), count)
        if probs is None:
            return self._make_unusable(f"predicted_probs must be {count} finite numbers")
        findings = []
        if probs.min() < 0 or probs.max() > 1 or abs(probs.sum() - 1) > _SUM_TOLERANCE:
            findings.append(
                self._make_finding(
                    "probabilities",
                    f"predicted_probs range from {probs.min():g} to {probs.max():g} and sum to {probs.sum():g}",
                )
            )
        most_probable = int(probs.argmax())
        predicted = self.record.get("predicted_class", most_probable)
        # In Python True is an int, so it would pass as class 1.
        if isinstance(predicted, bool) or not isinstance(predicted, int | float) or predicted not in range(count):
            return self._make_unusable(f"predicted_class {predicted!r} must be a class from 0 to {count - 1}")
        if probs[int(predicted)] < probs[most_probable]:
            message = f"predicted_class is {int(predicted)}, but class {most_probable} is more probable"
            findings.append(self._make_finding("class", message))
        prediction = Prediction(self.task.id, self.sample.sample_id, self.sample.subject_id, probs=probs)
        return CheckedPrediction(UsablePrediction(prediction, int(predicted)), findings)

    def check_coordinates(self, is_box: bool) -> CheckedPrediction:
        """Check a box, or landmarks if `is_box` is false."""
        name, count = ("bbox", 4) if is_box else ("predicted_points", 2 * self.task.num_classes)
        sides = np.tile([self.sample.width, self.sample.height], count // 2).astype(float)
        fractions = _parse_numbers(self.record.get(f"{name}_normalized"), count)
        pixels = _parse_numbers(self.record.get(f"{name}_pixels"), count)
        if pixels is None:
            # Fractions replace pixels only where no pixels were submitted, and not invalid ones.
            if fractions is None or self.record.get(f"{name}_pixels") is not None:
                return self._make_unusable(f"{name}_pixels must be {count} finite numbers")
            pixels = fractions * sides
        findings = []
        if fractions is not None and (distance := np.abs(fractions * sides - pixels).max()) > _DISTANCE_TOLERANCE:
            message = f"{name}_normalized differs from {name}_pixels by up to {distance:.1f} pixels"
            findings.append(self._make_finding("disagree", message))
        if is_box and (pixels[0] > pixels[2] or pixels[1] > pixels[3]):
            findings.append(self._make_finding("swapped", f"bbox_pixels {_format_list(pixels)}"))
        if (pixels < -TOLERANCE).any() or (pixels > sides + TOLERANCE).any():
            size = format_pixels(self.sample.height, self.sample.width)
            message = f"{name}_pixels {_format_list(pixels)}, image of {size}"
            findings.append(self._make_finding("outside", message))
        shape = {"box": pixels} if is_box else {"points": pixels.reshape(-1, 2)}
        prediction = Prediction(self.task.id, self.sample.sample_id, self.sample.subject_id, **shape)
        return CheckedPrediction(UsablePrediction(prediction), findings)

    def _make_finding(self, kind: str, message: str) -> Finding:
        return Finding(kind, self.task.id, self.image_path, self.file, message)

    def _make_unusable(self, message: str) -> CheckedPrediction:
        return CheckedPrediction(findings=[self._make_finding("unusable", message)])


def _parse_numbers(content: Any, count: int) -> NDArray[np.float64] | None:
    """Return `count` finite numbers of a JSON list, which may be nested once; None for any other content."""
    if not isinstance(content, list):
        return None
    flat = [value for item in content for value in (item if isinstance(item, list) else [item])]
    if len(flat) != count or any(isinstance(value, bool) or not isinstance(value, int | float) for value in flat):
        return None
    try:
        values = [float(value) for value in flat]
    except OverflowError:  # an integer in JSON has no limit; a float ends near 1.8e308
        return None
    return np.array(values) if all(map(math.isfinite, values)) else None


def _format_list(values: Sequence[float] | NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
