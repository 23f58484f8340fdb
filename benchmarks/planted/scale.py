"""Section of docs/planted.md about differences that change with the number of training samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.evidence.verdicts import judged_cells
from benchmarks.generated import prose, table
from benchmarks.planted.draws import Cell, Draw, draw_studies, estimate_truths, make_study
from benchmarks.planted.page import LEAST_SENSITIVITY, MOST_FALSE, SAMPLING, cost
from benchmarks.planted.training import map_draws, sum_cost, train
from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.observations import observe
from usaggr.analysis.reference_pairs import pair_with_reference
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.weighted_sums import ComparedCells
from usaggr.report.scale.slopes import Slope, estimate_slopes
from usaggr.statistics.verdicts import ALPHA

STUDY = "planted_scale"
RELATED = "data.synthetic.related={ovary_tumor: thyroid_nodule, carotid_artery: thyroid_nodule}"
WORLDS: Mapping[str, Sequence[str]] = {"on": [RELATED], "off": []}
"""Overrides of the study, with and without the relation that makes the difference decrease."""
SHARED = "unified"
"""Grouping whose slope is measured."""


@dataclass(frozen=True)
class Slopes:
    """Slope of one world at two scales, and how often draws detect it."""

    world: str
    slope: float
    """Change of the difference in skill per tenfold training samples, mean over tasks, from all seeds of the pool."""
    low: float
    """Lower limit of the slope's confidence interval."""
    high: float
    """Upper limit of the slope's confidence interval."""
    deltas: Mapping[int, float]
    """Mean difference in skill over the pool, by number of training samples per task."""
    falls: float
    """Share of draws in which the slope is significantly below 0."""
    rises: float
    """Share of draws in which the slope is significantly above 0."""
    false: float
    """Share of draws in which the slope is significant after the pool's differences are removed, so that it is 0."""
    seeds: int
    """Number of seeds of the pool."""
    draws: int
    size: int
    """Number of seeds of a draw."""
    runs: int
    seconds: float


def measure_slopes(world: str, seeds: int, jobs: int, outputs: Path, draws: int, size: int) -> Slopes:
    """Train one world, and judge its slope in studies drawn from it.

    Args:
        world: Key of WORLDS.
        seeds: Number of seeds of the pool.
        jobs: Number of processes.
        outputs: Folder of the results.
        draws: Number of drawn studies.
        size: Number of seeds of a drawn study.
    """
    words = [f"name={STUDY}_{world}", *WORLDS[world]]
    return judge_slopes(world, train(STUDY, words, seeds, jobs, outputs), draws, size, jobs)


def judge_slopes(world: str, collection: Collection, draws: int, size: int, jobs: int) -> Slopes:
    """Estimate the slope from a pool, and count how often draws from it detect the slope.

    Args:
        world: Key of WORLDS.
        collection: Finished sweep of all seeds.
        draws: Number of drawn studies.
        size: Number of seeds of a drawn study.
        jobs: Number of processes.
    """
    pool = estimate_slope(collection)
    studies = list(draw_studies(collection, size, draws, np.random.default_rng(1)))
    truths = estimate_truths(collection)
    differences = {cell: truth.delta for cell, truth in truths.items() if cell[0] == SHARED}
    signs, null_signs = (
        list(chain(*map_draws(partial(judge_signs, collection, removed), studies, jobs, f"judging slopes, {world}")))
        for removed in ({}, differences)
    )
    main = [row for row in observe(collection) if row.main]
    pairs = pair_with_reference(main, collection.study.reference)
    shared = [pair for pair in pairs if pair.compared.grouping == SHARED and pair.compared.n_train is not None]
    by_size = group_rows(shared, lambda pair: pair.compared.n_train or 0)
    deltas = {size: float(np.nanmean([pair.delta_skill for pair in by_size[size]])) for size in sorted(by_size)}
    return Slopes(
        world, pool.slope.value, pool.slope.low, pool.slope.high,
        deltas,
        signs.count(-1) / draws, signs.count(1) / draws, 1 - null_signs.count(0) / draws,
        len(collection.study.seeds), draws, size,
        *sum_cost(collection),
    )  # fmt: skip


def judge_signs(collection: Collection, removed: Mapping[Cell, float], draws: Sequence[Draw]) -> list[int]:
    """Return -1 for each draw whose slope is significantly below 0, 1 if it is above, and else 0.

    Args:
        collection: Finished sweep of all seeds.
        removed: Differences that are removed from cells, see `make_study`.
        draws: Seeds and components of each drawn study.
    """
    slopes_of_draws = [estimate_slope(make_study(collection, draw, removed=removed)) for draw in draws]
    return [int(np.sign(row.slope.value)) if row.p_adjusted < ALPHA else 0 for row in slopes_of_draws]


def estimate_slope(collection: Collection) -> Slope:
    """Return the row of a report's table of slopes for the mean skill over all tasks under the unified model."""
    comparison = compare_study(collection, main_only=True)
    cells = judged_cells(comparison)
    compared = ComparedCells(cells, cells, comparison.weighted_sums, collection.study.confidence)
    requested = ("all", "skill", SHARED)
    return next(row for row in estimate_slopes(compared) if (row.level, row.unit, row.grouping) == requested)


def failures(measured: Sequence[Slopes]) -> list[str]:
    """Return a message for each target that is not met."""
    wrong = []
    for world in measured:
        if world.world == "on" and world.falls < LEAST_SENSITIVITY:
            wrong.append(f"scale, on: found in {world.falls:.1%} of the draws")
        if world.world == "off" and world.falls > MOST_FALSE:
            wrong.append(f"scale, off: found in {world.falls:.1%} of the draws")
        if world.false > MOST_FALSE:
            wrong.append(f"scale, {world.world}, differences removed: found in {world.false:.1%} of the draws")
    return wrong


def section(measured: Sequence[Slopes]) -> str:
    """Return the section of the page."""
    first, sampling = measured[0], f"{SAMPLING} {_LAST_COLUMN}"
    text = prose(_SECTION.format(draws=first.draws, size=first.size, seeds=first.seeds, sampling=sampling))
    columns = [
        "relation",
        "difference, by training samples",
        "pool's slope",
        "falls",
        "rises",
        "target",
        f"removed: either (<= {MOST_FALSE:.1%})",
    ]
    costs = cost([(slopes_.runs, slopes_.seconds) for slopes_ in measured])
    return f"{text}\n\n{table(columns, [_row(slopes_) for slopes_ in measured])}\n\n{costs}"


def _row(slopes_: Slopes) -> list[str]:
    deltas = ", ".join(f"{n}: {delta:+.3f}" for n, delta in sorted(slopes_.deltas.items()))
    target = f"falls >= {LEAST_SENSITIVITY:.0%}" if slopes_.world == "on" else f"falls <= {MOST_FALSE:.1%}"
    slope = f"{slopes_.slope:+.3f} ({slopes_.low:+.3f} to {slopes_.high:+.3f})"
    return [
        slopes_.world,
        deltas,
        slope,
        f"{slopes_.falls:.1%}",
        f"{slopes_.rises:.1%}",
        target,
        f"{slopes_.false:.1%}",
    ]


_LAST_COLUMN = "Last column: the same after the pool's differences are removed, so that the true slope is 0."
_SECTION = """
Three tasks are trained with two amounts of data (`planted_scale.yaml`): two are related to the third (on), or none
(off). Only related tasks gain most with few samples, so the mean difference in skill falls with their number.
The slope per tenfold training samples is that of the report, detected if its adjusted p is below .05. {draws} studies
of {size} out of {seeds} seeds are drawn {sampling}
"""
