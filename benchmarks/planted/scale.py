"""Whether a difference that changes with the number of training samples is found where it is planted, and only so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.evidence.verdicts import judged_cells
from benchmarks.generated import prose, table
from benchmarks.planted.draws import of_seeds, seed_draws
from benchmarks.planted.page import LEAST_SENSITIVITY, MOST_FALSE, cost
from benchmarks.planted.training import cost_of, in_parts, train
from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.comparison import pairs_of
from usaggr.analysis.observations import observe
from usaggr.analysis.weighted_sums import Compared
from usaggr.report.scale.slopes import Slope, slopes
from usaggr.statistics.verdicts import ALPHA

STUDY = "planted_scale"
RELATED = "data.synthetic.related={ovary_tumor: thyroid_nodule, carotid_artery: thyroid_nodule}"
WORLDS: Mapping[str, Sequence[str]] = {"on": [RELATED], "off": []}
"""Overrides of the study: with the relation that makes the difference fall, and without."""
SHARED = "unified"
"""The grouping whose slope is looked at."""


@dataclass(frozen=True)
class Slopes:
    """One world at two scales, and how often its slope is found in draws."""

    world: str
    slope: float
    """Of the whole pool: change of the difference in skill per tenfold training samples, mean over tasks."""
    low: float
    high: float
    deltas: Mapping[int, float]
    """Training samples a task: mean difference in skill over the pool."""
    falls: float
    """Share of draws in which the slope is certainly below 0."""
    rises: float
    """The same above 0."""
    seeds: int
    draws: int
    size: int
    """Seeds of a draw."""
    runs: int
    seconds: float


def measure_slopes(world: str, seeds: int, jobs: int, outputs: Path, draws: int, size: int) -> Slopes:
    """Train one world, and look for its slope in studies drawn from it."""
    words = [f"name={STUDY}_{world}", *WORLDS[world]]
    return told(world, train(STUDY, words, seeds, jobs, outputs), draws, size, jobs)


def told(world: str, collection: Collection, draws: int, size: int, jobs: int) -> Slopes:
    """What the pool and draws from it say."""
    whole = slope_of(collection)
    chosen = list(seed_draws(collection.study.seeds, size, draws, np.random.default_rng(1)))
    parts = in_parts(partial(signs, collection), chosen, jobs, f"judging slopes, {world}")
    found = [sign for part in parts for sign in part]
    observations = observe(collection)
    pairs = pairs_of(observations[observations["main"]], collection.study.reference)
    deltas = pairs[pairs["grouping"] == SHARED].groupby("n_train")["delta_skill"].mean()
    return Slopes(
        world, whole.slope.value, whole.slope.low, whole.slope.high,
        {int(str(n)): float(delta) for n, delta in deltas.items()},
        found.count(-1) / draws, found.count(1) / draws, len(collection.study.seeds), draws, size,
        *cost_of(collection),
    )  # fmt: skip


def signs(collection: Collection, draws: Sequence[tuple[int, ...]]) -> list[int]:
    """Of each draw: -1 where the slope is certainly below 0, 1 where it is above, else 0."""
    found = [slope_of(of_seeds(collection, seeds)) for seeds in draws]
    return [int(np.sign(row.slope.value)) if row.p_adjusted < ALPHA else 0 for row in found]


def slope_of(collection: Collection) -> Slope:
    """Return the report's slope of the mean over all tasks, in skill, under the unified model."""
    comparison = compare_study(collection, main_only=True)
    cells = judged_cells(comparison)
    compared = Compared(cells, cells, comparison.weighted_sums, collection.study.confidence)
    wanted = ("all", "skill", SHARED)
    return next(row for row in slopes(compared) if (row.level, row.unit, row.grouping) == wanted)


def failures(found: Sequence[Slopes]) -> list[str]:
    """What is not as asked."""
    wrong = []
    for of in found:
        if of.world == "on" and of.falls < LEAST_SENSITIVITY:
            wrong.append(f"scale, on: found in {of.falls:.1%} of the draws")
        if of.world == "off" and of.falls > MOST_FALSE:
            wrong.append(f"scale, off: found in {of.falls:.1%} of the draws")
    return wrong


def section(found: Sequence[Slopes]) -> str:
    """The part of the page."""
    text = prose(_SECTION.format(draws=found[0].draws, size=found[0].size, seeds=found[0].seeds))
    columns = ["relation", "difference, by training samples", "pool's slope", "falls", "rises", "asked"]
    costs = cost([(of.runs, of.seconds) for of in found])
    return f"{text}\n\n{table(columns, [_row(of) for of in found])}\n\n{costs}"


def _row(of: Slopes) -> list[str]:
    deltas = ", ".join(f"{n}: {delta:+.3f}" for n, delta in sorted(of.deltas.items()))
    asked = f"falls >= {LEAST_SENSITIVITY:.0%}" if of.world == "on" else f"falls <= {MOST_FALSE:.1%}"
    slope = f"{of.slope:+.3f} ({of.low:+.3f} to {of.high:+.3f})"
    return [of.world, deltas, slope, f"{of.falls:.1%}", f"{of.rises:.1%}", asked]


_SECTION = """
Three tasks at two amounts of training data (`planted_scale.yaml`), two of them related to the third (on), or all
unrelated (off). Where tasks share their anatomy, sharing helps most where samples are few, so that the difference falls
with their number; without a relation it does not. In skill, mean over the tasks. The slope is the report's, per tenfold
training samples; it counts as found where its adjusted p is under .05. {draws} studies of {size} out of {seeds} seeds.
"""
