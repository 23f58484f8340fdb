"""The layout of a submission: three JSON files and a folder of masks.

Classes, boxes and landmarks are lists of records, one an image and task, that name the image as the index does
(`image_path`). A mask is an image file of class indices, at the place that the index gives the true one (`mask_path`),
counted from the submission's folder.
"""

from pathlib import PurePosixPath
from typing import Any

from usaggr.data.read.index import IndexRow
from usaggr.errors import DataError
from usaggr.results.predictions import Prediction
from usaggr.tasks import TASK_TYPES, TaskType, has_mask_label

JSON_FILES: dict[TaskType, str] = {
    task_type: f"{task_type}_predictions.json" for task_type in TASK_TYPES if not has_mask_label(task_type)
}
"""Where predictions of a type are; those of segmentation are files of their own."""


def mask_place(row: IndexRow) -> PurePosixPath:
    """Where the mask that is predicted for a row lies in a submission: its mask_path less the leading `../`.

    A row without mask_path (an index without labels) gets the place of its image, as `.png`.

    Raises:
        DataError: the path would lead out of the submission's folder.
    """
    column = "mask_path" if row.text("mask_path") else "image_path"
    text = row.text(column)
    place = PurePosixPath(text.removeprefix("../"))
    if place.is_absolute() or ".." in place.parts or "\\" in text or not place.parts:
        raise DataError(
            f"{row.csv_file}, line {row.line}, {column}: '{text}' leads out of the folder of predictions; paths begin "
            "with one ../"
        )
    return place if column == "mask_path" else place.with_suffix(".png")


def record_of(image_path: str, prediction: Prediction, height: int, width: int) -> dict[str, Any]:
    """The record of a prediction that is no mask, at full precision.

    Args:
        image_path: as the index has it.
        prediction: of a class, a box or points, in pixels of the image.
        height: of the image, pixels.
        width: of the image, pixels.

    Raises:
        ValueError: the prediction is a mask, or none.
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
        raise ValueError(f"{image_path}: a prediction of {prediction.task_id} that is no class, box or points")
    sides = (width, height) * (values.size // 2)
    record[f"{name}_normalized"] = [float(value / side) for value, side in zip(values, sides, strict=True)]
    record[f"{name}_pixels"] = [float(value) for value in values]
    return record
