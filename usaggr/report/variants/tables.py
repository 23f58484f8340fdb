"""Effects of the variants, compared with the study's first one: under the same grouping, and on the effect of sharing.

All differences are in skill on the main metrics, which are computed at the images' original resolution for every
variant.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from usaggr.analysis.capacity import Capacity, measure_capacities
from usaggr.analysis.cell_pseudovalues import Cell, CellPseudovalues
from usaggr.analysis.cell_rows import CellMetric
from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import Scale, StudyComparison
from usaggr.analysis.difference_intervals import Difference, Key, moderate_by_metric, moderate_sums
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.untested_cells import explain_scarcity
from usaggr.analysis.weighted_sums import NOT_ESTIMATED, WeightedSum, WeightedSums, make_quantities
from usaggr.statistics.claims import Quantity
from usaggr.statistics.holm import holm
from usaggr.statistics.verdicts import PROVISIONAL_SEEDS

VARIANT_COLUMNS = (
    "level", "grouping", "scale", "variant", "against", "task", "delta_skill", "low", "high", "p", "p_adjusted",
    "seeds", "tasks", "note",
)  # fmt: skip
"""Columns of variants.csv, the first fields of `VariantRow`."""
Level = Literal["all", "interaction", "task"]
LEVELS: tuple[Level, ...] = ("all", "interaction", "task")


class VariantRow(NamedTuple):
    """Effect of one variant under one grouping at one scale, on one task or on the mean over tasks."""

    level: Level
    """Kind of effect. `task`: the variant's skill minus the first one's under the same grouping; `all`: the mean of
    these over tasks; `interaction`: the grouping's difference from the reference under the variant, minus the same
    difference under the first one, as the mean over tasks."""
    grouping: str
    """Grouping under which both are compared."""
    scale: Scale
    """Fraction of each task's training samples, or their maximum number."""
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
    """Upper end of the interval."""
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
    """Sizes by variant."""


@dataclass(frozen=True)
class _Sum:
    """A row whose effect is not estimated yet."""

    level: Level
    grouping: str
    scale: float | int
    variant: str
    task: str
    """The task; empty for a mean over tasks."""
    weights: dict[str, dict[Cell, float]]
    """Weights of cells in each task's difference, by task; the effect is the mean of these differences."""
    planned: int
    """Number of tasks that should be in the mean."""
    contrast: WeightedSum | None

    @property
    def key(self) -> Key:
        """Values of the columns CELL, with the level in the place of the last one."""
        return (self.variant, self.scale, self.grouping, self.task, self.level)


@dataclass(frozen=True)
class _Test:
    """Result of the test of one row."""

    scarce: str
    """Reason for no test; empty if there is one, or no difference."""
    p: float
    p_adjusted: float


@dataclass(frozen=True)
class _Facts:
    """Data that rows are computed from."""

    collection: Collection
    sums: WeightedSums
    pseudovalues: CellPseudovalues
    against: str
    tasks: Mapping[tuple[str, float | int, str], list[str]]
    """Planned tasks, by variant, scale and grouping."""
    same: set[Cell]
    """Planned cells whose runs are those of the reference."""
    kinds: Mapping[str, CellMetric]
    """A cell of each task, for the properties of its main metric."""
    invalid: Mapping[str, set[str]]
    """Runs that are collapsed or unconverged on a task, by task."""


def make_variants(comparison: StudyComparison) -> Variants:
    """Return the differences of each variant from the study's first one, with intervals and adjusted p values.

    Intervals take seeds and test subjects jointly over the tasks of a mean, on the seeds that all of them have; with
    one seed, they take only subjects. If the tasks have no seed in common, the mean is over the seeds of each task and
    has no interval. Tasks without a seed on both sides are left out. Interactions also leave out tasks that use the
    same model as under the reference. p is adjusted by Holm: for tasks over those of one grouping, scale and variant;
    for means and for interactions over the variants of one grouping and scale.
    """
    study = comparison.study
    if len(study.variants) < 2:
        return Variants((), {})
    facts = _gather_facts(comparison)
    sums = list(_list_sums(facts))
    differences = _estimate_rows(sums)
    bounds = make_quantities([difference.estimate for difference in differences.values()], study.confidence)
    estimates = dict.fromkeys((row.key for row in sums), NOT_ESTIMATED) | dict(zip(differences, bounds, strict=True))
    tests = _test_rows(sums, differences, estimates, facts)
    effects = tuple(_make_row(row, estimates[row.key], tests[row.key], facts) for row in sums)
    return Variants(effects, measure_capacities(comparison.collection))


def make_variant_table(effects: Sequence[VariantRow]) -> pd.DataFrame:
    """Return effects as a table: the columns of variants.csv, then those that only the chapter uses."""
    return pd.DataFrame(effects, columns=list(VariantRow._fields))


