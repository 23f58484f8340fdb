"""Variants compared with the study's first one: under the same grouping, and in what they make of sharing a model.

All differences are in skill on the main metrics, which is at the images' original resolution whatever the variant.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd

from usaggr.analysis.capacity import Capacity, capacities
from usaggr.analysis.cell_scores import Cases, Cell
from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import StudyComparison
from usaggr.analysis.comparison import CELL
from usaggr.analysis.contrasts import Contrast, Skills
from usaggr.analysis.difference_intervals import Difference, Key, pooled_by_task
from usaggr.analysis.verdict_table import scarcity
from usaggr.analysis.weighted_sums import UNKNOWN, quantities
from usaggr.statistics.claims import Quantity
from usaggr.statistics.holm import holm

VARIANT_COLUMNS = (
    "level", "grouping", "scale", "variant", "against", "task", "delta_skill", "low", "high", "p", "p_adjusted",
    "seeds", "tasks", "note",
)  # fmt: skip
"""Of variants.csv."""
OWN_COLUMNS = ("planned", "sharing", "sharing_against", "invalid")
"""For the chapter alone: see `Variants.effects`."""
Level = Literal["all", "interaction", "task"]
LEVELS: tuple[Level, ...] = ("all", "interaction", "task")
_FAMILIES: dict[Level, list[str]] = {
    "all": ["scale", "grouping"], "interaction": ["scale", "grouping"], "task": ["scale", "grouping", "variant"]
}  # fmt: skip
"""Rows with the same values here have their p values adjusted together."""
_SHARED: dict[Level, tuple[str, ...]] = {
    "all": ("scale", "grouping"), "task": ("scale", "grouping"), "interaction": ("scale",)
}  # fmt: skip
"""What sums have in common whose runs are partly the same: interactions of one scale share the reference's."""


@dataclass(frozen=True)
class Variants:
    """What is known of the variants; without rows where a study has only one."""

    effects: pd.DataFrame
    """VARIANT_COLUMNS and OWN_COLUMNS. level: `task`, a variant's skill less the first one's under the same grouping;
    `all`, its mean over tasks; `interaction`, how much more (or less) a grouping differs from the reference under the
    variant than under the first one, as the mean over tasks: sharing - sharing_against. planned: seeds asked for;
    invalid: tasks of the mean in which a cell is collapsed or unconverged."""
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
    contrast: Contrast | None

    @property
    def key(self) -> Key:
        """By the names of CELL."""
        return (self.variant, self.scale, self.grouping, self.task, self.level)


@dataclass(frozen=True)
class _Facts:
    """What rows are made from."""

    collection: Collection
    skills: Skills
    cases: Cases
    against: str
    tasks: Mapping[tuple[str, float | int, str], list[str]]
    """Planned ones by variant, scale and grouping."""
    same: set[Cell]
    """Planned ones whose runs are the reference's own."""
    kinds: Mapping[str, dict[Any, Any]]
    """A main metric's facts by task: metric, task_type, n_subjects."""
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
    study, columns = comparison.study, [*VARIANT_COLUMNS, *OWN_COLUMNS]
    if len(study.variants) < 2:
        return Variants(pd.DataFrame(columns=columns), {})
    facts = _facts(comparison)
    sums = list(_sums(facts))
    found = _estimates(sums)
    bounds = quantities([difference.estimate for difference in found.values()], study.confidence)
    estimates = dict(zip(found, bounds, strict=True))
    rows = [_row(one, found.get(one.key), estimates.get(one.key, UNKNOWN), facts) for one in sums]
    table = pd.DataFrame(rows, columns=columns)
    for level in LEVELS:
        for _, family in table[table["level"] == level].groupby(_FAMILIES[level], sort=False):
            table.loc[family.index, "p_adjusted"] = holm(family["p"].to_numpy(dtype=float))
    floats = ("delta_skill", "low", "high", "p", "p_adjusted", "sharing", "sharing_against")
    return Variants(table.astype(dict.fromkeys(floats, "float64")), capacities(comparison.collection))


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
        comparison.skills,
        comparison.cases,
        next(iter(collection.study.variants)),
        planned,
        same,
        {row["task"]: row for row in main.drop_duplicates("task").to_dict("records")},
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
        if facts.skills.seeds(own):
            weights[task] = own
    mean = {cell: weight / len(weights) for own in weights.values() for cell, weight in own.items()}
    task = tasks[0] if level == "task" else ""
    contrast = facts.skills.contrast(mean) if mean else None
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


def _row(one: _Sum, found: Difference | None, estimate: Quantity, facts: _Facts) -> dict[str, Any]:
    seeds = () if one.contrast is None else one.contrast.seeds
    invalid = [task for task, own in one.weights.items() if _is_invalid(facts, task, own)]
    scarce = _scarce(one, found, facts)
    mean = estimate.value if seeds else _mean_of_own_seeds(one, facts)
    return {
        "level": one.level, "grouping": one.grouping, "scale": one.scale, "variant": one.variant,
        "against": facts.against, "task": one.task, "delta_skill": mean, "low": estimate.low, "high": estimate.high,
        "p": np.nan if scarce else estimate.p, "p_adjusted": np.nan, "seeds": len(seeds),
        "tasks": len(one.weights), "note": "; ".join(_notes(one, facts, scarce, len(invalid))),
        "planned": len(facts.collection.study.seeds), **_sharing(one, facts, seeds), "invalid": len(invalid),
    }  # fmt: skip


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
    row = {**facts.kinds[one.task], "grouping": one.grouping, "scale": one.scale, "variant": one.variant}
    return scarcity(row, found, facts.cases)


def _mean_of_own_seeds(one: _Sum, facts: _Facts) -> float:
    """Of tasks that have no seed in common: each over those that it has."""
    own = [facts.skills.mean(weights, facts.skills.seeds(weights)) for weights in one.weights.values()]
    return float(np.mean(own)) if own else np.nan


def _sharing(one: _Sum, facts: _Facts, seeds: tuple[int, ...]) -> dict[str, float]:
    """What the grouping does against the reference under the variant, and under the first one."""
    found = {"sharing": np.nan, "sharing_against": np.nan}
    if one.level != "interaction" or not one.weights:
        return found
    for name, variant, sign in (("sharing", one.variant, 1.0), ("sharing_against", facts.against, -1.0)):
        means = []
        for weights in one.weights.values():
            side = {cell: sign * weight for cell, weight in weights.items() if cell[3] == variant}
            means.append(facts.skills.mean(side, seeds or facts.skills.seeds(weights)))
        found[name] = float(np.mean(means))
    return found


def _is_invalid(facts: _Facts, task: str, weights: Mapping[Cell, float]) -> bool:
    """Whether most seeds of one of the cells are collapsed or unconverged."""
    bad = facts.invalid.get(task, set())
    for cell in weights:
        runs = [facts.skills.run(cell, seed) for seed in facts.skills.seeds([cell])]
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
