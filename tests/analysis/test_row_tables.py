"""Tests of the conversion between typed rows and data frames."""

import math
from dataclasses import dataclass, replace

import pandas as pd

from tests.report.figure_factories import TASKS, compared
from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.row_tables import group_rows, make_table, read_rows
from usaggr.analysis.verdict_table import COMPARISON_COLUMNS, EXTRA_COLUMNS


@dataclass(frozen=True)
class Line:
    name: str
    count: int
    size: float
    tests: int | None
    holds: bool | None

    @property
    def large(self) -> bool:
        return self.size > 1


LINES = (Line("a", 1, 2.5, 7, True), Line("b", 2, math.nan, None, None), Line("c", 3, 0.5, 9, False))
FIELDS = ("name", "count", "size", "tests", "holds")


def test_columns_have_the_types_of_their_fields_and_properties() -> None:
    table = make_table(Line, LINES, (*FIELDS, "large"))
    dtypes = {name: str(dtype) for name, dtype in table.dtypes.items() if name != "name"}
    assert dtypes == {"count": "int64", "size": "float64", "tests": "Int64", "holds": "boolean", "large": "bool"}
    assert str(make_table(Line, LINES, FIELDS, nullable=["count"])["count"].dtype) == "Int64"


def test_rows_are_unchanged_by_a_table_and_missing_values_become_none() -> None:
    lines = read_rows(Line, make_table(Line, LINES, FIELDS))
    assert (lines[0], lines[2]) == (LINES[0], LINES[2])
    assert math.isnan(lines[1].size)
    assert replace(lines[1], size=1.0) == Line("b", 2, 1.0, None, None)


def test_an_empty_table_has_its_columns_and_gives_no_rows() -> None:
    table = make_table(Line, (), FIELDS)
    assert list(table.columns) == list(FIELDS)
    assert str(table["tests"].dtype) == "Int64"
    assert read_rows(Line, table) == ()


def test_verdicts_are_unchanged_by_a_table() -> None:
    verdicts = [
        compared(task, "unified", 0.1, p=0.01, p_adjusted=0.03, p_ni=0.001, p_ni_adjusted=0.002) for task in TASKS
    ]
    verdicts[0] = replace(verdicts[0], n_train=None, seeds_needed=7)
    table = make_table(CellVerdict, verdicts, (*COMPARISON_COLUMNS, *EXTRA_COLUMNS))
    assert list(read_rows(CellVerdict, table)) == verdicts
    assert table["n_train"].isna().tolist() == [True, False, False]
    assert pd.api.types.is_bool_dtype(table["valid"])


def test_groups_and_their_items_keep_the_order_of_the_items() -> None:
    assert group_rows([3, 1, 4, 1, 5], lambda number: number % 2) == {1: [3, 1, 1, 5], 0: [4]}
