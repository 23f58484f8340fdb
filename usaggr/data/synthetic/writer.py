"""Writing of phantoms to disk, in the layout of the FM_UIA challenge, which `usaggr.data.read` reads.

<root>/csv_files/<task>.csv      image_path, mask_path | mask | x_min ... | point_1_xy ..., subject_id, ...
<root>/<Type>/<task>/images/     an image of several tasks is in the folder of each of them, with the same bytes
<root>/<Type>/<task>/masks/
"""

import csv
import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import cv2
import numpy as np
from numpy.typing import NDArray

from usaggr.config.study import DataConfig, SyntheticConfig
from usaggr.data.read.index import format_task_type
from usaggr.data.synthetic import difficulty
from usaggr.data.synthetic.image_plan import Shot, Use, plan_images
from usaggr.data.synthetic.patient_pools import POOLS, SOURCES
from usaggr.data.synthetic.picture import Picture, replace_labels, take_picture
from usaggr.data.synthetic.process_pool import map_in_processes
from usaggr.data.synthetic.relations import find_relations
from usaggr.errors import ConfigError, DataError, RunError, explain_unknown_name
from usaggr.io.locks import hold_lock
from usaggr.tasks import CATALOGUE, Task, has_mask_label

if TYPE_CHECKING:
    from usaggr.progress import Progress

GENERATOR_VERSION = 3
"""Version of the pictures: a set of another version is drawn again.

Numbers and code in this folder that determine the pictures, or the pictures of a task, change only together with this
number. Otherwise a set in the cache would keep the old pictures under the same name, and results of different pictures
would be compared. After a change, raise it and run `python -m tests.data.synthetic.stored_pictures`; a test checks
both.
"""

Row = dict[str, str]
Job = tuple[Shot, tuple[Use, ...]]

_PLANTED = {"samples_of", "related", "conflicting"}
"""Keys that are part of a set's name only if they are not empty, so that sets drawn without these keys stay valid."""
_PIECE_SIZE = 16
"""Number of pictures that a process draws at a time."""


def prepare_synthetic(data: DataConfig, cache_folder: Path, progress: "Progress | None" = None) -> Path:
    """Return the folder of the phantoms that `data.synthetic` configures; they are drawn on first use.

    The folder is complete or does not exist: it is built under another name and then renamed. A second process waits
    for the first one.

    Args:
        data: Configuration of the phantoms.
        cache_folder: Cache folder.
        progress: Advances by one for each image.

    Raises:
        ConfigError: A task is not in the catalog.
        DataError: The cache folder cannot be used.
    """
    _check_tasks(data.synthetic)
    planted = {name: value for name in _PLANTED if (value := getattr(data.synthetic, name))}
    difficulty_values = {name: value for name, value in vars(difficulty).items() if name.isupper()}
    content = {**data.synthetic.model_dump(exclude=_PLANTED), **planted}
    content |= {"version": GENERATOR_VERSION, "difficulty": difficulty_values}
    name = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder / "synthetic" / name
    building = folder.with_name(f"{name}.building")
    try:
        while not folder.exists():
            lock = folder.with_name(f"{name}.lock")
            with hold_lock(lock, patience=1.0, remedy="choose another data.cache_dir=...") as has_lock:
                if not has_lock or folder.exists():
                    continue
                # An unfinished folder here is that of a process that was killed, since this process has the lock.
                shutil.rmtree(building, ignore_errors=True)
                try:
                    write_synthetic(data.synthetic, building, data.workers, progress)
                    building.rename(folder)
                finally:
                    shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"{folder.parent}: the cache cannot be used ({error}); choose another data.cache_dir=..."
        ) from error
    except RunError as error:  # the file system has no locks; the message contains the remedy
        raise DataError(str(error)) from error
    return folder


