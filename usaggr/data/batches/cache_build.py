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

    A row of images.u8 or masks.u8 is one image or mask. Row i of images.sha256 or masks.sha256 is its key in binary
    form. Rows are sorted by key, so that a process finds a key by bisection in the mapped file, without reading all.
    """

    height: int
    width: int
    channels: int
    images: int
    """Number of rows in images.u8 and images.sha256."""
    masks: int
    """Number of rows in masks.u8 and masks.sha256."""
    foreground_255: bool
    """True if the value 255 in mask files means class 1."""
    version: int = CACHE_VERSION

    def compute_file_sizes(self) -> dict[str, int]:
        """Return the size in bytes of each file that holds rows, by file name."""
        pixels = self.height * self.width
        return {
            "images.u8": self.images * pixels * self.channels,
            "masks.u8": self.masks * pixels,
            "images.sha256": self.images * DIGEST_BYTES,
            "masks.sha256": self.masks * DIGEST_BYTES,
        }


@dataclass(frozen=True)
class RowSource:
    """File that a row is made from: the expected hash of its content, and the rules by which it is read."""

    sha256: str
    reading: ImageReading = FILE_READING
    """Rules for the pixels of an image; not used for a mask."""


@dataclass(frozen=True)
class CachePlan:
    """Shape of a cache to build, and the files of its images and masks."""

    meta: CacheMeta
    images: dict[str, Path]
    """Image files by their keys (`Sample.image_key`, usually the file's hash), sorted by key."""
    masks: dict[str, Path]
    """Mask files by their keys (`Sample.mask_key`), sorted by key."""
    sources: dict[str, RowSource] = field(default_factory=dict)
    """Sources by key, for the exceptions only: the key differs from the file's hash, or the task sets reading rules.

    Every other key is the hash of its file, which is read with `FILE_READING`.
    """

    @property
    def key(self) -> str:
        """Name of the cache's folder: a hash of all settings and files that determine the content of the cache."""
        # Another formula would give every existing cache a new name, and all of them would be built again.
        key = hashlib.sha256(json.dumps(vars(self.meta), sort_keys=True).encode())
        key.update("".join((*self.images, *self.masks)).encode())
        key.update(readers_version.add_readers_version("").encode())  # adds nothing for version 1 of the readers
        return key.hexdigest()[:24]


def plan_cache(dataset: Dataset, data: DataConfig) -> CachePlan:
    """Plan the cache of a data set: one row for each distinct image and mask; samples with equal keys share a row."""
    image_files: dict[str, Path] = {}
    mask_files: dict[str, Path] = {}
    mask_sources: dict[str, RowSource] = {}
    image_sources: dict[str, RowSource] = {}
    for sample in dataset.samples:
        image_files[sample.image_key] = sample.image_path
        if sample.changed_image or sample.reading != FILE_READING:
            image_sources[sample.image_key] = RowSource(sample.image_hash, sample.reading)
        if sample.mask_path is not None:
            mask_files[sample.mask_key] = sample.mask_path
        if sample.changed_mask:
            mask_sources[sample.mask_key] = RowSource(sample.label_hash)
    height, width = data.input_size
    meta = CacheMeta(height, width, data.channels, len(image_files), len(mask_files), data.foreground_255)
    # If one file is both an image and a mask, the image's source applies to both: a mask needs its hash only.
    sources = mask_sources | image_sources
    return CachePlan(meta, dict(sorted(image_files.items())), dict(sorted(mask_files.items())), sources)


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
        with _wait_for_lock(folder, key, progress):
            # Check again: another process may have built the cache while this one waited for the lock.
            if not _is_valid(directory, data):
                _set_damaged_aside(directory, data)
                _remove_leftovers(folder, key)
                _build(plan, directory, data, progress)
    return directory


def _is_valid(directory: Path, data: DataConfig) -> bool:
    """Return whether a cache is complete and undamaged; this reads all its files to compare their hashes."""
    return read_meta(directory) is not None and _find_damage(directory, data) is None


def _find_damage(directory: Path, data: DataConfig) -> str | None:
    """Return the name of the first file of a cache that has changed since it was written.

    Returns:
        None if no file has changed. A missing or incomplete cache was never finished, so None is returned for it, too.

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
    """Rename a damaged cache, so that the user can examine it, and print its new name.

    An incomplete cache is not renamed; `_remove_leftovers` removes it.
    """
    damaged_file = _find_damage(directory, data)
    if damaged_file is None:
        return
    damaged_directory = directory.with_suffix(".damaged")
    shutil.rmtree(damaged_directory, ignore_errors=True)  # a folder from earlier damage
    directory.rename(damaged_directory)
    print(
        f"{directory / damaged_file}: has changed since it was written (its SHA-256 differs); the cache is built "
        f"again, and the old one is kept as {damaged_directory.name}: check this disk, and do not trust runs that read "
        "the cache since then",
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
    previous_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # OpenCV's threads would compete with those of `map_in_threads`
    try:
        temporary.mkdir()
        with (temporary / "images.u8").open("wb") as image_rows, (temporary / "masks.u8").open("wb") as mask_rows:
            pieces = [
                *_make_pieces(image_rows, plan.images, plan, data, is_mask=False),
                *_make_pieces(mask_rows, plan.masks, plan, data, is_mask=True),
            ]
            for count in map_in_threads(_write_piece, pieces, count_readers(data.workers)):
                progress.advance(count)
            for file in (image_rows, mask_rows):
                os.fsync(file.fileno())  # otherwise a power failure could leave the renamed folder without its content
        # Iterating over the plan gives the keys in the order of the rows.
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
        cv2.setNumThreads(previous_threads)
        shutil.rmtree(temporary, ignore_errors=True)  # does nothing after the rename
        progress.finish()


@dataclass(frozen=True)
class _Piece:
    """Consecutive rows of images.u8 or masks.u8, and the files that they are made from; one thread writes them."""

    file: IO[bytes]
    """Open images.u8 or masks.u8."""
    first_row: int
    files: Sequence[tuple[str, Path]]
    """Key and path of each file."""
    is_mask: bool
    plan: CachePlan
    data: DataConfig


def _make_pieces(
    file: IO[bytes], files: dict[str, Path], plan: CachePlan, data: DataConfig, is_mask: bool
) -> list[_Piece]:
    """Divide the rows of images.u8 or masks.u8 into pieces of `PIECE` rows; the last one may have fewer.

    Args:
        file: open images.u8 or masks.u8.
        files: image or mask files by key, in the order of the rows.
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
    row_shape = size if piece.is_mask else (*size, meta.channels)
    block = np.empty((len(piece.files), *row_shape), np.uint8)
    for row, (key, path) in zip(block, piece.files, strict=True):
        source = piece.plan.sources.get(key, RowSource(sha256=key))
        content = read_unchanged(path, source.sha256, piece.data)
        if piece.is_mask:
            mask = images.decode_mask_values(
                images.open_image(content, str(path), max_pixels), str(path), meta.foreground_255
            )
            row[:] = resize_mask(mask.astype(np.uint8, copy=False), size)
        else:
            pixels = images.decode_distinct_channels(content, str(path), meta.channels, max_pixels, source.reading)
            row[:] = resize_image(pixels, size, meta.channels)
    # A full disk makes pwrite raise an error, whereas it would kill a process that writes into a mapped file.
    _write_at(piece.file.fileno(), block.data.cast("B"), piece.first_row * block[0].nbytes)
    return len(block)


def _write_at(descriptor: int, content: memoryview, offset: int) -> None:
    """Write bytes at a position of a file; several threads may write to one file at the same time.

    Args:
        descriptor: descriptor of the open file.
        content: bytes to write.
        offset: position of the first byte.
    """
    while content:  # pwrite may write only the first few bytes
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written


@contextmanager
def _wait_for_lock(folder: Path, key: str, progress: Progress) -> Iterator[None]:
    """Wait for the lock of a cache, and hold it within the context, so that only one process builds the cache.

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
    """Remove an incomplete cache, and the temporary folders of interrupted builds of this and other caches.

    Args:
        folder: folder of all caches.
        key: name of the cache, whose lock this process holds.
    """
    shutil.rmtree(folder / key, ignore_errors=True)
    shutil.rmtree(folder / f"{key}.tmp", ignore_errors=True)
    for leftover in folder.glob("*.tmp"):
        # If the lock of another cache is free, no process is building that cache any more.
        with _try_lock(folder / f"{leftover.stem}.lock") as has_lock:
            if has_lock:
                shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock of a cache within the context, unless another process holds it; do not wait for it.

    Yields:
        True if this process holds the lock.

    Raises:
        DataError: the file system has no locks.
    """
    with ExitStack() as stack:
        try:
            # The `try` covers the lock alone: errors within the caller's context pass unchanged.
            has_lock = stack.enter_context(hold_lock(path, patience=0, remedy="choose another data.cache_dir=..."))
        except RunError as error:
            raise DataError(str(error)) from error
        yield has_lock
