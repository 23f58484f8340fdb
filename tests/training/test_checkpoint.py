"""Checkpoint file: complete or absent, and used by its own run only."""

import errno
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from usaggr.training import checkpoint as checkpoint_module
from usaggr.training.checkpoint import CheckpointFile, Position
from usaggr.training.resume import ResumePoint

PLACE = Position(intervals_done=1, batches_done=2, steps_done=7)
IDENTITY = {"fingerprint": "a" * 64, "precision": "32-true"}


def written(directory: Path) -> CheckpointFile:
    file = CheckpointFile(directory, **IDENTITY)
    file.write(PLACE, {"network": {"weight": torch.arange(3.0)}, "seconds": 1.5})
    return file


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    checkpoint = written(tmp_path).read()
    assert checkpoint is not None
    assert checkpoint[0] == PLACE
    assert checkpoint[1]["seconds"] == 1.5
    assert torch.equal(checkpoint[1]["network"]["weight"], torch.arange(3.0))


def test_without_a_checkpoint_there_is_none_and_half_of_a_first_one_is_removed(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path, **IDENTITY)
    assert file.read() is None
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / ".state.bin.tmp").write_bytes(b"half")
    assert file.read() is None
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize(
    ("other", "reason"),
    [({"fingerprint": "b" * 64}, "fingerprint is aaa"), ({"precision": "16-mixed"}, "precision is 32-true")],
)
def test_a_checkpoint_of_another_run_or_precision_is_removed_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: dict[str, str], reason: str
) -> None:
    written(tmp_path)
    assert CheckpointFile(tmp_path, **{**IDENTITY, **other}).read() is None
    assert reason in capsys.readouterr().out
    assert not (tmp_path / "checkpoint").exists()


def test_a_flipped_bit_is_detected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path)
    path = tmp_path / "checkpoint" / "state.bin"
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 1
    path.write_bytes(content)
    assert file.read() is None
    assert "SHA-256 differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"x" * 2**17, "its first line is damaged"),
        (b"{}\n", "its first line is damaged"),
        (
            b'{"position": {"part": 0, "batch": 0, "step": 0}, "sha256": "", "schema_version": 0}\n',
            "schema_version is 0",
        ),
    ],
)
def test_the_content_is_not_read_if_the_first_line_does_not_fit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    header: bytes,
    reason: str,
) -> None:
    class Headed(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("a content of any size would fill the memory")

    file = written(tmp_path)
    monkeypatch.setattr(checkpoint_module, "open_regular", lambda _: Headed(header))
    assert file.read() is None
    assert reason in capsys.readouterr().out


def test_an_error_of_torch_without_a_message_is_reported_by_its_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise EOFError

    file = written(tmp_path)
    monkeypatch.setattr(torch, "load", fail)
    assert file.read() is None
    assert "torch cannot read it: EOFError" in capsys.readouterr().out


def test_a_checkpoint_that_cannot_be_written_leaves_the_previous_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            file.write(replace(PLACE, steps_done=8), {})
    checkpoint = file.read()
    assert checkpoint is not None
    assert checkpoint[0] == PLACE
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["state.bin"]


@pytest.mark.parametrize(
    ("position", "fits"),
    [
        (Position(0, 2, 2), True),
        (Position(1, 0, 3), True),
        (Position(2, 0, 5), True),  # everything is trained and validated
        (Position(0, 2, 9), False),  # the step of another run
        (Position(0, 3, 3), False),  # an interval of three batches has no batch 3
        (Position(2, 1, 6), False),
        (Position(3, 0, 5), False),
    ],
    ids=str,
)
def test_a_checkpoint_is_used_only_if_its_position_exists_in_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], position: Position, fits: bool
) -> None:
    file = CheckpointFile(tmp_path, **IDENTITY)
    file.write(position, {})
    intervals: Any = [range(3), range(2)]
    progress = ResumePoint(file, intervals)
    assert (progress.position == position) == fits
    assert ("other intervals" in capsys.readouterr().out) != fits
    assert progress.is_trained == (fits and position.intervals_done == 2)
