"""A run directory as it travels between machines without a common file system: a tar, checked when it is unpacked.

Whatever a tar says, files land inside the run's directory only, and `result.json` appears there last.
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

MOST_BYTES = 2 * 1024**3
"""Of all files of a run together: 2 GiB."""
MOST_FILES = 10_000
_OWN = (".lock", contract.STATUS)
"""Of the machine where the run is claimed: never sent, never taken."""
_INCOMING = ".incoming"


def pack(directory: Path, *, without: tuple[str, ...] = ()) -> bytes:
    """A tar of a run's regular files, but for its claim; `without` names further files at its top.

    Raises:
        RunError: they are more than 2 GiB.
    """
    total = 0
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(directory.rglob("*")):
            inside = path.relative_to(directory)
            if inside.parts[0] in (*_OWN, _INCOMING, *without) or path.is_symlink() or not path.is_file():
                continue
            total += path.stat().st_size
            if total > MOST_BYTES:
                raise RunError(
                    f"{directory.name}: its files are more than {MOST_BYTES} bytes, too many to be sent; "
                    "take training.keep_weights=none, or executor.shared=true with a shared file system"
                )
            tar.add(path, arcname=inside.as_posix(), recursive=False)
    return packed.getvalue()


def extract(packed: bytes, folder: Path) -> None:
    """Write a tar's files under a folder.

    Raises:
        RunError: a member that is no regular file, or whose path leads out; too many bytes or files.
    """
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as tar:
            for number, member in enumerate(tar):
                total += member.size
                if number >= MOST_FILES or total > MOST_BYTES:
                    raise RunError(
                        f"what the cluster returned is more than {MOST_FILES} files or {MOST_BYTES} bytes; refused"
                    )
                _write(tar, member, folder)
    except tarfile.TarError as error:
        raise RunError(f"what the cluster returned is not a whole tar ({error}); refused") from error


def unpack(packed: bytes, directory: Path) -> None:
    """Put what a run has written elsewhere into its directory, which this process has claimed.

    What an earlier attempt left there is replaced, but the log goes on; `result.json` comes last, by renaming.

    Raises:
        RunError: the tar is refused, or the result in it cannot be read.
    """
    incoming = directory / _INCOMING
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    try:
        extract(packed, incoming)
        arrived = RunDirectory(incoming)
        if arrived.result_path.exists():
            arrived.result()
        for name in (*_OWN, _INCOMING):
            (incoming / name).unlink(missing_ok=True)
        _append(arrived.log_path, directory / contract.LOG)
        for path in directory.iterdir():
            if path.name not in (*_OWN, _INCOMING, contract.LOG):
                _remove(path)
        names = sorted((path.name for path in incoming.iterdir()), key=lambda name: (name == contract.RESULT, name))
        for name in names:
            (incoming / name).replace(directory / name)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    run = RunDirectory(directory)
    status = run.status()
    if status is not None and run.result_path.exists():
        run.write_status(replace(status, state="done"))


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    name = PurePosixPath(member.name)
    content = tar.extractfile(member) if member.isreg() else None
    if content is None or not name.parts or name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise RunError(f"what the cluster returned holds {member.name!r}, which is no file inside a run; refused")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())


def _append(log: Path, to: Path) -> None:
    if log.exists():
        with to.open("ab") as file:
            file.write(log.read_bytes())
        log.unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
