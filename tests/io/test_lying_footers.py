"""Parquet footers whose numbers of rows are wrong: the file is refused, or its rows are those that were written."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from usaggr.io.bounded_files import UnusableContentError
from usaggr.io.bounded_parquet import read_bounded_table

ROWS = 51
"""A number whose code occurs in few other places of a footer."""


def encode(number: int) -> bytes:
    """Return a number as in a footer, in Thrift's compact protocol: zigzag, then seven bits per byte."""
    number, code = 2 * number, b""
    while number > 127:
        number, code = number >> 7, code + bytes([number & 127 | 128])
    return code + bytes([number])


@pytest.fixture
def table() -> pa.Table:
    numbers = [float(number) for number in range(ROWS)]
    return pa.table({"id": [f"sample {n:g}" for n in numbers], "auc": numbers, "points": [[n, n] for n in numbers]})


def list_lies(path: Path, number: int) -> Iterator[Path]:
    """Yield the file once for each place of its footer that may be a number of rows, with another number there."""
    content = path.read_bytes()
    length = struct.unpack("<I", content[-8:-4])[0]
    body, footer = content[: -8 - length], content[-8 - length : -8]
    old = encode(ROWS)
    for start in range(len(footer)):
        if footer[start : start + len(old)] == old:
            changed = footer[:start] + encode(number) + footer[start + len(old) :]
            copy = path.with_name(f"{start}.parquet")
            copy.write_bytes(body + changed + struct.pack("<I", len(changed)) + b"PAR1")
            yield copy


@pytest.mark.parametrize("number", [0, 1, ROWS - 1, ROWS + 1, 4_000_000, 2**31, 2**40])
def test_no_number_of_a_footer_changes_the_rows_or_exhausts_memory(
    tmp_path: Path, table: pa.Table, number: int
) -> None:
    path = tmp_path / "table.parquet"
    parquet.write_table(table, path)
    assert read_bounded_table(path) == table
    messages = []
    for copy in list_lies(path, number):
        try:
            assert read_bounded_table(copy) == table, copy.name
        except (UnusableContentError, pa.ArrowException, OSError) as error:
            messages.append(str(error))
    # The file's rows, those of its row group, and the values of two flat columns; the list has twice as many values.
    assert len([text for text in messages if "is damaged" in text]) >= 4, messages


def test_columns_without_values_and_tables_without_rows_are_read(tmp_path: Path, table: pa.Table) -> None:
    empty = pa.table({"id": [None, "a"], "points": pa.array([None, []], pa.list_(pa.float64()))})
    for number, written in enumerate((empty, table.slice(0, 0), pa.concat_tables([table] * 3))):
        path = tmp_path / f"{number}.parquet"
        parquet.write_table(written, path, row_group_size=40)
        assert read_bounded_table(path) == written
        assert read_bounded_table(path, ["points"]) == written.select(["points"])
