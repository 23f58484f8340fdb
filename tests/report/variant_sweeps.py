"""Fake sweeps with planted effects of variants."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.report.sweeps import FakeSweep, level
from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.results.plan import PlanRow
from usaggr.results.spec import RunSpec
from usaggr.tasks import CATALOGUE

TASKS = ("breast_lesion", "fetal_head", "thyroid_nodule_det", "fetal_femur")
ABLATION = ("base", "dense", "wide", "blind", "lora", "film")
SIZES = {"base": 100, "dense": 70, "wide": 104, "blind": 100, "lora": 72, "film": 75}
"""Active parameters of each variant."""


def finish(
    folder: Path,
    effects: Mapping[tuple[str, str], float],
    noise: float = 0.004,
    skip: Callable[[RunSpec], bool] = lambda run: False,
    active: Mapping[str, int] | None = None,
    shift: Callable[[RunSpec, str], float] = lambda run, task: 0.0,
    **settings: Any,
) -> FakeSweep:
    """Return a finished sweep whose runs have skill .6 plus the planted effect of their variant and kind of block.

    `effects` are by variant and kind (alone, group or unified), and `shift` is added to them. `active` are the active
    parameters by variant. Skill varies between seeds with standard deviation `noise`.
    """
    usual = {
        "tasks": TASKS, "groupings": ("task_specific", "unified"), "seeds": (0, 1, 2, 3), "subjects": 30, "frames": 1,
        "spread": 0.05, "variants": {"base": [], "dense": ["model.conditioning=none"]},
    }  # fmt: skip
    sweep = FakeSweep(folder, **{**usual, **settings})
    sweep.write_plan()
    rng = np.random.default_rng(0)
    for run, _ in sweep.runs():
        kind = "alone" if len(run.tasks) == 1 else "unified" if len(run.tasks) == len(sweep.tasks) else "group"
        skills = {
            task: 0.6 + effects.get((run.variant, kind), 0.0) + shift(run, task) + noise * rng.normal()
            for task in run.tasks
        }
        if not skip(run):
            cost = replace(sweep.result(run, {}).cost, active_parameters=(active or {}).get(run.variant))
            scores = {task: level(CATALOGUE[task], skill) for task, skill in skills.items()}
            sweep.write_run(run, scores, cost=cost)
    return sweep


def lacking(collection: Collection, skip: Callable[[PlanRow], bool]) -> Collection:
    """Return the collection as if some of its runs had not started; the other runs keep their random scores."""
    runs = (CollectedRun(run.row, "pending") if skip(run.row) else run for run in collection.runs)
    return replace(collection, runs=tuple(runs))


def ablation(*names: str) -> dict[str, list[str]]:
    """Return variants by name; the variant `base` changes nothing."""
    return {name: [f"model.conditioning={name}"] if name != "base" else [] for name in names}
