"""Differences of staged groupings from the same blocks in one stage, and from the grouping that they start from.

All differences are in skill on the main metrics, on the same test set, seed by seed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from usaggr.analysis.cell_pseudovalues import Cell
from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import StudyComparison
from usaggr.analysis.difference_intervals import Difference, Key, moderate_sums
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.weighted_sums import NOT_ESTIMATED, WeightedSum, WeightedSums, make_quantities
from usaggr.statistics.claims import Quantity
from usaggr.statistics.holm import holm

STAGED_COLUMNS = (
    "grouping", "parent", "share", "budget", "scale", "variant", "against", "is", "delta_skill", "low", "high", "p",
    "p_adjusted", "tasks", "seeds", "note",
)  # fmt: skip
"""Columns of staged.csv, one for each field of `StagedRow`."""
Relation = Literal["same blocks", "parent"]
"""Relation of a grouping to the staged one: it has the same blocks, or the staged one starts from its models."""


class StagedRow(NamedTuple):
    """Difference of a staged grouping from a grouping in one stage, at one scale, under one variant."""

    grouping: str
    """The staged grouping."""
    parent: str
    """Grouping whose models it starts from."""
    share: float
    """Fraction of each task's examples that the first stage sees."""
    budget: str
    """`equal`: both stages see as many examples as one stage does; `extra`: the second stage sees more."""
    scale: float | int
    """Fraction of each task's training samples, or their maximum number."""
    variant: str
    """Name of the variant of the study."""
    against: str
    """The grouping in one stage that it is compared with."""
    relation: Relation
    """Relation of `against` to the staged grouping; column `is` of staged.csv."""
    delta_skill: float
    """Mean difference in skill over tasks, positive if the staged grouping is better; NaN if it is not estimated."""
    low: float
    """Lower end of the interval of `delta_skill`; NaN without one."""
    high: float
    """Upper end of the interval."""
    p: float
    """Two-sided p value of no difference; NaN if it is not tested."""
    p_adjusted: float
    """`p` adjusted by Holm over the rows of one scale and variant."""
    tasks: int
    """Number of tasks in the mean."""
    seeds: int
    """Number of seeds that all of these tasks have on both sides."""
    note: str
    """Remarks on the difference, joined by semicolons."""


@dataclass(frozen=True)
class _Difference:
    """A row whose difference is not estimated yet."""

    grouping: str
    scale: float | int
    variant: str
    against: str
    relation: Relation
    tasks: int
    """Number of tasks in the mean."""
    left_out: tuple[str, ...]
    """Tasks without a seed on both sides."""
    contrast: WeightedSum | None
    """Mean difference over the tasks, by seed; None if the tasks have no seed in common."""

    @property
    def key(self) -> Key:
        """Values of the columns CELL; the last one is the counterpart."""
        return (self.variant, self.scale, self.grouping, "", self.against)


def make_staged(comparison: StudyComparison) -> tuple[StagedRow, ...]:
    """Compare each staged grouping with its counterparts in one stage.

    Intervals take seeds and test subjects jointly over the tasks, on the seeds that all of them have on both sides.

    Returns:
        A row for each staged grouping, scale, variant and counterpart; none without staged groupings or counterparts.
    """
    collection, study = comparison.collection, comparison.study
    differences = list(_list_differences(collection, comparison.weighted_sums)) if study.staged else []
    estimates = _estimate(differences, study.confidence)
    adjusted = _adjust(differences, estimates)
    return tuple(
        StagedRow(
            grouping=row.grouping,
            parent=study.staged[row.grouping].parent,
            share=study.staged[row.grouping].share,
            budget=study.staged[row.grouping].budget,
            scale=row.scale,
            variant=row.variant,
            against=row.against,
            relation=row.relation,
            delta_skill=estimates[row.key].value,
            low=estimates[row.key].low,
            high=estimates[row.key].high,
            p=estimates[row.key].p,
            p_adjusted=adjusted[row.key],
            tasks=row.tasks,
            seeds=0 if row.contrast is None else len(row.contrast.seeds),
            note="; ".join(_list_notes(row)),
        )
        for row in differences
    )


