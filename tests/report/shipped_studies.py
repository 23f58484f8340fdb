"""Made-up results of the shipped studies, with their own plan: groupings, scales, variants; no image, no training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.report.predictions import sample_id
from tests.report.routings import Shares, by_kind
from tests.report.sweeps import FakeSweep, level
from usaggr.config.compose import compose_study
from usaggr.data.samples import Dataset, Sample
from usaggr.results.spec import RunSpec
from usaggr.sweep.planning import study_plan, variants
from usaggr.sweep.planning.study_plan import Plan, make_plan, write_plan
from usaggr.tasks import CATALOGUE, Task

TASKS = ("breast_2cls", "breast_lesion", "fetal_femur", "fetal_head", "thyroid_nodule_det")
"""Tasks of each study here: all four types, in three clinical groups, two of which have two tasks."""
SEEDS = (0, 1, 2)
SUBJECTS, FRAMES = 12, 2
EFFECTS = (0.25, -0.25, 0.0, 0.02)
"""Effects of a block on the skill of one of its tasks; together they give every verdict."""


@dataclass
class ShippedSweep(FakeSweep):
    """Folder of results of a shipped study, with exactly the runs that it plans."""

    plan: Plan | None = None

    def runs(self) -> list[tuple[RunSpec, tuple[str, ...]]]:
        assert self.plan is not None
        return [(run.spec, run.groupings) for run in self.plan.runs]


def write_study(study: str, outputs: Path) -> ShippedSweep:
    """Plan a shipped study for five tasks and three seeds, and write a made-up result of each of its runs."""
    settings = compose_study(study, [
        "data.root=DIR", f"outputs={outputs}", f"tasks=[{','.join(TASKS)}]", f"seeds={list(SEEDS)}",
    ])  # fmt: skip
    dataset = Dataset(Path("DIR"), {task: CATALOGUE[task] for task in TASKS}, tuple(_make_samples()), ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_plan, "load_dataset", lambda data, progress: dataset)
        patch.setattr(variants, "check_balancing", lambda training: None)  # what is planned is not trained
        plan = make_plan(settings)
    write_plan(plan)
    sweep = ShippedSweep(
        plan.directory, tasks=TASKS, seeds=SEEDS, subjects=SUBJECTS, frames=FRAMES, spread=0.02, plan=plan,
        router=_route if settings.model.name == "m2dino" else None,
    )  # fmt: skip
    for run, _ in sweep.runs():
        scores = {task: level(CATALOGUE[task], _skill(run, task)) for task in run.tasks}
        n_train = {task: len(run.train_samples[task]) for task in run.tasks}
        sweep.write_run(run, scores, n_train=n_train, examples={task: _examples(run, task) for task in run.tasks})
    return sweep


def _make_samples() -> Iterator[Sample]:
    """Yield the samples of all tasks: first the test samples, whose ids and subjects are those of made-up predictions.

    Segmentation and classification of the breast share their images, so that a grouping by image source has a block.
    """
    subset_sizes = {"test": SUBJECTS * FRAMES, "train": 80, "val": 8}
    subsets = [subset for subset, size in subset_sizes.items() for _ in range(size)]
    for task in (CATALOGUE[task_id] for task_id in TASKS):
        for i, subset in enumerate(subsets):
            yield _make_sample(task, i, subset)


def _make_sample(task: Task, i: int, subset: str) -> Sample:
    source = "breast" if task.id.startswith("breast") else task.id
    subject = f"{task.id}-{i // FRAMES}"
    return Sample(
        task.id, sample_id(task, i), Path(f"{source}/{i}.png"), subject, image_hash=f"{source} {i}", label_hash="",
        height=64, width=64, csv_file="index.csv", row=i + 2, official_subset=subset, subject_written=subject,
        label=i // FRAMES % task.num_classes if task.type == "classification" else None,
    )  # fmt: skip


def _skill(run: RunSpec, task: str) -> float:
    """Return the skill of a task in a run: better with more training samples, and changed by variant and block."""
    block = "" if len(run.tasks) == 1 and run.parent is None else run.block
    effect = EFFECTS[sum(f"{run.variant} {block} {task}".encode()) % len(EFFECTS)] if block else 0.0
    scale = run.scale if isinstance(run.scale, float) else 1.0
    noise = 0.005 * np.random.default_rng([int(run.fingerprint[:8], 16), TASKS.index(task)]).normal()
    return float(0.5 + 0.1 * scale + effect + noise)


def _examples(run: RunSpec, task: str) -> int:
    """Return the number of training examples of a task in a run, in proportion to the task's position if it samples."""
    if run.window is not None:
        start, end = run.window[task]
        return end - start
    is_equal = run.settings["training"].get("sampling", "equal") == "equal"
    return 500 if is_equal else 100 * (1 + TASKS.index(task))


def _route(run: RunSpec) -> Shares | None:
    """Return shares of experts by clinical group for a run with experts; None for other networks."""
    model = run.settings["model"]
    if model["name"] != "m2dino" or model["conditioning"] != "experts" or model["experts"]["router"] == "uniform":
        return None
    groups = [CATALOGUE[task].clinical_group for task in run.tasks]
    return by_kind(groups, experts=model["experts"]["count"], noise=0.1, seed=run.seed)
