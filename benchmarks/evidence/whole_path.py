"""Judge null sweeps on the whole path of a report: predictions, run folders, tables, verdicts.

    python -m benchmarks.evidence.whole_path [--sweeps 400] [--jobs 2] [--out docs/families.md]

The other benchmarks begin with mean squares or pseudo-values. This one writes the files that training would write, with
predictions whose scores vary as in component_worlds.py, and reads them with the code of `usaggr report`. Both must
agree on the share of families with a false verdict. A factory of the tests writes the run folders.
"""

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import softmax

from benchmarks.evidence.component_worlds import GROUPINGS, REVIEW, World, draw_seed_effects
from benchmarks.evidence.families import make_generator
from benchmarks.evidence.marks import Share
from benchmarks.evidence.verdicts import judged_cells
from tests.report.predictions import sample_id
from tests.report.sweeps import FakeSweep
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.row_tables import group_rows
from usaggr.metrics.names import METRICS, get_main_metric
from usaggr.metrics.scores import score_tasks
from usaggr.results.predictions import write_predictions
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import RunSpec
from usaggr.tasks import CATALOGUE, Task

Array = NDArray[np.float64]

TASKS = {
    3: ("breast_lesion", "breast_2cls", "FUGC"),
    8: ("lung", "breast_2cls", "FUGC", "ovary_tumor", "breast_lesion", "fetal_femur", "thyroid_nodule_det", "cervix"),
}
"""Tasks of a sweep, by their number."""
WORLDS = ("alike", "all sd x 3 at the small scale")
"""Worlds that are simulated."""
SCALES, SEEDS, SUBJECTS = (0.25, 1.0), 3, 100
SCORE = 0.7
"""Expected score of every run; the error of landmarks is (1 - score) in hundreds of pixels."""
COMMON_SD = 0.1
"""Standard deviation of scores between subjects that is common to all runs."""


@dataclass
class SimulatedSweep(FakeSweep):
    """Sweep whose predictions have effects of runs, of subjects and of runs on subjects."""

    world: World = REVIEW[0]
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    frames: int = 1
    spread: float | None = 0.0
    """A number, so that runs have predictions; the world says how they vary."""
    effects: dict[str, Array] = field(init=False)
    """Effects of runs (tasks, scales, seeds) by grouping."""

    def __post_init__(self) -> None:
        super().__post_init__()
        effects = draw_seed_effects(self.world, self.rng, 1, len(self.tasks), len(self.seeds))[0]
        arms = ("task_specific", *GROUPINGS)
        self.effects = dict(zip(arms, effects.swapaxes(0, 1), strict=True))
        shape = (len(arms), len(self.tasks), len(self.scales), self.subjects)
        self._of_subjects = self.world.subject_sd * self.rng.standard_normal(shape)
        self._common = COMMON_SD * self.rng.standard_normal((len(self.tasks), self.subjects))

    def _predict(
        self, run: RunSpec, scores: dict[str, dict[str, float]], directory: RunDirectory
    ) -> dict[str, dict[str, float]]:
        arm = self._find_arm(run)
        scale = self.scales.index(run.scale)
        predictions = []
        for name in run.tasks:
            task = self.tasks.index(name)
            of_run = float(self.effects[arm][task, scale, self.seeds.index(run.seed)])
            of_subjects = self._of_subjects[list(self.effects).index(arm), task, scale]
            of_subjects = of_subjects + self.world.residual_sd * self.rng.standard_normal(self.subjects)
            predictions += make_predictions(
                CATALOGUE[name], of_run, self._common[task], of_subjects, self.world, self.rng
            )
        write_predictions(directory.path / "predictions.parquet", predictions)
        return score_tasks([CATALOGUE[name] for name in run.tasks], predictions)[0]

    def _find_arm(self, run: RunSpec) -> str:
        """Return the first grouping with the block of a run; a block of one task is a run of the reference."""
        members = set(run.tasks)
        return next(arm for arm in self.effects if members in map(set, self.partitions[arm].values()))


