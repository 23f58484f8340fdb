"""Measure the actual size of a single cell's test at the level of Holm's first step in families of several sizes.

    python -m benchmarks.evidence.far_tail [--quick] [--draws 50000] [--jobs 2] [--out docs/families.md]

Holm's first step in a family of m tasks tests at level .05 / m. Effects are normal, so the mean is independent of the
three mean squares. Given these, the probability that the mean lies outside of the critical values has a closed
form. Its average over drawn mean squares is the actual size, with a smaller Monte-Carlo error than that of a count.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.evidence.component_worlds import Cells
from benchmarks.evidence.families import estimate_alone, make_generator
from usaggr.statistics.verdicts import ALPHA

Array = NDArray[np.float64]

SEEDS = (2, 3, 5, 10)
SUBJECTS = (100, 1000)
FAMILY_SIZES = (1, 3, 8, 27)
"""Numbers of tasks of a family; Holm's first step divides the level by them. 27 is that of the largest study."""
RATIOS = (1 / 9, 0.25, 1.0, 4.0, 9.0, 19.0, 99.0)
"""Ratio of the seeds' to the subjects' part of the variance of the mean, without the residual."""
SMALLEST_SIZE, LARGEST_SIZE = 0.7, 1.2
"""Smallest and largest ratio of actual to nominal size that is required at the last of FAMILY_SIZES.

A size a fifth above the level makes 5 % of families with an error at most 6 %. A smaller size is safe, but a test that
uses less than .7 of its level wastes power."""
_CHUNK = 10_000


@dataclass(frozen=True)
class Size:
    """Actual size divided by the nominal size, at each of FAMILY_SIZES."""

    relative_size: tuple[float, ...]
    standard_error: tuple[float, ...]
    """Monte-Carlo standard errors of `relative_size`."""


def measure_size(seeds: int, subjects: int, ratio: float, draws: int) -> Size:
    """Return the actual size of the test of one cell whose true difference is 0.

    Args:
        seeds: Number of seeds, from 2.
        subjects: Number of subjects.
        ratio: Ratio of the seeds' to the subjects' part of the variance of the mean, without the residual.
        draws: Number of drawn sets of mean squares.
    """
    rng = make_generator("far tail", seeds, subjects, str(ratio))
    # The variance between subjects is 1; the residual is that of the normal worlds of scenarios.py.
    by_subject, residual = 1.0, 0.25
    by_seed = ratio * seeds / subjects * by_subject
    true_se = np.sqrt(by_seed / seeds + by_subject / subjects + residual / (seeds * subjects))
    probabilities = []
    for start in range(0, draws, _CHUNK):
        shape = (min(_CHUNK, draws - start), 1, 1, 1)

        def draw_square(expectation: float, df: int, shape: tuple[int, ...] = shape) -> Array:
            return np.asarray(expectation * rng.chisquare(df, shape) / df)

        cells = Cells(
            np.zeros(shape),
            draw_square(subjects * by_seed + residual, seeds - 1),
            draw_square(seeds * by_subject + residual, subjects - 1),
            draw_square(residual, (seeds - 1) * (subjects - 1)),
            seeds,
            np.full((1, 1, 1), float(subjects)),
        )
        estimate = estimate_alone(cells)
        half_widths = [estimate.compute_half_width(1 - ALPHA / tasks).ravel() for tasks in FAMILY_SIZES]
        probabilities.append(2 * special.ndtr(-np.stack(half_widths) / true_se))
    actual = np.concatenate(probabilities, axis=1)
    nominal = ALPHA / np.array(FAMILY_SIZES)
    sizes, errors = actual.mean(axis=1) / nominal, actual.std(axis=1) / np.sqrt(draws) / nominal
    return Size(tuple(sizes.tolist()), tuple(errors.tolist()))


def measure_all(draws: int, jobs: int) -> dict[tuple[int, int, float], Size]:
    """Return the sizes by number of seeds, number of subjects and ratio of variances.

    Args:
        draws: Number of drawn sets of mean squares.
        jobs: Number of processes.
    """
    keys = [(seeds, subjects, ratio) for seeds in SEEDS for subjects in SUBJECTS for ratio in RATIOS]
    with multiprocessing.get_context("fork").Pool(jobs) as processes:
        sizes = processes.starmap(measure_size, [(*key, draws) for key in keys], chunksize=1)
    return dict(zip(keys, sizes, strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all sizes and write the section about the far tail."""
    from benchmarks.evidence.families_page import write_far_tail

    parser = argparse.ArgumentParser(description="Measure the actual size of tests in the far tail.")
    parser.add_argument("--draws", type=int, default=50_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a fifth of the draws")
    parser.add_argument("--out", type=Path, default=Path("docs/families.md"))
    options = parser.parse_args(arguments)
    misses = write_far_tail(
        options.out, measure_all(options.draws // 5 if options.quick else options.draws, options.jobs)
    )
    print(f"{options.out}: {misses} sizes in the far tail miss their bounds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
