"""Fake finished sweeps with known numbers, written by the same code that real runs use."""

import csv
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.report.predictions import prediction_rows, split_rows
from tests.report.routings import Router, write_routing
from usaggr.metrics.names import METRICS
from usaggr.metrics.scores import score_tasks
from usaggr.results.predictions import write_predictions
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Cost, RunResult, Status
from usaggr.results.spec import RunSpec
from usaggr.tasks import CATALOGUE, Task

PLAN_COLUMNS = (
    "run_id", "block", "groupings", "tasks", "scale", "seed", "variant", "parent", "fingerprint", "state",
)  # fmt: skip
Partition = Mapping[str, tuple[str, ...]]
Scorer = Callable[[str, tuple[str, ...], float | int, int], dict[str, float]]
"""Function of task, block, scale and seed that returns the value of each metric."""


def by_task(tasks: Sequence[str]) -> Partition:
    return {task: (task,) for task in tasks}


def by_group(tasks: Sequence[str]) -> Partition:
    groups: dict[str, list[str]] = {}
    for task in sorted(tasks):
        groups.setdefault(CATALOGUE[task].clinical_group, []).append(task)
    return {name: tuple(members) for name, members in groups.items()}


def everything(tasks: Sequence[str]) -> Partition:
    return {"unified": tuple(sorted(tasks))}


