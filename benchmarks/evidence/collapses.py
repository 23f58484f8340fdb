"""Measure verdicts in simulated sweeps whose runs collapse; writes docs/collapses.md.

    python -m benchmarks.evidence.collapses [--sweeps 300] [--quick] [--jobs 2] [--out docs/collapses.md]

The worlds are in worlds_collapse.py. The code that makes a report's tables judges each sweep.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.evidence.families_page import COVERAGE
from benchmarks.evidence.marks import RULE, Mark, format_share, make_share, mark_correct, mark_coverage, mark_share
from benchmarks.evidence.worlds_collapse import WORLDS, Row, measure_world
from benchmarks.generated import table, wrap
from usaggr.statistics.verdicts import ALPHA

TASKS, SEEDS = 8, (3, 5, 10)
MOST_WITHHELD = 0.03
"""Largest permitted share of cells without a verdict where no run collapses."""
LEAST_NOTED = 0.97
"""Smallest permitted share of the cells with a collapsed run whose note says so."""
FEWEST_JUDGED = 50
"""Number of judged cells without a note below which their coverage has no mark."""
UNDETECTED = "unified, falls to half its skill"
"""World whose runs fall less than any rule detects; no bounds are required."""
UNLEARNED = "no collapse, skill .1, seeds vary x 3"
"""World in which single runs are no better than the trivial predictor by chance, and count as collapsed."""


def measure_all(sweeps: int, jobs: int, names: Sequence[str] = tuple(WORLDS)) -> list[Row]:
    """Return the results of worlds with TASKS and each of SEEDS.

    Args:
        sweeps: Number of sweeps of each.
        jobs: Number of processes.
        names: Names of the worlds.
    """
    keys = [(name, seeds, sweeps) for name in names for seeds in SEEDS]
    # The longest jobs first, so that no process idles while the last one runs.
    longest_first = sorted(keys, key=lambda key: -key[1])
    with multiprocessing.get_context("fork").Pool(jobs) as processes:
        results = {}
        for i, row in enumerate(processes.imap(_measure_job, longest_first), start=1):
            results[row.world, row.seeds] = row
            print(f"\r{i} of {len(keys)} worlds and sizes", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [results[name, seeds] for name, seeds, _ in keys]


def _measure_job(job: tuple[str, int, int]) -> Row:
    name, seeds, sweeps = job
    # Worlds differ in their random seed, so that a rare draw does not affect several of them.
    random_seed = 100 * tuple(WORLDS).index(name) + seeds
    return measure_world(name, replace(WORLDS[name], tasks=TASKS, seeds=seeds), sweeps, random_seed)


def report(measured: Sequence[Row]) -> tuple[str, list[str]]:
    """Return the page and the shares that miss their bound."""
    misses: list[str] = []
    lines = []
    for row in measured:
        texts = _show_shares(row)
        misses += [f"{row.world}, {row.seeds} seeds, {name}: {text}" for name, text in texts.items() if "**" in text]
        lines.append([row.world, str(row.seeds), *texts.values()])
    sweeps = max(row.sweeps for row in measured)
    outcome = f"**Result:** shares of {len(measured)} worlds and sizes that miss a bound: {len(misses)}."
    opening = _OPENING.format(sweeps=sweeps, tasks=TASKS)
    required = _REQUIRED.format(
        false=100 * ALPHA, coverage=100 * COVERAGE, withheld=100 * MOST_WITHHELD, noted=100 * LEAST_NOTED
    )
    columns = ["world", "seeds", "without a verdict, %", "collapse noted, %", "families with a false verdict, %",
               "coverage, %", "coverage of the mean over all runs, %"]  # fmt: skip
    sections = [*map(wrap, (opening, required, RULE, _COLUMNS, outcome)), table(columns, lines)]
    return "\n\n".join(sections) + "\n", misses


def _show_shares(row: Row) -> dict[str, str]:
    """Return the texts of a row's shares by name."""
    cells = row.sweeps * row.tasks
    is_bounded = row.world != UNDETECTED
    withheld = make_share(1 - row.judged, cells)
    false = make_share(row.intact_false_families, row.sweeps)
    is_healthy = WORLDS[row.world].share == 0 and row.world != UNLEARNED
    mark_withheld = mark_share(withheld.count, withheld.total, MOST_WITHHELD) if is_healthy else ""
    mark_false = mark_share(false.count, false.total, ALPHA) if is_bounded else ""
    covered = noted = "–"
    if row.collapsed:
        share = make_share(row.noted, row.collapsed)
        noted = format_share(share, mark_correct(share, LEAST_NOTED) if is_bounded else "")
    if row.unnoted:
        share = make_share(row.intact_coverage_unnoted, row.unnoted)
        mark: Mark = mark_coverage(share, COVERAGE) if is_bounded and row.unnoted >= FEWEST_JUDGED else ""
        covered = format_share(share, mark)
    return {
        "without a verdict": format_share(withheld, mark_withheld),
        "noted": noted,
        "false": format_share(false, mark_false),
        "coverage": covered,
        "coverage of all": format_share(make_share(row.coverage, cells)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all worlds and write the page."""
    parser = argparse.ArgumentParser(description="Measure verdicts in simulated sweeps whose runs collapse.")
    parser.add_argument("--sweeps", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="at most 5 sweeps of each of four worlds")
    parser.add_argument("--out", type=Path, default=Path("docs/collapses.md"))
    options = parser.parse_args(arguments)
    sweeps = min(options.sweeps, 5) if options.quick else options.sweeps
    names = tuple(WORLDS)[::3] if options.quick else tuple(WORLDS)
    text, misses = report(measure_all(sweeps, options.jobs, names))
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(misses)} shares miss" + "".join(f"\n- {miss}" for miss in misses))
    return 0


_OPENING = """
# Runs that collapse

Which verdicts does a report give where single runs collapse to the trivial predictor? Each world is simulated in
{sweeps} sweeps of two groupings with {tasks} tasks of all types; in most worlds, a fifth of the runs of one or both
groupings collapse. The code that makes a report's tables judges them. `make bench-collapses` rewrites this page.
Worlds: `benchmarks/evidence/worlds_collapse.py`.
"""
_REQUIRED = """
**Required** of verdicts, which hold for runs that do not collapse: a false one in at most {false:.0f} % of the
families, and coverage of at least {coverage:.1f} % in the judged cells whose note names no collapsed run. At least
{noted:.0f} % of the cells with a collapsed run have a note that says so, and at most {withheld:.0f} % of the cells have
no verdict where no run collapses. Where seeds vary x 3 around a skill of .1, single runs are no better than the trivial
predictor and count as collapsed. Where runs fall to half of their skill, no rule detects it, and no bound is required.
"""
_COLUMNS = """
*Collapse noted*: share of the cells with a collapsed run whose note says so. *False verdict*: gain, no loss or loss
that does not hold for the difference between runs that do not collapse. *Coverage* is of this difference, in the judged
cells whose note names no collapsed run. The last column is the coverage, in all cells, of the mean difference over all
runs that training could give.
"""


if __name__ == "__main__":
    sys.exit(main())
