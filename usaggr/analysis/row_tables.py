"""Typed rows from data frames, and data frames from typed rows, where a table is written."""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

import pandas as pd

RowT = TypeVar("RowT")
KeyT = TypeVar("KeyT", bound=Hashable)
_DTYPES = {float: "float64", int: "int64", bool: "bool", int | None: "Int64", bool | None: "boolean"}
"""Of a column, by the type of the field; of other types pandas finds its own."""


def read_rows(kind: type[RowT], table: pd.DataFrame) -> tuple[RowT, ...]:
    """Return a table's rows as objects of a dataclass, each of whose fields is a column of the table.

    A missing value of a nullable column is None.
    """
    columns = [_values(table[field.name]) for field in fields(kind)]  # type: ignore[arg-type]
    return tuple(kind(*values) for values in zip(*columns, strict=True))


def make_table(
    kind: type[RowT], rows: Sequence[RowT], columns: Sequence[str], nullable: Collection[str] = ()
) -> pd.DataFrame:
    """Return a data frame with a row for each object of a dataclass, in their order.

    Args:
        kind: The dataclass.
        rows: Its objects; there may be none.
        columns: Names of fields or properties, in the order of the table's columns.
        nullable: Columns of whole numbers that are nullable although no field of them is None.
    """
    table = pd.DataFrame({name: [getattr(row, name) for row in rows] for name in columns}, columns=list(columns))
    hints = get_type_hints(kind)
    hints |= {name: get_type_hints(getattr(kind, name).fget)["return"] for name in columns if name not in hints}
    dtypes = {name: _DTYPES[hints[name]] for name in columns if hints[name] in _DTYPES}
    return table.astype(dtypes | dict.fromkeys(nullable, "Int64"))


def group_rows(rows: Iterable[RowT], key: Callable[[RowT], KeyT]) -> dict[KeyT, list[RowT]]:
    """Return the rows of each key, keys and rows in the order in which they come."""
    groups: dict[KeyT, list[RowT]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _values(column: "pd.Series[Any]") -> list[Any]:
    values = column.tolist()
    return [None if value is pd.NA else value for value in values] if isinstance(values, list) else values
