"""Builders of small data sets on disk, with predictions of them in the challenge's layout."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.data.factories import data_config, noise, write_image, write_rows
from usaggr.challenge.evaluate import Evaluation, evaluate
from usaggr.challenge.layout import JSON_FILES
from usaggr.challenge.selection import select
from usaggr.data.read.load_dataset import load_dataset
from usaggr.progress import NoProgress

Array = NDArray[Any]
Cells = Mapping[str, Any]
NAMES = {"regression": "Regression"}


class Made:
    """A data set in `root` and its predictions in `folder`, to which tasks are added one by one."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.records: dict[str, list[dict[str, Any]]] = {name: [] for name in JSON_FILES.values()}
        self._images = 0
        folder.mkdir(parents=True, exist_ok=True)

    def task(
        self, task_id: str, kind: str, classes: int, samples: Sequence[tuple[tuple[int, int], Cells]]
    ) -> list[str]:
        """Write the index file of a task, one row per (height, width) and label cells; return each image_path."""
        written = []
        for (height, width), cells in samples:
            self._images += 1
            name = f"{task_id}_{self._images}.png"
            write_image(self.root / kind / name, noise(self._images, height, width))
            row = {"image_path": f"../{kind}/{name}", "task_name": NAMES.get(kind, kind), "task_id": task_id}
            written.append({**row, "num_classes": str(classes), **{key: str(value) for key, value in cells.items()}})
        write_rows(self.root, f"{task_id}.csv", written)
        return [row["image_path"] for row in written]

    def segmentation(
        self, task_id: str, classes: int, truths: Sequence[Array], masks: Sequence[Image.Image | Array]
    ) -> list[str]:
        """Add true masks and predicted masks."""
        samples = []
        for number, truth in enumerate(truths):
            path = f"Segmentation/{task_id}/MASKS/{number}.png"
            write_image(self.root / path, truth.astype(np.uint8))
            samples.append((truth.shape, {"mask_path": f"../{path}"}))
            mask = masks[number]
            image = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            image.save(self.folder / path)
        return self.task(task_id, "segmentation", classes, samples)

    def classification(
        self, task_id: str, classes: int, labels: Sequence[int], records: Sequence[dict[str, Any]]
    ) -> list[str]:
        """Add labels, and records of predictions without their image and task."""
        paths = self.task(task_id, "classification", classes, [((9, 8), {"mask": label}) for label in labels])
        return self._predict("classification", task_id, paths, records)

    def detection(
        self, task_id: str, size: tuple[int, int], boxes: Sequence[Sequence[float]], records: Sequence[dict[str, Any]]
    ) -> list[str]:
        """Add true boxes, and records of predictions."""
        sides = ("x_min", "y_min", "x_max", "y_max")
        samples = [(size, dict(zip(sides, map(repr, map(float, box)), strict=True))) for box in boxes]
        return self._predict("detection", task_id, self.task(task_id, "detection", 1, samples), records)

    def regression(
        self, task_id: str, size: tuple[int, int], points: Sequence[Array], records: Sequence[dict[str, Any]]
    ) -> list[str]:
        """Add true points of shape (P, 2), and records of predictions."""
        samples = [
            (size, {f"point_{i}_xy": json.dumps(list(p)) for i, p in enumerate(image_points, 1)})
            for image_points in points
        ]
        return self._predict("regression", task_id, self.task(task_id, "regression", len(points[0]), samples), records)

    def _predict(self, kind: Any, task_id: str, paths: list[str], records: Sequence[dict[str, Any]]) -> list[str]:
        for path, record in zip(paths, records, strict=True):
            self.records[JSON_FILES[kind]].append({"image_path": path, "task_id": task_id, **record})
        return paths

    def evaluated(self, cache: Path) -> Evaluation:
        """Write the records and score all of them."""
        for name, records in self.records.items():
            (self.folder / name).write_text(json.dumps(records))
        config = data_config(self.root, cache, allow_empty_masks=True)
        dataset = load_dataset(config)
        return evaluate(self.folder, dataset, select(dataset, None, None), config, 0.005, NoProgress())
