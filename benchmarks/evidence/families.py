"""Measure false verdicts of families, and coverage and width of intervals, in simulated studies.

    python -m benchmarks.evidence.families [--quick] [--repetitions 2000] [--jobs 2] [--out docs/families.md]

A family is the tasks of one grouping at one scale, whose tests Holm's method adjusts together. Variances are moderated
as in reports. The worlds are in component_worlds.py; the package's own functions estimate and judge.
"""

import argparse
import hashlib
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.component_worlds import FURTHER, GROUPINGS, REVIEW, Cells, World, draw_cells
from benchmarks.evidence.marks import CONFIDENCE, ClusteredShare, measure_clustered_share
from usaggr.statistics.moderated_variances import combine_with_prior, predict_priors
from usaggr.statistics.two_way_anova import Estimate, MeanSquares, estimate_from_squares
from usaggr.statistics.verdicts import decide_verdicts

Array = NDArray[np.float64]

TASKS, SEEDS = (3, 8, 27), (2, 3, 5)
MANY_TASKS = 27
"""Number of tasks from which fewer studies are simulated. A study has a family for each grouping and scale."""
MARGIN = 0.02
"""Margin of no loss. Also the true loss in the simulations that count false `no_loss`."""
_VALUES_AT_ONCE = 200_000
"""Largest number of values of tables that are held in memory at once."""
_T3_COST = 10
"""Time of a world with t3 subjects, whose tables are drawn value by value, relative to the others."""
Key = tuple[str, int, int]
"""World, number of tasks, number of seeds."""


@dataclass(frozen=True)
class FamilyResults:
    """Results of a world over all studies, in arrays (groupings, scales)."""

    families: int
    """Number of families of each grouping and scale: one for each study."""
    false_differences: NDArray[np.int64]
    """Number of families with a gain or a loss, although the true difference is 0."""
    false_no_loss: NDArray[np.int64]
    """Number of families with `no_loss` or a gain, although the true loss of every task is the margin."""
    coverage: tuple[ClusteredShare, ...]
    """Share of cells whose 95 % interval contains the true difference, of each grouping and scale."""
    width: Array
    """Median ratio of the interval's width to the width without moderation."""


def estimate_cells(cells: Cells) -> Estimate:
    """Return the estimates of cells, with variances between seeds moderated as in reports.

    Only this function depends on the method of moderation.
    """
    repetitions, tasks, groupings, scales = cells.value.shape
    own_df = cells.n_seeds - 1.0
    # Similar variance is expected of the seeds' means, as in analysis/difference_intervals.py.
    variances = (cells.seeds / cells.n_subjects).reshape(repetitions, -1)
    columns = np.tile(np.arange(groupings * scales), tasks)
    prior, prior_df = predict_priors(variances, np.full(columns.size, own_df), columns)
    moderated = combine_with_prior(variances, own_df, prior, prior_df)
    shape = cells.value.shape
    return _make_estimate(cells, moderated.reshape(shape) * cells.n_subjects, (own_df + prior_df).reshape(shape))


def estimate_alone(cells: Cells) -> Estimate:
    """Return the estimates of cells from their own mean squares."""
    return _make_estimate(cells, cells.seeds, np.full(cells.value.shape, cells.n_seeds - 1.0))


def _make_estimate(cells: Cells, seed_squares: Array, seed_df: Array) -> Estimate:
    """Return the estimates of cells, as `two_way_anova.estimate` returns them for tables.

    Args:
        cells: Sufficient statistics.
        seed_squares: Mean squares between seeds, own or moderated.
        seed_df: Their degrees of freedom.
    """
    n_subjects = np.asarray(cells.n_subjects, dtype=np.int64)
    squares = MeanSquares(cells.seeds, cells.subjects, cells.residual, cells.n_seeds, n_subjects)
    return estimate_from_squares(cells.value, squares, (seed_squares, seed_df))


