"""Affinities from given matrices over tasks of the catalogue, as if they had been estimated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from usaggr.affinity.estimate import Affinities
from usaggr.data.samples import Dataset
from usaggr.results.affinity import AffinityDescription, Array, Measure, SeedAffinity, mask_diagonal
from usaggr.sweep.planning.study_plan import Plan
from usaggr.tasks import CATALOGUE


class PlanOf:
    """The attributes of a plan that clustering reads."""

    def __init__(self, directory: Path, tasks: tuple[str, ...]) -> None:
        self.directory = directory
        self.manifest = self
        self.dataset = Dataset(directory, {task_id: CATALOGUE[task_id] for task_id in tasks}, (), ())


def affinities(directory: Path, matrices: Mapping[Measure, list[Array]], tasks: tuple[str, ...]) -> Affinities:
    """Make affinities with one matrix per measure and seed, with rows and columns in the order of the sorted tasks."""
    names = tuple(sorted(tasks))
    counts = np.where(np.eye(len(names), dtype=bool), 0, 3)

    def estimates(values: Array) -> NDArray[np.int64]:
        return np.where(np.isnan(values), 0, counts)

    seed_affinities = tuple(
        SeedAffinity(measure, seed, f"{measure}{seed}", names, mask_diagonal(values), estimates(values))
        for measure, seed_values in matrices.items()
        for seed, values in enumerate(seed_values)
    )
    head = AffinityDescription("study", "c" * 64, "d" * 64, 1.0, "base", names, tuple(range(len(seed_affinities))), 0.4)
    return Affinities(cast(Plan, cast(Any, PlanOf(directory, names))), head, seed_affinities)
