"""Writes the synthetic data set in the layout of the FM_UIA benchmark, where the reader of real data finds it."""

import csv
import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.config import DataConfig, SyntheticConfig
from usaggr.data.synthetic.drawing import Frame, draw_frame, frames_of, variety_of
from usaggr.data.synthetic.sources import SOURCES, Family
from usaggr.errors import ConfigError, one_of
from usaggr.progress import NoProgress, Progress
from usaggr.tasks import CATALOGUE, Task

GENERATOR_VERSION = 1
"""Part of the cache's name: another version draws other images."""
POOL_FROM = 150
"""Frames from which on processes are worth their start."""
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 2]

Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Shot:
    """A frame to draw, and the tasks that show it."""

    family: str
    subject: int
    frame: int
    tasks: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its files, without suffix: <family>_<subject>_<frame>."""
        return f"{self.family}_{self.subject:05d}_{self.frame}"


_FAMILIES: dict[str, Family] = {source.family.name: source.family for source in SOURCES.values()}


def synthetic_root(data: DataConfig, cache_root: Path, progress: Progress | None = None) -> Path:
    """Folder of the configured phantoms, drawn where they are not there yet.

    It gets its name by one rename when it is whole, so an interrupted or a second drawing does no harm.
    """
    settings = json.dumps([GENERATOR_VERSION, data.synthetic.model_dump()], sort_keys=True)
    root = cache_root / "synthetic" / hashlib.sha256(settings.encode()).hexdigest()[:16]
    if root.exists():
        return root
    unfinished = root.with_name(f".{root.name}.{os.getpid()}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        write_synthetic(data.synthetic, unfinished, data.workers, progress)
        unfinished.rename(root)
    except OSError:
        if not root.exists():  # else another process was faster
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return root


def write_synthetic(
    synthetic: SyntheticConfig, root: Path, workers: int | None = None, progress: Progress | None = None
) -> None:
    """Draw all images of the configured tasks, and write them with their index under a folder.

    Raises:
        ConfigError: an unknown task, or a folder that holds something already.
    """
    for task_id in synthetic.tasks:
        if task_id not in SOURCES:
            raise ConfigError(one_of("data.synthetic.tasks", task_id, SOURCES))
    if root.exists() and any(root.iterdir()):
        raise ConfigError(f"{root} is not empty; give another folder")
    shots = plan_shots(synthetic)
    for folder in sorted({_FAMILIES[shot.family].folder for shot in shots}):
        (root / folder / "IMAGES").mkdir(parents=True, exist_ok=True)
    for task_id in synthetic.tasks:
        if CATALOGUE[task_id].type == "segmentation":
            (root / _mask_folder(task_id)).mkdir(parents=True, exist_ok=True)
    (root / "csv_files").mkdir(parents=True, exist_ok=True)
    bar = progress or NoProgress()
    bar.start("drawing phantoms", len(shots))
    rows: dict[str, list[Row]] = defaultdict(list)
    for found in _drawn(partial(write_shot, root=root, seed=synthetic.seed), shots, workers):
        for task_id, row in found.items():
            rows[task_id].append(row)
        bar.advance()
    bar.finish()
    for task_id in synthetic.tasks:
        with (root / "csv_files" / f"{task_id}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[task_id][0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows[task_id])


def plan_shots(synthetic: SyntheticConfig) -> list[Shot]:
    """All frames that the tasks show, each once, with the tasks that show it.

    A task takes its family's subjects one after the other until it has its number of images, so which images it shows
    does not depend on the other tasks.
    """
    tasks_of: dict[tuple[str, int, int], list[str]] = {}
    for task_id in sorted(set(synthetic.tasks)):
        source = SOURCES[task_id]
        missing, subject = synthetic.samples_per_task, source.first_subject
        while missing:
            if not source.varieties or variety_of(source.family, subject) in source.varieties:
                frames = frames_of(source.family, subject, synthetic.frames_per_subject, synthetic.seed)
                for frame in range(min(frames, missing)):
                    tasks_of.setdefault((source.family.name, subject, frame), []).append(task_id)
                missing -= min(frames, missing)
            subject += 1
    return [Shot(*where, tuple(tasks)) for where, tasks in sorted(tasks_of.items())]


def write_shot(shot: Shot, root: Path, seed: int) -> dict[str, Row]:
    """Draw a frame, write its image and masks, and give each task's row of the index."""
    family = _FAMILIES[shot.family]
    frame = draw_frame(family, shot.subject, shot.frame, seed)
    image_path = f"{family.folder}/IMAGES/{shot.name}.png"
    _write(root / image_path, frame.image)
    return {task_id: _row(CATALOGUE[task_id], shot, frame, image_path, root) for task_id in shot.tasks}


def _row(task: Task, shot: Shot, frame: Frame, image_path: str, root: Path) -> Row:
    source = SOURCES[task.id]
    row: Row = {
        "image_path": f"../{image_path}",
        "task_name": "Regression" if task.type == "regression" else task.type,
        "task_id": task.id,
        "num_classes": task.num_classes,
        "dataset": f"synthetic_{shot.family}",
        "subject_id": f"{shot.family}_{shot.subject:05d}",
    }
    match task.type:
        case "segmentation":
            mask_path = f"{_mask_folder(task.id)}/{shot.name}.png"
            _write(root / mask_path, _relabelled(frame.labels, source.mask_values))
            row["mask_path"] = f"../{mask_path}"
        case "classification":
            row["mask"] = source.varieties.index(variety_of(source.family, shot.subject))
        case "detection":
            row |= dict(zip(("x_min", "y_min", "x_max", "y_max"), _bounds(frame.labels > 0), strict=True))
        case "regression":
            for i, (x, y) in enumerate(frame.landmarks, start=1):
                row[f"point_{i}_xy"] = f"[{x:.2f}, {y:.2f}]"
    return row


def _bounds(region: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Box of a region: x_min, y_min, x_max, y_max, the far edges exclusive."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _relabelled(labels: NDArray[np.uint8], values: Mapping[int, int]) -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for value, label in values.items():
        table[value] = label
    return table[labels]


def _mask_folder(task_id: str) -> str:
    family = SOURCES[task_id].family
    return f"{family.folder}/MASKS/{task_id}"


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(path), pixels, _PNG):
        raise OSError(f"{path} cannot be written")


def _drawn(draw: "partial[dict[str, Row]]", shots: Sequence[Shot], workers: int | None) -> Iterator[dict[str, Row]]:
    processes = min(workers or os.cpu_count() or 1, len(shots))
    if processes == 1 or len(shots) < POOL_FROM:
        yield from map(draw, shots)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver"), initializer=_one_thread) as pool:
        yield from pool.map(draw, shots, chunksize=16)


def _one_thread() -> None:
    cv2.setNumThreads(1)