def make_predictions(
    task: Task, of_run: float, common: Array, of_subjects: Array, world: World, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Return the predictions of a run for one task, one sample per subject.

    Args:
        task: Task.
        of_run: Effect of the run on the score.
        common: (C,) effects of subjects that all runs share.
        of_subjects: (C,) effects of subjects on this run alone, with their residual.
        world: World, for the spread of classification scores.
        rng: Random generator.
    """
    count = common.size
    columns: dict[str, Sequence[Any]]
    if task.type == "classification":
        labels = np.arange(count) % task.num_classes
        # The area under the curve of two normal distributions is Phi(separation / sqrt 2): without bias by the effect.
        separation = np.sqrt(2) * stats.norm.ppf(SCORE + of_run)
        spread = np.sqrt(COMMON_SD**2 + world.subject_sd**2 + world.residual_sd**2)
        margins = (common + of_subjects) / spread + separation * (labels == 1)
        probabilities = softmax(np.stack([np.zeros(count), margins], axis=1), axis=1)
        accuracy = (probabilities.argmax(axis=1) == labels).astype(float)
        columns = {"label": labels.tolist(), "probs": probabilities.tolist(), "accuracy": accuracy.tolist()}
    else:
        score = SCORE + of_run + common + of_subjects
        columns = {
            metric.name: (score if metric.higher_is_better else 100 * (1 - score)).tolist()
            for metric in METRICS[task.type]
        }
    empty = dict.fromkeys(("label", "probs", "box", "points", "mask"))
    return [
        {"task_id": task.id, "sample_id": sample_id(task, i), "subject_id": f"{task.id}-{i}"}
        | empty
        | {name: values[i] for name, values in columns.items()}
        for i in range(count)
    ]


def judge_sweep(job: tuple[str, int, int]) -> dict[str, int]:
    """Simulate a sweep in a temporary folder, and return for each grouping and scale whether a verdict is false.

    Args:
        job: Name of the world, number of tasks, and number of the sweep.
    """
    name, tasks, _ = job
    world = next(world for world in REVIEW if world.name == name)
    folder = Path(tempfile.mkdtemp())
    try:
        sweep = SimulatedSweep(
            folder / "null", TASKS[tasks], SCALES, tuple(range(SEEDS)), subjects=SUBJECTS, world=world,
            rng=make_generator("whole path", *job),
        )  # fmt: skip
        sweep.finish(lambda task, block, scale, seed: {get_main_metric(CATALOGUE[task].type).name: SCORE})
        cells = judged_cells(compare_study(collect([sweep.directory])))
    finally:
        shutil.rmtree(folder)
    families = group_rows((cell for cell in cells if cell.main), lambda cell: f"{cell.grouping}, {cell.scale}")
    return {key: int(any(cell.verdict in ("gain", "loss") for cell in family)) for key, family in families.items()}


def judge_sweeps(name: str, tasks: int, sweeps: int, jobs: int) -> Mapping[str, Share]:
    """Return the share of families with a false gain or loss by grouping and scale, on the whole path.

    Args:
        name: Name of the world.
        tasks: Number of tasks, one of TASKS.
        sweeps: Number of sweeps.
        jobs: Number of processes.
    """
    counts: Counter[str] = Counter()
    with multiprocessing.get_context("fork").Pool(jobs) as processes:
        for judged in processes.imap_unordered(judge_sweep, [(name, tasks, number) for number in range(sweeps)]):
            counts.update(judged)
    return {key: Share(count, sweeps) for key, count in sorted(counts.items())}


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate sweeps of all worlds and write the section about the whole path."""
    from benchmarks.evidence.families_page import write_whole_path

    parser = argparse.ArgumentParser(description="Judge null sweeps from their predictions on disk.")
    parser.add_argument("--sweeps", type=int, default=400, help="of 3 tasks; a quarter as many of 8 tasks")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/families.md"))
    options = parser.parse_args(arguments)
    shares = {}
    for tasks, sweeps in ((3, options.sweeps), (8, max(1, options.sweeps // 4))):
        for name in WORLDS:
            start = time.perf_counter()
            shares[name, tasks] = judge_sweeps(name, tasks, sweeps, options.jobs)
            seconds = time.perf_counter() - start
            print(f"{name}, {tasks} tasks: {sweeps} sweeps in {seconds:.0f} s", file=sys.stderr, flush=True)
    write_whole_path(options.out, shares)
    return 0


if __name__ == "__main__":
    sys.exit(main())
