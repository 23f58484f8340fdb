"""Building of an image cache: one process writes it into a temporary folder and renames the folder when it is complete.

The next build removes the temporary folders of interrupted builds.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from usaggr.config.study import DataConfig
from usaggr.data.batches.cache_check import find_damaged_file, write_checksums
from usaggr.data.batches.resizing import resize_image, resize_mask
from usaggr.data.read import images, readers_version
from usaggr.data.read.file_facts import read_unchanged
from usaggr.data.read.image_reading import FILE_READING, ImageReading
from usaggr.data.read.paths import make_folder
from usaggr.data.read.thread_pool import count_readers, map_in_threads, split_into_pieces
from usaggr.data.samples import Dataset
from usaggr.errors import DataError, RunError
from usaggr.io.bounded_content import parse_json
from usaggr.io.bounded_files import read_bounded_text
from usaggr.io.locks import hold_lock
from usaggr.progress import Progress

CACHE_VERSION = 2
"""Version of the cache. Raise it if pixels or the layout of the files change (2: hashes are in binary files)."""

DIGEST_BYTES = hashlib.sha256().digest_size
"""Length of a SHA-256 in bytes."""

PIECE = 16
"""Number of images that a thread reads, resizes and writes at a time."""

WAIT_SECONDS = 0.2
"""Seconds between two attempts to get the lock of a cache that another process is building."""


@dataclass(frozen=True)
class CacheMeta:
    """Content of `meta.json`: the shape of a cache's files.

    A row of images.u8 or masks.u8 is one image or mask. The hashes of the rows are in separate files, sorted, so that
    they are searched in the mapped file. A process that opens a large cache does not have to read them.
    """

    height: int
    width: int
    channels: int
    images: int
    """Number of rows in images.u8 and images.sha256."""
    masks: int
    """Number of rows in masks.u8 and masks.sha256."""
    foreground_255: bool
    """True if the value 255 of masks is class 1."""
    version: int = CACHE_VERSION

    def compute_file_sizes(self) -> dict[str, int]:
        """Return the size of each file in bytes."""
        pixels = self.height * self.width
        return {
            "images.u8": self.images * pixels * self.channels,
            "masks.u8": self.masks * pixels,
            "images.sha256": self.images * DIGEST_BYTES,
            "masks.sha256": self.masks * DIGEST_BYTES,
        }


@dataclass(frozen=True)
class RowSource:
    """Hash of a row's file, and how it is read."""

    sha256: str
    reading: ImageReading = FILE_READING


@dataclass(frozen=True)
class CachePlan:
    """Shape of a cache to build, and the files of its images and masks."""

    meta: CacheMeta
    images: dict[str, Path]
    """Image files by their keys (`Sample.image_key`, usually the file's hash), sorted by key."""
    masks: dict[str, Path]
    """Mask files by their keys (`Sample.mask_key`), sorted by key."""
    sources: dict[str, RowSource] = field(default_factory=dict)
    """Hash and reading of the files whose key is not their hash, or whose reading is not that of a file on its own."""

    @property
    def key(self) -> str:
        """Name of the cache's folder: a hash of all settings and files that determine the content of the cache."""
        key = hashlib.sha256(json.dumps(vars(self.meta), sort_keys=True).encode())
        key.update("".join((*self.images, *self.masks)).encode())
        key.update(readers_version.add_readers_version("").encode())  # empty for the first version of the readers
        return key.hexdigest()[:24]


def plan_cache(dataset: Dataset, data: DataConfig) -> CachePlan:
    """Plan the cache of a data set: every distinct image and mask, by the hash of its file."""
    images = {s.image_key: s.image_path for s in dataset.samples}
    masks = {s.mask_key: s.mask_path for s in dataset.samples if s.mask_path is not None}
    sources = {s.mask_key: RowSource(s.label_hash) for s in dataset.samples if s.changed_mask}
    sources |= {
        s.image_key: RowSource(s.image_hash, s.reading)
        for s in dataset.samples
        if s.changed_image or s.reading != FILE_READING
    }
    height, width = data.input_size
    meta = CacheMeta(height, width, data.channels, len(images), len(masks), data.foreground_255)
    return CachePlan(meta, dict(sorted(images.items())), dict(sorted(masks.items())), sources)