def write_synthetic(
    synthetic: SyntheticConfig, root: Path, workers: int | None = None, progress: "Progress | None" = None
) -> None:
    """Draw all phantoms of a configuration and write them to a folder.

    Args:
        synthetic: Configuration of the phantoms.
        root: New or empty folder.
        workers: Number of processes; None for one per core.
        progress: Advances by one for each image.

    Raises:
        ConfigError: A task is not in the catalog, or the folder is not empty.
    """
    _check_tasks(synthetic)
    if root.exists() and any(root.iterdir()):
        raise ConfigError(f"{root}: is not empty; give another folder")
    jobs = list(plan_images(synthetic).items())
    for task_id in synthetic.tasks:
        for folder in ("images", *(["masks"] if has_mask_label(CATALOGUE[task_id].type) else [])):
            (root / _get_folder(CATALOGUE[task_id]) / folder).mkdir(parents=True, exist_ok=True)
    if progress:
        progress.start("drawing phantoms", len(jobs))
    by_task: dict[str, list[Row]] = defaultdict(list)
    try:
        draw = partial(_draw_piece, root=root, seed=synthetic.seed)
        pieces = [jobs[i : i + _PIECE_SIZE] for i in range(0, len(jobs), _PIECE_SIZE)]
        for piece in map_in_processes(draw, pieces, workers):
            for row in (row for shot_rows in piece for row in shot_rows):
                by_task[row["task_id"]].append(row)
            if progress:
                progress.advance(len(piece))
    finally:
        if progress:
            progress.finish()
    (root / "csv_files").mkdir(exist_ok=True)
    for task_id, task_rows in by_task.items():
        _write_table(root / "csv_files" / f"{task_id}.csv", task_rows)


def _check_tasks(synthetic: SyntheticConfig) -> None:
    """Check that all tasks exist, and that the planted amounts and relations fit them."""
    for task_id in synthetic.tasks:
        if task_id not in SOURCES:
            raise ConfigError(explain_unknown_name("data.synthetic.tasks", task_id, SOURCES))
    for task_id in synthetic.samples_of:
        if task_id not in synthetic.tasks:
            raise ConfigError(explain_unknown_name("data.synthetic.samples_of", task_id, synthetic.tasks))
    find_relations(synthetic)


def _get_folder(task: Task) -> str:
    """Return the folder of a task's files, relative to the root."""
    return f"{task.type.capitalize()}/{task.id}"


def _draw_piece(jobs: Sequence[Job], root: Path, seed: int) -> list[list[Row]]:
    """Draw pictures, write their files, and return the index rows of each picture."""
    return [list(_write_picture(shot, uses, root, seed)) for shot, uses in jobs]


def _write_picture(shot: Shot, uses: tuple[Use, ...], root: Path, seed: int) -> Iterator[Row]:
    """Draw one picture, write its files for each task, and yield one index row per task."""
    picture = take_picture(shot, seed)
    suffix = POOLS[shot.pool].appearance.suffix
    content = encode_image(picture.image, suffix)
    for use in uses:
        task = CATALOGUE[use.task_id]
        image_path = f"{_get_folder(task)}/images/{shot.name}{suffix}"
        (root / image_path).write_bytes(content)
        label = _write_label(task, use, _take_label_picture(picture, use, seed), shot, root)
        yield {
            "image_path": f"../{image_path}",
            **label,
            "task_name": format_task_type(task.type),
            "task_id": task.id,
            "num_classes": str(task.num_classes),
            "dataset": f"synthetic_{shot.pool}",
            "subject_id": shot.subject_id,
        }


def _take_label_picture(picture: Picture, use: Use, seed: int) -> Picture:
    """Return the picture whose label is used: that of another shot for a conflicting task."""
    return picture if use.labelled_by is None else replace_labels(picture, take_picture(use.labelled_by, seed))


def _write_label(task: Task, use: Use, picture: Picture, shot: Shot, root: Path) -> Row:
    """Return the columns of the label, and write the mask if the task has masks."""
    match task.type:
        case "segmentation":
            assert picture.mask is not None
            mask_path = f"{_get_folder(task)}/masks/{shot.name}.png"
            (root / mask_path).write_bytes(encode_image(picture.mask, ".png"))
            return {"mask_path": f"../{mask_path}"}
        case "classification":
            return {"mask": str(use.label)}
        case "detection":
            return dict(zip(("x_min", "y_min", "x_max", "y_max"), map(str, picture.box), strict=True))
        case "regression":
            return {
                f"point_{i}_xy": json.dumps([round(float(c), 2) for c in point])
                for i, point in enumerate(picture.points, 1)
            }
        case _:
            assert_never(task.type)


def encode_image(pixels: NDArray[np.uint8], suffix: str) -> bytes:
    """Return the content of a grayscale image file with this suffix."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 95]
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def _write_table(path: Path, table: list[Row]) -> None:
    """Write the index of one task."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        # Sorted, because pictures are ready in any order and the file must be the same for any number of processes.
        writer.writerows(sorted(table, key=lambda row: row["image_path"]))
