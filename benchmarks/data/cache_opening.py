"""What a process pays for an open image cache: time, and memory of its own. No torch, to see small changes."""

import gc
import json
import multiprocessing
import re
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from usaggr.data.batches.cache import ImageCache
from usaggr.data.batches.cache_build import DIGEST_BYTES, CacheMeta
from usaggr.data.samples import Sample

BATCH = 32
BATCHES = 50
"""That are read before memory is looked at again."""
OPENINGS = 5


@dataclass(frozen=True)
class Opened:
    """What opening took, of a cache or of a table of its hashes."""

    rows: int
    milliseconds: float
    mib: float
    """Anonymous memory that came with it."""
    mib_read: float
    """The same after batches were read."""


def unwritten_cache(directory: Path, rows: int, size: int) -> Path:
    """A whole cache of `rows` images whose pixels were never written: they are read as zeros and take no disk."""
    directory.mkdir()
    digests = np.sort(np.random.default_rng(rows).integers(0, 256, (rows, DIGEST_BYTES), np.uint8).view("V32").ravel())
    meta = CacheMeta(size, size, 3, rows, 0, False)
    for name, length in meta.file_sizes().items():
        with (directory / name).open("wb") as file:
            file.truncate(length)
    digests.tofile(directory / "images.sha256")
    (directory / "meta.json").write_text(json.dumps(vars(meta)))
    (directory / "table.json").write_text(json.dumps([digest.hex() for digest in digests.tolist()]))
    return directory


def fresh_opening(directory: Path, plain: bool) -> Opened:
    """Open a cache in a process of its own; `plain`: read the list of its hashes into a table instead."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_opening, directory, plain).result()


def batch_times(directory: Path, rows: int, size: int, batches: int) -> list[float]:
    """Milliseconds of reading random batches from a cache of noise that has been read once."""
    unwritten_cache(directory, rows, size)
    rng = np.random.default_rng(0)
    with (directory / "images.u8").open("wb") as file:
        for _ in range(rows):
            file.write(rng.bytes(size * size * 3))
    samples = _samples(directory, range(rows))
    cache = ImageCache(directory)
    for sample in samples:
        cache.image(sample).max()
    taken = []
    for _ in range(batches):
        chosen = [samples[i] for i in rng.integers(rows, size=BATCH)]
        start = time.perf_counter()
        images = cache.images_of(chosen)
        taken.append(1000 * (time.perf_counter() - start))
        del images
    return taken


def _opening(directory: Path, plain: bool) -> Opened:
    rows = json.loads((directory / "meta.json").read_text())["images"]
    rng = np.random.default_rng(1)
    samples = _samples(directory, rng.integers(rows, size=BATCHES * BATCH).tolist())
    gc.collect()
    before = anonymous_mib()
    kept = _table(directory) if plain else ImageCache(directory)
    opened = anonymous_mib() - before
    taken = []
    for _ in range(OPENINGS):
        start = time.perf_counter()
        _table(directory) if plain else ImageCache(directory)
        taken.append(1000 * (time.perf_counter() - start))
    if isinstance(kept, ImageCache):
        for i in range(0, len(samples), BATCH):
            kept.images_of(samples[i : i + BATCH])
    return Opened(rows, statistics.median(taken), opened, anonymous_mib() - before)


def _table(directory: Path) -> dict[str, int]:
    return {digest: row for row, digest in enumerate(json.loads((directory / "table.json").read_text()))}


def _samples(directory: Path, rows: Iterable[int]) -> list[Sample]:
    """Samples of rows of a cache, with nothing in them but the image's hash."""
    found = []
    with (directory / "images.sha256").open("rb") as file:
        for row in rows:
            file.seek(row * DIGEST_BYTES)
            digest = file.read(DIGEST_BYTES).hex()
            found.append(Sample("", f"{row}", directory, "", digest, "", 1, 1, "", 2))
    return found


def anonymous_mib() -> float:
    """This process's memory that is backed by no file: what other processes cannot share."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("/proc/self/status does not tell anonymous memory; measure on Linux")
    return int(found[1]) / 1024
