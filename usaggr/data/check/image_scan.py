"""Scan of all images and masks: brightness, color, bit depth and perceptual hash; classes and foreground of masks.

Each distinct file is read once. Its summary is stored in the cache folder by the hash of the file's content.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.check.perceptual_hash import HASH_BYTES, compute_hashes
from usaggr.data.read.image_reading import ImageReading
from usaggr.data.read.images import decode_distinct_channels, open_image, read_bytes, read_mask
from usaggr.data.read.paths import find_cache_folder, make_folder
from usaggr.data.read.readers_version import add_readers_version
from usaggr.data.read.thread_pool import count_readers, map_in_threads, split_into_pieces
from usaggr.data.samples import Dataset
from usaggr.errors import DataError
from usaggr.io.sqlite_store import is_damaged, open_store, set_aside
from usaggr.progress import Progress

STORE_VERSION = 1
"""Version in the store's file name: a new version starts a new store.

Raise it if the summary of the same pixels changes; tests/data/read/test_readers_version.py lists the settings. The
version of the readers, which turn files into pixels, is separate (`readers_version`)."""
BLACK = 8
"""Gray values up to this one count as black."""
MAP_SIZE = 32
"""Number of rows and of columns of a label map."""
_NUMBERS = 5
"""Number of numbers in the summary of an image."""
_PIECE = 32
"""Number of files that a thread scans at a time; the store and the progress are updated after each piece."""
# The table keeps its first name, "looks", so that existing stores stay valid.
_TABLE = "CREATE TABLE IF NOT EXISTS looks (key TEXT PRIMARY KEY, content BLOB NOT NULL)"


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """Summary of one image; `mean` and `sd` are those of its gray values, 0 to 255."""

    mean: float
    sd: float
    black: float
    """Share of pixels with a gray value up to BLACK, in [0, 1]."""
    is_color: bool
    """True if the channels differ."""
    bits: int
    """Bits per channel: 1, 8 or 16."""
    hash: bytes
    """Both perceptual hashes, HASH_BYTES long."""


@dataclass(frozen=True, slots=True)
class MaskSummary:
    """Summary of one mask."""

    shares: NDArray[np.float32]
    """(classes,): share of pixels of each class, in [0, 1]."""
    foreground: NDArray[np.uint8]
    """(MAP_SIZE, MAP_SIZE): share of foreground in each cell, 0 to 255, with the mask stretched to a square."""


@dataclass(frozen=True)
class ImageScan:
    """Summaries of all images and masks of a data set."""

    images: dict[str, ImageSummary]
    """Summaries by image hash."""
    masks: dict[tuple[str, int], MaskSummary]
    """Summaries by hash of the mask file and number of classes."""


def scan_images(dataset: Dataset, data: DataConfig, progress: Progress) -> ImageScan:
    """Summarize each distinct image and mask of a data set.

    Args:
        dataset: The valid samples.
        data: Configuration with the cache folder, the number of threads and the largest number of pixels.
        progress: Advances by one for each file that is not in the store yet.

    Raises:
        DataError: A file that was read before cannot be read now, or the store cannot be written.
    """
    # An image that two tasks read at different bit depths is summarized once.
    images = {s.image_hash: s for s in dataset.samples}
    masks = {
        (s.label_hash, dataset.tasks[s.task_id].num_classes): (s.mask_key, s.mask_path)
        for s in dataset.samples
        if s.mask_path is not None
    }
    requests: dict[str, Callable[[], bytes]] = {}
    for sample in images.values():
        requests[sample.image_key] = partial(_scan_image, sample.image_path, data.max_pixels, sample.reading)
    for (_, classes), (key, path) in masks.items():
        requests[f"{key}/{classes}"] = partial(_scan_mask, path, classes, data.max_pixels)
    store = make_folder(find_cache_folder(data)) / f"{add_readers_version(f'looks-{STORE_VERSION}')}.sqlite"
    contents = _load_or_scan(requests, store, data, progress)
    return ImageScan(
        {digest: _parse_image_summary(contents[sample.image_key]) for digest, sample in images.items()},
        {(digest, n): _parse_mask_summary(contents[f"{key}/{n}"], n) for (digest, n), (key, _) in masks.items()},
    )


def _load_or_scan(
    requests: dict[str, Callable[[], bytes]], store: Path, data: DataConfig, progress: Progress
) -> dict[str, bytes]:
    """Return the stored summary of each key; scan the files whose summary is not stored, and store it.

    Args:
        requests: Function that scans a file, by key of the store.
        store: SQLite file.
        data: Configuration with the number of threads.
        progress: Advances by one for each file that is scanned.
    """
    for attempt in (1, 2):
        try:
            return _load_and_scan(requests, store, data, progress)
        except (OSError, sqlite3.Error) as error:
            if attempt == 2 or not is_damaged(error):
                raise DataError(
                    f"{store}: the cache cannot be used: {error}; remove this file, or choose another "
                    "data.cache_dir=..."
                ) from error
            try:
                set_aside(store)
            except OSError as failure:
                raise DataError(f"{store}: the cache is corrupt and cannot be renamed: {failure}") from error
    raise AssertionError("the second attempt returns or raises")


def _load_and_scan(
    requests: dict[str, Callable[[], bytes]], store: Path, data: DataConfig, progress: Progress
) -> dict[str, bytes]:
    """Do the work of `_load_or_scan`, which handles the errors of the store."""
    with open_store(store, (_TABLE,)) as connection:
        contents = _load_stored(connection, list(requests))
        new = [key for key in requests if key not in contents]
        if not new:
            return contents
        progress.start("scanning images and masks", len(new))
        try:
            work = [[(key, requests[key]) for key in piece] for piece in split_into_pieces(new, _PIECE)]
            for scanned in map_in_threads(_scan_piece, work, count_readers(data.workers)):
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?)", scanned)
                contents.update(scanned)
                progress.advance(len(scanned))
        finally:
            progress.finish()
        return contents


def _load_stored(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, bytes]:
    """Return the stored summaries of valid length; files whose summary is damaged are scanned again."""
    contents: dict[str, bytes] = {}
    # SQLite limits the number of parameters of one query, to 999 in older versions.
    for piece in split_into_pieces(keys, 500):
        placeholders = ",".join("?" * len(piece))
        query = f"SELECT key, content FROM looks WHERE key IN ({placeholders})"
        for key, content in connection.execute(query, piece):
            if isinstance(content, bytes) and len(content) == _count_bytes(key):
                contents[key] = content
    return contents


def _count_bytes(key: str) -> int:
    """Return the length of a stored summary: keys of masks end in their number of classes."""
    _, _, classes = key.partition("/")
    number = np.dtype(np.float32).itemsize
    return number * int(classes) + MAP_SIZE**2 if classes else number * _NUMBERS + HASH_BYTES


def _scan_piece(piece: Iterable[tuple[str, Callable[[], bytes]]]) -> list[tuple[str, bytes]]:
    return [(key, scan()) for key, scan in piece]


def _scan_image(path: Path, max_pixels: int, reading: ImageReading) -> bytes:
    """Summarize an image in the form that is stored; `_parse_image_summary` reads it.

    Args:
        path: The file.
        max_pixels: Largest number of pixels (`data.max_pixels`).
        reading: How the image is read.
    """
    import cv2

    content = read_bytes(path)
    mode = open_image(content, str(path), max_pixels).mode
    pixels = decode_distinct_channels(content, str(path), 3, max_pixels, reading)
    is_color = pixels.shape[2] == 3
    gray = np.ascontiguousarray(pixels[:, :, 0])
    if is_color:
        gray = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    mean, sd = (float(value[0, 0]) for value in cv2.meanStdDev(gray))
    bits = 16 if mode.startswith("I") else 1 if mode == "1" else 8  # Pillow's modes: I;16, 1, and L or RGB
    numbers = np.array([mean, sd, (gray <= BLACK).mean(), is_color, bits], np.float32)
    return numbers.tobytes() + compute_hashes(gray)


def _parse_image_summary(content: bytes) -> ImageSummary:
    mean, sd, black, is_color, bits = np.frombuffer(content[:-HASH_BYTES], np.float32).tolist()
    return ImageSummary(mean, sd, black, bool(is_color), int(bits), content[-HASH_BYTES:])


def _scan_mask(path: Path, classes: int, max_pixels: int) -> bytes:
    """Summarize a mask in the form that is stored; `_parse_mask_summary` reads it."""
    import cv2

    mask = read_mask(path, True, max_pixels)
    shares = np.bincount(mask.ravel(), minlength=classes)[:classes].astype(np.float32) / mask.size
    foreground = (mask > 0).astype(np.uint8) * 255
    small = np.asarray(cv2.resize(foreground, (MAP_SIZE, MAP_SIZE), interpolation=cv2.INTER_AREA), np.uint8)
    return shares.tobytes() + small.tobytes()


def _parse_mask_summary(content: bytes, classes: int) -> MaskSummary:
    end = np.dtype(np.float32).itemsize * classes
    shares = np.frombuffer(content[:end], np.float32)
    return MaskSummary(shares, np.frombuffer(content[end:], np.uint8).reshape(MAP_SIZE, MAP_SIZE))
