"""Tiny data sets on disk, in the layout of the FM_UIA challenge: one task of each type, a few small images each."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from usaggr.config.study import DataConfig

CONF = Path(__file__).parents[2] / "conf" / "data"
HEIGHT, WIDTH = 24, 32
Row = dict[str, str]


NOTHING_PLANTED: dict[str, Any] = {"samples_of": {}, "related": {}, "conflicting": {}}
"""Keys of data.synthetic at their defaults."""


def data_config(root: Path, cache: Path, **changes: Any) -> DataConfig:
    """Return the shipped defaults of data=fmuia, with changes."""
    values: dict[str, Any] = {}
    for name in ("_base.yaml", "fmuia.yaml"):
        values |= yaml.safe_load((CONF / name).read_text())
    values.pop("defaults")
    return DataConfig(**{**values, "root": str(root), "cache_dir": str(cache), "image_size": 32, **changes})


def write_image(path: Path, pixels: np.ndarray[Any, Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def noise(seed: int, height: int = HEIGHT, width: int = WIDTH, channels: int | None = None) -> np.ndarray[Any, Any]:
    shape = (height, width) if channels is None else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def disc(value: int = 1, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray[Any, Any]:
    """Return a mask with a disc in the middle."""
    y, x = np.mgrid[:height, :width]
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 4) ** 2
    return np.where(inside, value, 0).astype(np.uint8)


def write_rows(root: Path, name: str, table: list[Row]) -> Path:
    """Write an index file with the columns of its first row."""
    path = root / "csv_files" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    return path


def read_rows(root: Path, name: str) -> list[Row]:
    with (root / "csv_files" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def change_cell(root: Path, name: str, line: int, column: str, text: str) -> None:
    """Change one cell of an index file; the header is line 1."""
    table = read_rows(root, name)
    table[line - 2][column] = text
    write_rows(root, name, table)


def _write_task(
    root: Path, task_id: str, task_name: str, num_classes: int, n: int, label: Callable[[int], Row]
) -> None:
    table = []
    for i in range(n):
        # The seed depends on the task's name, so that no two tasks share an image.
        write_image(root / task_id / f"s{i // 2}_{i}.png", noise(i + 1000 * sum(map(ord, task_id))))
        row = {"image_path": f"../{task_id}/s{i // 2}_{i}.png", "task_name": task_name, "task_id": task_id}
        table.append({**row, "num_classes": str(num_classes), "dataset": "tiny", **label(i)})
    write_rows(root, f"{task_id}.csv", table)


def tiny_data(root: Path, n: int = 4) -> Path:
    """Write the tasks seg (2 classes), cls (3 classes), det and reg (2 points), one file each, with `n` samples."""

    def mask(i: int) -> Row:
        write_image(root / "seg" / "masks" / f"{i}.png", disc())
        return {"mask_path": f"../seg/masks/{i}.png"}

    _write_task(root, "seg", "segmentation", 2, n, mask)
    _write_task(root, "cls", "classification", 3, n, lambda i: {"mask": str(i % 3)})
    _write_task(
        root, "det", "detection", 1, n, lambda i: {"x_min": "2", "y_min": f"{i % 9}.5", "x_max": "20", "y_max": "21"}
    )
    _write_task(
        root, "reg", "Regression", 2, n, lambda i: {"point_1_xy": f"[{i % 30}.5, 3]", "point_2_xy": "[7, 8.25]"}
    )
    return root