def make_staged_table(comparisons: Sequence[StagedRow]) -> pd.DataFrame:
    """Return the table that staged.csv is written from."""
    return pd.DataFrame(comparisons, columns=list(STAGED_COLUMNS))


def _estimate(differences: Sequence[_Difference], confidence: float) -> dict[Key, Quantity]:
    """Estimate every difference, with an interval if it has a contrast."""
    tables = {row.key: row.contrast.table for row in differences if row.contrast is not None}
    moderated: dict[Key, Difference] = {}
    for keys in group_rows(tables, lambda key: (key[0], key[-1])).values():  # variant and counterpart
        moderated |= moderate_sums({key: tables[key] for key in keys})
    bounds = make_quantities([difference.estimate for difference in moderated.values()], confidence)
    return {row.key: NOT_ESTIMATED for row in differences} | dict(zip(moderated, bounds, strict=True))


def _adjust(differences: Sequence[_Difference], estimates: Mapping[Key, Quantity]) -> dict[Key, float]:
    """Return the p values, adjusted by Holm over the rows of one variant and scale."""
    families: dict[tuple[str, float | int], list[Key]] = {}
    for row in differences:
        families.setdefault((row.variant, row.scale), []).append(row.key)
    adjusted: dict[Key, float] = {}
    for keys in families.values():
        p_values = holm(np.array([estimates[key].p for key in keys], dtype=float))
        adjusted |= dict(zip(keys, p_values.tolist(), strict=True))
    return adjusted


def _list_differences(collection: Collection, sums: WeightedSums) -> Iterator[_Difference]:
    """Yield each staged grouping at each scale and variant with each of its counterparts."""
    study = collection.study
    for grouping, scale, variant in product(study.staged, study.scales, study.variants):
        if grouping not in study.groupings:
            continue
        for against, relation in find_counterparts(collection, grouping).items():
            pairs: dict[str, dict[Cell, float]] = {}
            for task in collection.tasks:
                pair: dict[Cell, float] = {
                    (task, grouping, scale, variant): 1.0, (task, against, scale, variant): -1.0
                }  # fmt: skip
                if sums.list_common_seeds(pair):
                    pairs[task] = pair
            # Weights of the mean over tasks of staged minus counterpart.
            mean = {cell: weight / len(pairs) for pair in pairs.values() for cell, weight in pair.items()}
            left_out = tuple(task for task in collection.tasks if task not in pairs)
            contrast = sums.sum_skill(mean) if mean else None
            yield _Difference(grouping, scale, variant, against, relation, len(pairs), left_out, contrast)


def find_counterparts(collection: Collection, grouping: str) -> dict[str, Relation]:
    """Return the groupings in one stage that a staged one is compared with, as far as the study has them."""
    study = collection.study
    one_stage = [name for name in study.groupings if name not in study.staged]
    blocks = list_blocks(collection, grouping)
    relation: dict[str, Relation] = {
        name: "same blocks" for name in one_stage if blocks and list_blocks(collection, name) == blocks
    }
    parent = study.staged[grouping].parent
    # A parent that also has the same blocks is listed once, under the relation that says more.
    return relation | ({parent: "parent"} if parent in one_stage and parent not in relation else {})


def list_blocks(collection: Collection, grouping: str) -> frozenset[tuple[str, ...]]:
    """Return the blocks of a grouping, from its runs."""
    return frozenset(run.row.tasks for run in collection.runs if grouping in run.row.groupings)


def _list_notes(row: _Difference) -> list[str]:
    notes = []
    if row.left_out:
        notes.append(f"without {', '.join(row.left_out)}")
    if row.tasks and row.contrast is None:
        notes.append("no seed that all tasks have")
    if row.contrast is not None and not row.contrast.has_predictions:
        notes.append("no predictions of some runs: seeds alone")
    return notes
