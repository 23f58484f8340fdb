from pathlib import Path

import numpy as np
import pytest

from usaggr.errors import RunError
from usaggr.metrics.predictions import (
    Prediction,
    Truth,
    decode_mask,
    encode_mask,
    prediction_row,
    read_predictions,
    write_predictions,
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).integers(0, 5, (37, 23), dtype=np.uint8)
    rows = [
        prediction_row(Prediction("m", "a", "s1", mask=mask), Truth("m", "a", 37, 23, mask=mask), {"dsc": 1.0}),
        prediction_row(
            Prediction("c", "b", "s2", probs=np.array([0.25, 0.75])), Truth("c", "b", 9, 9, label=1), {"accuracy": 1.0}
        ),
        prediction_row(
            Prediction("p", "c", "s3", points=np.array([[1.5, 2.0], [3.0, 4.0]])), Truth("p", "c", 9, 9), {"mre": 0.5}
        ),
    ]
    write_predictions(tmp_path / "predictions.parquet", rows)
    table = read_predictions(tmp_path / "predictions.parquet")
    assert list(table.task_id) == ["m", "c", "p"]
    assert np.array_equal(decode_mask(table["mask"][0]), mask)
    assert list(table.probs[1]) == [0.25, 0.75]
    assert list(table.points[2]) == [1.5, 2.0, 3.0, 4.0]
    assert table.label[1] == 1
    assert table.dsc[0] == 1.0
    assert np.isnan(table.dsc[1])
    assert list(read_predictions(tmp_path / "predictions.parquet", ["task_id", "mre"]).columns) == ["task_id", "mre"]
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.parquet"]


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, [prediction_row(Prediction("m", "a", "s"), Truth("m", "a", 1, 1), {})])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RunError, match=r"predictions\.parquet: cannot be read"):
        read_predictions(path)


def test_a_mask_survives_its_png() -> None:
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(decode_mask(encode_mask(mask)), mask)
