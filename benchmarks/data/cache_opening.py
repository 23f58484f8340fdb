"""Time and private memory that an open image cache costs a process, without torch so that small changes show."""

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
"""Number of batches that are read before memory is measured again."""
OPENINGS = 5


@dataclass(frozen=True)
class Opened:
    """Cost of opening a cache, or of reading a table of its hashes."""

    rows: int
    milliseconds: float
    mib: float
    """Anonymous memory that opening added."""
    mib_read: float
    """Anonymous memory that opening and reading batches added."""


def make_sparse_cache(directory: Path, images: int, size: int) -> Path:
    """Make a complete cache whose pixels were never written: they are read as zeros and take no disk space."""
    directory.mkdir()
    digests = np.sort(
        np.random.default_rng(images).integers(0, 256, (images, DIGEST_BYTES), np.uint8).view("V32").ravel()
    )
    meta = CacheMeta(size, size, 3, images, 0, False)
    for name, length in meta.compute_file_sizes().items():
        with (directory / name).open("wb") as file:
            file.truncate(length)
    digests.tofile(directory / "images.sha256")
    (directory / "meta.json").write_text(json.dumps(vars(meta)), encoding="utf-8")
    (directory / "table.json").write_text(json.dumps([digest.hex() for digest in digests.tolist()]), encoding="utf-8")
    return directory


def measure_opening(directory: Path, plain: bool) -> Opened:
    """Open a cache in a new process; with `plain`, read the list of its hashes into a table instead."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_opening, directory, plain).result()


def time_batches(directory: Path, images: int, size: int, batches: int) -> list[float]:
    """Return the milliseconds of reading each random batch from a cache of noise that has been read once."""
    make_sparse_cache(directory, images, size)
    rng = np.random.default_rng(0)
    with (directory / "images.u8").open("wb") as file:
        for _ in range(images):
            file.write(rng.bytes(size * size * 3))
    samples = list_samples(directory, range(images))
    cache = ImageCache(directory)
    for sample in samples:
        cache.view_image(sample).max()
    times = []
    for _ in range(batches):
        chosen = [samples[i] for i in rng.integers(images, size=BATCH)]
        start = time.perf_counter()
        batch = cache.load_images(chosen)
        times.append(1000 * (time.perf_counter() - start))
        del batch
    return times


def _opening(directory: Path, plain: bool) -> Opened:
    images = json.loads((directory / "meta.json").read_text(encoding="utf-8"))["images"]
    rng = np.random.default_rng(1)
    samples = list_samples(directory, rng.integers(images, size=BATCHES * BATCH).tolist())
    gc.collect()
    before = read_anonymous_mib()
    cache = _table(directory) if plain else ImageCache(directory)
    opened = read_anonymous_mib() - before
    times = []
    for _ in range(OPENINGS):
        start = time.perf_counter()
        _table(directory) if plain else ImageCache(directory)
        times.append(1000 * (time.perf_counter() - start))
    if isinstance(cache, ImageCache):
        for i in range(0, len(samples), BATCH):
            cache.load_images(samples[i : i + BATCH])
    return Opened(images, statistics.median(times), opened, read_anonymous_mib() - before)


def _table(directory: Path) -> dict[str, int]:
    return {
        digest: row for row, digest in enumerate(json.loads((directory / "table.json").read_text(encoding="utf-8")))
    }


def list_samples(directory: Path, indices: Iterable[int]) -> list[Sample]:
    """Return samples of a cache that contain only the image's hash."""
    samples = []
    with (directory / "images.sha256").open("rb") as file:
        for row in indices:
            file.seek(row * DIGEST_BYTES)
            digest = file.read(DIGEST_BYTES).hex()
            samples.append(Sample("", f"{row}", directory, "", digest, "", 1, 1, "", 2))
    return samples


def read_anonymous_mib() -> float:
    """Return this process's memory that no file backs, which other processes cannot share."""
    match = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise RuntimeError("/proc/self/status does not contain RssAnon; run this benchmark on Linux")
    return int(match[1]) / 1024
