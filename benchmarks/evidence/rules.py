"""Measure the rules on too little evidence in simulated studies; writes docs/too_few.md.

    python -m benchmarks.evidence.rules [--repetitions 2000] [--quick] [--out docs/too_few.md]

Studies of single tasks are simulated (worlds_rules.py) and judged by the package's functions. A share passes if the
lower end of its exact 95 % interval is not above the bound and the estimate is not above 1.3 times the bound.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.auc_failures import MeasuredAuc, measure_auc, write_section
from benchmarks.evidence.families import select_estimates
from benchmarks.evidence.marks import is_met, make_share
from benchmarks.evidence.worlds_rules import EvidenceWorld, list_failing_worlds, list_sound_worlds
from benchmarks.generated import table
from usaggr.statistics.minimum_evidence import compare_errors, has_few_differing, is_driven_by_few
from usaggr.statistics.two_way_anova import Estimate, estimate
from usaggr.statistics.unseen_failures import compute_p_with_failures, count_subjects_needed, find_excluded_rate
from usaggr.statistics.verdicts import ALPHA_NI

Array = NDArray[np.float64]
SUBJECTS, SEEDS, MARGIN = (12, 30, 60, 150, 400), (3, 5), 0.02
MOST_REFUSED, MOST_FALSE = 0.10, 0.025
CHUNK = 250


@dataclass(frozen=True)
class MeasuredWorld:
    """Results of one world with one number of seeds and of subjects, as shares of all simulated studies."""

    world: EvidenceWorld
    seeds: int
    subjects: int
    studies: int
    coverage: float
    """Share whose 95 % interval contains the true difference, with subjects of equal weight, judged or not."""
    refused: float
    """Share with the note `too few`."""
    no_loss: float
    """Share with the verdict no loss, qualified or not."""
    unqualified: float
    """Share with an unqualified no loss."""

    @property
    def is_excluded(self) -> bool:
        """True if the failures are more frequent than a qualified no loss excludes, so that it must not be given."""
        return self.world.failure_rate > 1 / find_excluded_rate(self.subjects)


def measure(
    repetitions: int, seed: int, worlds: Sequence[EvidenceWorld], subjects: Sequence[int] = SUBJECTS
) -> list[MeasuredWorld]:
    """Return the results of each world, number of seeds and number of subjects.

    Args:
        repetitions: Number of simulated studies per cell.
        seed: Seed of the random generators.
        worlds: Worlds to simulate.
        subjects: Numbers of subjects.
    """
    measured = []
    for index, world in enumerate(worlds):
        for seeds in SEEDS:
            for n in subjects:
                rng = np.random.default_rng((seed, index, seeds, n))
                sizes = [CHUNK] * (repetitions // CHUNK) + [repetitions % CHUNK] * (repetitions % CHUNK > 0)
                shares = [_simulate(world, rng, size, seeds, n) * size for size in sizes]
                measured.append(MeasuredWorld(world, seeds, n, repetitions, *(np.sum(shares, axis=0) / repetitions)))
    return measured


def _simulate(world: EvidenceWorld, rng: np.random.Generator, studies: int, seeds: int, subjects: int) -> Array:
    """Return the shares of covered, refused, no loss and unqualified studies.

    Args:
        world: World to simulate.
        rng: Random generator.
        studies: Number of studies.
        seeds: Seeds per study.
        subjects: Subjects per study.
    """
    sizes = world.draw_sizes(rng, subjects)
    starts, owners = np.cumsum(sizes) - sizes, np.repeat(np.arange(subjects), sizes)
    scores, references = (
        np.add.reduceat(values, starts, axis=-1) / sizes
        for values in world.draw_scores(rng, studies, seeds, subjects, owners)
    )
    differences = scores - references if world.higher_is_better else references - scores
    ours = estimate(differences)
    low, high = ours.compute_interval(0.95)
    if world.higher_is_better:
        compared = differences
    else:
        compared = np.stack([compare_errors(*pair) for pair in zip(scores, references, strict=True)])
    refused = has_few_differing(differences) | is_driven_by_few(compared)
    no_loss = (ours.compute_one_sided_p(-MARGIN) < ALPHA_NI) & ~refused & world.higher_is_better
    unqualified = no_loss & _exclude_failures(ours, references.mean(axis=(-2, -1)), subjects, no_loss)
    covered = (low <= -world.mean_loss) & (-world.mean_loss <= high)
    return np.array([values.mean() for values in (covered, refused, no_loss, unqualified)])


def _exclude_failures(ours: Estimate, costs: Array, subjects: int, no_loss: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which studies exclude that failures cost the margin, as `qualify_family` does for a family of one."""
    chosen = no_loss & (subjects >= np.array([count_subjects_needed(cost, MARGIN) for cost in costs]))
    if not chosen.any():
        return chosen
    selected = select_estimates(ours, chosen)
    count = int(chosen.sum())
    p = compute_p_with_failures(selected, [MARGIN] * count, costs[chosen].tolist(), [subjects] * count)
    chosen[chosen] = p < ALPHA_NI
    return chosen


