"""Simulated sweeps in which single runs collapse, with the coverage and the false verdicts that a report gives there.

In the first two kinds, one run in five scores the trivial predictor's score, under the shared model or under both.
Further kinds: the score is noisy around the trivial one; all tasks of a run collapse together; runs fall to half of
their skill, which no rule detects; and healthy runs, whose verdicts must not be withheld.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.pseudovalues import TaskPseudovalues
from usaggr.analysis.subsets import TestFold
from usaggr.metrics.names import get_main_metric
from usaggr.results.data_description import DataFacts, TaskFacts
from usaggr.results.plan import PlanRow
from usaggr.results.run_result import Cost, RunResult
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.effect_units import Array
from usaggr.tasks import CATALOGUE

TRIVIAL = 0.3
PIXELS = 100.0
"""Pixels that one unit of score stands for, in tasks that are scored by a distance: 100 x (1 - score)."""
GROUPINGS = ("task_specific", "unified")


@dataclass(frozen=True)
class CollapseWorld:
    """Sweep of two groupings without a difference, except for the runs that collapse. Units: of the score."""

    tasks: int = 8
    seeds: int = 3
    subjects: int = 100
    collapsing: tuple[str, ...] = ("unified",)
    """Groupings whose runs collapse."""
    share: float = 0.2
    """Probability that a run collapses on a task."""
    level: float = 0.7
    """Mean score of intact runs."""
    floor: float = TRIVIAL
    """Mean score of collapsed runs."""
    floor_sd: float = 0.0
    """Standard deviation between collapsed runs, of test and validation scores; 0 for a constant prediction."""
    whole_runs: bool = False
    """True if a run collapses on all its tasks at once."""
    effect: float = 0.0
    """True difference of intact unified runs from intact task-specific ones."""
    seed_sd: float = 0.015
    subject_sd: float = 0.1
    grouping_sd: float = 0.05
    residual_sd: float = 0.05
    scales: tuple[float, ...] = (1.0,)

    @property
    def difference(self) -> float:
        """Mean difference over all runs that training could give."""
        means = {name: self.level + (self.effect if name == "unified" else 0.0) for name in GROUPINGS}
        for name in self.collapsing:
            means[name] += self.share * (self.floor - means[name])
        return means["unified"] - means["task_specific"]


WORLDS = {
    "unified, constant prediction": CollapseWorld(),
    "both, constant prediction": CollapseWorld(collapsing=GROUPINGS),
    "unified, noisy": CollapseWorld(floor_sd=0.03),
    "both, noisy": CollapseWorld(collapsing=GROUPINGS, floor_sd=0.03),
    "reference, noisy": CollapseWorld(collapsing=("task_specific",), floor_sd=0.03),
    "unified, all tasks of a run": CollapseWorld(floor_sd=0.03, whole_runs=True),
    "unified, intact runs lose .05": CollapseWorld(floor_sd=0.03, effect=-0.05),
    "both, nine runs in ten, 12 subjects": CollapseWorld(collapsing=GROUPINGS, share=0.9, subjects=12),
    "unified, falls to half its skill": CollapseWorld(floor=0.5, floor_sd=0.03),
    "no collapse": CollapseWorld(share=0.0),
    "no collapse, skill .1": CollapseWorld(share=0.0, level=0.37),
    "no collapse, skill .1, seeds vary x 3": CollapseWorld(share=0.0, level=0.37, seed_sd=0.045),
}
"""Worlds by name, with 8 tasks and 3 seeds."""


class Row(NamedTuple):
    """Shares of cells or families in a world, in [0, 1]; NaN without any."""

    world: str
    tasks: int
    seeds: int
    sweeps: int
    judged: float
    """Share of cells with a verdict."""
    coverage: float
    """Share of the intervals of all cells that include the true difference."""
    coverage_judged: float
    false: float
    """Share of all cells with a false verdict."""
    false_judged: float
    """Share of the judged cells with a false verdict."""
    false_families: float
    """Share of families with a false verdict."""
    intact_coverage_judged: float
    """Coverage among judged cells of the difference between runs that do not collapse; so the next two fields."""
    intact_false_judged: float
    intact_false_families: float
    losses: float
    """Share of all cells with the verdict loss."""
    noted: float
    """Share of the cells with a collapsed run whose note says so."""
    collapsed: int
    """Number of cells with a collapsed run."""
    unnoted: int
    """Number of judged cells whose note names no collapsed run."""
    intact_coverage_unnoted: float
    """Coverage among them of the difference between runs that do not collapse."""


def measure(
    repetitions: int,
    seed: int,
    names: Sequence[str] = tuple(WORLDS),
    tasks: Sequence[int] = (3, 8, 27),
    seeds: Sequence[int] = (3, 5, 10),
) -> list[Row]:
    """Return the measured shares of each world, number of tasks and number of seeds.

    Args:
        repetitions: Number of simulated sweeps of each.
        seed: Seed of the random generator of each.
        names: Names of the worlds.
        tasks: Numbers of tasks.
        seeds: Numbers of seeds.
    """
    return [
        measure_world(name, replace(WORLDS[name], tasks=n_tasks, seeds=n_seeds), repetitions, seed)
        for name in names
        for n_tasks in tasks
        for n_seeds in seeds
    ]


def measure_world(name: str, world: CollapseWorld, repetitions: int, seed: int) -> Row:
    """Return the measured shares of a world.

    Args:
        name: Name of the world.
        world: The world.
        repetitions: Number of simulated sweeps.
        seed: Seed of the random generator.
    """
    rng, counts = np.random.default_rng(seed), Counter[str]()
    for _ in range(repetitions):
        collection, collapsed = draw_collapsing_sweep(world, rng)
        cells = [cell for cell in compare_study(collection, main_only=True).verdicts if not cell.same]
        for cell in cells:
            _count_cell(cell, world, counts)
            if (cell.task, cell.scale) in collapsed:
                counts["collapsed"] += 1
                counts["noted"] += "collapsed" in cell.note
        counts["families"] += len(world.scales)
        for scale in world.scales:
            family = [cell for cell in cells if cell.scale == scale]
            counts["false families"] += any(_is_false(cell, world.difference) for cell in family)
            counts["intact false families"] += any(_is_false(cell, world.effect) for cell in family)

    def divide(counted: str, total: str) -> float:
        return counts[counted] / counts[total] if counts[total] else float("nan")

    return Row(
        name,
        world.tasks,
        world.seeds,
        repetitions,
        divide("judged", "cells"),
        divide("covered", "cells"),
        divide("covered judged", "judged"),
        divide("false", "cells"),
        divide("false", "judged"),
        divide("false families", "families"),
        divide("intact covered judged", "judged"),
        divide("intact false", "judged"),
        divide("intact false families", "families"),
        divide("loss", "cells"),
        divide("noted", "collapsed"),
        counts["collapsed"],
        counts["unnoted"],
        divide("intact covered unnoted", "unnoted"),
    )


def _count_cell(cell: CellVerdict, world: CollapseWorld, counts: Counter[str]) -> None:
    is_covered, is_intact_covered = (_is_covered(cell, truth) for truth in (world.difference, world.effect))
    counts["cells"] += 1
    counts["covered"] += is_covered
    counts["loss"] += cell.verdict == "loss"
    counts["judged"] += bool(cell.verdict)
    counts["covered judged"] += bool(cell.verdict) and is_covered
    counts["intact covered judged"] += bool(cell.verdict) and is_intact_covered
    if cell.verdict and "collapsed" not in cell.note:
        counts["unnoted"] += 1
        counts["intact covered unnoted"] += is_intact_covered
    counts["false"] += _is_false(cell, world.difference)
    counts["intact false"] += _is_false(cell, world.effect)


def _is_covered(cell: CellVerdict, difference: float) -> bool:
    return cell.delta_low <= _convert_unit(cell, difference) <= cell.delta_high


def _convert_unit(cell: CellVerdict, difference: float) -> float:
    """Return a difference of scores in the unit of the cell's metric."""
    return difference if get_main_metric(cell.task_type).higher_is_better else PIXELS * difference


