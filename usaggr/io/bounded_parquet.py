"""The only reader of Parquet tables: with limits for rows, values and bytes, which are checked before memory is used.

A Parquet file of a few kilobytes can hold 500 million equal rows, or name one long text in each of a million rows.
Arrow believes the numbers of rows in the footer: it allocates memory for them, or returns fewer rows than there are.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, parquet

from usaggr.io.bounded_files import MEBIBYTE, UnusableContentError, format_limit, open_regular

MAX_ROWS = 5_000_000
"""Most rows of a table; a test set has thousands."""
MAX_VALUES = 100_000_000
"""Most values of a column, with those in its lists."""
MAX_TABLE_BYTES = 2048 * MEBIBYTE
"""Most bytes of the texts and images in the columns that are read."""


def read_table_schema(path: Path) -> pa.Schema:
    """Return the names and types of the columns of a table.

    Raises:
        OSError, pa.ArrowException: The file cannot be read, or is no table.
        UnusableContentError: It is no regular file.
    """
    open_regular(path).close()  # Arrow would wait for the writer of a pipe
    return parquet.read_schema(path)


def read_bounded_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the given columns of a table, or all of them; the checksums of its pages are verified.

    Raises:
        OSError, pa.ArrowException: The file cannot be read, or is no table.
        UnusableContentError: It is no regular file, or beyond a limit.
    """
    schema = read_table_schema(path)
    names = list(columns) if columns is not None else schema.names
    texts = [name for name in names if name in schema.names and _is_text(schema.field(name).type)]
    # Repeated texts are read as numbers into a list of distinct ones, so that their size is known before it is used.
    with parquet.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True) as file:
        _check_row_counts(file.metadata)
        _check_footer(file.metadata, names)
        table = file.read(columns=names)
        if table.num_rows != file.metadata.num_rows:
            raise UnusableContentError(f"holds {table.num_rows} rows, but {file.metadata.num_rows} by its footer")
    size = sum(_count_bytes(chunk) for name in texts for chunk in table.column(name).chunks)
    if size > MAX_TABLE_BYTES:
        raise UnusableContentError(f"holds more than {format_limit(MAX_TABLE_BYTES)} of texts and images")
    return table.cast(pa.schema([schema.field(name) for name in table.column_names], table.schema.metadata))


def _check_row_counts(footer: parquet.FileMetaData) -> None:
    """Check that the numbers of rows of the file, its row groups and their columns agree.

    Raises:
        UnusableContentError: They contradict each other.
    """
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    counts = [group.num_rows for group in groups]
    if min(counts, default=0) < 0 or sum(counts) != footer.num_rows:
        raise UnusableContentError(f"is damaged: {footer.num_rows} rows, but {sum(counts)} in its row groups")
    for group in groups:
        for column in map(group.column, range(group.num_columns)):
            # A list has a value for each of its entries, and one if it is empty or missing.
            is_list = "." in column.path_in_schema
            if column.num_values < group.num_rows or (column.num_values > group.num_rows and not is_list):
                raise UnusableContentError(
                    f"is damaged: {column.num_values} values of {column.path_in_schema} in {group.num_rows} rows"
                )


def _check_footer(footer: parquet.FileMetaData, names: Sequence[str]) -> None:
    """Check the numbers of rows and values, and the decompressed size of the columns that are read.

    Raises:
        UnusableContentError: A limit is exceeded.
    """
    if footer.num_rows > MAX_ROWS:
        raise UnusableContentError(f"holds {footer.num_rows} rows, more than the {MAX_ROWS} that are read")
    values: dict[str, int] = {}
    size = 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            name = column.path_in_schema.partition(".")[0]
            if name in names:
                values[name] = values.get(name, 0) + column.num_values
                size += column.total_uncompressed_size
    for name, count in values.items():
        if count > MAX_VALUES:
            raise UnusableContentError(f"{name} holds {count} values, more than the {MAX_VALUES} that are read")
    if size > MAX_TABLE_BYTES:
        raise UnusableContentError(f"takes {size // MEBIBYTE} MiB, more than the {format_limit(MAX_TABLE_BYTES)}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _count_bytes(chunk: pa.Array) -> int:
    """Return the number of bytes of a column of texts after they are repeated."""
    if not isinstance(chunk, pa.DictionaryArray):
        return int(chunk.nbytes)
    lengths = compute.binary_length(chunk.dictionary).take(chunk.indices)
    return int(compute.sum(lengths).as_py() or 0)
