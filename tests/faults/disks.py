"""Small disks that can be filled and made read-only: tmpfs, if this process may mount it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(path: Path, size: str = "1m") -> Iterator[Path]:
    """Mount a tmpfs at the path; skip the test if this is not possible."""
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


def set_read_only(disk: Path, is_read_only: bool) -> None:
    """Make a small disk read-only, or writable again."""
    subprocess.run(["mount", "-o", f"remount,{'ro' if is_read_only else 'rw'}", str(disk)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill a disk except for `leave` bytes, and return the file whose removal frees the space again."""
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
