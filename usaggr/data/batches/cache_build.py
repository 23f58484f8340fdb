"""How an image cache is written: into a temporary folder that gets its name by one rename, by one process at a time.

What a build that was ended has left is removed by the next one.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from usaggr.config.study import DataConfig
from usaggr.data.batches.cache_check import damaged_file, write_checksums
from usaggr.data.batches.resizing import resize_image, resize_mask
from usaggr.data.read import images, readers_version
from usaggr.data.read.file_facts import read_unchanged
from usaggr.data.read.paths import made_folder
from usaggr.data.read.thread_pool import pieces, reader_count, results_of
from usaggr.data.samples import Dataset
from usaggr.errors import DataError, RunError
from usaggr.io.locks import exclusive
from usaggr.progress import Progress

CACHE_VERSION = 2
"""Raised where other pixels come out of the same file, or they are laid out otherwise (2: hashes in files of bytes)."""

DIGEST_BYTES = hashlib.sha256().digest_size

PIECE = 16
"""Images that are read, resized and written at a time."""

WAIT_SECONDS = 0.2
"""Between two looks at whether another process has built what this one needs."""


@dataclass(frozen=True)
class CacheMeta:
    """`meta.json`: the shape of a cache's files.

    The hashes of what is in the rows are files of their own, sorted bytes to be searched where they lie: a process that
    opens the cache of a large data set neither reads nor keeps them.
    """

    height: int
    width: int
    channels: int
    images: int
    """Rows of images.u8, and of images.sha256."""
    masks: int
    """Rows of masks.u8, and of masks.sha256."""
    foreground_255: bool
    version: int = CACHE_VERSION

    def file_sizes(self) -> dict[str, int]:
        pixels = self.height * self.width
        return {
            "images.u8": self.images * pixels * self.channels,
            "masks.u8": self.masks * pixels,
            "images.sha256": self.images * DIGEST_BYTES,
            "masks.sha256": self.masks * DIGEST_BYTES,
        }


@dataclass(frozen=True)
class CachePlan:
    """What to build, and where each image and mask is read."""

    meta: CacheMeta
    images: dict[str, Path]
    """Hash of each image file: the file; sorted by hash."""
    masks: dict[str, Path]
    """Hash of each mask file: the file; sorted by hash."""

    @property
    def key(self) -> str:
        """Name of the folder: changes with anything that changes a byte in it."""
        key = hashlib.sha256(json.dumps(vars(self.meta), sort_keys=True).encode())
        key.update("".join((*self.images, *self.masks)).encode())
        key.update(readers_version.store_name("").encode())  # empty for the first version of the readers
        return key.hexdigest()[:24]


def plan_cache(dataset: Dataset, data: DataConfig) -> CachePlan:
    """What a data set's cache holds: every distinct image and mask, by the hash of its file."""
    images = {s.image_hash: s.image_path for s in dataset.samples}
    masks = {s.label_hash: s.mask_path for s in dataset.samples if s.mask_path is not None}
    height, width = data.input_size
    meta = CacheMeta(height, width, data.channels, len(images), len(masks), data.foreground_255)
    return CachePlan(meta, dict(sorted(images.items())), dict(sorted(masks.items())))


def read_meta(directory: Path) -> CacheMeta | None:
    """What a cache holds; None where it is not there, or not whole."""
    try:
        meta = CacheMeta(**json.loads((directory / "meta.json").read_text()))
        sizes = {name: (directory / name).stat().st_size for name in meta.file_sizes()}
    except (OSError, ValueError, TypeError):
        return None
    return meta if meta.version == CACHE_VERSION and sizes == meta.file_sizes() else None


def ensure_built(plan: CachePlan, folder: Path, data: DataConfig, progress: Progress) -> Path:
    """Folder of the cache inside `folder`; built by this process, unless it is there or another one builds it.

    Raises:
        DataError: an image is not what validation saw, or the cache cannot be written.
    """
    key = plan.key
    directory = folder / key
    if not _is_good(directory, data):
        made_folder(folder)
        with _only_builder(folder, key, progress):
            if not _is_good(directory, data):
                _put_aside(directory, data)
                _clear(folder, key)
                _build(plan, directory, data, progress)
    return directory


def _is_good(directory: Path, data: DataConfig) -> bool:
    return read_meta(directory) is not None and _damage(directory, data) is None


def _damage(directory: Path, data: DataConfig) -> str | None:
    """Which file of a whole cache has changed since it was written; None where none has.

    Raises:
        DataError: the cache cannot be read.
    """
    meta = read_meta(directory)
    names = [] if meta is None else list(meta.file_sizes())
    try:
        return damaged_file(directory, names, reader_count(data.workers)) if names else None
    except OSError as error:
        raise DataError(f"{directory}: cannot be used ({error.strerror}); choose another data.cache_dir=...") from error