@dataclass
class FakeSweep:
    """Folder of results of a study, whose runs are written one by one or all at once."""

    directory: Path
    tasks: tuple[str, ...] = ("breast_lesion", "breast_2cls", "fetal_femur")
    scales: tuple[float | int, ...] = (1.0,)
    seeds: tuple[int, ...] = (0, 1, 2)
    groupings: tuple[str, ...] = ("task_specific", "clinical", "unified")
    variants: dict[str, list[str]] = field(default_factory=lambda: {"base": []})
    partitions: dict[str, Partition] = field(default_factory=dict)
    reference: str = "task_specific"
    controls: dict[str, str] = field(default_factory=dict)
    """Grouping whose block sizes each random grouping has."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Keys of study.yaml that differ from the defaults, by section."""
    catalogue: Mapping[str, Task] = field(default_factory=lambda: CATALOGUE)
    subjects: int = 12
    content_hash: str = "c" * 64
    split_hash: str = "d" * 64
    data: dict[str, Any] = field(default_factory=dict)
    """Keys of data.json that differ from the defaults."""
    spread: float | None = None
    """Relative standard deviation of scores between subjects; None: runs have no predictions."""
    frames: int = 2
    """Test samples per subject."""
    mask: bytes | None = None
    """Stored mask of every sample of a segmentation task, in its predictions."""
    router: Router | None = None
    """Routing of runs, for their routing.csv; with it, runs also report their network and all counts of parameters."""

    def __post_init__(self) -> None:
        partitions = {"task_specific": by_task, "clinical": by_group, "unified": everything}
        for name in self.groupings:
            self.partitions.setdefault(name, partitions.get(name, everything)(self.tasks))

    def runs(self) -> list[tuple[RunSpec, tuple[str, ...]]]:
        """Return each planned run with the groupings that contain it."""
        planned: dict[str, tuple[RunSpec, tuple[str, ...]]] = {}
        for grouping in self.groupings:
            for variant in self.variants:
                for scale in self.scales:
                    for seed in self.seeds:
                        for name, block in self.partitions[grouping].items():
                            run = self.spec(name, block, scale, seed, variant)
                            previous = planned.get(run.fingerprint, (run, ()))
                            planned[run.fingerprint] = (previous[0], (*previous[1], grouping))
        return list(planned.values())

    def spec(self, name: str, block: tuple[str, ...], scale: float | int, seed: int, variant: str = "base") -> RunSpec:
        identity = json.dumps([block, scale, seed, variant, self.settings, self.content_hash], sort_keys=True)
        fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        name = block[0] if len(block) == 1 else name
        spec = RunSpec(name, tuple(sorted(block)), scale, seed, variant, {}, {}, fingerprint)
        if self.router is None:
            return spec
        experts = {"conditioning": "experts", "experts": {"router": "task"}}
        conditioned = {"conditioning": "none"} if self.router(spec) is None else experts
        return replace(spec, settings={"model": {"name": "m2dino", **conditioned}})

    def write_plan(self, order: Callable[[list[list[Any]]], list[list[Any]]] = list) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "study.yaml").write_text(yaml.safe_dump(self._study(), sort_keys=False))
        (self.directory / "data.json").write_text(json.dumps(self._data()))
        drawn = {name: {"control": "random", "like": like} for name, like in self.controls.items()}
        groupings = {
            name: {
                **drawn.get(name, {}),
                "blocks": {block: list(tasks) for block, tasks in self.partitions[name].items()},
            }
            for name in self.groupings
        }
        (self.directory / "groupings.yaml").write_text(yaml.safe_dump(groupings, sort_keys=False))
        tasks = [self.catalogue[task] for task in self.tasks]
        lines = split_rows(tasks, self.subjects, self.frames) if self.spread is not None else []
        head = "task_id,sample_id,image_path,subject_id,component,fold,rank_0"
        (self.directory / "split.csv").write_text("\n".join([head, *lines]) + "\n")
        lines_of_plan: list[list[Any]] = [
            [
                r.run_id,
                r.block,
                ";".join(groupings),
                ";".join(r.tasks),
                r.scale,
                r.seed,
                r.variant,
                r.parent,
                r.fingerprint,
                "",
            ]
            for r, groupings in self.runs()
        ]
        with (self.directory / "plan.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([PLAN_COLUMNS, *order(lines_of_plan)])

    def finish(self, scorer: Scorer, skip: Callable[[RunSpec], bool] = lambda run: False) -> "FakeSweep":
        """Write the plan, and the results of all runs except those to skip."""
        self.write_plan()
        for run, _ in self.runs():
            if not skip(run):
                self.write_run(run, {t: scorer(t, run.tasks, run.scale, run.seed) for t in run.tasks})
        return self

    def write_run(
        self, run: RunSpec, scores: dict[str, dict[str, float]], name: str | None = None, **changes: Any
    ) -> RunDirectory:
        """Write a finished run; `changes` are fields of its result."""
        with pytest.MonkeyPatch.context() as patch:
            # Test files need not survive a loss of power, and syncing them to disk takes half of the time.
            patch.setattr(os, "fsync", lambda descriptor: None)
            return self._write_run(run, scores, name, **changes)

    def _write_run(
        self, run: RunSpec, scores: dict[str, dict[str, float]], name: str | None, **changes: Any
    ) -> RunDirectory:
        directory = RunDirectory(self.directory / "runs" / (name or run.run_id))
        directory.path.mkdir(parents=True, exist_ok=True)
        directory.write_spec(run, host="here")
        if self.spread is not None:
            scores = self._predict(run, scores, directory)
        shares = None if self.router is None else self.router(run)
        if shares is not None:
            write_routing(directory.path / "routing.csv", run.tasks, shares)
        directory.write_result(self.result(run, scores, **changes))
        return directory

    def _predict(
        self, run: RunSpec, scores: dict[str, dict[str, float]], directory: RunDirectory
    ) -> dict[str, dict[str, float]]:
        """Write predictions, and return their scores."""
        predictions = []
        for task in run.tasks:
            rng = np.random.default_rng([int(run.fingerprint[:12], 16), self.tasks.index(task)])
            spread = self.spread or 0.0
            predictions += prediction_rows(
                self.catalogue[task], scores[task], self.subjects, self.frames, spread, rng, self.mask
            )
        write_predictions(directory.path / "predictions.parquet", predictions)
        return score_tasks([self.catalogue[task] for task in run.tasks], predictions)[0]

    def result(self, run: RunSpec, scores: dict[str, dict[str, float]], **changes: Any) -> RunResult:
        n_all = 100
        n_train = n_all if run.scale == 1.0 else int(run.scale if isinstance(run.scale, int) else run.scale * n_all)
        cost = Cost(12.0, 10.0 * len(run.tasks), 50.0, 700.0, 1000 + 10 * len(run.tasks))
        if self.router is not None:
            cost = replace(cost, trained_parameters=400 + 10 * len(run.tasks), active_parameters=710)
        content: dict[str, Any] = {
            "scores": scores,
            "trivial": {t: trivial(self.catalogue[t]) for t in run.tasks},
            "validation": scores,
            "trivial_validation": {t: trivial(self.catalogue[t]) for t in run.tasks},
            "n_train": dict.fromkeys(run.tasks, n_train),
            "n_test": dict.fromkeys(run.tasks, self.frames * self.subjects),
            "n_subjects": dict.fromkeys(run.tasks, self.subjects),
            "examples": dict.fromkeys(run.tasks, 500),
            "cost": cost,
        }
        return RunResult(**{**content, **changes})

    def write_failure(self, run: RunSpec, error: str) -> RunDirectory:
        directory = RunDirectory(self.directory / "runs" / run.run_id)
        directory.path.mkdir(parents=True, exist_ok=True)
        directory.write_spec(run)
        directory.write_status(Status("failed", 1, "elsewhere", 0.0, 1, error))
        return directory

    def _study(self) -> dict[str, Any]:
        study = {
            "name": self.directory.name,
            "outputs": "outputs",
            "groupings": list(dict.fromkeys("random" if g in self.controls else g for g in self.groupings)),
            "reference": self.reference,
            "scales": list(self.scales),
            "seeds": list(self.seeds),
            "tasks": None,
            "variants": self.variants,
            "data": {"name": "synthetic", "root": None, "image_size": 64, "subset": "per_seed", "split": {"seed": 0}},
            "model": {"name": "mh_mtl", "encoder": "tu-test_resnet", "norm": "group", "weights": None},
            "training": {"budget": "500 examples", "batch_size": 8, "learning_rate": 0.001, "score_weights": "last"},
            "metrics": {"nsd_tolerance": 0.005},
            "report": {"confidence": 0.95, "formats": ["png"]},
        }
        return {name: {**value, **self.settings.get(name, {})} if isinstance(value, dict) else value
                for name, value in study.items()}  # fmt: skip

    def _data(self) -> dict[str, Any]:
        tasks = [
            {
                "id": task.id,
                "type": task.type,
                "num_classes": task.num_classes,
                "class_names": list(task.class_names),
                "organ": task.organ,
                "clinical_group": task.clinical_group,
                "n_train": 100,
                "n_val": 12,
                "n_test": self.frames * self.subjects,
                "subjects_test": self.subjects,
            }
            for task in (self.catalogue[t] for t in self.tasks)
        ]
        proof = {"components": 90, "images": 136, "subjects": 80}
        proof |= {f"{what}_in_two_folds": 0 for what in ("components", "images", "subjects")}
        return {
            "schema_version": 1,
            "root": "phantoms",
            "content_hash": self.content_hash,
            "split_hash": self.split_hash,
            "tasks": tasks,
            "skipped": [],
            "dropped": 0,
            "warnings": [],
            "disjoint": proof,
            **self.data,
        }


def trivial(task: Task) -> dict[str, float]:
    """Return the scores of a predictor that ignores the image: 0.4 if 1 is best, 100 if 0 is best."""
    return {m.name: 0.4 if m.higher_is_better else 100.0 for m in METRICS[task.type]}


def level(task: Task, skill: float) -> dict[str, float]:
    """Return all metrics of a task at a skill relative to its trivial predictor."""
    return {m.name: 0.4 + 0.6 * skill if m.higher_is_better else 100.0 * (1 - skill) for m in METRICS[task.type]}