def _is_false(cell: CellVerdict, difference: float) -> bool:
    """Return whether a verdict is wrong, given the true difference of the scores."""
    truth = _convert_unit(cell, difference)
    is_zero = abs(truth) < 1e-12
    return (
        (cell.verdict == "gain" and (truth < 0 or is_zero))
        or (cell.verdict == "loss" and (truth > 0 or is_zero))
        or (cell.verdict == "no_loss" and truth <= -cell.margin)
    )


def draw_collapsing_sweep(
    world: CollapseWorld, rng: np.random.Generator
) -> tuple[Collection, set[tuple[str, float | int]]]:
    """Simulate a finished sweep, and return it with the tasks and scales in which a run of either grouping collapsed.

    Args:
        world: The world.
        rng: Random generator.
    """
    names = _choose_tasks(world.tasks)
    subject = {task: world.subject_sd * rng.standard_normal(world.subjects) for task in names}
    runs: list[CollectedRun] = []
    collapsed: set[tuple[str, float | int]] = set()
    for scale in world.scales:
        for grouping in GROUPINGS:
            shared = {task: world.grouping_sd * rng.standard_normal(world.subjects) for task in names}
            for seed in range(world.seeds):
                falls = rng.random(1 if world.whole_runs else len(names)) < world.share * (grouping in world.collapsing)
                falls_by_task = dict(zip(names, np.broadcast_to(falls, len(names)), strict=True))
                values, validation = {}, {}
                for task in names:
                    if falls_by_task[task]:
                        # The trivial predictor's own scores: they vary with the subjects, not around another mean.
                        deviation = subject[task] - subject[task].mean()
                        test_mean, validation[task] = world.floor + world.floor_sd * rng.standard_normal(2)
                        values[task] = test_mean + deviation
                        collapsed.add((task, scale))
                    else:
                        mean = world.level + (world.effect if grouping == "unified" else 0.0)
                        mean += world.seed_sd * rng.standard_normal()
                        noise = world.residual_sd * rng.standard_normal(world.subjects)
                        values[task] = mean + subject[task] + shared[task] + noise
                        validation[task] = mean + world.residual_sd * rng.standard_normal() / np.sqrt(world.subjects)
                blocks = [(task,) for task in names] if grouping == "task_specific" else [tuple(names)]
                for block in blocks:
                    name = f"{grouping}-{block[0]}-{scale}-{seed}"
                    row = PlanRow(name, block[0], (grouping,), block, scale, seed, "base", name)
                    runs.append(_make_run(row, values, validation))
    return _make_collection(world, names, tuple(runs)), collapsed