def read_meta(directory: Path) -> CacheMeta | None:
    """Return the shape of a cache; None if the cache does not exist or is incomplete."""
    try:
        meta = CacheMeta(**parse_json(read_bounded_text(directory / "meta.json")))
        sizes = {name: (directory / name).stat().st_size for name in meta.compute_file_sizes()}
    except (OSError, ValueError, TypeError):
        return None
    return meta if meta.version == CACHE_VERSION and sizes == meta.compute_file_sizes() else None


def ensure_built(plan: CachePlan, folder: Path, data: DataConfig, progress: Progress) -> Path:
    """Return the folder of a cache; build it if it does not exist, or wait for a process that is building it.

    Args:
        plan: shape and files of the cache.
        folder: folder of all caches.
        data: configuration of the data.
        progress: counts the images.

    Raises:
        DataError: an image has changed since validation, or the cache cannot be written.
    """
    key = plan.key
    directory = folder / key
    if not _is_valid(directory, data):
        make_folder(folder)
        with _exclusive_builder(folder, key, progress):
            # Checked again, because another process may have built it while this one waited.
            if not _is_valid(directory, data):
                _set_damaged_aside(directory, data)
                _remove_leftovers(folder, key)
                _build(plan, directory, data, progress)
    return directory


def _is_valid(directory: Path, data: DataConfig) -> bool:
    return read_meta(directory) is not None and _find_damage(directory, data) is None


def _find_damage(directory: Path, data: DataConfig) -> str | None:
    """Return the first file of a complete cache that has changed since it was written; None if there is none.

    Raises:
        DataError: the cache cannot be read.
    """
    meta = read_meta(directory)
    if meta is None:
        return None
    try:
        return find_damaged_file(directory, list(meta.compute_file_sizes()), count_readers(data.workers))
    except OSError as error:
        raise DataError(f"{directory}: cannot be used ({error.strerror}); choose another data.cache_dir=...") from error


def _set_damaged_aside(directory: Path, data: DataConfig) -> None:
    """Rename a damaged cache and print its new name; an incomplete one is not damaged and stays."""
    damage = _find_damage(directory, data)
    if damage is None:
        return
    aside = directory.with_suffix(".damaged")
    shutil.rmtree(aside, ignore_errors=True)
    directory.rename(aside)
    print(
        f"{directory / damage}: has changed since it was written (its SHA-256 differs); the cache is built again, and "
        f"the old one is kept as {aside.name}: check this disk, and do not trust runs that read the cache since then",
        file=sys.stderr,
    )


def _build(plan: CachePlan, directory: Path, data: DataConfig, progress: Progress) -> None:
    """Write a cache's files into a temporary folder, and rename the folder when they are on disk.

    Args:
        plan: shape and files of the cache.
        directory: folder of the cache.
        data: configuration of the data.
        progress: counts the images.

    Raises:
        DataError: an image has changed since validation, or the cache cannot be written.
    """
    import cv2

    temporary = directory.with_suffix(".tmp")
    progress.start("resizing images", len(plan.images) + len(plan.masks))
    threads = cv2.getNumThreads()  # restored below; OpenCV's threads would compete with the readers
    cv2.setNumThreads(1)
    try:
        temporary.mkdir()
        with (temporary / "images.u8").open("wb") as images, (temporary / "masks.u8").open("wb") as masks:
            work = [
                *_make_pieces(images, plan.images, plan, data, is_mask=False),
                *_make_pieces(masks, plan.masks, plan, data, is_mask=True),
            ]
            for count in map_in_threads(_write_piece, work, count_readers(data.workers)):
                progress.advance(count)
            for file in (images, masks):
                os.fsync(file.fileno())  # otherwise a power failure could leave the renamed folder without its content
        (temporary / "images.sha256").write_bytes(bytes.fromhex("".join(plan.images)))
        (temporary / "masks.sha256").write_bytes(bytes.fromhex("".join(plan.masks)))
        (temporary / "meta.json").write_text(json.dumps(vars(plan.meta)), encoding="utf-8")
        write_checksums(temporary, list(plan.meta.compute_file_sizes()), count_readers(data.workers))
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
    """Consecutive rows of images.u8 or masks.u8, and the files that they are made from."""

    file: IO[bytes]
    first_row: int
    files: Sequence[tuple[str, Path]]
    """Key and path of each file."""
    is_mask: bool
    plan: CachePlan
    data: DataConfig


