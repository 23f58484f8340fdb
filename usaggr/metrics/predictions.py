"""Predictions and truths of single samples, and their table on disk: predictions.parquet.

The table holds all that a score needs, so that scores can be taken again without images or network.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from usaggr.errors import RunError

SAMPLE_METRICS = ("dsc", "hd", "hd95", "nsd", "accuracy", "iou", "mre", "mre_relative")
"""Metrics that a single sample has; the others belong to a whole fold."""

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("task_id", "sample_id", "subject_id")),
        *((name, pa.float64()) for name in SAMPLE_METRICS),
        ("label", pa.int32()),
        ("probs", pa.list_(pa.float64())),
        ("box", pa.list_(pa.float64())),
        ("points", pa.list_(pa.float64())),
        ("mask", pa.binary()),
    ]
)
"""label is the true class; points are x1, y1, x2, y2, ...; mask is a PNG of class indices. Pixels of the original."""


@dataclass(frozen=True)
class Prediction:
    """What is predicted for a sample, in pixels of the original image: one of the four, by the task's type."""

    task_id: str
    sample_id: str
    subject_id: str
    probs: NDArray[np.float64] | None = None
    """(K,), sum 1."""
    box: NDArray[np.float64] | None = None
    """(4,) x_min, y_min, x_max, y_max."""
    points: NDArray[np.float64] | None = None
    """(P, 2) x, y."""
    mask: NDArray[np.uint8] | None = None
    """(H, W) class indices."""


@dataclass(frozen=True)
class Truth:
    """A sample's label, in pixels of the original image."""

    task_id: str
    sample_id: str
    height: int
    width: int
    label: int | None = None
    box: NDArray[np.float64] | None = None
    points: NDArray[np.float64] | None = None
    mask: NDArray[Any] | None = None


def prediction_row(prediction: Prediction, truth: Truth, scores: Mapping[str, float]) -> dict[str, Any]:
    """A row of the table: the sample, its scores, and what was predicted."""
    row: dict[str, Any] = {
        "task_id": prediction.task_id,
        "sample_id": prediction.sample_id,
        "subject_id": prediction.subject_id,
        **scores,
        "label": truth.label,
    }
    for name in ("probs", "box", "points"):
        values = getattr(prediction, name)
        row[name] = None if values is None else [float(v) for v in values.ravel()]
    row["mask"] = None if prediction.mask is None else encode_mask(prediction.mask)
    return row


def write_predictions(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as a table that is there as a whole or not at all."""
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    parquet.write_table(table, temporary, compression="zstd")
    temporary.replace(path)


def read_predictions(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table of a run, or some of its columns.

    Raises:
        RunError: not there or not readable.
    """
    try:
        table: pd.DataFrame = parquet.read_table(path, columns=list(columns) if columns else None).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path}: cannot be read ({error}); remove the run to train it again") from error
    return table


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """PNG of class indices (H, W) uint8."""
    done, buffer = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise ValueError(f"a mask of shape {mask.shape} and type {mask.dtype} cannot be encoded")
    return bytes(buffer)


def decode_mask(content: bytes) -> NDArray[np.uint8]:
    """Class indices (H, W) of a PNG."""
    mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if mask is None:
        raise ValueError("not a PNG")
    return mask.astype(np.uint8)