def _test_rows(
    sums: Sequence[_Sum], differences: Mapping[Key, Difference], estimates: Mapping[Key, Quantity], facts: _Facts
) -> dict[Key, _Test]:
    """Test every row, and adjust the p values of each family.

    Args:
        sums: The rows.
        differences: Differences of the rows that have one.
        estimates: Estimates of all rows.
        facts: Data of the study.
    """
    scarce = {row.key: _explain_no_test(row, differences.get(row.key), facts) for row in sums}
    families: dict[tuple[str | float, ...], list[Key]] = {}
    for row in sums:
        family = (row.level, row.scale, row.grouping, row.variant if row.level == "task" else "")
        families.setdefault(family, []).append(row.key)
    tests = {}
    for keys in families.values():
        # `holm` does not count NaN, so a row without a test does not enlarge its family.
        p_values = [np.nan if scarce[key] else estimates[key].p for key in keys]
        for key, p, adjusted in zip(keys, p_values, holm(p_values).tolist(), strict=True):
            tests[key] = _Test(scarce[key], p, adjusted)
    return tests


def _gather_facts(comparison: StudyComparison) -> _Facts:
    collection, convergence = comparison.collection, comparison.convergence
    planned: dict[tuple[str, float | int, str], list[str]] = {}
    runs: dict[Cell, set[str]] = {}
    for row in comparison.observations:
        if not row.main:
            continue
        if row.cell not in runs:
            planned.setdefault((row.variant, row.scale, row.grouping), []).append(row.task)
        runs.setdefault(row.cell, set()).add(row.fingerprint)
    reference = collection.study.reference
    # Equal fingerprints of all seeds: the block is the same in the grouping and in the reference.
    same = {cell for cell, fingerprints in runs.items() if fingerprints == runs.get((cell[0], reference, *cell[2:]))}
    invalid = convergence[convergence["collapsed"].fillna(False) | convergence["unconverged"].fillna(False)]
    return _Facts(
        collection,
        comparison.weighted_sums,
        comparison.pseudovalues,
        next(iter(collection.study.variants)),
        planned,
        same,
        # Reversed, so that the first cell of each task stays.
        {cell.task: cell for cell in reversed(comparison.cells) if cell.main},
        {str(task): set(runs_of_task["fingerprint"]) for task, runs_of_task in invalid.groupby("task")},
    )


def _list_sums(facts: _Facts) -> Iterator[_Sum]:
    """Yield all rows in order; a variant without runs has no rows."""
    study = facts.collection.study
    variants = [name for name in study.variants if name != facts.against]
    for level, scale, grouping, variant in product(LEVELS, study.scales, study.groupings, variants):
        tasks = facts.tasks.get((variant, scale, grouping), [])
        if not tasks or (level == "interaction" and grouping == study.reference):
            continue
        for averaged in [[task] for task in tasks] if level == "task" else [tasks]:
            yield _make_sum(facts, level, grouping, scale, variant, averaged)


def _make_sum(
    facts: _Facts, level: Level, grouping: str, scale: float | int, variant: str, tasks: list[str]
) -> _Sum:  # fmt: skip
    """Return a row that is not estimated yet.

    Args:
        facts: Data of the study.
        level: Level of the row.
        grouping: Grouping under which variants are compared.
        scale: Scale of the runs.
        variant: Variant that is compared with the first one.
        tasks: Planned tasks of the mean; a single one for the level `task`.
    """
    reference = facts.collection.study.reference
    if level == "interaction":
        # A task with the same run in grouping and reference has no effect of sharing, and would dilute the mean.
        tasks = [task for task in tasks if (task, grouping, scale, variant) not in facts.same]
    weights = {}
    for task in tasks:
        cell: Cell = (task, grouping, scale, variant)
        task_weights = {cell: 1.0, (*cell[:3], facts.against): -1.0}
        if level == "interaction":
            # Subtract the same difference under the reference.
            task_weights |= {(task, reference, scale, cell[3]): -weight for cell, weight in task_weights.items()}
        if facts.sums.list_common_seeds(task_weights):
            weights[task] = task_weights
    # Every cell belongs to one task, so that no weight of a task overwrites another's.
    mean = {cell: weight / len(weights) for by_cell in weights.values() for cell, weight in by_cell.items()}
    task = tasks[0] if level == "task" else ""
    contrast = facts.sums.sum_skill(mean) if mean else None
    return _Sum(level, grouping, scale, variant, task, weights, len(tasks), contrast)


