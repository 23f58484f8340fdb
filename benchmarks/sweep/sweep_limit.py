"""Time of the arithmetic of a sweep's runs: training steps, forward passes and scores, on tensors in memory.

It is measured in as many simultaneous processes as the sweep has workers, once per block of tasks.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import islice

import numpy as np
import torch

from benchmarks.training.together import Company, Meet
from benchmarks.training.training_step import TrainingStep
from usaggr.data.batches.batches import Batch, SubsetBatches
from usaggr.data.batches.cache import ImageCache, build_or_open
from usaggr.data.batches.run_data import RunData, select_run_data
from usaggr.metrics.scores import score_sample
from usaggr.results.predictions import Prediction, Truth, decode_mask, read_predictions
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.tasks import Task
from usaggr.training.decode_outputs import decode_outputs
from usaggr.training.run import EVALUATION_BATCH, make_intervals
from usaggr.training.targets_cache import read_truth

STEP_SECONDS = 1.0
"""Seconds for which steps of a block are timed: at least 5 steps, after a warm-up of 2."""
REPETITIONS = 3
"""Repetitions of forward passes over a subset, and of its scores."""
_BATCHES = 4
"""Number of the run's training batches that are held in memory and used in turn."""


@dataclass(frozen=True)
class Limit:
    """Seconds of one block's arithmetic."""

    step: float
    """Seconds of a training step."""
    forward_validation: float
    """Seconds of the forward passes of a validation, with predictions at original resolution."""
    forward_test: float
    """Seconds of the forward passes of the test, with predictions at original resolution."""
    score_validation: float
    """Seconds of a validation's scores, which are main metrics only."""
    score_test: float
    """Seconds of the test's scores."""


@dataclass(frozen=True)
class Work:
    """A finished run that represents all runs of the same network and tasks."""

    run: PlannedRun
    data: RunData


@dataclass(frozen=True)
class Arithmetic:
    """Core-seconds of the arithmetic of all runs."""

    training: float
    forward: float
    scores: float

    @property
    def total(self) -> float:
        """Core-seconds of training, forward passes and scores."""
        return self.training + self.forward + self.scores


def measure_arithmetic(plan: Plan, processes: Company) -> Arithmetic:
    """Measure the arithmetic of the plan's finished runs.

    Raises:
        ValueError: if no run is finished.
    """
    finished = [run for run in plan.runs if run.read_state() == "done"]
    if not finished:
        raise ValueError(f"{plan.directory}: no run is finished")
    first: dict[str, PlannedRun] = {}
    for run in finished:
        first.setdefault(_key(run), run)
    caches: dict[str, ImageCache] = {}
    works = []
    for run in first.values():
        shape = f"{run.study.data.input_size} {run.study.data.channels}"
        if shape not in caches:
            caches[shape] = build_or_open(plan.manifest.dataset, run.study.data)
        works.append(Work(run, select_run_data(plan.manifest, run.spec, caches[shape])))
    by_process = processes(measure_limits, works)
    by_key = {key: average_limits([process_limits[i] for process_limits in by_process]) for i, key in enumerate(first)}
    return sum_limits([(run, by_key[_key(run)]) for run in finished])


def sum_limits(runs: Sequence[tuple[PlannedRun, Limit]]) -> Arithmetic:
    """Return the core-seconds of runs, each given with the limit of its block."""
    training = forward = scores = 0.0
    for run, limit in runs:
        examples = sum(RunDirectory(run.directory).read_result().examples.values())
        steps = -(-examples // run.study.training.batch_size)
        validations = min(run.study.training.validations, steps)
        training += steps * limit.step
        forward += validations * limit.forward_validation + limit.forward_test
        scores += validations * limit.score_validation + limit.score_test
    return Arithmetic(training, forward, scores)


def average_limits(limits: Sequence[Limit]) -> Limit:
    """Return the mean of the limits that several processes measured."""
    means = {f.name: statistics.fmean(getattr(limit, f.name) for limit in limits) for f in fields(Limit)}
    return Limit(**means)


def measure_limits(meet: Meet, works: Sequence[Work], step_seconds: float = STEP_SECONDS) -> list[Limit]:
    """Measure all blocks in this process, each at the same time as the other processes.

    Args:
        meet: Waits for the other processes.
        works: One finished run per block.
        step_seconds: Seconds for which steps of a block are timed.
    """
    measured = []
    for work in works:
        meet()
        measured.append(measure_limit(work, step_seconds))
    return measured


def measure_limit(work: Work, step_seconds: float = STEP_SECONDS) -> Limit:
    """Measure the arithmetic of one block."""
    study, data = work.run.study, work.data
    tasks = list(data.tasks.values())
    parts, _ = make_intervals(work.run.spec, study, data)
    batches = list(islice((batch for interval in parts for batch in interval), _BATCHES))
    step = TrainingStep.of_study(study, tasks, batches[0])
    seconds = _step_seconds(step, batches, step_seconds)
    step.network.eval()
    validation, test = (list(SubsetBatches(fold, data.cache, EVALUATION_BATCH)) for fold in (data.val, data.test))
    compared = read_compared_masks(work)

    def score(main_only: bool) -> None:
        for task, prediction, truth in compared:
            score_sample(task, prediction, truth, study.metrics.nsd_tolerance, main_only=main_only)

    return Limit(
        step=seconds,
        forward_validation=_median(lambda: _predict(step, data.tasks, validation)),
        forward_test=_median(lambda: _predict(step, data.tasks, test)),
        # Predictions for the validation set are not stored: the time is that of the test set, scaled by size.
        score_validation=_median(lambda: score(main_only=True)) * len(data.val) / len(data.test),
        score_test=_median(lambda: score(main_only=False)),
    )


def read_compared_masks(work: Work) -> list[tuple[Task, Prediction, Truth]]:
    """Return the run's decoded predictions for its test set, with the labels."""
    samples = {(s.task_id, s.sample_id): s for s in work.data.test}
    compared = []
    for row in read_predictions(RunDirectory(work.run.directory).predictions_path).to_dict("records"):
        sample = samples[row["task_id"], row["sample_id"]]
        prediction = Prediction(
            sample.task_id,
            sample.sample_id,
            sample.subject_id,
            probs=row["probs"],
            box=row["box"],
            points=None if row["points"] is None else np.asarray(row["points"]).reshape(-1, 2),
            mask=None if row["mask"] is None else decode_mask(row["mask"]),
        )
        compared.append((work.data.tasks[sample.task_id], prediction, read_truth(sample, work.run.study.data)))
    return compared


def _key(run: PlannedRun) -> str:
    study = run.study
    settings = [study.model.model_dump_json(), study.training.model_dump_json(), study.data.model_dump_json()]
    return json.dumps([*settings, run.spec.tasks])


def _step_seconds(step: TrainingStep, batches: Sequence[Batch], most: float) -> float:
    times: list[float] = []
    while len(times) < 7 or sum(times) < most:
        step.batch = batches[len(times) % len(batches)]
        times.append(step().total)
    return statistics.median(times[2:])


def _predict(step: TrainingStep, tasks: dict[str, Task], batches: Sequence[Batch]) -> None:
    with torch.inference_mode():
        for batch in batches:
            for task_id, outputs in step.network(batch.images, batch.batch_indices).items():
                decode_outputs(
                    tasks[task_id], outputs, [batch.samples[i] for i in batch.batch_indices[task_id].tolist()]
                )


def _median(function: Callable[[], None]) -> float:
    times = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
