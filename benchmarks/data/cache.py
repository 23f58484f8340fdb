"""The image cache: how fast it is built, opened and read, and what an open one holds; for docs/performance.md.

    python -m benchmarks.data.cache [--images 64] [--pairs 5] [--page docs/performance.md]

Ends with status 1 where building or reading misses what was asked for, or memory grows with the rows.
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

from benchmarks.data.cache_opening import BATCH, BATCHES, Opened, batch_times, fresh_opening, unwritten_cache
from benchmarks.data.image_files import HEIGHT, KINDS, WIDTH, Kind, cache_config, phantoms, plain_build, written
from benchmarks.generated import machine, prose, table, three_digits, write_part
from usaggr.data.batches.cache_build import ensure_built
from usaggr.progress import NoProgress

SIZE = 256
READERS = (1, 2)
ROWS = (1_000, 10_000, 50_000)
BATCH_ROWS = 2_000
LEAST_RATES = {"RGB PNG": 90.0, "grey PNG": 180.0, "grey JPEG": 180.0, "RGB JPEG": 180.0}
"""Images a second and reader, asked of the kinds whose names begin so."""
MOST_BATCH_MS = 1.0
MOST_GROWTH_MIB = 1.0
"""Of private memory, from the fewest rows to the most."""


@dataclass(frozen=True)
class Built:
    """Builds of a cache from files of one kind, in pairs."""

    kind: str
    kilobytes: float
    """Of a file, on average."""
    rates: dict[int, tuple[tuple[float, float], ...]]
    """Readers: images a second in all, the plain way and ours."""

    def median(self, readers: int) -> tuple[float, float, float]:
        """Images a second the plain way and ours, and the ratio of a pair."""
        plain, ours = np.array(self.rates[readers]).T
        return float(np.median(plain)), float(np.median(ours)), float(np.median(ours / plain))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The image cache: building, opening and reading.")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built = compare_builds(folder, KINDS, options.images, options.pairs, SIZE, READERS)
        opened = []
        for rows in ROWS:
            cache = unwritten_cache(folder / f"{rows}", rows, SIZE)
            opened.append((fresh_opening(cache, plain=True), fresh_opening(cache, plain=False)))
            print(rows, *opened[-1], file=sys.stderr, flush=True)
        batches = batch_times(folder / "batches", BATCH_ROWS, SIZE, 100)
    text = report(built, opened, batches, f"{machine(1)}, Pillow {version('pillow')}, {_opencv()}")
    write_part(options.page, "cache", text)
    print(text)
    missed = misses(built, opened, batches)
    print("\n".join(missed) or "all that was asked for is met")
    return 1 if missed else 0


def compare_builds(
    folder: Path, kinds: Sequence[Kind], images: int, pairs: int, size: int, readers: Sequence[int]
) -> list[Built]:
    """Build caches of phantoms in each kind of file, ours and the plain way in turns.

    Raises:
        RuntimeError: the two do not come to the same bytes.
    """
    pictures = phantoms(folder, images)
    found = []
    for kind in kinds:
        place = folder / kind.name.replace(" ", "_")
        plan = written(pictures, kind, place, cache_config(folder, size, 1))
        rates: dict[int, tuple[tuple[float, float], ...]] = {}
        for count in readers:
            data = cache_config(folder, size, count)
            taken = []
            for _ in range(pairs + 1):
                # Both write new files: to write over an old one costs the file system less.
                with tempfile.TemporaryDirectory(dir=place) as name:
                    start = time.perf_counter()
                    plain_build(plan, Path(name) / "plain.u8", count)
                    middle = time.perf_counter()
                    ours = ensure_built(plan, Path(name), data, NoProgress())
                    taken.append((images / (middle - start), images / (time.perf_counter() - middle)))
                    if (Path(name) / "plain.u8").read_bytes() != (ours / "images.u8").read_bytes():
                        raise RuntimeError(f"{kind.name}: the plain way comes to other pixels")
            rates[count] = tuple(taken[1:])
        found.append(Built(kind.name, sum(p.stat().st_size for p in plan.images.values()) / images / 1000, rates))
        print(kind.name, *(found[-1].median(count) for count in readers), file=sys.stderr, flush=True)
    return found


def report(
    built: Sequence[Built], opened: Sequence[tuple[Opened, Opened]], batches: Sequence[float], where: str
) -> str:
    """The part of the page."""
    readers = tuple(built[0].rates)
    rows = []
    for of in built:
        cells = []
        for count in readers:
            plain, ours, ratio = of.median(count)
            cells += [f"{plain:.0f}", f"{ours:.0f}", f"{ratio:.2f}"]
        rows.append([of.kind, f"{of.kilobytes:.0f}", *cells])
    columns = ["file", "kB"]
    for count in readers:
        columns += [f"plain, {count} reader{'s' * (count > 1)}", "cache", "ratio"]
    builds = table(columns, rows)
    openings = table(
        ("rows", "table of hashes, ms", "MiB", "opening, ms", "MiB", "MiB after reading"),
        [
            [f"{ours.rows:,}", *(three_digits(value) for value in (plain.milliseconds, plain.mib)),
             *(three_digits(value) for value in (ours.milliseconds, ours.mib, ours.mib_read))]
            for plain, ours in opened
        ],
    )  # fmt: skip
    pairs = len(built[0].rates[readers[0]])
    first = prose(_BUILDING.format(width=WIDTH, height=HEIGHT, size=SIZE, pairs=pairs, where=where))
    median, high = np.percentile(batches, [50, 90])
    second = prose(
        _OPENING.format(batch=BATCH, size=SIZE, median=median, high=high, rows=f"{BATCH_ROWS:,}", batches=BATCHES)
    )
    return f"{first}\n\n{builds}\n\n{second}\n\n{openings}"


def misses(built: Sequence[Built], opened: Sequence[tuple[Opened, Opened]], batches: Sequence[float]) -> list[str]:
    """What was asked for and is not met, in words."""
    found = []
    for of in built:
        least = next(rate for name, rate in LEAST_RATES.items() if of.kind.startswith(name))
        for readers in of.rates:
            rate = of.median(readers)[1] / readers
            if rate < least:
                found.append(f"{of.kind}, readers {readers}: {rate:.0f} images/s each, asked: {least:.0f}")
    if np.median(batches) > MOST_BATCH_MS:
        found.append(f"a batch takes {np.median(batches):.2f} ms, asked: at most {MOST_BATCH_MS}")
    growth = opened[-1][1].mib_read - opened[0][1].mib_read
    if growth > MOST_GROWTH_MIB:
        found.append(f"private memory grows by {growth:.1f} MiB, asked: at most {MOST_GROWTH_MIB}")
    return found


def _opencv() -> str:
    import cv2

    return f"OpenCV {cv2.__version__}"


_BUILDING = """
Images a second, all readers together, from files of {width} x {height} pixels (phantoms, noise added) to a cache of
{size} px: reading, hashing, decoding, resizing, writing to the disk. *Plain*: Pillow decodes, every image becomes RGB,
and three channels are resized; *cache*: as `usaggr` builds it, to the same bytes. Medians of {pairs} pairs of builds in
turns. {where}.
"""
_OPENING = """
A batch of {batch} images of {size} px, three channels, from random ones of {rows} rows that are in the operating
system's memory, takes {median:.2f} ms (median; 90 of 100: {high:.2f}). What it costs a process to open a cache, and the
private memory (anonymous pages) that it holds from then on, also after {batches} such batches (memory for one of them
stays with the process); before that, what a table of all hashes in each process would cost instead:
"""

if __name__ == "__main__":
    sys.exit(main())
