"""Folder of predictions in the challenge's layout, to which a command that was killed can continue to add.

Each mask is a file that is written atomically. All other predictions are lines of a journal that is only appended to,
and from which the JSON files are made. `predicted_by.json` names the models; other models may not add to the folder.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from usaggr.challenge.layout import JSON_FILES, make_record, read_record
from usaggr.data.read.images import read_mask
from usaggr.errors import ConfigError, RunError
from usaggr.inference.prediction_requests import Key, PredictionRequest
from usaggr.io.atomic_files import make_write_error, replace_file, write_atomic
from usaggr.io.bounded_content import parse_json
from usaggr.io.bounded_files import MEBIBYTE, read_bounded
from usaggr.io.locks import hold_lock
from usaggr.results.integrity import parse_content, read_json
from usaggr.results.predictions import Prediction, encode_mask
from usaggr.tasks import Task

MARKER = "predicted_by.json"
"""File that names the models and the data of the predictions."""
JOURNAL = ".journal.jsonl"
"""File with one line per prediction that is not a mask; hidden, because users read the JSON files."""
LOCK = ".lock"
SKIPPED = "skipped.csv"
"""File that lists the skipped rows with their faults."""
MARKER_VERSION = 1
_REMEDY = "use another --out"
_MAX_JOURNAL_BYTES = 2048 * MEBIBYTE
"""Largest journal that is read: about ten million predictions."""


@dataclass(frozen=True)
class _Marker:
    """Content of predicted_by.json."""

    models: dict[str, dict[str, str]]
    """Task id: ids and hashes that distinguish its model from all others."""
    data: str
    """Folder of the data."""


class PredictionFolder:
    """Predictions that exist in a folder; new ones can be added. `open_prediction_folder` creates it.

    Args:
        folder: Existing folder.
        tasks: Tasks of the predictions by id.
    """

    def __init__(self, folder: Path, tasks: Mapping[str, Task]) -> None:
        self.folder = folder
        self._tasks = tasks
        self._records = _read_journal(folder / JOURNAL)
        self._journal: IO[str] = (folder / JOURNAL).open("a", encoding="utf-8")

    def has(self, request: PredictionRequest) -> bool:
        """Return True if the prediction exists."""
        if request.mask_path is not None:
            return (self.folder / request.mask_path).is_file()
        return request.key in self._records

    def read(self, request: PredictionRequest, max_pixels: int) -> Prediction:
        """Return a stored prediction, in pixels of its image.

        Args:
            request: Request whose prediction exists.
            max_pixels: Largest number of pixels of a mask.

        Raises:
            DataError: The mask cannot be read.
        """
        if request.mask_path is not None:
            mask = read_mask(self.folder / request.mask_path, False, max_pixels)
            return Prediction(request.task, request.image_path, "", mask=mask.astype(np.uint8))
        return read_record(self._records[request.key])

    def add(self, predictions: Sequence[tuple[PredictionRequest, Prediction, int, int]]) -> None:
        """Add predictions, each with height and width of its image in pixels.

        Raises:
            WriteError: They cannot be written.
        """
        lines = []
        for request, prediction, height, width in predictions:
            if request.mask_path is not None:
                assert prediction.mask is not None
                _write_file(self.folder / request.mask_path, encode_mask(prediction.mask))
                continue
            record = make_record(request.image_path, prediction, height, width)
            self._records[request.key] = record
            lines.append(json.dumps(record) + "\n")
        try:
            self._journal.write("".join(lines))
            self._journal.flush()  # at once: the lines must survive if the process is killed
        except OSError as error:
            raise make_write_error(self.folder / JOURNAL, error) from error

    def close(self) -> None:
        """Write the JSON files from all records.

        Raises:
            WriteError: They cannot be written.
        """
        with suppress(OSError):  # `add` has already reported that the journal cannot be written
            self._journal.close()
        for task_type, name in JSON_FILES.items():
            keys = sorted(key for key in self._records if self._tasks[key[0]].type == task_type)
            # One record per line, for people who look at the file.
            content = ",\n".join(json.dumps(self._records[key]) for key in keys)
            if keys:
                write_atomic(self.folder / name, f"[\n{content}\n]\n")


@contextmanager
def open_prediction_folder(
    folder: Path, models: Mapping[str, Mapping[str, str]], root: Path, tasks: Mapping[str, Task]
) -> Iterator[PredictionFolder]:
    """Open a folder of predictions, new or existing; its JSON files are written at the end, also after an error.

    Args:
        folder: Folder of the predictions; created if needed.
        models: Task id: ids and hashes that distinguish its model from all others.
        root: Folder of the data.
        tasks: Tasks by id, at least those of the models.

    Raises:
        ConfigError: The folder contains predictions of other models or data, or other files.
        RunError: Another process is writing to the folder, or it cannot be read or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(folder / LOCK) as is_locked:
            if not is_locked:
                raise RunError(f"--out: another process is writing predictions to {folder}")
            marker = _Marker({task_id: dict(model) for task_id, model in sorted(models.items())}, str(root))
            _check_marker(folder, marker)
            predictions = PredictionFolder(folder, tasks)
            try:
                yield predictions
            finally:
                predictions.close()
    except RunError:
        raise
    except OSError as error:
        raise make_write_error(folder, error) from error


def _check_marker(folder: Path, marker: _Marker) -> None:
    """Check that a folder belongs to these models and data; write the marker into a new folder.

    Raises:
        ConfigError: The folder contains predictions of other models or data, or other files.
    """
    path = folder / MARKER
    if not path.is_file():
        other_files = sorted(entry.name for entry in folder.iterdir() if entry.name != LOCK)
        if other_files:
            raise ConfigError(
                f"--out: {folder} is not empty ({other_files[0]}) and has no {MARKER}; predictions need a folder of "
                "their own"
            )
        write_atomic(path, json.dumps({"schema_version": MARKER_VERSION, **vars(marker)}, indent=1) + "\n")
        return
    stored = parse_content(path, read_json(path, _REMEDY, newest=MARKER_VERSION), _Marker, _REMEDY)
    if stored.models != marker.models:
        task_ids = sorted(marker.models.keys() | stored.models.keys())
        task_id = next(t for t in task_ids if stored.models.get(t) != marker.models.get(t))
        stored_run = stored.models.get(task_id, {}).get("run_id", "no model")
        current_run = marker.models.get(task_id, {}).get("run_id", "no model")
        raise ConfigError(
            f"--out: {folder} contains predictions of other models ({task_id}: {stored_run} there, {current_run} now); "
            f"a folder has predictions of one set of models: {_REMEDY}"
        )
    if stored.data != marker.data:
        raise ConfigError(
            f"--out: {folder} contains predictions of the data at {stored.data}, not {marker.data}; {_REMEDY}"
        )


def _read_journal(path: Path) -> dict[Key, dict[str, Any]]:
    """Read the records by task and image; cut off an incomplete last line, which a killed process has left.

    Raises:
        RunError: The journal cannot be read.
    """
    if not path.exists():
        return {}
    content = read_bounded(path, _MAX_JOURNAL_BYTES)
    end = content.rfind(b"\n") + 1
    if end < len(content):
        os.truncate(path, end)  # otherwise the next record would be appended to the incomplete line
    records = {}
    try:
        for line in content[:end].decode("utf-8").splitlines():
            record = parse_json(line)
            records[record["task_id"], record["image_path"]] = record
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())}); {_REMEDY}") from error
    return records


def _write_file(path: Path, content: bytes) -> None:
    """Write a file atomically, so that a killed process leaves no incomplete mask.

    Raises:
        WriteError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path, single_writer=True) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise make_write_error(path, error) from error
