"""Whether verdicts come out as planted: writes docs/verdicts.md.

    python -m benchmarks.evidence.verdicts [--sweeps 400] [--jobs 2] [--out docs/verdicts.md]

Sweeps are drawn in memory (worlds.py) and judged by the code that makes a report's tables. In null sweeps no grouping
changes any score: the share of families (the tasks of a grouping at a scale) with any gain or loss is what Holm's
adjustment bounds. In planted ones two tasks of the unified model gain or lose the smallest difference that is told
beforehand to be found with a power of 80 %.
"""

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.evidence.worlds import TASKS, World, draw_sweep
from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.analysis.row_tables import group_rows
from usaggr.statistics.power import smallest_difference
from usaggr.statistics.verdicts import ALPHA, VERDICTS

POWER = 0.8
GAINS, LOSSES = "lung", "ovary_tumor"
"""Tasks whose differences are planted: each has the reference's run in its clinical group, so that it is shared by the
unified model alone."""
MOST_FALSE = 0.075
LEAST_POWER = 0.75

Counts = Counter[tuple[str, ...]]


def planted_size(world: World) -> float:
    """The smallest difference found with POWER at the first step of Holm, in a family of all tasks."""
    found = smallest_difference(
        seed_sd=world.seed_sd * np.sqrt(2),
        subject_sd=world.grouping_sd * np.sqrt(2),
        residual_sd=world.residual_sd * np.sqrt(2),
        seeds=world.seeds,
        subjects=world.subjects,
        level=ALPHA / len(TASKS),
        target_power=POWER,
        pooled=len(world.scales),  # these tasks have a cell a scale, whose variance between seeds is pooled
    )
    return float(found)


def judged_cells(comparison: StudyComparison) -> list[CellVerdict]:
    """Return the verdicts on cells that are not the reference's own run."""
    return [cell for cell in comparison.verdicts if not cell.same]


def judge_sweeps(job: tuple[World, float, int, int]) -> Counts:
    """Counts of (family, any false), and of (task, verdict), over sweeps of a world."""
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
    """Return whether a difference is planted in a cell, in worlds that have planted ones."""
    return cell.grouping == "unified" and cell.task in (GAINS, LOSSES)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Whether verdicts come out as planted.")
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
            found = _run(processes, world, 0.0, options.sweeps)
            rates = [_false_rate(found, grouping) for grouping in ("clinical", "unified")]
            null.append([name, *(f"{100 * rate:.1f} %" for rate in rates)])
            failed += [f"{name}: false verdicts" for rate in rates if rate > MOST_FALSE]
            size = planted_size(world)
            found = _run(processes, world, size, options.sweeps // 2)
            for task, right in ((GAINS, "gain"), (LOSSES, "loss")):
                counts = [found["planted", task, verdict] for verdict in VERDICTS]
                shares = [count / sum(counts) for count in counts]
                planted.append(
                    [name, f"{size if right == 'gain' else -size:+.3f}", *(f"{100 * s:.1f} %" for s in shares)]
                )
                if shares[VERDICTS.index(right)] < LEAST_POWER:  # type: ignore[arg-type]
                    failed.append(f"{name}: {right} found in {100 * shares[VERDICTS.index(right)]:.1f} %")  # type: ignore[arg-type]
            print(name, file=sys.stderr)
    lines += [_NULL, _table(["world", "clinical grouping", "unified"], null), _PLANTED]
    lines += [_table(["world", "planted", *VERDICTS], planted)]
    options.out.write_text("\n\n".join(line.strip() for line in lines) + "\n")
    print(f"{options.out}: {len(failed)} checks fail" + "".join(f"\n- {line}" for line in failed))
    return 1 if failed else 0


def _run(processes: "multiprocessing.pool.Pool", world: World, size: float, sweeps: int) -> Counts:
    part = 10
    jobs = [(world, size, min(part, sweeps - start), 1000 + start) for start in range(0, sweeps, part)]
    total: Counts = Counter()
    for counts in processes.imap_unordered(judge_sweeps, jobs):
        total += counts
    return total


def _false_rate(counts: Counts, grouping: str) -> float:
    wrong, right = counts["family", grouping, "false"], counts["family", grouping, "right"]
    return wrong / (wrong + right)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, rule, *rows))


_OPENING = """
# Verdicts on planted differences

{sweeps} sweeps of each world, half as many with planted differences: {tasks} tasks of all four types, three groupings,
two scales, drawn in memory with seeds, subjects and runs as sources of chance, and judged by the code that makes the
tables of a report. `make bench-verdicts` writes this page anew; the worlds are in `benchmarks/evidence/worlds.py`.
"""
_NULL = """
## Where nothing differs

Share of families (the tasks of one grouping at one scale) with any gain or loss; asked: at most 7.5 %.
"""
_PLANTED = """
## Where two tasks differ

Under the unified model one task gains and one loses the smallest difference that is told beforehand to be found with a
power of 80 % at the first step of Holm (`usaggr plan` shows it). Share of cells by verdict.
"""


if __name__ == "__main__":
    sys.exit(main())
