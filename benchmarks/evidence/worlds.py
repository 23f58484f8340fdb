"""Simulated finished sweeps with known differences between groupings: the input of a report, held in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.analysis.pseudovalues import TaskPseudovalues
from usaggr.analysis.subsets import TestFold
from usaggr.metrics.names import get_main_metric
from usaggr.results.data_description import DataFacts, TaskFacts
from usaggr.results.plan import PlanRow
from usaggr.results.run_result import Cost, RunResult
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.effect_units import Array
from usaggr.tasks import CATALOGUE, Task

TASKS = (
    "breast_2cls", "breast_3cls", "breast_lesion", "fetal_abdomen_multi", "fetal_femur", "fetal_head", "FUGC", "lung",
    "ovary_tumor", "thyroid_nodule", "thyroid_nodule_det", "carotid_artery",
)  # fmt: skip
GROUPINGS = ("task_specific", "clinical", "unified")


@dataclass(frozen=True)
class World:
    """Random variation of scores: standard deviations in units of the score, or hundreds of pixels for landmarks."""

    seeds: int = 3
    subjects: int = 100
    seed_sd: float = 0.015
    """Standard deviation between runs."""
    subject_sd: float = 0.1
    """Standard deviation between subjects, common to all runs."""
    grouping_sd: float = 0.05
    """Standard deviation between subjects, specific to a grouping."""
    residual_sd: float = 0.05
    """Standard deviation between subjects, specific to a run."""
    scales: tuple[float, ...] = (0.25, 1.0)


def draw_sweep(world: World, planted: Mapping[tuple[str, str], float], rng: np.random.Generator) -> Collection:
    """Simulate a sweep in which groupings change the main scores of tasks by planted differences.

    Args:
        world: Random variation of the scores.
        planted: Difference by grouping and task, 0 for all others. Positive is better; the unit for landmarks is
            hundreds of pixels.
        rng: Random generator.
    """
    tasks = [CATALOGUE[name] for name in TASKS]
    subject = {task.id: world.subject_sd * rng.standard_normal(world.subjects) for task in tasks}
    blocks = {grouping: _blocks(grouping, tasks) for grouping in GROUPINGS}
    shared: dict[tuple[str, str], Array] = {}
    runs: dict[str, CollectedRun] = {}
    for scale in world.scales:
        for grouping in GROUPINGS:
            for block in blocks[grouping]:
                for seed in range(world.seeds):
                    name = f"{'+'.join(block)}-s{scale}-k{seed}"
                    if name in runs:
                        shared_run = runs[name]
                        row = PlanRow(**{**vars(shared_run.row), "groupings": (*shared_run.row.groupings, grouping)})
                        runs[name] = CollectedRun(
                            row, "done", None, shared_run.result, pseudovalues=shared_run.pseudovalues
                        )
                        continue
                    values = {}
                    for task in block:
                        key = (name.rpartition("-k")[0], task)
                        if key not in shared:
                            shared[key] = world.grouping_sd * rng.standard_normal(world.subjects)
                        noise = world.seed_sd * rng.standard_normal() + world.residual_sd * rng.standard_normal(
                            world.subjects
                        )
                        values[task] = 0.7 + planted.get((grouping, task), 0.0) + subject[task] + shared[key] + noise
                    row = PlanRow(name, block[0], (grouping,), block, scale, seed, "base", name)
                    runs[name] = _run(row, values, world)
    return _collection(world, tasks, tuple(runs.values()))


def _blocks(grouping: str, tasks: list[Task]) -> list[tuple[str, ...]]:
    if grouping == "task_specific":
        return [(task.id,) for task in tasks]
    if grouping == "unified":
        return [tuple(task.id for task in tasks)]
    groups: dict[str, list[str]] = {}
    for task in tasks:
        groups.setdefault(task.clinical_group, []).append(task.id)
    return [tuple(members) for members in groups.values()]


def _run(row: PlanRow, values: dict[str, Array], world: World) -> CollectedRun:
    """Make a finished run; landmarks have an error of (1 - score) in hundreds of pixels."""
    pseudovalues, scores, trivial = {}, {}, {}
    for task_id, score in values.items():
        task = CATALOGUE[task_id]
        metric = get_main_metric(task.type)
        values_of_metric = score if metric.higher_is_better else 100 * (1 - score)
        pseudovalues[task_id] = TaskPseudovalues(
            {metric.name: values_of_metric}, 50 if task.type == "classification" else None
        )
        scores[task_id] = {metric.name: float(values_of_metric.mean())}
        trivial[task_id] = {metric.name: 0.3 if metric.higher_is_better else 70.0}
    counts = dict.fromkeys(row.tasks, world.subjects)
    cost = Cost(1.0, 1.0, 1.0, 1.0, 1)
    result = RunResult(scores, trivial, scores, trivial, counts, counts, counts, counts, cost)
    return CollectedRun(row, "done", None, result, pseudovalues=pseudovalues)


def _collection(world: World, tasks: list[Task], runs: tuple[CollectedRun, ...]) -> Collection:
    seeds = tuple(range(world.seeds))
    study = StudyFacts("world", GROUPINGS, GROUPINGS[0], world.scales, seeds, {"base": ()}, 0.95, ("png",), {})
    facts = {task.id: TaskFacts(task, 100, 12, world.subjects, world.subjects) for task in tasks}
    data = DataFacts("", "", "", facts, (), 0, (), {})
    subjects = np.arange(world.subjects)
    folds = {task.id: TestFold(subjects + i * world.subjects, None) for i, task in enumerate(tasks)}  # type: ignore[arg-type]
    return Collection((Path("world"),), study, data, runs, 0, folds)
