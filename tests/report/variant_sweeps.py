"""Fake sweeps with planted effects of variants."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.report.sweeps import FakeSweep, level
from usaggr.runs import RunSpec
from usaggr.tasks import CATALOGUE

TASKS = ("breast_lesion", "fetal_head", "thyroid_nodule_det", "fetal_femur")
ABLATION = ("base", "dense", "wide", "blind", "lora", "film")
Skill = Callable[[str, str, int], float]
"""variant, grouping (alone, group, unified) and number of tasks -> skill"""


def finish(
    folder: Path,
    effects: Mapping[tuple[str, str], float],
    noise: float = 0.004,
    skip: Callable[[RunSpec], bool] = lambda run: False,
    active: Mapping[str, int] | None = None,
    shift: Callable[[RunSpec, str], float] = lambda run, task: 0.0,
    **settings: Any,
) -> FakeSweep:
    """A finished sweep whose runs are of skill .6 and what is planted for their variant and kind of block.

    `effects` are by variant and kind: alone, group or unified; `active` are the parameters of a variant that are
    active; `shift` is added too. Runs vary by `noise` from seed to seed.
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
            changes: dict[str, Any] = {}
            if active is not None:
                cost = sweep.result(run, {}).cost
                changes["cost"] = with_active(cost, active.get(run.variant))
            sweep.write_run(run, {task: level(CATALOGUE[task], skill) for task, skill in skills.items()}, **changes)
    return sweep


def with_active(cost: Any, active: int | None) -> Any:
    from dataclasses import replace

    return replace(cost, active_parameters=active)
