"""Variants compared with the study's first one: under the same grouping, and in what they make of sharing a model.

All differences are in skill on the main metrics, which is at the images' original resolution whatever the variant.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from usaggr.analysis.capacity import Capacity, capacities
from usaggr.analysis.cell_pseudovalues import Cell, CellPseudovalues
from usaggr.analysis.cell_rows import CELL, CellMetric
from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import Scale, StudyComparison
from usaggr.analysis.difference_intervals import Difference, Key, pooled_by_task
from usaggr.analysis.verdict_table import scarcity
from usaggr.analysis.weighted_sums import UNKNOWN, WeightedSum, WeightedSums, quantities
from usaggr.statistics.claims import Quantity
from usaggr.statistics.holm import holm

VARIANT_COLUMNS = (
    "level", "grouping", "scale", "variant", "against", "task", "delta_skill", "low", "high", "p", "p_adjusted",
    "seeds", "tasks", "note",
)  # fmt: skip
"""Columns of variants.csv, the first fields of `VariantRow`."""
Level = Literal["all", "interaction", "task"]
LEVELS: tuple[Level, ...] = ("all", "interaction", "task")
_SHARED: dict[Level, tuple[str, ...]] = {
    "all": ("scale", "grouping"), "task": ("scale", "grouping"), "interaction": ("scale",)
}  # fmt: skip
"""What sums have in common whose runs are partly the same: interactions of one scale share the reference's."""


class VariantRow(NamedTuple):
    """Effect of one variant under one grouping at one scale, on one task or on the mean over tasks."""

    level: Level
    """What the effect is. `task`: the variant's skill less the first one's under the same grouping; `all`: the mean of
    that over tasks; `interaction`: how much more (or less) the grouping differs from the reference under the variant
    than under the first one, as the mean over tasks."""
    grouping: str
    """Grouping under which both are compared."""
    scale: Scale
    """Fraction of each task's training samples, or most of them."""
    variant: str
    """Variant whose effect it is."""
    against: str
    """The first variant of the study."""
    task: str
    """The task; empty for a mean over tasks."""
    delta_skill: float
    """The effect in skill, positive if better; NaN if it is not estimated."""
    low: float
    """Lower end of its interval; NaN without one."""
    high: float
    """Upper end of it."""
    p: float
    """Two-sided p value of no effect; NaN if it is not tested."""
    p_adjusted: float
    """`p` adjusted by Holm within the row's family."""
    seeds: int
    """Number of seeds that all tasks of the row have on both sides."""
    tasks: int
    """Number of tasks in the mean."""
    note: str
    """Remarks on the effect, joined by semicolons."""
    planned: int
    """Number of seeds that the study requests."""
    sharing: float
    """For an interaction: the grouping's difference from the reference under the variant; else NaN."""
    sharing_against: float
    """For an interaction: the same under the first variant; else NaN."""
    invalid: int
    """Number of tasks of the mean in which a cell is collapsed or not converged."""


@dataclass(frozen=True)
class Variants:
    """Effects and sizes of the variants; both empty if a study has only one."""

    effects: tuple[VariantRow, ...]
    """A row for each level, scale, grouping, variant and task."""
    capacities: dict[str, Capacity]
    """By variant."""


@dataclass(frozen=True)
class _Sum:
    """A row that is still to be estimated."""

    level: Level
    grouping: str
    scale: float | int
    variant: str
    task: str
    """Empty where it is a mean over tasks."""
    weights: dict[str, dict[Cell, float]]
    """By task: the task's own difference; the row is their mean."""
    planned: int
    """Tasks that should be in it."""
    contrast: WeightedSum | None

    @property
    def key(self) -> Key:
        """By the names of CELL."""
        return (self.variant, self.scale, self.grouping, self.task, self.level)


@dataclass(frozen=True)
class _Test:
    """Result of the test of one row."""

    scarce: str
    """Why there is no test; empty if there is one, or no difference."""
    p: float
    p_adjusted: float


@dataclass(frozen=True)
class _Facts:
    """What rows are made from."""

    collection: Collection
    sums: WeightedSums
    pseudovalues: CellPseudovalues
    against: str
    tasks: Mapping[tuple[str, float | int, str], list[str]]
    """Planned ones by variant, scale and grouping."""
    same: set[Cell]
    """Planned ones whose runs are the reference's own."""
    kinds: Mapping[str, CellMetric]
    """By task: a cell of it, for the facts of its main metric."""
    invalid: Mapping[str, set[str]]
    """By task: runs that are collapsed or unconverged in it."""