def _make_pieces(
    file: IO[bytes], files: dict[str, Path], plan: CachePlan, data: DataConfig, is_mask: bool
) -> list[_Piece]:
    """Divide the rows of a file of the cache into pieces.

    Args:
        file: open file of the cache.
        files: image or mask files by key.
        plan: shape and files of the cache.
        data: configuration of the data.
        is_mask: True for masks.
    """
    first_rows = range(0, len(files), PIECE)
    groups = split_into_pieces(list(files.items()), PIECE)
    return [_Piece(file, row, group, is_mask, plan, data) for row, group in zip(first_rows, groups, strict=True)]


def _write_piece(piece: _Piece) -> int:
    """Read, resize and write the rows of a piece, and return their number."""
    meta, max_pixels = piece.plan.meta, piece.data.max_pixels
    size = (meta.height, meta.width)
    block = np.empty((len(piece.files), *size, *([] if piece.is_mask else [meta.channels])), np.uint8)
    for row, (key, path) in zip(block, piece.files, strict=True):
        source = piece.plan.sources.get(key, RowSource(key))
        content = read_unchanged(path, source.sha256, piece.data)
        if piece.is_mask:
            mask = images.decode_mask_values(
                images.open_image(content, str(path), max_pixels), str(path), meta.foreground_255
            )
            row[:] = resize_mask(mask.astype(np.uint8, copy=False), size)
        else:
            pixels = images.decode_distinct_channels(content, str(path), meta.channels, max_pixels, source.reading)
            row[:] = resize_image(pixels, size, meta.channels)
    # With pwrite: on a full disk it raises an error, whereas a write into a mapped file would kill the process.
    _write_at(piece.file.fileno(), block.data.cast("B"), piece.first_row * block[0].nbytes)
    return len(block)


def _write_at(file: int, content: memoryview, offset: int) -> None:
    """Write bytes at a position of a file.

    Args:
        file: file descriptor.
        content: bytes to write.
        offset: position of the first byte.
    """
    while content:  # pwrite may write only a part of the bytes
        written = os.pwrite(file, content, offset)
        content, offset = content[written:], offset + written


@contextmanager
def _exclusive_builder(folder: Path, key: str, progress: Progress) -> Iterator[None]:
    """Hold the lock of a cache within the context; wait while another process holds it.

    Args:
        folder: folder of all caches.
        key: name of the cache.
        progress: shows that this process waits.
    """
    is_waiting = False
    while True:
        with _try_lock(folder / f"{key}.lock") as has_lock:
            if has_lock:
                if is_waiting:
                    progress.finish()
                yield
                return
        if not is_waiting:
            progress.start("waiting for another process, which is resizing these images", 1)
            is_waiting = True
        time.sleep(WAIT_SECONDS)


def _remove_leftovers(folder: Path, key: str) -> None:
    """Remove an incomplete cache, and the temporary folders of interrupted builds."""
    shutil.rmtree(folder / key, ignore_errors=True)
    shutil.rmtree(folder / f"{key}.tmp", ignore_errors=True)
    for leftover in folder.glob("*.tmp"):  # a folder whose lock is held belongs to a living build
        with _try_lock(folder / f"{leftover.stem}.lock") as has_lock:
            if has_lock:
                shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock of a cache within the context, if no other process holds it; yield whether this process does.

    Raises:
        DataError: the file system has no locks.
    """
    with ExitStack() as stack:
        try:
            has_lock = stack.enter_context(hold_lock(path, patience=0, remedy="choose another data.cache_dir=..."))
        except RunError as error:
            raise DataError(str(error)) from error
        yield has_lock
