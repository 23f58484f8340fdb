"""The layout of a submission: three JSON files and a folder of masks.

Classes, boxes and landmarks are lists of records, one per image and task, which name the image as the index does
(`image_path`). A mask is an image file of class indices. Its path within the submission is the index's path of the true
mask (`mask_path`) without the leading `../`.
"""

from pathlib import PurePosixPath
from typing import Any

import numpy as np

from usaggr.data.read.index import IndexRow
from usaggr.errors import DataError
from usaggr.results.predictions import Prediction
from usaggr.tasks import TASK_TYPES, TaskType, has_mask_label

JSON_FILES: dict[TaskType, str] = {
    task_type: f"{task_type}_predictions.json" for task_type in TASK_TYPES if not has_mask_label(task_type)
}
"""File with the predictions of each task type; segmentations have one image file per mask instead."""


def get_mask_path(row: IndexRow) -> PurePosixPath:
    """Return the path of a row's predicted mask in a submission: its mask_path without the leading `../`.

    A row without mask_path (an index without labels) gets the path of its image, with the ending `.png`.

    Raises:
        DataError: The path would lead out of the submission's folder.
    """
    column = "mask_path" if row.get_text("mask_path") else "image_path"
    text = row.get_text(column)
    # Paths of an index start in csv_files/, so one ../ leads to the root; more are refused below.
    path = PurePosixPath(text.removeprefix("../"))
    if path.is_absolute() or ".." in path.parts or "\\" in text or not path.parts:
        raise DataError(
            f"{row.csv_file}, line {row.line}, {column}: '{text}' leads out of the folder of predictions; paths must "
            "begin with exactly one ../"
        )
    return path if column == "mask_path" else path.with_suffix(".png")


def make_record(image_path: str, prediction: Prediction, height: int, width: int) -> dict[str, Any]:
    """Return the JSON record of a predicted class, box or list of points, at full precision.

    Args:
        image_path: Path of the image, as written in the index.
        prediction: Prediction with class probabilities, a box or points, in pixels of the original image.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Raises:
        ValueError: The prediction is a mask, or empty.
    """
    record: dict[str, Any] = {"image_path": image_path, "task_id": prediction.task_id}
    if prediction.probs is not None:
        record["predicted_class"] = int(prediction.probs.argmax())
        record["predicted_probs"] = [float(value) for value in prediction.probs]
        return record
    if prediction.box is not None:
        name, values = "bbox", prediction.box
    elif prediction.points is not None:
        name, values = "predicted_points", prediction.points.ravel()
    else:
        raise ValueError(f"{image_path}: the prediction of {prediction.task_id} has no class, box or points")
    # Coordinates are x1, y1, x2, y2, ...: the width comes first, although shapes of arrays are (height, width).
    sides = (width, height) * (values.size // 2)
    record[f"{name}_normalized"] = [float(value / side) for value, side in zip(values, sides, strict=True)]
    record[f"{name}_pixels"] = [float(value) for value in values]
    return record


def read_record(record: dict[str, Any]) -> Prediction:
    """Return the prediction of a record that `make_record` made, in pixels of the original image."""
    probs, box, points = (
        None if values is None else np.array(values, np.float64)
        for values in (record.get(name) for name in ("predicted_probs", "bbox_pixels", "predicted_points_pixels"))
    )
    points = None if points is None else points.reshape(-1, 2)
    return Prediction(record["task_id"], record["image_path"], "", probs=probs, box=box, points=points)
