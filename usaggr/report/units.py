"""Differences of a grouping from the reference over several tasks, in units that tasks share.

A task's difference becomes a part of a joint table over tasks (evidence/joint.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from usaggr.evidence.joint import Part
from usaggr.evidence.relative import relative_pseudovalues, skill_pseudovalues
from usaggr.metrics.names import metric as metric_of
from usaggr.report.cases import Cases

Unit = Literal["relative", "skill"]
Where = tuple[str, float | int]
"""task, scale"""


@dataclass(frozen=True)
class Shared:
    """Differences of one grouping and variant at the seeds that all its cells have."""

    parts: dict[Where, dict[Unit, Part]]
    """By task and scale, each with weight 1."""
    seeds: tuple[int, ...]

    def weighted(self, unit: Unit, weights: Mapping[Where, float]) -> list[Part]:
        """Parts of a linear combination."""
        return [replace(self.parts[where][unit], weight=weight) for where, weight in weights.items()]

    def mean(self, unit: Unit, cells: Iterable[Where]) -> list[Part]:
        """Parts of a mean over cells."""
        chosen = list(cells)
        return self.weighted(unit, dict.fromkeys(chosen, 1 / len(chosen)))


def shared_parts(cells: pd.DataFrame, pairs: pd.DataFrame, cases: Cases) -> Shared:
    """The cells' differences at the seeds that all of them have; no parts where there is no such seed.

    Args:
        cells: rows of the comparison's main metrics, of one grouping and variant, with a relative change.
        pairs: rows of `pairs_of` for the main metrics of the same grouping and variant.
        cases: pseudo-values.
    """
    wanted = {(str(task), scale) for task, scale in zip(cells["task"], cells["scale"], strict=True)}
    done = pairs[pairs["delta"].notna()]
    rows = {key: found.set_index("seed") for key, found in done.groupby(["task", "scale"], sort=False) if key in wanted}
    seeds = sorted(set.intersection(*(set(found.index) for found in rows.values()))) if rows else []
    if not seeds:
        return Shared({}, ())
    parts = {}
    for cell in cells.to_dict("records"):
        where = (cell["task"], cell["scale"])
        parts[where] = _parts(cell, rows[where].loc[seeds], cases, seeds)
    return Shared(parts, tuple(seeds))


def _parts(cell: dict[Any, Any], rows: pd.DataFrame, cases: Cases, seeds: list[int]) -> dict[Unit, Part]:
    metric = metric_of(cell["metric"])
    at = (cell["scale"], cell["variant"], cell["metric"], seeds)
    own = cases.pseudovalues(cell["task"], cell["grouping"], *at)
    reference = cases.pseudovalues(cell["task"], str(rows["reference"].iloc[0]), *at)
    components = cases.components(cell["task"])
    if own.shape != reference.shape or own.shape[1] != components.size:
        own, reference = (values.mean(axis=1, keepdims=True) for values in (own, reference))
        components = np.array([-1], dtype=np.int64)  # it tells of seeds alone
    sides = ((own, rows["trivial"]), (reference, rows["trivial_reference"]))
    skills = [skill_pseudovalues(values, trivial.to_numpy(dtype=float), metric) for values, trivial in sides]
    return {
        "relative": Part(relative_pseudovalues(own, reference, metric), components, 1.0),
        "skill": Part(skills[0] - skills[1], components, 1.0),
    }