def _put_aside(directory: Path, data: DataConfig) -> None:
    """Say of a cache that is damaged where it goes, and move it there; one that is not whole stays."""
    damage = _damage(directory, data)
    if damage is None:
        return
    aside = directory.with_suffix(".damaged")
    shutil.rmtree(aside, ignore_errors=True)
    directory.rename(aside)
    print(
        f"{directory / damage}: is not what was written (its SHA-256 is another one); the cache is built again, the "
        f"old one is kept as {aside.name}: look at this disk, and whether runs read it since it was good",
        file=sys.stderr,
    )


def _build(plan: CachePlan, directory: Path, data: DataConfig, progress: Progress) -> None:
    """Write the files into a temporary folder, and give it its name when they are on disk."""
    import cv2

    temporary = directory.with_suffix(".tmp")
    progress.start("resizing images", len(plan.images) + len(plan.masks))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        temporary.mkdir()
        with (temporary / "images.u8").open("wb") as images, (temporary / "masks.u8").open("wb") as masks:
            work = [
                *_work(images, plan.images, plan.meta, data, is_mask=False),
                *_work(masks, plan.masks, plan.meta, data, is_mask=True),
            ]
            for done in results_of(_write_piece, work, reader_count(data.workers)):
                progress.advance(done)
            for file in (images, masks):
                os.fsync(file.fileno())
        (temporary / "images.sha256").write_bytes(bytes.fromhex("".join(plan.images)))
        (temporary / "masks.sha256").write_bytes(bytes.fromhex("".join(plan.masks)))
        (temporary / "meta.json").write_text(json.dumps(vars(plan.meta)))
        write_checksums(temporary, list(plan.meta.file_sizes()), reader_count(data.workers))
        temporary.rename(directory)
    except OSError as error:
        raise DataError(
            f"{temporary}: cannot be written ({error.strerror}); choose another data.cache_dir=..."
        ) from error
    finally:
        cv2.setNumThreads(threads)
        shutil.rmtree(temporary, ignore_errors=True)
        progress.finish()


@dataclass(frozen=True)
class _Piece:
    """Rows of one of the two files, one after another, and what is read for them."""

    file: IO[bytes]
    first_row: int
    files: Sequence[tuple[str, Path]]
    """Hash and path."""
    is_mask: bool
    meta: CacheMeta
    data: DataConfig


def _work(file: IO[bytes], files: dict[str, Path], meta: CacheMeta, data: DataConfig, is_mask: bool) -> list[_Piece]:
    rows = range(0, len(files), PIECE)
    cut = pieces(list(files.items()), PIECE)
    return [_Piece(file, row, piece, is_mask, meta, data) for row, piece in zip(rows, cut, strict=True)]


def _write_piece(piece: _Piece) -> int:
    """Read, resize and write the rows of a piece; how many."""
    size = (piece.meta.height, piece.meta.width)
    block = np.empty((len(piece.files), *size, *([] if piece.is_mask else [piece.meta.channels])), np.uint8)
    for row, (digest, path) in zip(block, piece.files, strict=True):
        content = read_unchanged(path, digest, piece.data)
        if piece.is_mask:
            mask = images.mask_values(
                images.open_image(content, str(path), piece.data.max_pixels), str(path), piece.meta.foreground_255
            )
            row[:] = resize_mask(mask.astype(np.uint8, copy=False), size)
        else:
            pixels = images.distinct_pixels(content, str(path), piece.meta.channels, piece.data.max_pixels)
            row[:] = resize_image(pixels, size, piece.meta.channels)
    # Not through a mapped file: where the disk is full, a write says so, and a mapping ends the process.
    _write_at(piece.file.fileno(), block.data.cast("B"), piece.first_row * block[0].nbytes)
    return len(block)


def _write_at(file: int, content: memoryview, offset: int) -> None:
    while content:
        written = os.pwrite(file, content, offset)
        content, offset = content[written:], offset + written


@contextmanager
def _only_builder(folder: Path, key: str, progress: Progress) -> Iterator[None]:
    """Wait until no other process builds this cache, and keep others from it."""
    waiting = False
    while True:
        with _locked(folder / f"{key}.lock") as mine:
            if mine:
                if waiting:
                    progress.finish()
                yield
                return
        if not waiting:
            progress.start("waiting for another process, which is resizing these images", 1)
            waiting = True
        time.sleep(WAIT_SECONDS)


def _clear(folder: Path, key: str) -> None:
    """Remove a cache that is not whole, and what builds have left that were ended before they were done."""
    shutil.rmtree(folder / key, ignore_errors=True)
    shutil.rmtree(folder / f"{key}.tmp", ignore_errors=True)
    for leftover in folder.glob("*.tmp"):
        with _locked(folder / f"{leftover.stem}.lock") as mine:
            if mine:
                shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a cache, if no other process holds it now; yields whether this process does."""
    with ExitStack() as stack:
        try:
            mine = stack.enter_context(exclusive(path, patience=0, remedy="choose another data.cache_dir=..."))
        except RunError as error:
            raise DataError(str(error)) from error
        yield mine