def find_false_families(estimate: Estimate, low: Array, high: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the families (repetitions, groupings, scales) with a false gain or loss, and with a false `no_loss`.

    Args:
        estimate: Estimates (repetitions, tasks, groupings, scales) of true differences of 0.
        low: Lower bounds of their 95 % intervals.
        high: Upper bounds.
    """
    # Holm's method rejects no cell whose interval includes the null value. Its p value is 1, to save time. Among true
    # losses, significant losses get 1 too: this raises Holm's factor of a gain, and there are practically no gains.
    p = _compute_p(estimate, (low > 0) | (high < 0))
    null = _judge(estimate.value, p, np.ones_like(p), ("gain", "loss"))
    lost = replace(estimate, value=estimate.value - MARGIN)
    p_gain, p_no_loss = _compute_p(lost, low > MARGIN), np.where(low > 0, p / 2, 1.0)
    return null, _judge(lost.value, p_gain, p_no_loss, ("gain", "no_loss"))


def _compute_p(estimate: Estimate, is_rejected: NDArray[np.bool_]) -> Array:
    """Return two-sided p values. Computing them is slow, so only rejected cells get one; the others get 1."""
    p = np.ones(estimate.value.shape)
    p[is_rejected] = select_estimates(estimate, is_rejected).compute_two_sided_p()
    return p


def select_estimates(estimate: Estimate, index: Any) -> Estimate:
    """Return the estimates at an index; arrays may have one value for several estimates."""
    shape = estimate.value.shape
    return Estimate(*(np.broadcast_to(getattr(estimate, field.name), shape)[index] for field in fields(estimate)))


def _judge(value: Array, p: Array, p_ni: Array, false_verdicts: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return a mask (repetitions, groupings, scales) of the families that contain any of these verdicts.

    Args:
        value: Differences (repetitions, tasks, groupings, scales).
        p: Two-sided p values.
        p_ni: One-sided p values of no loss.
        false_verdicts: Verdicts that are false.
    """
    candidates = ((p < 1) | (p_ni < 1)).any(axis=1)
    result = np.zeros(candidates.shape, dtype=bool)
    for repetition, grouping, scale in np.argwhere(candidates):
        index = (repetition, slice(None), grouping, scale)
        verdicts = decide_verdicts(value[index], p[index], p_ni[index]).verdicts
        result[repetition, grouping, scale] = any(verdict in false_verdicts for verdict in verdicts)
    return result


def measure(world: World, tasks: int, seeds: int, repetitions: int) -> FamilyResults:
    """Simulate studies of a world and judge them.

    Args:
        world: Random variation.
        tasks: Number of tasks of a study.
        seeds: Number of seeds of a study.
        repetitions: Number of studies.
    """
    rng = make_generator(world.name, tasks, seeds)
    differences, no_loss, covered, ratios = [], [], [], []
    for count in _chunk(world, tasks, seeds, repetitions):
        cells = draw_cells(world, rng, count, tasks, seeds)
        estimate, alone = estimate_cells(cells), estimate_alone(cells)
        low, high = estimate.compute_interval(CONFIDENCE)
        alone_low, alone_high = alone.compute_interval(CONFIDENCE)
        has_false_difference, has_false_no_loss = find_false_families(estimate, low, high)
        differences.append(has_false_difference.sum(axis=0))
        no_loss.append(has_false_no_loss.sum(axis=0))
        covered.append(((low <= 0) & (high >= 0)).sum(axis=1).reshape(count, -1))
        ratios.append(((high - low) / (alone_high - alone_low)).reshape(-1, *low.shape[2:]))
    coverage = tuple(measure_clustered_share(counts, tasks) for counts in np.concatenate(covered).T)
    width = np.median(np.concatenate(ratios), axis=0)
    return FamilyResults(repetitions, np.sum(differences, axis=0), np.sum(no_loss, axis=0), coverage, width)


def make_generator(*key: str | int) -> np.random.Generator:
    """Return a random generator that depends on the key alone, so that results do not depend on the other worlds."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big"))


def measure_all(worlds: Sequence[World], tasks: Sequence[int], repetitions: int, jobs: int) -> dict[Key, FamilyResults]:
    """Return the results of all worlds, numbers of tasks and SEEDS.

    Args:
        worlds: Worlds to simulate.
        tasks: Numbers of tasks.
        repetitions: Number of studies of each; a quarter of it with MANY_TASKS, which take longest.
        jobs: Number of processes.
    """
    studies = {count: max(1, repetitions // 4) if count >= MANY_TASKS else repetitions for count in tasks}
    keys = [(world, count, seeds, studies[count]) for world in worlds for count in tasks for seeds in SEEDS]
    # The longest jobs first, so that no process idles while the last one runs.
    keys.sort(key=lambda key: -key[1] * key[2] * key[0].scales * (_T3_COST if key[0].subject_tail == "t3" else 1))
    with multiprocessing.get_context("fork").Pool(jobs) as processes:
        results = {}
        for i, (key, result) in enumerate(processes.imap_unordered(_measure_job, keys), start=1):
            results[key] = result
            print(f"\r{i} of {len(keys)} worlds and sizes", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def _measure_job(job: tuple[World, int, int, int]) -> tuple[Key, FamilyResults]:
    world, tasks, seeds, repetitions = job
    return (world.name, tasks, seeds), measure(world, tasks, seeds, repetitions)


def _chunk(world: World, tasks: int, seeds: int, repetitions: int) -> Iterator[int]:
    arms = len(GROUPINGS) + 1  # and the reference
    values = tasks * arms * world.scales * seeds * (world.subjects[0] if world.subject_tail == "t3" else 1)
    size = max(1, min(500, _VALUES_AT_ONCE // values))
    for start in range(0, repetitions, size):
        yield min(size, repetitions - start)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all worlds and write the sections about families of the page."""
    from benchmarks.evidence.families_page import write_families

    parser = argparse.ArgumentParser(description="Measure false verdicts of families in simulated worlds.")
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="at most 500 studies, with 3 and 8 tasks only")
    parser.add_argument("--out", type=Path, default=Path("docs/families.md"))
    options = parser.parse_args(arguments)
    tasks = TASKS[:2] if options.quick else TASKS
    repetitions = min(options.repetitions, 500) if options.quick else options.repetitions
    measured = measure_all((*REVIEW, *FURTHER), tasks, repetitions, options.jobs)
    misses = write_families(options.out, measured)
    print(f"{options.out}: {len(misses)} shares and coverages miss a bound")
    return 0


if __name__ == "__main__":
    sys.exit(main())
