"""Measure false verdicts and power in simulated sweeps with planted differences; writes docs/verdicts.md.

    python -m benchmarks.evidence.verdicts [--sweeps 400] [--jobs 2] [--out docs/verdicts.md]

Sweeps are simulated in memory (worlds.py) and judged by the code that makes a report's tables. In null sweeps no
grouping changes any score: Holm's adjustment bounds the share of families (the tasks of a grouping at a scale) with any
gain or loss. In planted sweeps, two tasks of the unified model gain or lose the smallest difference that is detectable
with a power of 80 % according to `usaggr plan`.
"""

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.evidence.marks import Share
from benchmarks.evidence.verdicts_page import Planted, report
from benchmarks.evidence.worlds import GROUPINGS, TASKS, World, draw_sweep
from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.analysis.row_tables import group_rows
from usaggr.statistics.moderated_variances import plan_prior_df
from usaggr.statistics.power import find_smallest_difference
from usaggr.statistics.verdicts import ALPHA, VERDICTS
from usaggr.tasks import CATALOGUE

POWER = 0.8
GAINS, LOSSES = "lung", "ovary_tumor"
"""Tasks with planted differences. Each is alone in its clinical group, so only the unified model shares it."""

Counts = Counter[tuple[str, ...]]


def planted_size(world: World) -> float:
    """Return the smallest difference that is detected with POWER at Holm's first step, in a family of all tasks."""
    size = find_smallest_difference(
        seed_sd=world.seed_sd * np.sqrt(2),
        subject_sd=world.grouping_sd * np.sqrt(2),
        residual_sd=world.residual_sd * np.sqrt(2),
        seeds=world.seeds,
        subjects=world.subjects,
        level=ALPHA / len(TASKS),
        target_power=POWER,
        prior_df=_plan_prior_df(world),
    )
    return float(size)


def _plan_prior_df(world: World) -> float:
    """Return the degrees of freedom that `usaggr plan` expects from the other tasks with the metric of GAINS."""
    tasks = sum(CATALOGUE[task].type == CATALOGUE[GAINS].type for task in TASKS)
    columns = (len(GROUPINGS) - 1) * len(world.scales)
    df = np.full(tasks * columns, world.seeds - 1.0)
    return float(plan_prior_df(df, np.tile(np.arange(columns), tasks)).mean())


def judged_cells(comparison: StudyComparison) -> list[CellVerdict]:
    """Return the verdicts on cells that do not use the same run as the reference."""
    return [cell for cell in comparison.verdicts if not cell.same]


def judge_sweeps(job: tuple[World, float, int, int]) -> Counts:
    """Simulate sweeps of a world and count families with and without false verdicts, and verdicts per planted task.

    Args:
        job: World, size of the planted differences (0: none), number of sweeps, and seed.
    """
    world, size, sweeps, seed = job
    rng = np.random.default_rng(seed)
    planted = {("unified", GAINS): size, ("unified", LOSSES): -size} if size else {}
    counts: Counts = Counter()
    for _ in range(sweeps):
        cells = judged_cells(compare_study(draw_sweep(world, planted, rng), main_only=True))
        for (grouping, _scale), family in group_rows(cells, lambda cell: (cell.grouping, cell.scale)).items():
            nulls = [cell for cell in family if not (size and _is_planted(cell))]
            wrong = any(cell.verdict in ("gain", "loss") for cell in nulls)
            counts["family", grouping, "false" if wrong else "right"] += 1
        for cell in filter(_is_planted, cells):
            counts["planted", cell.task, cell.verdict] += 1
    return counts


def _is_planted(cell: CellVerdict) -> bool:
    """Return True if a world with planted differences has one in this cell."""
    return cell.grouping == "unified" and cell.task in (GAINS, LOSSES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all worlds and write the page."""
    parser = argparse.ArgumentParser(description="Measure false verdicts and power in simulated sweeps.")
    parser.add_argument("--sweeps", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/verdicts.md"))
    options = parser.parse_args(arguments)
    worlds = {
        "3 seeds, 100 subjects": World(),
        "3 seeds, 30 subjects": World(subjects=30),
        "5 seeds, 100 subjects": World(seeds=5),
    }
    null, planted = {}, []
    with multiprocessing.get_context("fork").Pool(options.jobs) as processes:
        for name, world in worlds.items():
            counts_by_key = _run(processes, world, 0.0, options.sweeps)
            null[name] = {grouping: _count_false(counts_by_key, grouping) for grouping in ("clinical", "unified")}
            size = planted_size(world)
            counts_by_key = _run(processes, world, size, options.sweeps // 2)
            for task, delta in ((GAINS, size), (LOSSES, -size)):
                counts = {verdict: counts_by_key["planted", task, verdict] for verdict in VERDICTS}
                planted.append(Planted(name, delta, counts))
            print(name, file=sys.stderr)
    text, failures = report(options.sweeps, len(TASKS), null, planted)
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(failures)} cells have a mark" + "".join(f"\n- {line}" for line in failures))
    return 1 if failures else 0


def _run(processes: "multiprocessing.pool.Pool", world: World, size: float, sweeps: int) -> Counts:
    chunk = 10
    jobs = [(world, size, min(chunk, sweeps - start), 1000 + start) for start in range(0, sweeps, chunk)]
    total: Counts = Counter()
    for counts in processes.imap_unordered(judge_sweeps, jobs):
        total += counts
    return total


def _count_false(counts: Counts, grouping: str) -> Share:
    wrong, right = counts["family", grouping, "false"], counts["family", grouping, "right"]
    return Share(wrong, wrong + right)


if __name__ == "__main__":
    sys.exit(main())
