"""A folder of predictions in the challenge's layout, which can be gone on with after a kill.

Masks are files that are there as a whole or not at all; other predictions are lines of a journal that only grows, from
which the JSON files are made. `predicted_by.json` says which models they are of: no other may write into the folder.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from usaggr.challenge.layout import JSON_FILES, record_of
from usaggr.errors import ConfigError, RunError
from usaggr.inference.requests import Asked, Key
from usaggr.io.atomic_files import cannot_write, replacing, write_atomic
from usaggr.io.locks import exclusive
from usaggr.results.integrity import read_json, typed
from usaggr.results.predictions import Prediction, encode_mask
from usaggr.tasks import Task

MARKER = "predicted_by.json"
JOURNAL = ".journal.jsonl"
_LOCK = ".lock"
MARKER_VERSION = 1
_OTHER = "take another --out"


@dataclass(frozen=True)
class _Marker:
    """What predicted_by.json holds."""

    models: dict[str, dict[str, str]]
    """Task: what tells its model from all others."""
    data: str


class PredictionFolder:
    """What has been predicted, and room for more; `opened` makes it."""

    def __init__(self, folder: Path, tasks: Mapping[str, Task]) -> None:
        self.folder = folder
        self._tasks = tasks
        self._records = _read_journal(folder / JOURNAL)
        self._journal: IO[str] = (folder / JOURNAL).open("a", encoding="utf-8")

    def has(self, asked: Asked) -> bool:
        """Whether the prediction is there."""
        if asked.place is not None:
            return (self.folder / asked.place).is_file()
        return asked.key in self._records

    def add(self, predictions: Sequence[tuple[Asked, Prediction, int, int]]) -> None:
        """Keep predictions, each with its image's height and width.

        Raises:
            WriteError: they cannot be written.
        """
        lines = []
        for asked, prediction, height, width in predictions:
            if asked.place is not None:
                assert prediction.mask is not None
                _write_whole(self.folder / asked.place, encode_mask(prediction.mask))
                continue
            record = record_of(asked.image_path, prediction, height, width)
            self._records[asked.key] = record
            lines.append(json.dumps(record) + "\n")
        try:
            self._journal.write("".join(lines))
            self._journal.flush()
        except OSError as error:
            raise cannot_write(self.folder / JOURNAL, error) from error

    def close(self) -> None:
        """Write the JSON files from all records that are there.

        Raises:
            WriteError: they cannot be written.
        """
        with suppress(OSError):  # of what could not be written, its own error has told
            self._journal.close()
        for task_type, name in JSON_FILES.items():
            keys = sorted(key for key in self._records if self._tasks[key[0]].type == task_type)
            # A line a record, so that people can look at it.
            content = ",\n".join(json.dumps(self._records[key]) for key in keys)
            if keys:
                write_atomic(self.folder / name, f"[\n{content}\n]\n")


@contextmanager
def opened(
    folder: Path, models: Mapping[str, Mapping[str, str]], root: Path, tasks: Mapping[str, Task]
) -> Iterator[PredictionFolder]:
    """A folder of predictions, new or to be gone on with; its JSON files are written at the end, however it comes.

    Args:
        folder: is made if need be.
        models: task: what tells its model from all others, such as its fingerprint.
        root: of the data.
        tasks: by id, at least those of the models.

    Raises:
        ConfigError: the folder holds predictions of other models or data, or something else.
        RunError: another process writes into it, or it cannot be read or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / _LOCK) as mine:
            if not mine:
                raise RunError(f"--out: {folder}: another process is writing predictions into it")
            _check_marker(folder, {"models": {t: dict(of) for t, of in sorted(models.items())}, "data": str(root)})
            predictions = PredictionFolder(folder, tasks)
            try:
                yield predictions
            finally:
                predictions.close()
    except RunError:
        raise
    except OSError as error:
        raise cannot_write(folder, error) from error


def _check_marker(folder: Path, own: Mapping[str, Any]) -> None:
    """Refuse a folder that others have written into, and say in a new one whose it is."""
    path = folder / MARKER
    if not path.is_file():
        strange = sorted(entry.name for entry in folder.iterdir() if entry.name != _LOCK)
        if strange:
            raise ConfigError(
                f"--out: {folder} is not empty ({strange[0]}) and has no {MARKER}; predictions need a folder of their "
                "own"
            )
        write_atomic(path, json.dumps({"schema_version": MARKER_VERSION, **own}, indent=1) + "\n")
        return
    marker = typed(path, read_json(path, _OTHER, newest=MARKER_VERSION), _Marker, _OTHER)
    models, data = marker.models, marker.data
    if models != own["models"]:
        ids = own["models"].keys() | models.keys()
        task_id = next(t for t in sorted(ids) if models.get(t) != own["models"].get(t))
        theirs = models.get(task_id, {}).get("run_id", "no model")
        ours = own["models"].get(task_id, {}).get("run_id", "no model")
        raise ConfigError(
            f"--out: {folder} holds predictions of other models ({task_id}: {theirs} there, {ours} now); models are "
            "not mixed in one folder: take another --out"
        )
    if data != own["data"]:
        raise ConfigError(f"--out: {folder} holds predictions of the data at {data}, not {own['data']}; take another")


def _read_journal(path: Path) -> dict[Key, dict[str, Any]]:
    """Records by task and image. Half a line, which a kill has left at the end, is cut off.

    Raises:
        RunError: it cannot be read.
    """
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    records = {}
    try:
        for line in content[:whole].decode("utf-8").splitlines():
            record = json.loads(line)
            records[record["task_id"], record["image_path"]] = record
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())}); {_OTHER}") from error
    return records


def _write_whole(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, single_writer=True) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise cannot_write(path, error) from error
