"""Conversion between data frames and typed rows: dataclass objects whose fields are the columns."""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

import pandas as pd

RowT = TypeVar("RowT")
KeyT = TypeVar("KeyT", bound=Hashable)
_DTYPES = {float: "float64", int: "int64", bool: "bool", int | None: "Int64", bool | None: "boolean"}
"""Dtype of a column by the type of its field; for other types, pandas infers the dtype."""


def read_rows(kind: type[RowT], table: pd.DataFrame) -> tuple[RowT, ...]:
    """Return the rows of a table as objects of a dataclass; each field must be a column of the table.

    Missing values of nullable columns become None.
    """
    columns = [_convert_column(table[field.name]) for field in fields(kind)]  # type: ignore[arg-type]
    return tuple(kind(*values) for values in zip(*columns, strict=True))


def make_table(
    kind: type[RowT], objects: Sequence[RowT], columns: Sequence[str], nullable: Collection[str] = ()
) -> pd.DataFrame:
    """Return a data frame with one row per object of a dataclass, in the given order.

    Args:
        kind: The dataclass.
        objects: Its objects; may be empty.
        columns: Names of fields or properties, in the order of the table's columns.
        nullable: Integer columns that get a nullable dtype although their fields are never None.
    """
    table = pd.DataFrame({name: [getattr(row, name) for row in objects] for name in columns}, columns=list(columns))
    hints = get_type_hints(kind)
    hints |= {name: get_type_hints(getattr(kind, name).fget)["return"] for name in columns if name not in hints}
    dtypes = {name: _DTYPES[hints[name]] for name in columns if hints[name] in _DTYPES}
    return table.astype(dtypes | dict.fromkeys(nullable, "Int64"))


def group_rows(items: Iterable[RowT], key: Callable[[RowT], KeyT]) -> dict[KeyT, list[RowT]]:
    """Return the items of each key; keys and items keep the order in which they occur."""
    groups: dict[KeyT, list[RowT]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _convert_column(column: "pd.Series[Any]") -> list[Any]:
    values = column.tolist()
    # A dataclass has None, not pandas' own mark of a missing value.
    return [None if value is pd.NA else value for value in values] if isinstance(values, list) else values