def make_variants(comparison: StudyComparison) -> Variants:
    """Differences of each variant from the study's first one, with intervals and adjusted p values.

    Intervals take seeds and test subjects jointly over the tasks of a mean (subjects alone, with one seed), on the
    seeds that all of them have; where they have none in common, the mean is over each task's own seeds and has no
    interval. Tasks without a seed on both sides are left out, and so are those whose model is the reference's own run
    from interactions. p is adjusted by Holm: of tasks, over those of one grouping, scale and variant; of means, over
    the variants of one grouping and scale; of interactions likewise.
    """
    study = comparison.study
    if len(study.variants) < 2:
        return Variants((), {})
    facts = _facts(comparison)
    sums = list(_sums(facts))
    found = _estimates(sums)
    bounds = quantities([difference.estimate for difference in found.values()], study.confidence)
    estimates = dict.fromkeys((row.key for row in sums), UNKNOWN) | dict(zip(found, bounds, strict=True))
    tests = _tests(sums, found, estimates, facts)
    rows = tuple(_row(one, estimates[one.key], tests[one.key], facts) for one in sums)
    return Variants(rows, capacities(comparison.collection))


def make_variant_table(rows: Sequence[VariantRow]) -> pd.DataFrame:
    """Return rows as a table: the columns of variants.csv, then those for the chapter alone."""
    return pd.DataFrame(rows, columns=list(VariantRow._fields))


def _tests(
    sums: Sequence[_Sum], found: Mapping[Key, Difference], estimates: Mapping[Key, Quantity], facts: _Facts
) -> dict[Key, _Test]:
    """Test every row, and adjust the p values of each family.

    Args:
        sums: the rows.
        found: differences of those that have one.
        estimates: estimates of all rows.
        facts: of the study.
    """
    scarce = {row.key: _scarce(row, found.get(row.key), facts) for row in sums}
    families: dict[tuple[str | float, ...], list[Key]] = {}
    for row in sums:
        family = (row.level, row.scale, row.grouping, row.variant if row.level == "task" else "")
        families.setdefault(family, []).append(row.key)
    tests = {}
    for keys in families.values():
        p_values = [np.nan if scarce[key] else estimates[key].p for key in keys]
        for key, p, adjusted in zip(keys, p_values, holm(p_values).tolist(), strict=True):
            tests[key] = _Test(scarce[key], p, adjusted)
    return tests


def _facts(comparison: StudyComparison) -> _Facts:
    collection, convergence = comparison.collection, comparison.convergence
    main = comparison.observations[comparison.observations["main"]]
    planned: dict[tuple[str, float | int, str], list[str]] = {}
    runs: dict[Cell, set[str]] = {}
    for row in main.to_dict("records"):
        cell = (row["task"], row["grouping"], row["scale"], row["variant"])
        if cell not in runs:
            planned.setdefault((row["variant"], row["scale"], row["grouping"]), []).append(row["task"])
        runs.setdefault(cell, set()).add(row["fingerprint"])
    reference = collection.study.reference
    same = {cell for cell, own in runs.items() if own == runs.get((cell[0], reference, *cell[2:]))}
    bad = convergence[convergence["collapsed"].fillna(False) | convergence["unconverged"].fillna(False)]
    return _Facts(
        collection,
        comparison.weighted_sums,
        comparison.pseudovalues,
        next(iter(collection.study.variants)),
        planned,
        same,
        {row.task: row for row in reversed(comparison.cells) if row.main},
        {str(task): set(rows["fingerprint"]) for task, rows in bad.groupby("task")},
    )


def _sums(facts: _Facts) -> Iterator[_Sum]:
    """All rows, in their order; a variant that has no runs of its own has none."""
    study = facts.collection.study
    others = [name for name in study.variants if name != facts.against]
    for level, scale, grouping, variant in product(LEVELS, study.scales, study.groupings, others):
        tasks = facts.tasks.get((variant, scale, grouping), [])
        if not tasks or (level == "interaction" and grouping == study.reference):
            continue
        for part in [[task] for task in tasks] if level == "task" else [tasks]:
            yield _sum(facts, level, grouping, scale, variant, part)


def _sum(
    facts: _Facts, level: Level, grouping: str, scale: float | int, variant: str, tasks: list[str]
) -> _Sum:  # fmt: skip
    reference = facts.collection.study.reference
    if level == "interaction":
        tasks = [task for task in tasks if (task, grouping, scale, variant) not in facts.same]
    weights = {}
    for task in tasks:
        cell: Cell = (task, grouping, scale, variant)
        own = {cell: 1.0, (*cell[:3], facts.against): -1.0}
        if level == "interaction":
            own |= {(task, reference, scale, name): -own[task, grouping, scale, name] for _, _, _, name in tuple(own)}
        if facts.sums.seeds(own):
            weights[task] = own
    mean = {cell: weight / len(weights) for own in weights.values() for cell, weight in own.items()}
    task = tasks[0] if level == "task" else ""
    contrast = facts.sums.of_skill(mean) if mean else None
    return _Sum(level, grouping, scale, variant, task, weights, len(tasks), contrast)


