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

from benchmarks.evidence.worlds import TASKS, World, draw_sweep
from benchmarks.generated import table
from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.analysis.row_tables import group_rows
from usaggr.statistics.power import find_smallest_difference
from usaggr.statistics.verdicts import ALPHA, VERDICTS

POWER = 0.8
GAINS, LOSSES = "lung", "ovary_tumor"
"""Tasks with planted differences. Each is alone in its clinical group, so only the unified model shares it."""
MOST_FALSE = 0.075
LEAST_POWER = 0.75

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
        pooled=len(world.scales),  # these tasks have one cell per scale, whose variances between seeds are pooled
    )
    return float(size)


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
    lines, failed = [_OPENING.format(sweeps=options.sweeps, tasks=len(TASKS))], []
    null, planted = [], []
    with multiprocessing.get_context("fork").Pool(options.jobs) as processes:
        for name, world in worlds.items():
            counts_by_key = _run(processes, world, 0.0, options.sweeps)
            rates = [_false_rate(counts_by_key, grouping) for grouping in ("clinical", "unified")]
            null.append([name, *(f"{100 * rate:.1f} %" for rate in rates)])
            failed += [f"{name}: false verdicts" for rate in rates if rate > MOST_FALSE]
            size = planted_size(world)
            counts_by_key = _run(processes, world, size, options.sweeps // 2)
            for task, right in ((GAINS, "gain"), (LOSSES, "loss")):
                verdict_counts = [counts_by_key["planted", task, verdict] for verdict in VERDICTS]
                shares = [count / sum(verdict_counts) for count in verdict_counts]
                planted.append(
                    [name, f"{size if right == 'gain' else -size:+.3f}", *(f"{100 * s:.1f} %" for s in shares)]
                )
                if shares[VERDICTS.index(right)] < LEAST_POWER:  # type: ignore[arg-type]
                    failed.append(f"{name}: {right} found in {100 * shares[VERDICTS.index(right)]:.1f} %")  # type: ignore[arg-type]
            print(name, file=sys.stderr)
    lines += [_NULL, table(["world", "clinical grouping", "unified"], null), _PLANTED]
    lines += [table(["world", "planted", *VERDICTS], planted)]
    options.out.write_text("\n\n".join(line.strip() for line in lines) + "\n", encoding="utf-8")
    print(f"{options.out}: {len(failed)} checks fail" + "".join(f"\n- {line}" for line in failed))
    return 1 if failed else 0


def _run(processes: "multiprocessing.pool.Pool", world: World, size: float, sweeps: int) -> Counts:
    chunk = 10
    jobs = [(world, size, min(chunk, sweeps - start), 1000 + start) for start in range(0, sweeps, chunk)]
    total: Counts = Counter()
    for counts in processes.imap_unordered(judge_sweeps, jobs):
        total += counts
    return total


def _false_rate(counts: Counts, grouping: str) -> float:
    wrong, right = counts["family", grouping, "false"], counts["family", grouping, "right"]
    return wrong / (wrong + right)


_OPENING = """
# Verdicts on planted differences

How often does a report find a difference that does not exist, and how often does it find one that does? Each world is
simulated in {sweeps} sweeps without differences and half as many with planted ones. A sweep has {tasks} tasks of all
four types, three groupings and two scales; its scores vary randomly by seed, subject and run. The code that makes a
report's tables judges it. `make bench-verdicts` rewrites this page; the worlds are in `benchmarks/evidence/worlds.py`.
"""
_NULL = """
## No task differs

Share of families (the tasks of one grouping at one scale) with any gain or loss; required: at most 7.5 %.
"""
_PLANTED = """
## Two tasks differ

Under the unified model, one task gains and one loses the smallest difference that `usaggr plan` shows as detectable,
with a power of 80 % at Holm's first step. Share of cells by verdict; required: at least 75 % for the correct one.
"""


if __name__ == "__main__":
    sys.exit(main())
