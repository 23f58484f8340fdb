"""Fake sweeps with staged groupings: first stages, and models that start from their weights."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import yaml

from tests.report.sweeps import FakeSweep, level
from usaggr.results.spec import RunSpec
from usaggr.tasks import CATALOGUE

TASKS = ("breast_lesion", "breast_2cls", "fetal_femur")
PLANTED = {"task_specific": 0.5, "unified": 0.55, "staged_task": 0.7, "staged_task_extra": 0.75}


def digest(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()


@dataclass
class StagedSweep(FakeSweep):
    """Sweep of models that start from the unified model's weights; one stage has 500 examples per task."""

    staged: dict[str, str] = field(default_factory=dict)
    """Budget of each staged grouping."""

    def runs(self) -> list[tuple[RunSpec, tuple[str, ...]]]:
        plain = tuple(name for name in self.groupings if name not in self.staged)
        fields = {name: getattr(self, name) for name in ("directory", "tasks", "seeds", "partitions")}
        planned = {run.fingerprint: (run, groupings) for run, groupings in FakeSweep(groupings=plain, **fields).runs()}
        for grouping, budget in self.staged.items():
            for seed in self.seeds:
                unified = self.spec("unified", tuple(sorted(self.tasks)), 1.0, seed)
                cut = {"block": "unified.first", "window": dict.fromkeys(self.tasks, (0, 250))}
                parent = unified if budget == "extra" else replace(unified, fingerprint=digest("first", seed), **cut)
                planned.setdefault(parent.fingerprint, (parent, ()))
                for task in self.tasks:
                    window = {task: (500, 750) if budget == "extra" else (250, 500)}
                    child = replace(self.spec(task, (task,), 1.0, seed), block=f"{grouping}.{task}", window=window)
                    child = replace(child, parent=parent.run_id, fingerprint=digest(grouping, task, seed))
                    planned[child.fingerprint] = (child, (grouping,))
        return list(planned.values())

    def written(self, skip: Callable[[RunSpec], bool] = lambda run: False) -> "StagedSweep":
        self.write_plan()
        path = self.directory / "groupings.yaml"
        content = yaml.safe_load(path.read_text())
        for name, budget in self.staged.items():
            content[name] = {"parent": "unified", "share": 0.5, "budget": budget, **content[name]}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        for run, groupings in self.runs():
            if skip(run):
                continue
            scores = {}
            for task in run.tasks:
                noise = np.random.default_rng([int(run.fingerprint[:8], 16), TASKS.index(task)]).normal(0, 0.002)
                scores[task] = level(CATALOGUE[task], PLANTED.get(groupings[0] if groupings else "", 0.3) + noise)
            windows = run.window or dict.fromkeys(run.tasks, (0, 500))
            self.write_run(run, scores, examples={task: end - first for task, (first, end) in windows.items()})
        return self


def sweep_of(folder: Path, *groupings: str) -> StagedSweep:
    named = groupings or ("task_specific", "unified", "staged_task", "staged_task_extra")
    budgets = {"staged_task": "equal", "staged_task_extra": "extra"}
    staged = {name: budgets[name] for name in named if name in budgets}
    blocks = {name: {task: (task,) for task in TASKS} for name in staged}
    return StagedSweep(folder, tasks=TASKS, groupings=named, partitions=blocks, staged=staged)
