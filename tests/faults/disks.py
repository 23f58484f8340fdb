"""Small disks that can be filled up and made read-only: tmpfs, where this process may mount."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(path: Path, size: str = "1m") -> Iterator[Path]:
    """A tmpfs at the path; skips the test where it cannot be mounted."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, text=True
        )
    except OSError as error:
        pytest.skip(f"no mount: {error}")
    if made.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted: {made.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def read_only(disk: Path, on: bool) -> None:
    """Make a small disk read-only, or writable again."""
    subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", str(disk)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Take all of a disk's room but for some bytes; gives the file that is to be removed to make room."""
    path = disk / "other_people's.data"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
        file.flush()
        if leave:
            os.truncate(path, max(path.stat().st_size - leave, 0))
    return path
