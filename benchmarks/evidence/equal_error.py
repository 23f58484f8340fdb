"""Compare the power of two methods of combining the variances of several cells, at equal actual family error.

    python -m benchmarks.evidence.equal_error [--quick] [--repetitions 4000] [--jobs 2] [--out docs/families.md]

The power of two tests can be compared only at the same error rate. The critical values of a test are therefore
multiplied by the factor with which 5 % of null families have a false gain or loss. The differences that the earlier
method (pooling) detects with a power of 50, 65 and 80 % are recorded in earlier_power.json, with the commit that
measured them. The current method must detect them with at least SMALLEST_POWER_RATIO times that power.
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.component_worlds import REVIEW, World, draw_cells
from benchmarks.evidence.families import estimate_cells, make_generator
from usaggr.statistics.verdicts import ALPHA

Array = NDArray[np.float64]

RECORD = Path(__file__).with_name("earlier_power.json")
WORLDS = tuple(world for world in REVIEW if world.name in ("alike", "four scales"))
"""Worlds with equal variances between seeds in all cells, where pooling was justified."""
TASKS, SEEDS = (3, 8, 27), (2, 3, 5, 10)
POWERS = (0.5, 0.65, 0.8)
SMALLEST_POWER_RATIO = 0.9
"""Smallest ratio of the current to the earlier power that is required.

Pooling is the better method where all variances are equal. A loss of a tenth of the power is the price for validity
where they differ."""
_CHUNK = 250


@dataclass(frozen=True)
class Power:
    """Family error of a method, and its power with the original and with the corrected critical values."""

    world: str
    tasks: int
    seeds: int
    family_error: float
    """Share of null families with a false gain or loss."""
    factor: float
    """Factor on the critical values with which the family error is 5 %."""
    differences: tuple[float, ...]
    """True differences in units of the score."""
    powers: tuple[float, ...]
    """Probability that the first step of Holm's method detects each of `differences`, without `factor`."""
    equal_powers: tuple[float, ...]
    """The same with `factor`."""


def measure_power(
    world: World, tasks: int, seeds: int, repetitions: int, differences: Sequence[float] | None = None
) -> Power:
    """Return family error and power of the current method, averaged over groupings and scales.

    Args:
        world: Random variation.
        tasks: Number of tasks of a study; one of them differs.
        seeds: Number of seeds.
        repetitions: Number of studies.
        differences: True differences. Default: those detected with the probabilities POWERS at equal error.
    """
    rng = make_generator("power", world.name, tasks, seeds)
    largest, null_values, half_widths = [], [], []
    for start in range(0, repetitions, _CHUNK):
        cells = draw_cells(world, rng, min(_CHUNK, repetitions - start), tasks, seeds)
        estimate = estimate_cells(cells)
        half_width = estimate.compute_half_width(1 - ALPHA / tasks)
        # A family has a false verdict if and only if the first step of Holm's method rejects its largest ratio.
        largest.append((np.abs(estimate.value) / half_width).max(axis=1).ravel())
        null_values.append(estimate.value.ravel())
        half_widths.append(half_width.ravel())
    ratios, values, widths = (np.concatenate(parts) for parts in (largest, null_values, half_widths))
    factor = float(np.quantile(ratios, 1 - ALPHA))
    # A true difference d is detected where the null value plus d exceeds the half width.
    smallest_detected, equal_smallest = np.sort(widths - values), np.sort(factor * widths - values)
    sizes = np.quantile(equal_smallest, POWERS) if differences is None else np.asarray(differences)
    return Power(
        world.name,
        tasks,
        seeds,
        float((ratios > 1).mean()),
        factor,
        tuple(sizes.tolist()),
        _find_shares(smallest_detected, sizes),
        _find_shares(equal_smallest, sizes),
    )


def _find_shares(ordered: Array, sizes: Array) -> tuple[float, ...]:
    return tuple((np.searchsorted(ordered, sizes, side="right") / ordered.size).tolist())


def read_record(path: Path = RECORD) -> dict[tuple[str, int, int], Power]:
    """Return the recorded powers of pooling, the earlier method, by world, tasks and seeds."""
    stored = json.loads(path.read_text(encoding="utf-8"))["powers"]
    powers = (Power(**{key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}) for row in stored)
    return {(power.world, power.tasks, power.seeds): power for power in powers}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare power at equal error with the record and write the section about it, or record the current method."""
    from benchmarks.evidence.families_page import write_power

    parser = argparse.ArgumentParser(description="Compare power at equal actual family error.")
    parser.add_argument("--repetitions", type=int, default=4000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="at most 500 studies, with 3 and 8 tasks only")
    parser.add_argument("--out", type=Path, default=Path("docs/families.md"))
    help_record = "file for the powers of the current method, instead of the page; it cannot record those of pooling"
    parser.add_argument("--record", type=Path, help=help_record)
    parser.add_argument("--commit", default="", help="commit that the record names")
    options = parser.parse_args(arguments)
    record = {} if options.record else read_record()
    repetitions = min(options.repetitions, 500) if options.quick else options.repetitions
    keys = [
        (world, tasks, seeds, repetitions, record[world.name, tasks, seeds].differences if record else None)
        for world in WORLDS
        for tasks in (TASKS[:2] if options.quick else TASKS)
        for seeds in SEEDS
    ]
    with multiprocessing.get_context("fork").Pool(options.jobs) as processes:
        powers = processes.starmap(measure_power, keys, chunksize=1)
    if options.record:
        command = f"python -m benchmarks.evidence.equal_error --repetitions {repetitions} --record FILE"
        content = {"commit": options.commit, "command": command, "powers": [asdict(power) for power in powers]}
        options.record.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return 0
    misses = write_power(options.out, powers, record)
    print(f"{options.out}: {misses} powers at equal error miss their bound")
    return 0


if __name__ == "__main__":
    sys.exit(main())
