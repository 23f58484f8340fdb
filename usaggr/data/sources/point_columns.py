"""Columns of landmarks: numbered (`x{i},y{i}` or `p{i}`), or pairs with names (`apex=ax,ay;base=bx,by`)."""

import re
from dataclasses import dataclass

from usaggr.data.sources.table_file import Record, TableFile
from usaggr.errors import ConfigError, DataError


@dataclass(frozen=True)
class PointColumns:
    """The columns of each landmark."""

    pairs: tuple[tuple[str, ...], ...]
    """Columns of x and y, or one column with both, of each landmark."""
    names: tuple[str, ...]
    """Names of the landmarks; empty if they have none."""

    def read_points(self, table: TableFile, record: Record) -> tuple[tuple[float, float], ...] | None:
        """Return (x, y) of each landmark of a row; None if one is missing.

        Raises:
            DataError: A value is not a number, or the one column of a landmark has not two numbers.
        """
        points: list[tuple[float, float]] = []
        for columns in self.pairs:
            if len(columns) == 1:
                values = _read_point(table, record, columns[0])
            else:
                values = [number for column in columns if (number := table.get_number(record, column)) is not None]
            if len(values) != 2:
                return None
            points.append((values[0], values[1]))
        return tuple(points)


def parse_point_columns(text: str, table: TableFile) -> PointColumns:
    """Return the columns that the value of `--points` stands for.

    Raises:
        ConfigError: A column does not exist, numbers have gaps, or the text is not valid.
    """
    if "{i}" in text:
        return PointColumns(_list_numbered_columns(text, table), ())
    pairs: list[tuple[str, ...]] = []
    names: list[str] = []
    for entry in filter(str.strip, text.split(";")):
        name, equals, columns_text = entry.rpartition("=")
        columns = tuple(column.strip() for column in columns_text.split(","))
        if len(columns) > 2:
            raise ConfigError(
                f"--points: '{entry.strip()}' must be a pair of columns; write x{{i}},y{{i}}, or pairs such as "
                "'apex=ax,ay;base=bx,by'"
            )
        for column in columns:
            table.check_column("--points", column)
        pairs.append(columns)
        if equals:
            names.append(name.strip())
    if not pairs or (names and len(set(names)) != len(pairs)):
        raise ConfigError(f"--points: '{text}' must give each landmark a name of its own, or none a name")
    return PointColumns(tuple(pairs), tuple(names))


def _list_numbered_columns(text: str, table: TableFile) -> tuple[tuple[str, ...], ...]:
    """Return the columns of a pattern with `{i}`, in the order of their numbers."""
    templates = [template.strip() for template in text.split(",")]
    if len(templates) > 2 or any("{i}" not in template for template in templates):
        raise ConfigError(f"--points: '{text}' must be one or two columns with {{i}}, such as 'x{{i}},y{{i}}'")
    columns: list[dict[int, str]] = []  # for each template: the matching column of each number
    for template in templates:
        pattern = re.compile(r"(\d{1,6})".join(map(re.escape, template.split("{i}", 1))))
        columns.append({int(match[1]): name for name in table.columns if (match := pattern.fullmatch(name))})
    numbers = sorted(columns[0])
    for template, numbered in zip(templates, columns, strict=True):
        if not numbered:
            raise ConfigError(f"--points: no column is '{template}' with a number; columns: {', '.join(table.columns)}")
        if sorted(numbered) != numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            present = "; ".join(
                f"{t}: {', '.join(map(str, sorted(c)))}" for t, c in zip(templates, columns, strict=True)
            )
            raise ConfigError(f"--points: '{text}' needs the same numbers without gaps for each column ({present})")
    return tuple(tuple(numbered[number] for numbered in columns) for number in numbers)


def _read_point(table: TableFile, record: Record, column: str) -> list[float]:
    """Return x and y of a cell with both; an empty list if the cell is empty.

    Raises:
        DataError: The cell is not two numbers.
    """
    cell = record.get_text(column)
    texts = _split_point(cell, table.decimal)
    if len(texts) == 1:
        has_comma = table.decimal == ","
        separators = "';' or a space (with --decimal ',', 26,1 is one number)" if has_comma else "',', ';' or a space"
        raise DataError(
            f"{table.path}, line {record.line}: {column} is '{cell:.80}', which is not two numbers, x and y, separated "
            f"by {separators}; if x and y have a column each, name both in --points, such as 'apex={column},Y'"
        )
    return [table.parse_number(text, record.line, column) for text in texts]


def _split_point(text: str, decimal: str) -> list[str]:
    """Return the two coordinates of a text such as `12, 30`, `[12, 30]` or `(12; 30)`; other texts as they are.

    Args:
        text: The cell.
        decimal: Decimal mark of the table. A decimal comma does not separate coordinates: `26,1` is one number.
    """
    content = text.strip().strip("[](){}").strip()
    if not content:
        return []
    for separator in (";", None) if decimal == "," else (";", ",", None):
        values = [value.strip() for value in content.split(separator)]
        # In `26, 1` of a table with decimal commas, it is not clear which of both the comma is.
        is_unclear = decimal == "," and any(value.startswith(",") or value.endswith(",") for value in values)
        if len(values) == 2 and not is_unclear:
            return values
    return [content]
