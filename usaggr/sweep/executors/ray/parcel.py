"""Run directories sent between machines without a shared file system, as tar archives that are checked when unpacked.

An archive can write only inside the run's directory, and `result.json` appears there last.
"""

import io
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

from usaggr.errors import RunError
from usaggr.results import contract
from usaggr.results.run_directory import RunDirectory

MAX_BYTES = 2 * 1024**3
"""Limit of the size of all files of a run together: 2 GiB."""
MAX_FILES = 10_000
"""Limit of the number of files of a run."""
_CLAIM_FILES = (".lock", contract.STATUS)
"""Files of the machine that holds the claim; they are never sent, and never taken from an archive."""
_INCOMING = ".incoming"
"""Folder in the run's directory into which an archive is unpacked first."""


def pack(directory: Path, *, without: tuple[str, ...] = ()) -> bytes:
    """Return a tar archive of a run's regular files, except those of its claim.

    Args:
        directory: Directory of the run.
        without: Names of further files in the directory to leave out.

    Raises:
        RunError: The files are larger than 2 GiB together.
    """
    total = 0
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(directory.rglob("*")):
            name = path.relative_to(directory)
            if name.parts[0] in (*_CLAIM_FILES, _INCOMING, *without) or path.is_symlink() or not path.is_file():
                continue
            total += path.stat().st_size
            if total > MAX_BYTES:
                raise RunError(
                    f"{directory.name}: its files are larger than {MAX_BYTES} bytes and cannot be sent; use "
                    "training.keep_weights=none, or executor.shared=true with a shared file system"
                )
            tar.add(path, arcname=name.as_posix(), recursive=False)
    return packed.getvalue()


def extract(packed: bytes, folder: Path) -> None:
    """Write the files of an archive into a folder.

    Raises:
        RunError: A member is not a regular file or leads out of the folder, or there are too many bytes or files.
    """
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as tar:
            for number, member in enumerate(tar):
                total += member.size  # as claimed by the archive, and checked before anything is written
                if number >= MAX_FILES or total > MAX_BYTES:
                    raise RunError(f"the cluster returned more than {MAX_FILES} files or {MAX_BYTES} bytes; refused")
                _write_member(tar, member, folder)
    except tarfile.TarError as error:
        raise RunError(f"the cluster returned an archive that is not complete ({error}); refused") from error


def unpack(packed: bytes, directory: Path) -> None:
    """Move the files of a run that was trained on another machine into its directory, which this process has claimed.

    They replace the files of an earlier attempt. The log is appended instead, and `result.json` is moved last.

    Raises:
        RunError: The archive is refused, or its result cannot be read.
    """
    incoming = directory / _INCOMING
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    try:
        extract(packed, incoming)
        arrived = RunDirectory(incoming)
        if arrived.result_path.exists():
            arrived.read_result()  # raises an error if the result is damaged, before any earlier file is replaced
        for name in (*_CLAIM_FILES, _INCOMING):
            (incoming / name).unlink(missing_ok=True)
        _append(arrived.log_path, directory / contract.LOG)
        for path in directory.iterdir():
            if path.name not in (*_CLAIM_FILES, _INCOMING, contract.LOG):
                _remove(path)
        # A run counts as done as soon as its result exists, so the result is moved after all other files.
        names = sorted((path.name for path in incoming.iterdir()), key=lambda name: (name == contract.RESULT, name))
        for name in names:
            (incoming / name).replace(directory / name)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    run = RunDirectory(directory)
    status = run.read_status()
    if status is not None and run.result_path.exists():
        run.write_status(replace(status, state="done"))


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    name = PurePosixPath(member.name)
    content = tar.extractfile(member) if member.isreg() else None
    if content is None or not name.parts or name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise RunError(f"the cluster returned {member.name!r}, which is not a file inside a run; refused")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tar.extract(), which would also set the owner, mode and time that the archive states.
    with path.open("wb") as file:
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())


def _append(log: Path, target: Path) -> None:
    if log.exists():
        with target.open("ab") as file:
            file.write(log.read_bytes())
        log.unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
