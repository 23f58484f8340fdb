"""A run's checkpoint on disk: one file in `<run dir>/checkpoint/`, whole or not there, and read without pickle's code.

Its first line is JSON: what it is of, and the SHA-256 of what follows, which torch wrote.
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

from usaggr.io.atomic_files import replacing
from usaggr.results.contract import CHECKPOINT
from usaggr.results.integrity import SCHEMA_VERSION

_FILE = "state.bin"
_LONGEST_HEADER = 2**16
"""Bytes; a longer first line is not one of ours."""


@dataclass(frozen=True)
class Position:
    """How far a run's training has come."""

    part: int
    """Parts that are done, with their validation."""
    batch: int
    """Batches done of the part after them."""
    step: int
    """Training steps done in all."""


class CheckpointFile:
    """Where one run keeps its checkpoint; of another run's, or another precision's, nothing is taken."""

    def __init__(self, directory: Path, fingerprint: str, precision: str) -> None:
        self._folder = directory / CHECKPOINT
        self._identity = {"schema_version": SCHEMA_VERSION, "fingerprint": fingerprint, "precision": precision}

    def write(self, position: Position, state: dict[str, Any]) -> None:
        """Replace what is there by a state of tensors, numbers, texts, lists and dictionaries.

        Raises:
            OSError: it cannot be written; what was there stays.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getbuffer()
        head = {**self._identity, "position": vars(position), "sha256": hashlib.sha256(content).hexdigest()}
        self._folder.mkdir(exist_ok=True)
        with replacing(self._folder / _FILE, single_writer=True) as temporary, temporary.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> tuple[Position, dict[str, Any]] | None:
        """The stored state, on the CPU; None where there is none. One that cannot be used is removed, and said."""
        path = self._folder / _FILE
        if not path.exists():
            shutil.rmtree(self._folder, ignore_errors=True)  # half of a first one
            return None
        try:
            return self._read(path)
        except (OSError, ValueError) as error:
            self.refuse(str(error))
            return None

    def refuse(self, reason: str) -> None:
        """Remove the checkpoint, and say in one line of the log why."""
        shutil.rmtree(self._folder, ignore_errors=True)
        print(f"the checkpoint cannot be used ({reason}): removed, the run begins anew", flush=True)

    def _read(self, path: Path) -> tuple[Position, dict[str, Any]]:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEADER)
            content = file.read()
        try:
            head = json.loads(line)
            position, digest = Position(**head["position"]), head["sha256"]
            if not all(type(value) is int and value >= 0 for value in vars(position).values()):
                raise ValueError("a position is in whole numbers")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError("its first line is damaged") from error
        for name, value in self._identity.items():
            if head.get(name) != value:
                raise ValueError(f"{name} is {head.get(name)}, the run's is {value}")
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError("its content is damaged: the SHA-256 differs")
        try:
            return position, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # whatever torch finds wrong with it
            raise ValueError(f"torch cannot read it: {str(error).splitlines()[0]}") from error
