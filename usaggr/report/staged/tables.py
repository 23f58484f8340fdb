"""Staged groupings against what they would be in one stage: the same blocks, and the grouping that they start from.

All differences are in skill on the main metrics, on the same test fold, seed by seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd

from usaggr.analysis.cell_scores import Cell
from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import StudyComparison
from usaggr.analysis.comparison import CELL
from usaggr.analysis.contrasts import Contrast, Skills
from usaggr.analysis.difference_intervals import Key, pooled_by_task
from usaggr.analysis.weighted_sums import UNKNOWN, quantities
from usaggr.statistics.holm import holm

STAGED_COLUMNS = (
    "grouping", "parent", "share", "budget", "scale", "variant", "against", "is", "delta_skill", "low", "high", "p",
    "p_adjusted", "tasks", "seeds", "note",
)  # fmt: skip
"""Of staged.csv: a row a staged grouping, scale, variant and grouping in one stage that it is compared with. `is`: what
that is to it, `same blocks` or `parent`. delta_skill: mean over tasks, positive where the staged one is better. p is
adjusted by Holm over the rows of one scale and variant."""
Kin = Literal["same blocks", "parent"]


@dataclass(frozen=True)
class _Row:
    grouping: str
    scale: float | int
    variant: str
    against: str
    kin: Kin
    tasks: int
    left_out: tuple[str, ...]
    """Tasks without a seed on both sides."""
    contrast: Contrast | None

    @property
    def key(self) -> Key:
        """By the names of CELL: rows against one grouping are pooled over scales and groupings."""
        return (self.variant, self.scale, self.grouping, "", self.against)


def make_staged(comparison: StudyComparison) -> pd.DataFrame:
    """STAGED_COLUMNS; without rows where the study has no staged groupings, or nothing to compare them with.

    Intervals take seeds and test subjects jointly over the tasks, on the seeds that all of them have on both sides.
    """
    columns = list(STAGED_COLUMNS)
    collection, study = comparison.collection, comparison.study
    rows = list(_rows(collection, comparison.skills)) if study.staged else []
    tables = {row.key: row.contrast.table for row in rows if row.contrast is not None}
    runs: dict[Key, Key] = {row.key: row.contrast.runs for row in rows if row.contrast is not None}
    found = pooled_by_task(tables, runs, CELL, ("scale",))
    bounds = quantities([difference.estimate for difference in found.values()], study.confidence)
    estimates = dict(zip(found, bounds, strict=True))
    said = []
    for row in rows:
        value = estimates.get(row.key, UNKNOWN)
        said.append(_told(row, collection) | {
            "delta_skill": value.value, "low": value.low, "high": value.high, "p": value.p, "p_adjusted": np.nan,
        })  # fmt: skip
    table = pd.DataFrame(said, columns=columns)
    for _, family in table.groupby(["variant", "scale"], sort=False):
        table.loc[family.index, "p_adjusted"] = holm(family["p"].to_numpy(dtype=float))
    return table.astype(dict.fromkeys(("delta_skill", "low", "high", "p", "p_adjusted"), "float64"))


def _rows(collection: Collection, skills: Skills) -> Iterator[_Row]:
    study = collection.study
    for grouping, scale, variant in product(study.staged, study.scales, study.variants):
        if grouping not in study.groupings:
            continue
        for against, kin in counterparts(collection, grouping).items():
            pairs: dict[str, dict[Cell, float]] = {}
            for task in collection.tasks:
                pair: dict[Cell, float] = {
                    (task, grouping, scale, variant): 1.0, (task, against, scale, variant): -1.0
                }  # fmt: skip
                if skills.seeds(pair):
                    pairs[task] = pair
            mean = {cell: weight / len(pairs) for pair in pairs.values() for cell, weight in pair.items()}
            left_out = tuple(task for task in collection.tasks if task not in pairs)
            contrast = skills.contrast(mean) if mean else None
            yield _Row(grouping, scale, variant, against, kin, len(pairs), left_out, contrast)


def counterparts(collection: Collection, grouping: str) -> dict[str, Kin]:
    """Groupings in one stage with which a staged one is compared, as far as the study has them."""
    study = collection.study
    plain = [name for name in study.groupings if name not in study.staged]
    own = blocks_of(collection, grouping)
    found: dict[str, Kin] = {name: "same blocks" for name in plain if own and blocks_of(collection, name) == own}
    parent = study.staged[grouping].parent
    return found | ({parent: "parent"} if parent in plain and parent not in found else {})


def blocks_of(collection: Collection, grouping: str) -> frozenset[tuple[str, ...]]:
    """The blocks of a grouping, as its runs have them."""
    return frozenset(run.row.tasks for run in collection.runs if grouping in run.row.groupings)


def _told(row: _Row, collection: Collection) -> dict[str, Any]:
    staging = collection.study.staged[row.grouping]
    notes = []
    if row.left_out:
        notes.append(f"without {', '.join(row.left_out)}")
    if row.tasks and row.contrast is None:
        notes.append("no seed that all tasks have")
    if row.contrast is not None and not row.contrast.whole:
        notes.append("no predictions of some runs: seeds alone")
    return {
        "grouping": row.grouping, "parent": staging.parent, "share": staging.share, "budget": staging.budget,
        "scale": row.scale, "variant": row.variant, "against": row.against, "is": row.kin, "tasks": row.tasks,
        "seeds": 0 if row.contrast is None else len(row.contrast.seeds), "note": "; ".join(notes),
    }  # fmt: skip
