"""Predictions and labels of single samples, and their table on disk: predictions.parquet.

The table contains everything that a score needs, so that scores can be computed again without images or network.
"""

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
from usaggr.io.atomic_files import make_write_error, replace_file
from usaggr.io.bounded_parquet import read_bounded_table, read_table_schema

MAX_MASK_PIXELS = 400_000_000
"""Most pixels of a stored mask that are decoded: four times the default of `data.max_pixels`."""
_PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
"""First bytes of a PNG; its width and height follow, in four bytes each."""
SAMPLE_METRICS = ("dsc", "hd", "hd95", "nsd", "accuracy", "iou", "mre", "mre_relative")
"""Metrics of a single sample; the others are defined for a complete test set."""

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
"""Columns of predictions.parquet: label is the true class, points are x1, y1, x2, y2, ..., mask is a PNG of classes.

Boxes, points and masks are in pixels of the original image. The columns change only together with SCHEMA_VERSION
(`integrity.py`), by which old files are recognized; a test compares the two.
"""


@dataclass(frozen=True)
class Prediction:
    """Prediction for a sample, in pixels of the original image: one of the four fields, by the task's type."""

    task_id: str
    sample_id: str
    subject_id: str
    probs: NDArray[np.float64] | None = None
    """(K,) class probabilities with sum 1."""
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


def make_prediction_row(prediction: Prediction, truth: Truth, scores: Mapping[str, float]) -> dict[str, Any]:
    """Return a row of the table: the sample, its scores and its prediction.

    Args:
        prediction: the prediction for the sample.
        truth: its label.
        scores: its scores by metric.
    """
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


def make_prediction_table(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a table, equal to that of `read_predictions` after they are written.

    Columns that a row's task type does not use are missing values: NaN for metrics, <NA> in `label`, None in the
    others. `probs`, `box` and `points` contain flat float64 arrays, `mask` the bytes of a PNG.
    """
    return _convert_to_frame(pa.Table.from_pylist([dict(row) for row in records], schema=SCHEMA))


def write_predictions(path: Path, records: Sequence[Mapping[str, Any]] | pd.DataFrame) -> None:
    """Write rows, or their table, atomically.

    Raises:
        WriteError: the file cannot be written.
    """
    if isinstance(records, pd.DataFrame):
        # Metadata of pandas contain its version, which would make equal tables differ as files.
        table = pa.Table.from_pandas(records, schema=SCHEMA, preserve_index=False).replace_schema_metadata(None)
    else:
        table = pa.Table.from_pylist([dict(row) for row in records], schema=SCHEMA)
    try:
        with replace_file(path) as temporary:
            # Without checksums of pages, a flipped bit would be read as another value.
            parquet.write_table(table, temporary, compression="zstd", write_page_checksum=True)
    except OSError as error:
        raise make_write_error(path, error) from error


def read_predictions(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read the table of a run (see `make_prediction_table`), or the given columns of it in their order.

    Raises:
        RunError: the file is missing or truncated, or is not a table of predictions.
    """
    try:
        schema = read_table_schema(path)
        missing = [name for name in columns or SCHEMA.names if name not in schema.names]
        if missing:
            raise RunError(f"{path}: no column {', '.join(missing)}; it has {', '.join(schema.names)}")
        for name in columns or SCHEMA.names:
            stored, allowed = schema.field(name).type, SCHEMA.field(name).type
            if not _is_same_type(stored, allowed):
                raise RunError(f"{path}: {name} is {stored}, not {allowed}; remove the run to train it again")
        return _convert_to_frame(read_bounded_table(path, columns))
    except (OSError, ValueError, pa.ArrowException) as error:  # ValueError: damaged text is not UTF-8
        raise _make_unreadable_error(path, error) from error


def read_column_names(path: Path) -> frozenset[str]:
    """Return the names of the columns of a run's table.

    Raises:
        RunError: the file is missing or truncated, or is not a table.
    """
    try:
        return frozenset(read_table_schema(path).names)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _make_unreadable_error(path, error) from error


def _is_same_type(stored: pa.DataType, other: pa.DataType) -> bool:
    """Return whether columns have the same type of values.

    Parquet does not keep the names of list items, and pandas 3 writes text as large_string.
    """
    if _is_text(stored) and _is_text(other):
        return True
    if pa.types.is_list(stored) and pa.types.is_list(other):
        return bool(stored.value_type == other.value_type)
    return bool(stored == other)


def _is_text(stored: pa.DataType) -> bool:
    return bool(pa.types.is_string(stored) or pa.types.is_large_string(stored))


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """Encode a mask of class indices (H, W) uint8 as PNG.

    Raises:
        ValueError: the array has another type or number of dimensions, or is empty.
    """
    if mask.dtype != np.uint8 or mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"a mask must be (H, W) uint8 and not empty; got {mask.shape} {mask.dtype}")
    return cv2.imencode(".png", mask, _PNG)[1].tobytes()


def decode_mask(content: bytes) -> NDArray[np.uint8]:
    """Decode the PNG of a mask to class indices (H, W) uint8.

    Raises:
        ValueError: the content is not the PNG of a mask.
    """
    # From the header, before a pixel is decoded: a PNG of a few kilobytes can hold gigabytes of equal pixels.
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
    if content[:16] != _PNG_HEAD:
        raise ValueError("not the PNG of a mask: (H, W) uint8")
    if width * height > MAX_MASK_PIXELS:
        raise ValueError(f"a mask of {height} x {width} pixels, more than the {MAX_MASK_PIXELS} that are decoded")
    mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.dtype != np.uint8 or mask.ndim != 2:
        raise ValueError("not the PNG of a mask: (H, W) uint8")
    return mask.astype(np.uint8, copy=False)


def _make_unreadable_error(path: Path, error: Exception) -> RunError:
    reason = " ".join(str(error).split())
    return RunError(f"{path}: cannot be read ({reason}); remove the run to train it again")


def _convert_to_frame(table: pa.Table) -> pd.DataFrame:
    # A nullable integer: pandas' default turns labels into floats if any row has none.
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get)
    return frame


_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
"""PNG options. Masks are runs of equal values, so this takes 1/3 less space and 1/3 of the time of zlib's default."""
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # not in the oldest OpenCV that is supported, which tries all filters
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
