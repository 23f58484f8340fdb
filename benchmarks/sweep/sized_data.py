"""Data sets and finished studies of a requested size, to time what depends on size alone."""

import csv
from pathlib import Path

import cv2
import numpy as np

from usaggr.metrics.names import METRICS
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Cost, RunResult
from usaggr.sweep.planning.study_plan import Plan, write_plan
from usaggr.tasks import CATALOGUE, Task

PIXELS = 16
"""Height and width of the images, so small that reading them takes almost no time compared with the index."""
FRAMES = 2
"""Images per subject."""


def choose_tasks(count: int) -> list[str]:
    """Return `count` tasks of the catalog, alternating between the types while tasks of a type are left."""
    by_type: dict[str, list[str]] = {}
    for task in CATALOGUE.values():
        by_type.setdefault(task.type, []).append(task.id)
    ranked = [(rank, type_, task) for type_, tasks in enumerate(by_type.values()) for rank, task in enumerate(tasks)]
    return [task for _, _, task in sorted(ranked)][:count]


def write_data(root: Path, tasks: int, samples: int) -> int:
    """Write a data set of noise in the layout of FM_UIA, with equally many samples per task.

    Args:
        root: New folder of the data set.
        tasks: Number of tasks.
        samples: Number of samples, rounded down to a multiple of `tasks`.

    Returns:
        Number of written samples.
    """
    (root / "csv_files").mkdir(parents=True)
    rng = np.random.default_rng(0)
    per_task = samples // tasks
    for task_id in choose_tasks(tasks):
        task = CATALOGUE[task_id]
        folder = root / task_id
        folder.mkdir()
        samples_ = [_row(folder, task, i, rng) for i in range(per_task)]
        with (root / "csv_files" / f"{task_id}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(samples_[0]))
            writer.writeheader()
            writer.writerows(samples_)
    return per_task * tasks


def _row(folder: Path, task: Task, i: int, rng: np.random.Generator) -> dict[str, str]:
    name = f"{i // FRAMES:05}_{i:05}"
    _write_image(folder / f"{name}.png", rng.integers(0, 256, (PIXELS, PIXELS), np.uint8))
    name_of_type = "Regression" if task.type == "regression" else task.type
    row = {"image_path": f"../{task.id}/{name}.png", "task_name": name_of_type, "task_id": task.id}
    row |= {"num_classes": str(task.num_classes), "subject_id": f"{task.id}-{i // FRAMES}"}
    match task.type:
        case "segmentation":
            mask = rng.integers(0, task.num_classes, (PIXELS, PIXELS), np.uint8)
            _write_image(folder / f"{name}_mask.png", mask)
            row["mask_path"] = f"../{task.id}/{name}_mask.png"
        case "classification":
            row["mask"] = str(i // FRAMES % task.num_classes)
        case "detection":
            row |= {"x_min": "2", "y_min": "3", "x_max": str(8 + i % 7), "y_max": "12"}
        case "regression":
            row |= {f"point_{k}_xy": f"[{i % PIXELS}, {k}]" for k in range(1, task.num_classes + 1)}
    return row


def _write_image(path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def finish_all(plan: Plan) -> None:
    """Write the plan and made-up results of each run, as far as `plan` and `status` read them."""
    rng = np.random.default_rng(0)
    write_plan(plan)
    for run in plan.runs:
        run.directory.mkdir(parents=True, exist_ok=True)
        directory = RunDirectory(run.directory)
        with directory.claim(1):
            directory.write_spec(run.spec)
            tasks = {task_id: plan.manifest.dataset.tasks[task_id].type for task_id in run.spec.tasks}
            scores = {
                task_id: {metric.name: float(rng.uniform(0.5, 0.9)) for metric in METRICS[task_type]}
                for task_id, task_type in tasks.items()
            }
            counts = dict.fromkeys(tasks, 48)
            cost = Cost(10.0, 8.0, 100.0, 500.0, 500_000)
            result = RunResult(scores, scores, scores, scores, counts, counts, counts, counts, cost)
            directory.write_result(result)
    write_plan(plan)