def passes(share: float, studies: int, bound: float) -> bool:
    """Return True if a share is within its bound, allowing for the error of the simulation."""
    return is_met(make_share(share, studies), bound)


def write_page(
    sound: Sequence[MeasuredWorld], failing: Sequence[MeasuredWorld], on_auc: Sequence[MeasuredAuc]
) -> tuple[str, list[str]]:
    """Return the page and the shares that do not pass."""
    misses = []

    def show(row: MeasuredWorld, share: float, bound: float) -> str:
        is_good = passes(share, row.studies, bound)
        if not is_good:
            misses.append(f"{row.world.name}, {row.seeds} seeds, {row.subjects} subjects: {100 * share:.1f} %")
        return f"{100 * share:.1f} ± {100 * _compute_error(share, row.studies):.1f}{'' if is_good else ' (misses)'}"

    refusals = []
    for row in sound:
        shown = show(row, row.refused, MOST_REFUSED) if row.subjects in (30, 60) else f"{100 * row.refused:.1f}"
        judged = f"{100 * row.unqualified:.0f} of {100 * row.no_loss:.0f}" if row.world.higher_is_better else "–"
        refusals.append([row.world.name, str(row.seeds), str(row.subjects), f"{100 * row.coverage:.1f}", shown, judged])
    verdicts = []
    for row in failing:
        qualified = row.no_loss - row.unqualified
        verdicts.append([
            row.world.name, f"{row.world.mean_loss:.3f}", str(row.seeds), str(row.subjects),
            f"{100 * row.refused:.0f}", show(row, row.unqualified, MOST_FALSE),
            f"1 in {find_excluded_rate(row.subjects)}",
            show(row, qualified, MOST_FALSE) if row.is_excluded else f"[{100 * qualified:.1f}]",
        ])  # fmt: skip
    auc_section, auc_misses = write_section(on_auc)
    misses += auc_misses
    studies = max(row.studies for row in (*sound, *failing))
    sections = [
        _OPENING.format(studies=studies), _REFUSALS,
        table(["world", "seeds", "subjects", "coverage of all, %", "refused, %", "no loss, unqualified, %"], refusals),
        _VERDICTS,
        table(["world", "true loss", "seeds", "subjects", "refused, %", "no loss, unqualified, %", "excluded rate",
               "no loss, qualified, %"], verdicts),
        auc_section,
    ]  # fmt: skip
    return "\n\n".join(section.strip() for section in sections) + "\n", misses


def _compute_error(share: float, studies: int) -> float:
    return float(np.sqrt(share * (1 - share) / studies))


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all worlds and write the page."""
    parser = argparse.ArgumentParser(description="Measure the rules on too little evidence in simulated studies.")
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="simulate 200 studies per cell, 100 on AUC")
    parser.add_argument("--out", type=Path, default=Path("docs/too_few.md"))
    options = parser.parse_args(arguments)
    repetitions = 200 if options.quick else options.repetitions
    sound = measure(repetitions, 1, list_sound_worlds())
    failing = measure(repetitions, 2, list_failing_worlds())
    on_auc = measure_auc(repetitions // 2)
    text, misses = write_page(sound, failing, on_auc)
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(misses)} shares miss" + "".join(f"\n- {miss}" for miss in misses))
    return 1 if misses else 0


_OPENING = """
# Too few subjects, and rare failures

How often are studies not judged although their intervals hold, and how often does *no loss* hide rare failures?
Measured in {studies:,} simulated studies per cell, with their Monte-Carlo standard errors. `make bench-rules` rewrites
this page. Worlds: `benchmarks/evidence/worlds_rules.py` and `auc_failures.py`; rules:
`usaggr/statistics/minimum_evidence.py` and `usaggr/statistics/unseen_failures.py`.
"""
_REFUSALS = """
## Worlds whose intervals hold

Required: with 30 and 60 subjects, at most 10 % of the studies have the note `too few`. Nothing differs in these worlds,
so that no loss (margin .02) is true; the last column shows how many of its verdicts are unqualified.
"""
_VERDICTS = """
## Rare failures that cost more than the margin

Every no loss in these worlds is false: the margin is .02. Required: an unqualified one in at most 2.5 % of the studies,
and as many with the note "apart from failures rarer than 1 in N" where the failures are more frequent than 1 in N.
Values in brackets have no bound, because their failures are rarer than the note says.
"""


if __name__ == "__main__":
    sys.exit(main())
