"""What looking at each image and mask tells: brightness, colour, bits, perceptual hash; classes and where they lie.

Each distinct file is read once; what was seen is kept in the cache folder by the hash of its content.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig
from usaggr.data.check.perceptual_hash import HASH_BYTES, perceptual_hash
from usaggr.data.read.images import distinct_pixels, open_image, read_bytes, read_mask
from usaggr.data.read.paths import cache_root, made_folder
from usaggr.data.read.readers_version import store_name
from usaggr.data.read.thread_pool import pieces, reader_count, results_of
from usaggr.data.samples import Dataset
from usaggr.errors import DataError
from usaggr.io.sqlite_store import open_store
from usaggr.progress import Progress

STORE_VERSION = 1
"""In the store's name: another version starts a store of its own. Raised where a look at the same pixels changes:
tests/data/read/test_readers_version.py has its settings. What the readers make of a file has a version of its own."""
BLACK = 8
"""Grey values up to this one count as black."""
MAP = 32
"""Rows and columns of a label map."""
_PIECE = 32
_TABLE = "CREATE TABLE IF NOT EXISTS looks (key TEXT PRIMARY KEY, content BLOB NOT NULL)"


@dataclass(frozen=True, slots=True)
class ImageLook:
    """An image in numbers; brightness is of its grey values, 0 to 255."""

    mean: float
    sd: float
    black: float
    """Share of pixels, in [0, 1]."""
    coloured: bool
    """Its channels differ."""
    bits: int
    """A channel: 1, 8 or 16."""
    hash: bytes
    """Perceptual, HASH_BYTES long."""


@dataclass(frozen=True, slots=True)
class MaskLook:
    """A mask in numbers."""

    shares: NDArray[np.float32]
    """(classes,) share of pixels."""
    foreground: NDArray[np.uint8]
    """(MAP, MAP) share of foreground, 0 to 255, the mask stretched to a square."""


@dataclass(frozen=True)
class Looks:
    """All images and masks of a data set."""

    images: dict[str, ImageLook]
    """By image hash."""
    masks: dict[tuple[str, int], MaskLook]
    """By hash of the mask and number of classes."""


def look_at(dataset: Dataset, data: DataConfig, progress: Progress) -> Looks:
    """Look at each distinct image and mask of a data set.

    Raises:
        DataError: a file cannot be read any more, or the store cannot be written.
    """
    images = {s.image_hash: s.image_path for s in dataset.samples}
    masks = {
        (s.label_hash, dataset.tasks[s.task_id].num_classes): s.mask_path
        for s in dataset.samples
        if s.mask_path is not None
    }
    wanted: dict[str, Callable[[], bytes]] = {}
    for key, path in images.items():
        wanted[key] = lambda path=path: _image_look(path, data.max_pixels)  # type: ignore[misc]
    for (key, classes), path in masks.items():
        wanted[f"{key}/{classes}"] = lambda path=path, n=classes: _mask_look(path, n, data.max_pixels)  # type: ignore[misc]
    found = _stored_or_seen(
        wanted, made_folder(cache_root(data)) / f"{store_name(f'looks-{STORE_VERSION}')}.sqlite", data, progress
    )
    return Looks(
        {key: _as_image_look(found[key]) for key in images},
        {(key, n): _as_mask_look(found[f"{key}/{n}"], n) for key, n in masks},
    )


def _stored_or_seen(
    wanted: dict[str, Callable[[], bytes]], store: Path, data: DataConfig, progress: Progress
) -> dict[str, bytes]:
    try:
        with open_store(store, (_TABLE,)) as connection:
            found = _known(connection, list(wanted))
            new = [key for key in wanted if key not in found]
            if not new:
                return found
            progress.start("looking at images and masks", len(new))
            try:
                work = [[(key, wanted[key]) for key in piece] for piece in pieces(new, _PIECE)]
                for seen in results_of(_see, work, reader_count(data.workers)):
                    with connection:
                        connection.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?)", seen)
                    found.update(seen)
                    progress.advance(len(seen))
            finally:
                progress.finish()
            return found
    except (sqlite3.Error, OSError) as error:
        raise DataError(f"{store}: {error}; remove it, or choose another data.cache_dir=...") from error


def _known(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for piece in pieces(keys, 500):
        marks = ",".join("?" * len(piece))
        found.update(connection.execute(f"SELECT key, content FROM looks WHERE key IN ({marks})", piece).fetchall())
    return found


def _see(piece: Iterable[tuple[str, Callable[[], bytes]]]) -> list[tuple[str, bytes]]:
    return [(key, look()) for key, look in piece]


def _image_look(path: Path, max_pixels: int) -> bytes:
    import cv2

    content = read_bytes(path)
    mode = open_image(content, str(path), max_pixels).mode
    pixels = distinct_pixels(content, str(path), 3, max_pixels)
    coloured = pixels.shape[2] == 3
    grey = np.ascontiguousarray(pixels[:, :, 0])
    if coloured:
        grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    mean, sd = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
    bits = 16 if mode.startswith("I") else 1 if mode == "1" else 8
    numbers = np.array([mean, sd, (grey <= BLACK).mean(), coloured, bits], np.float32)
    return numbers.tobytes() + perceptual_hash(grey)


def _as_image_look(content: bytes) -> ImageLook:
    mean, sd, black, coloured, bits = np.frombuffer(content[:-HASH_BYTES], np.float32).tolist()
    return ImageLook(mean, sd, black, bool(coloured), int(bits), content[-HASH_BYTES:])


def _mask_look(path: Path, classes: int, max_pixels: int) -> bytes:
    import cv2

    mask = read_mask(path, True, max_pixels)
    shares = np.bincount(mask.ravel(), minlength=classes)[:classes].astype(np.float32) / mask.size
    foreground = (mask > 0).astype(np.uint8) * 255
    small = np.asarray(cv2.resize(foreground, (MAP, MAP), interpolation=cv2.INTER_AREA), np.uint8)
    return shares.tobytes() + small.tobytes()


def _as_mask_look(content: bytes, classes: int) -> MaskLook:
    shares = np.frombuffer(content[: 4 * classes], np.float32)
    return MaskLook(shares, np.frombuffer(content[4 * classes :], np.uint8).reshape(MAP, MAP))