def _estimate_rows(sums: list[_Sum]) -> dict[Key, Difference]:
    """Return the differences by row, with the variance between seeds moderated over the rows of a variant and level."""
    differences: dict[Key, Difference] = {}
    for level in LEVELS:
        contrasts = {row.key: row.contrast for row in sums if row.level == level and row.contrast is not None}
        tables = {key: contrast.table for key, contrast in contrasts.items()}
        if level == "task":
            differences |= moderate_by_metric(tables)
            continue
        for keys in group_rows(tables, lambda key: key[0]).values():  # variant
            differences |= moderate_sums({key: tables[key] for key in keys})
    return differences


def _make_row(row: _Sum, estimate: Quantity, test: _Test, facts: _Facts) -> VariantRow:
    seeds = () if row.contrast is None else row.contrast.seeds
    invalid = sum(_is_invalid(facts, task, weights) for task, weights in row.weights.items())
    return VariantRow(
        level=row.level,
        grouping=row.grouping,
        scale=row.scale,
        variant=row.variant,
        against=facts.against,
        task=row.task,
        delta_skill=estimate.value if seeds else _average_over_own_seeds(row, facts),
        low=estimate.low,
        high=estimate.high,
        p=test.p,
        p_adjusted=test.p_adjusted,
        seeds=len(seeds),
        tasks=len(row.weights),
        note="; ".join(_write_notes(row, facts, test.scarce, invalid)),
        planned=len(facts.collection.study.seeds),
        sharing=_measure_sharing(row, facts, row.variant, 1.0),
        sharing_against=_measure_sharing(row, facts, facts.against, -1.0),
        invalid=invalid,
    )


def _explain_no_test(row: _Sum, difference: Difference | None, facts: _Facts) -> str:
    """Return the reason why a difference is not tested; empty if it is tested, or if there is none.

    Args:
        row: The row.
        difference: The difference of the row; None without one.
        facts: Data of the study.
    """
    if difference is None or row.contrast is None:
        return ""
    if not row.contrast.has_predictions:
        return "no predictions"
    if row.level != "task":
        return ""
    if not difference.table.any():
        # Two runs have the same numbers if the variant changes nothing for a model of one task.
        return "same numbers"
    cell = replace(facts.kinds[row.task], grouping=row.grouping, scale=row.scale, variant=row.variant)
    against: Cell = (*cell.cell[:3], facts.against)
    return explain_scarcity(cell, difference, facts.pseudovalues, against, row.contrast.seeds)


def _average_over_own_seeds(row: _Sum, facts: _Facts) -> float:
    """Return the mean over tasks that have no seed in common, each over its own seeds."""
    means = [
        facts.sums.average_skill(weights, facts.sums.list_common_seeds(weights)) for weights in row.weights.values()
    ]
    return float(np.mean(means)) if means else np.nan


def _measure_sharing(row: _Sum, facts: _Facts, variant: str, sign: float) -> float:
    """Return the grouping's mean difference from the reference under a variant; NaN if the row is not an interaction.

    Args:
        row: The row.
        facts: Data of the study.
        variant: The row's variant, or the one that it is compared with.
        sign: Sign of the grouping's cell under the variant in the row's weights.
    """
    if row.level != "interaction" or not row.weights:
        return np.nan
    seeds = () if row.contrast is None else row.contrast.seeds
    means = []
    for weights in row.weights.values():
        side = {cell: sign * weight for cell, weight in weights.items() if cell[3] == variant}
        means.append(facts.sums.average_skill(side, seeds or facts.sums.list_common_seeds(weights)))
    return float(np.mean(means))


def _is_invalid(facts: _Facts, task: str, weights: Mapping[Cell, float]) -> bool:
    """Return true if most seeds of any of the cells are collapsed or unconverged."""
    invalid = facts.invalid.get(task, set())
    for cell in weights:
        runs = [facts.sums.get_fingerprint(cell, seed) for seed in facts.sums.list_common_seeds([cell])]
        if 2 * sum(run in invalid for run in runs) > len(runs):
            return True
    return False


def _write_notes(row: _Sum, facts: _Facts, scarce: str, invalid: int) -> list[str]:
    seeds = 0 if row.contrast is None else len(row.contrast.seeds)
    planned, tasks = len(facts.collection.study.seeds), len(row.weights)
    if not row.planned:
        return ["same run"]
    if not tasks:
        return ["missing"]
    notes = [scarce] if scarce else []
    if 1 <= seeds <= PROVISIONAL_SEEDS:
        notes.append("provisional")
    if tasks < row.planned:
        notes.append(f"{tasks} of {row.planned} tasks")
    if not seeds:
        notes.append("tasks have no seed in common: no interval")
    elif seeds < planned:
        notes.append(f"{seeds} of {planned} seeds")
    if invalid:
        notes.append("collapsed or unconverged" if row.task else f"{invalid} of {tasks} tasks collapsed or unconverged")
    return notes
