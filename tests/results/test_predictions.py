from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pyarrow import parquet

from usaggr.errors import RunError
from usaggr.io import bounded_parquet
from usaggr.metrics.names import METRICS
from usaggr.results.predictions import (
    SAMPLE_METRICS,
    SCHEMA,
    Prediction,
    Truth,
    decode_mask,
    encode_mask,
    make_prediction_row,
    make_prediction_table,
    read_predictions,
    write_predictions,
)

MASK = np.random.default_rng(0).integers(0, 5, (37, 23), dtype=np.uint8)
BOX = np.array([0.1, 1 / 3, 1e-12, 12345.678])


def rows_of_all_types() -> list[dict[str, Any]]:
    points = np.array([[1.5, 2.0], [3.0, np.pi]])
    return [
        make_prediction_row(
            Prediction("m", "a.png#2", "s1", mask=MASK),
            Truth("m", "a.png#2", 37, 23, mask=MASK[::-1]),
            {"dsc": 1.0, "hd": 0.1 + 0.2},
        ),
        make_prediction_row(
            Prediction("c", "b", "s2", probs=np.array([0.3, 0.7])), Truth("c", "b", 9, 9, label=1), {"accuracy": 1.0}
        ),
        make_prediction_row(Prediction("d", "c", "s3", box=BOX), Truth("d", "c", 9, 9, box=BOX + 1), {"iou": 1 / 3}),
        make_prediction_row(Prediction("p", "ü", "s 4", points=points), Truth("p", "ü", 9, 9), {"mre": 0.5}),
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.parquet"


def test_predictions_are_read_as_they_were_written(path: Path) -> None:
    write_predictions(path, rows_of_all_types())
    table = read_predictions(path)
    assert list(table.columns) == SCHEMA.names
    assert list(table.task_id) == ["m", "c", "d", "p"]
    assert list(table.sample_id) == ["a.png#2", "b", "c", "ü"]
    assert list(table.subject_id) == ["s1", "s2", "s3", "s 4"]
    assert np.array_equal(decode_mask(table["mask"][0]), MASK)
    assert list(table.probs[1]) == [0.3, 0.7]
    assert list(table.box[2]) == list(BOX)
    assert list(table.points[3]) == [1.5, 2.0, 3.0, np.pi]
    assert table.label.tolist() == [pd.NA, 1, pd.NA, pd.NA]
    assert table.dsc[0] == 1.0
    assert table.hd[0] == 0.1 + 0.2
    assert table.iou[2] == 1 / 3
    assert table[list(SAMPLE_METRICS)].notna().sum(axis=1).tolist() == [2, 1, 1, 1]
    assert table[["probs", "box", "points", "mask"]].notna().sum(axis=1).tolist() == [1, 1, 1, 1]


def test_rows_and_their_table_give_the_same_file_and_reading_returns_the_table(path: Path) -> None:
    table = make_prediction_table(rows_of_all_types())
    write_predictions(path, rows_of_all_types())
    from_rows = path.read_bytes()
    assert read_predictions(path).equals(table)
    write_predictions(path, table)
    assert path.read_bytes() == from_rows


def test_a_part_of_a_table_is_written_without_its_old_row_numbers(path: Path) -> None:
    table = make_prediction_table(rows_of_all_types())
    write_predictions(path, table[table.task_id != "m"])
    assert read_predictions(path).equals(table[1:].reset_index(drop=True))


def test_requested_columns_are_read_in_the_requested_order(path: Path) -> None:
    write_predictions(path, rows_of_all_types())
    assert list(read_predictions(path, ["mre", "task_id"]).columns) == ["mre", "task_id"]


def test_a_table_without_rows_has_all_columns(path: Path) -> None:
    write_predictions(path, [])
    table = read_predictions(path)
    assert list(table.columns) == SCHEMA.names
    assert len(table) == 0


def test_metrics_of_samples_have_columns_and_metrics_of_subsets_have_none() -> None:
    every = [metric for metrics in METRICS.values() for metric in metrics]
    of_folds = {metric.name for metric in every if not metric.is_per_sample}
    assert of_folds == {"auc", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc"}
    assert [metric.name for metric in every if metric.is_per_sample] == list(SAMPLE_METRICS)


def test_a_failed_write_leaves_the_old_table_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_predictions(path, rows_of_all_types())
    before = path.read_bytes()

    def full_disk(table: object, where: Path, **_: object) -> None:
        where.write_bytes(b"PAR1 half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(parquet, "write_table", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_predictions(path, rows_of_all_types()[:1])
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_missing_table_is_named(path: Path) -> None:
    with pytest.raises(RunError, match=r"predictions\.parquet: cannot be read"):
        read_predictions(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_no_table_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"predictions\.parquet: cannot be read .* train it again"):
        read_predictions(path)


@given(st.data())
def test_damage_is_found_or_does_no_harm(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("damaged") / "predictions.parquet"
    write_predictions(path, rows_of_all_types())
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), "cut"):
        del content[data.draw(st.integers(0, len(content) - 1), "length") :]
    else:
        content[data.draw(st.integers(0, len(content) - 1), "byte")] ^= 1 << data.draw(st.integers(0, 7), "bit")
    path.write_bytes(bytes(content))
    try:
        table = read_predictions(path)
    except RunError as error:
        table, message = None, str(error)
    if table is None:
        # Unreadable, a column missing, or of another type: one flipped bit in the schema changes a type.
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
    else:
        assert table.equals(make_prediction_table(rows_of_all_types()))


def test_names_of_columns_that_are_no_text_are_damage(path: Path) -> None:
    write_predictions(path, rows_of_all_types())
    path.write_bytes(path.read_bytes().replace(b"mask", b"mas\xff"))
    with pytest.raises(RunError, match=r"predictions\.parquet: cannot be read .*utf-8"):
        read_predictions(path)


def test_a_table_of_something_else_is_refused_with_what_it_holds(path: Path) -> None:
    pd.DataFrame({"task_id": ["a"], "score": [0.5]}).to_parquet(path)
    with pytest.raises(RunError, match=r"predictions\.parquet: no column sample_id, .*; it has task_id, score"):
        read_predictions(path)
    with pytest.raises(RunError, match="no column dsc;"):
        read_predictions(path, ["task_id", "dsc"])


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_a_mask_is_unchanged_after_encoding_and_decoding(mask: np.ndarray) -> None:
    again = decode_mask(encode_mask(mask))
    assert np.array_equal(again, mask)
    assert again.dtype == np.uint8


def test_a_view_of_a_mask_is_stored_like_its_copy() -> None:
    view = np.arange(1200, dtype=np.uint8).reshape(30, 40)[::-2, 3:30:3]
    assert np.array_equal(decode_mask(encode_mask(view)), view)


def test_a_mask_is_stored_as_a_gray_png_that_any_viewer_opens() -> None:
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(encode_mask(MASK))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (23, 37))
        assert np.array_equal(np.asarray(image), MASK)


@pytest.mark.parametrize(
    "mask",
    [np.zeros((4, 4), np.uint16), np.zeros((4, 4), bool), np.zeros((4, 4, 1), np.uint8), np.zeros((0, 4), np.uint8)],
    ids=["uint16", "bool", "three_dimensions", "empty"],
)
def test_an_array_that_a_png_cannot_store_exactly_is_refused(mask: Any) -> None:
    with pytest.raises(ValueError, match=r"a mask must be \(H, W\) uint8"):
        encode_mask(mask)


@pytest.mark.parametrize("image", [np.full((4, 4), 700, np.uint16), np.zeros((4, 4, 3), np.uint8)])
def test_a_png_that_is_no_mask_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not the PNG of a mask"):
        decode_mask(cv2.imencode(".png", image)[1].tobytes())


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"text"])
def test_content_that_is_no_png_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not the PNG of a mask"):
        decode_mask(content)


def test_a_png_of_32000_by_32000_pixels_is_refused_before_it_is_decoded() -> None:
    content = bytearray(encode_mask(np.zeros((4, 4), np.uint8)))
    content[16:24] = (32_000).to_bytes(4, "big") * 2
    with pytest.raises(ValueError, match="a mask of 32000 x 32000 pixels, more than the 400000000 that are decoded"):
        decode_mask(bytes(content))


def test_a_table_beyond_a_limit_is_refused_by_its_footer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_predictions(path, [{"task_id": "a" * 100, "sample_id": f"{i}", "probs": [0.5, 0.5]} for i in range(50)])
    for name, limit, message in (
        ("MAX_ROWS", 49, "holds 50 rows, more than the 49 that are read"),
        ("MAX_VALUES", 99, "probs holds 100 values, more than the 99 that are read"),
        ("MAX_TABLE_BYTES", 4999, "holds more than 4999 bytes of texts and images"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(bounded_parquet, name, limit)
            with pytest.raises(RunError, match=message):
                read_predictions(path)
    assert len(read_predictions(path)) == 50
