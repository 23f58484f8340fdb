"""Measure how fast the image cache is built, opened and read, and its memory when open; for docs/performance.md.

    python -m benchmarks.data.cache [--images 64] [--builds 5] [--page docs/performance.md]

The exit status is 1 if building or reading is slower than required, or if memory grows with the number of images.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.data.cache_opening import BATCH, BATCHES, Opened, make_sparse_cache, measure_opening, time_batches
from benchmarks.data.image_files import HEIGHT, KINDS, WIDTH, Kind, make_cache_config, make_phantoms, write_files
from benchmarks.generated import machine, prose, table, three_digits, write_part
from usaggr.data.batches.cache_build import ensure_built
from usaggr.progress import NoProgress

SIZE = 256
READERS = (1, 2)
ROWS = (1_000, 10_000, 50_000)
BATCH_ROWS = 2_000
LEAST_RATES = {"RGB PNG": 90.0, "gray PNG": 180.0, "gray JPEG": 180.0, "RGB JPEG": 180.0}
"""Smallest permitted rate, in images per second and reader, by the beginning of a kind's name."""
MOST_BATCH_MS = 1.0
MOST_GROWTH_MIB = 1.0
"""Largest permitted growth of private memory from the smallest cache to the largest."""


@dataclass(frozen=True)
class Built:
    """Builds of a cache from files of one kind."""

    kind: str
    kilobytes: float
    """Mean size of a file."""
    rates: dict[int, tuple[float, ...]]
    """Images per second of all readers together, by number of readers; one entry per build."""

    def median(self, readers: int) -> float:
        """Return the median rate, in images per second."""
        return float(np.median(self.rates[readers]))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The image cache: building, opening and reading.")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--builds", type=int, default=5)
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built = time_builds(folder, KINDS, options.images, options.builds, SIZE, READERS)
        opened = []
        for images in ROWS:
            cache = make_sparse_cache(folder / f"{images}", images, SIZE)
            opened.append((measure_opening(cache, plain=True), measure_opening(cache, plain=False)))
            print(images, *opened[-1], file=sys.stderr, flush=True)
        batches = time_batches(folder / "batches", BATCH_ROWS, SIZE, 100)
    text = report(built, opened, batches, f"{machine(1)}, Pillow {version('pillow')}, {_opencv()}")
    write_part(options.page, "cache", text)
    print(text)
    missed = list_misses(built, opened, batches)
    print("\n".join(missed) or "all requirements are met")
    return 1 if missed else 0


def time_builds(
    folder: Path, kinds: Sequence[Kind], images: int, builds: int, size: int, readers: Sequence[int]
) -> list[Built]:
    """Time builds of caches of phantoms from each kind of file.

    Args:
        folder: Keeps phantoms and files.
        kinds: Kinds of file.
        images: Number of images in a cache.
        builds: Timed builds, after one that is not timed.
        size: Height and width of the images in the cache, in pixels.
        readers: Numbers of reading threads.
    """
    pictures = make_phantoms(folder, images)
    measured = []
    for kind in kinds:
        place = folder / kind.name.replace(" ", "_")
        plan = write_files(pictures, kind, place, make_cache_config(folder, size, 1))
        rates: dict[int, tuple[float, ...]] = {}
        for count in readers:
            data = make_cache_config(folder, size, count)
            measured_rates = []
            for _ in range(builds + 1):
                # A new folder each time: overwriting an old file costs the file system less.
                with tempfile.TemporaryDirectory(dir=place) as name:
                    start = time.perf_counter()
                    ensure_built(plan, Path(name), data, NoProgress())
                    measured_rates.append(images / (time.perf_counter() - start))
            rates[count] = tuple(measured_rates[1:])
        kilobytes = sum(path.stat().st_size for path in plan.images.values()) / images / 1000
        measured.append(Built(kind.name, kilobytes, rates))
        print(kind.name, *(measured[-1].median(count) for count in readers), file=sys.stderr, flush=True)
    return measured


def report(
    built: Sequence[Built], opened: Sequence[tuple[Opened, Opened]], batches: Sequence[float], where: str
) -> str:
    """Return the section of the page.

    Args:
        built: Builds, one entry per kind of file.
        opened: Openings of caches of growing size: a table of all hashes, and the cache.
        batches: Milliseconds of each batch.
        where: Machine and versions.
    """
    readers = tuple(built[0].rates)
    kinds = [[kind.kind, f"{kind.kilobytes:.0f}", *(f"{kind.median(n):.0f}" for n in readers)] for kind in built]
    builds = table(["file", "kB", *(f"{count} reader{'s' * (count > 1)}" for count in readers)], kinds)
    count = len(built[0].rates[readers[0]])
    first = prose(_BUILDING.format(width=WIDTH, height=HEIGHT, size=SIZE, count=count, where=where))
    median, high = np.percentile(batches, [50, 90])
    plain, ours = opened[-1]
    second = _OPENING.format(
        batch=BATCH, size=SIZE, median=median, high=high, batch_rows=f"{BATCH_ROWS:,}", batches=BATCHES,
        rows=f"{ours.rows:,}", time=three_digits(ours.milliseconds), mib=three_digits(ours.mib),
        read=three_digits(ours.mib_read), plain_time=three_digits(plain.milliseconds),
        plain_mib=three_digits(plain.mib),
    )  # fmt: skip
    return f"{first}\n\n{builds}\n\n{prose(second)}"


def list_misses(built: Sequence[Built], opened: Sequence[tuple[Opened, Opened]], batches: Sequence[float]) -> list[str]:
    """Return a message for each requirement that is not met.

    Args:
        built: Builds, one entry per kind of file.
        opened: Openings of caches of growing size: a table of all hashes, and the cache.
        batches: Milliseconds of each batch.
    """
    missed = []
    for kind in built:
        least = next(rate for name, rate in LEAST_RATES.items() if kind.kind.startswith(name))
        for readers in kind.rates:
            rate = kind.median(readers) / readers
            if rate < least:
                missed.append(f"{kind.kind}, readers {readers}: {rate:.0f} images/s each, required: {least:.0f}")
    if np.median(batches) > MOST_BATCH_MS:
        missed.append(f"a batch takes {np.median(batches):.2f} ms, required: at most {MOST_BATCH_MS}")
    growth = opened[-1][1].mib_read - opened[0][1].mib_read
    if growth > MOST_GROWTH_MIB:
        missed.append(f"private memory grows by {growth:.1f} MiB, required: at most {MOST_GROWTH_MIB}")
    return missed


def _opencv() -> str:
    import cv2

    return f"OpenCV {cv2.__version__}"


_BUILDING = """
Images per second of all readers together, from files of {width} x {height} pixels (phantoms with added noise) to a
cache of {size} px on disk. Medians of {count} builds. {where}.
"""
_OPENING = """
Reading a batch of {batch} random images ({size} px, three channels) from {batch_rows} rows in the page cache takes
{median:.2f} ms (90th percentile: {high:.2f}). Opening a cache of {rows} rows takes {time} ms and {mib} MiB of private
memory; after {batches} batches it is {read} MiB, the memory of one batch. A table of all hashes in each process would
take {plain_time} ms and {plain_mib} MiB.
"""

if __name__ == "__main__":
    sys.exit(main())
