"""Checkpoint of a run on disk: one file in `<run dir>/checkpoint/`, replaced atomically and read without pickle's code.

The first line is JSON: the run's identity, the position in its training, and the SHA-256 of the content that follows.
The content is a state that torch has saved.
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
"""Limit on the first line: a longer one is not of a checkpoint, and must not fill the memory."""


@dataclass(frozen=True)
class Position:
    """Progress of a run's training."""

    interval: int
    """Number of intervals that are trained and validated."""
    batch: int
    """Number of batches done in the interval after them."""
    step: int
    """Number of training steps done in total."""

    def make_header(self) -> dict[str, int]:
        """Return the position as it is stored; its keys must stay, for checkpoints that exist already."""
        return {"part": self.interval, "batch": self.batch, "step": self.step}

    @classmethod
    def from_header(cls, header: dict[str, Any]) -> "Position":
        """Read a stored position.

        Raises:
            KeyError: A key is missing.
            ValueError: A key is unknown, or a value is not a whole number from 0.
        """
        if len(header) > 3 or not all(type(value) is int and value >= 0 for value in header.values()):
            raise ValueError("a position has three whole numbers from 0")
        return cls(header["part"], header["batch"], header["step"])


class CheckpointFile:
    """Checkpoint of one run. A checkpoint of another run, or of another precision, is not used.

    Args:
        directory: Folder of the run.
        fingerprint: Fingerprint of the run.
        precision: `training.precision` of the run.
    """

    def __init__(self, directory: Path, fingerprint: str, precision: str) -> None:
        self._folder = directory / CHECKPOINT
        self._identity = {"schema_version": SCHEMA_VERSION, "fingerprint": fingerprint, "precision": precision}

    def write(self, position: Position, state: dict[str, Any]) -> None:
        """Replace the checkpoint by a new one, whose state has tensors, numbers, strings, lists and dictionaries.

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
            os.fsync(file.fileno())  # before the rename: after a power failure, the name must not lead to no data

    def read(self) -> tuple[Position, dict[str, Any]] | None:
        """Return the stored position and state, on the CPU; None without a checkpoint.

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
            ValueError: It is damaged, or of another run or precision.
        """
        with open_regular(path) as file:
            line = file.readline(_MAX_HEADER_BYTES)
            content = file.read()
        try:
            header = parse_json(line)
            position, digest = Position.from_header(header["position"]), header["sha256"]
        # Damage can produce any JSON: other types, or missing keys.
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError("its first line is damaged") from error
        for name, value in self._identity.items():
            if header.get(name) != value:
                raise ValueError(f"{name} is {header.get(name)}, the run's is {value}")
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError("its content is damaged: the SHA-256 differs")
        try:
            return position, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises errors of many types for damaged files
            raise ValueError(f"torch cannot read it: {str(error).splitlines()[0]}") from error
