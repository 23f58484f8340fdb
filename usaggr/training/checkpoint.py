"""Checkpoint of a run on disk: one file in `<run dir>/checkpoint/`, which is replaced atomically.

The first line is JSON: the run's identity, the position in its training, and the SHA-256 of the content that follows.
The content is the output of `torch.save` for the state of the run (`CheckpointCallback._make_state`). It is read with
`weights_only=True`, so that no code in the file is executed.
"""

import hashlib
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from usaggr.io.atomic_files import replace_file
from usaggr.io.bounded_content import parse_json
from usaggr.io.bounded_files import open_regular
from usaggr.results.contract import CHECKPOINT
from usaggr.results.integrity import SCHEMA_VERSION

_FILE = "state.bin"
_MAX_HEADER_BYTES = 2**16
"""Largest length of the first line; a longer one is damaged. The content is read only if this line fits the run."""


@dataclass(frozen=True)
class Position:
    """Progress of a run's training."""

    intervals_done: int
    """Number of validation intervals that are trained and validated."""
    batches_done: int
    """Number of batches trained in the current interval."""
    steps_done: int
    """Number of training steps of all intervals."""

    def make_header(self) -> dict[str, int]:
        """Return the position for the header.

        The keys must not change, so that existing checkpoints can be read; `part` is the former name of an interval.
        """
        return {"part": self.intervals_done, "batch": self.batches_done, "step": self.steps_done}

    @classmethod
    def from_header(cls, header: dict[str, Any]) -> "Position":
        """Read a stored position.

        Raises:
            KeyError: A key is missing.
            ValueError: There are more than three keys, or a value is not a whole number of at least 0.
        """
        if len(header) > 3 or not all(type(value) is int and value >= 0 for value in header.values()):
            raise ValueError("a position has three whole numbers of at least 0")
        return cls(header["part"], header["batch"], header["step"])


class CheckpointFile:
    """Checkpoint of one run. A checkpoint of another run, precision or schema version is not used.

    Args:
        directory: Folder of the run.
        fingerprint: Fingerprint of the run.
        precision: `training.precision` of the run. The fingerprint depends on it too; the file's format has both.
    """

    def __init__(self, directory: Path, fingerprint: str, precision: str) -> None:
        self._folder = directory / CHECKPOINT
        self._identity = {"schema_version": SCHEMA_VERSION, "fingerprint": fingerprint, "precision": precision}

    def write(self, position: Position, state: dict[str, Any]) -> None:
        """Replace the checkpoint with a new one.

        Args:
            position: Progress of the training.
            state: State of the run, of types that `torch.load(weights_only=True)` accepts: tensors, numbers, strings,
                None, and lists, tuples and dictionaries of these.

        Raises:
            OSError: The file cannot be written; the previous checkpoint stays.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getbuffer()
        digest = hashlib.sha256(content).hexdigest()
        header = {**self._identity, "position": position.make_header(), "sha256": digest}
        self._folder.mkdir(exist_ok=True)
        with replace_file(self._folder / _FILE, single_writer=True) as temporary, temporary.open("wb") as file:
            file.write(json.dumps(header).encode() + b"\n")
            file.write(content)
            file.flush()
            # Before the rename: otherwise, after a power failure, the file could exist without its content.
            os.fsync(file.fileno())

    def read(self) -> tuple[Position, dict[str, Any]] | None:
        """Return the stored position and state, with its tensors on the CPU; None without a usable checkpoint.

        A checkpoint that cannot be used is removed, with a line in the log.
        """
        path = self._folder / _FILE
        if not path.exists():
            shutil.rmtree(self._folder, ignore_errors=True)  # may hold an incomplete temporary file
            return None
        try:
            return self._read(path)
        except (OSError, ValueError) as error:
            self.remove(str(error))
            return None

    def remove(self, reason: str) -> None:
        """Remove the checkpoint, and print the reason as one line of the log."""
        shutil.rmtree(self._folder, ignore_errors=True)
        print(f"the checkpoint cannot be used ({reason}): removed, the run starts from the beginning", flush=True)

    def _read(self, path: Path) -> tuple[Position, dict[str, Any]]:
        """Read position and state.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is damaged, or belongs to another run, precision or schema version.
        """
        with open_regular(path) as file:
            position, digest = self._parse_header(file.readline(_MAX_HEADER_BYTES))
            content = file.read()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError("its content is damaged: the SHA-256 differs")
        try:
            return position, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises errors of many types for damaged files
            message = next(iter(str(error).splitlines()), type(error).__name__)
            raise ValueError(f"torch cannot read it: {message}") from error

    def _parse_header(self, line: bytes) -> tuple[Position, str]:
        """Return the position and the SHA-256 of the content from the first line.

        Raises:
            ValueError: The line is damaged, or belongs to another run, precision or schema version.
        """
        try:
            header = parse_json(line)
            position, digest = Position.from_header(header["position"]), header["sha256"]
        # Damage can produce any JSON: other types, or missing keys.
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError("its first line is damaged") from error
        for name, value in self._identity.items():
            if header.get(name) != value:
                raise ValueError(f"{name} is {header.get(name)}, the run's is {value}")
        return position, digest