def _choose_tasks(number: int) -> list[str]:
    """Return tasks of all types in turn."""
    by_type: dict[str, list[str]] = {}
    for name, task in CATALOGUE.items():
        by_type.setdefault(task.type, []).append(name)
    longest = max(map(len, by_type.values()))
    return [names[i] for i in range(longest) for names in by_type.values() if i < len(names)][:number]


def _make_run(row: PlanRow, values: dict[str, Array], validation: dict[str, float]) -> CollectedRun:
    pseudovalues, scores, checked, trivial = {}, {}, {}, {}
    for task_id in row.tasks:
        task = CATALOGUE[task_id]
        metric = get_main_metric(task.type)
        scored = values[task_id] if metric.higher_is_better else PIXELS * (1 - values[task_id])
        pseudovalues[task_id] = TaskPseudovalues({metric.name: scored}, 50 if task.type == "classification" else None)
        scores[task_id] = {metric.name: float(scored.mean())}
        mean = float(validation[task_id])
        checked[task_id] = {metric.name: mean if metric.higher_is_better else PIXELS * (1 - mean)}
        trivial[task_id] = {metric.name: TRIVIAL if metric.higher_is_better else PIXELS * (1 - TRIVIAL)}
    counts = {task: values[task].size for task in row.tasks}
    result = RunResult(scores, trivial, checked, trivial, counts, counts, counts, counts, Cost(1.0, 1.0, 1.0, 1.0, 1))
    # A folder that does not exist: the run has no validation curve, only scores.
    return CollectedRun(row, "done", Path("no-such-run"), result, pseudovalues=pseudovalues)


def _make_collection(world: CollapseWorld, names: Sequence[str], runs: tuple[CollectedRun, ...]) -> Collection:
    seeds = tuple(range(world.seeds))
    study = StudyFacts("world", GROUPINGS, GROUPINGS[0], world.scales, seeds, {"base": ()}, 0.95, ("png",), {})
    facts = {name: TaskFacts(CATALOGUE[name], 100, 12, world.subjects, world.subjects) for name in names}
    data = DataFacts("", "", "", facts, (), 0, (), {})
    subjects = np.arange(world.subjects)
    folds = {name: TestFold(subjects + i * world.subjects, None) for i, name in enumerate(names)}  # type: ignore[arg-type]
    return Collection((Path("world"),), study, data, runs, 0, folds)