def _estimates(sums: list[_Sum]) -> dict[Key, Difference]:
    """The variance between seeds is pooled over groupings and scales, within a variant, task and level."""
    found: dict[Key, Difference] = {}
    for level in LEVELS:
        known = {one.key: one.contrast for one in sums if one.level == level and one.contrast is not None}
        tables = {key: contrast.table for key, contrast in known.items()}
        runs: dict[Key, Key] = {key: contrast.runs for key, contrast in known.items()}
        found |= pooled_by_task(tables, runs, CELL, _SHARED[level])
    return found


def _row(one: _Sum, estimate: Quantity, test: _Test, facts: _Facts) -> VariantRow:
    seeds = () if one.contrast is None else one.contrast.seeds
    invalid = sum(_is_invalid(facts, task, weights) for task, weights in one.weights.items())
    return VariantRow(
        level=one.level,
        grouping=one.grouping,
        scale=one.scale,
        variant=one.variant,
        against=facts.against,
        task=one.task,
        delta_skill=estimate.value if seeds else _mean_of_own_seeds(one, facts),
        low=estimate.low,
        high=estimate.high,
        p=test.p,
        p_adjusted=test.p_adjusted,
        seeds=len(seeds),
        tasks=len(one.weights),
        note="; ".join(_notes(one, facts, test.scarce, invalid)),
        planned=len(facts.collection.study.seeds),
        sharing=_sharing(one, facts, one.variant, 1.0),
        sharing_against=_sharing(one, facts, facts.against, -1.0),
        invalid=invalid,
    )


def _scarce(one: _Sum, found: Difference | None, facts: _Facts) -> str:
    """Why a difference is not tested."""
    if found is None or one.contrast is None:
        return ""
    if not one.contrast.whole:
        return "no predictions"
    if one.level != "task":
        return ""
    if not found.table.any():
        return "same numbers"  # of two runs, as where a variant changes nothing for a task alone
    cell = replace(facts.kinds[one.task], grouping=one.grouping, scale=one.scale, variant=one.variant)
    return scarcity(cell, found, facts.pseudovalues)


def _mean_of_own_seeds(one: _Sum, facts: _Facts) -> float:
    """Of tasks that have no seed in common: each over those that it has."""
    own = [facts.sums.mean_skill(weights, facts.sums.seeds(weights)) for weights in one.weights.values()]
    return float(np.mean(own)) if own else np.nan


def _sharing(one: _Sum, facts: _Facts, variant: str, sign: float) -> float:
    """Return the grouping's mean difference from the reference under a variant; NaN if the row is no interaction.

    Args:
        one: the row.
        facts: of the study.
        variant: the row's own, or the one that it is compared with.
        sign: of the grouping's cell under the variant in the row's weights.
    """
    if one.level != "interaction" or not one.weights:
        return np.nan
    seeds = () if one.contrast is None else one.contrast.seeds
    means = []
    for weights in one.weights.values():
        side = {cell: sign * weight for cell, weight in weights.items() if cell[3] == variant}
        means.append(facts.sums.mean_skill(side, seeds or facts.sums.seeds(weights)))
    return float(np.mean(means))


def _is_invalid(facts: _Facts, task: str, weights: Mapping[Cell, float]) -> bool:
    """Whether most seeds of one of the cells are collapsed or unconverged."""
    bad = facts.invalid.get(task, set())
    for cell in weights:
        runs = [facts.sums.run(cell, seed) for seed in facts.sums.seeds([cell])]
        if 2 * sum(run in bad for run in runs) > len(runs):
            return True
    return False


def _notes(one: _Sum, facts: _Facts, scarce: str, invalid: int) -> list[str]:
    seeds = 0 if one.contrast is None else len(one.contrast.seeds)
    asked, tasks = len(facts.collection.study.seeds), len(one.weights)
    if not one.planned:
        return ["same run"]
    if not tasks:
        return ["missing"]
    said = [scarce] if scarce else []
    if seeds == 1:
        said.append("provisional")
    if tasks < one.planned:
        said.append(f"{tasks} of {one.planned} tasks")
    if not seeds:
        said.append("tasks have no seed in common: no interval")
    elif seeds < asked:
        said.append(f"{seeds} of {asked} seeds")
    if invalid:
        said.append("collapsed or unconverged" if one.task else f"{invalid} of {tasks} tasks collapsed or unconverged")
    return said
