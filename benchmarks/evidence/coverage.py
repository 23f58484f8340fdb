"""Measure how often nominal 95 % intervals contain the true difference in simulated studies; writes docs/coverage.md.

    python -m benchmarks.evidence.coverage [--repetitions 5000] [--jobs 2] [--out docs/coverage.md]

The exit status is 1 if a cell has a mark, by the rule of benchmarks/evidence/marks.py.
"""

import argparse
import hashlib
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.evidence.coverage_page import SEEDS, SUBJECTS, Covered, report
from benchmarks.evidence.marks import CONFIDENCE
from benchmarks.evidence.scenarios import Scenario, many_tasks, rare_failures, scenarios
from usaggr.statistics.minimum_evidence import has_few_differing, is_driven_by_few
from usaggr.statistics.two_way_anova import Estimate, estimate

CHUNK = 250


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all cells and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/coverage.md"))
    options = parser.parse_args(arguments)
    worlds = (*scenarios(), *many_tasks(), rare_failures())
    jobs = [(world.name, k, n, options.repetitions) for world in worlds for k in SEEDS for n in SUBJECTS]
    # The longest jobs first, so that no process idles while the last one runs.
    jobs.sort(key=lambda job: -job[1] * job[2])
    with multiprocessing.get_context("fork").Pool(options.jobs) as processes:
        measured = {}
        for i, (job, covered) in enumerate(processes.imap_unordered(_measure, jobs), start=1):
            measured[job[:3]] = covered
            print(f"\r{i} of {len(jobs)} cells", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    text, failures = report(worlds, measured, options.repetitions)
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(failures)} cells have a mark" + "".join(f"\n- {failure}" for failure in failures))
    return 1 if failures else 0


def _measure(job: tuple[str, int, int, int]) -> tuple[tuple[str, int, int, int], Covered]:
    name, seeds, subjects, repetitions = job
    seed = int.from_bytes(hashlib.sha256(repr((name, seeds, subjects)).encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    world = next(world for world in (*scenarios(), *many_tasks(), rare_failures()) if world.name == name)
    return job, _measure_world(world, rng, repetitions, seeds, subjects)


def _measure_world(world: Scenario, rng: np.random.Generator, repetitions: int, seeds: int, subjects: int) -> Covered:
    hits, few = [], []
    for count in _chunks(repetitions):
        scores, reference = world.draw(rng, count, seeds, subjects)
        table = scores - reference
        intervals = _all_methods(table)
        hits.append([(low <= world.truth) & (world.truth <= high) for low, high in intervals])
        scarce = has_few_differing(table)
        few.append(scarce | is_driven_by_few(table) if world.by_sample else scarce)
    coverage = np.concatenate(hits, axis=1).mean(axis=1)
    return Covered(tuple(map(float, coverage)), float(np.concatenate(few).mean()))


def _all_methods(table: NDArray[np.float64]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the interval of each of METHODS."""
    ours = estimate(table)
    total = ours.seed_variance + ours.subject_variance
    df = total**2 / (ours.seed_variance**2 / ours.seed_df + ours.subject_variance**2 / ours.subject_df)
    satterthwaite = Estimate(ours.value, total, np.zeros_like(total), df, df, *np.zeros((2, *total.shape)))
    intervals = [ours.compute_interval(CONFIDENCE), satterthwaite.compute_interval(CONFIDENCE)]
    for axis in (-1, -2):
        means = table.mean(axis=axis)
        half = stats.t.ppf(0.5 + CONFIDENCE / 2, means.shape[-1] - 1) * stats.sem(means, axis=-1)
        intervals.append((ours.value - half, ours.value + half))
    return intervals


def _chunks(repetitions: int) -> Iterator[int]:
    for start in range(0, repetitions, CHUNK):
        yield min(CHUNK, repetitions - start)


if __name__ == "__main__":
    sys.exit(main())
