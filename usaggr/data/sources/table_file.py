"""Rows of a text table from any program: separator, decimal comma, encoding, and values that are missing."""

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path

from usaggr.data.read.subject_names import normalize_subject
from usaggr.document.display_names import pluralize
from usaggr.errors import ConfigError, DataError, explain_unknown_name
from usaggr.io.bounded_content import parse_csv
from usaggr.io.bounded_files import MEBIBYTE, UnusableContentError, read_bounded

_SEPARATORS = (",", ";", "\t", "|")
_MAX_BYTES = 512 * MEBIBYTE
"""Largest size of a table."""


@dataclass(frozen=True)
class Record:
    """One row of a table."""

    line: int
    """Line in the file, from 1."""
    cells: dict[str, str]
    """Text without surrounding white space by column; missing values are left out."""
    marks: dict[str, str] = field(default_factory=dict)
    """Text by column of cells that are read as missing values, such as NA or none."""

    def get_text(self, column: str) -> str:
        """Return the text of a column; empty if the value is missing."""
        return self.cells.get(column, "")


@dataclass(frozen=True)
class TableFile:
    """The rows of a table."""

    path: Path
    columns: tuple[str, ...]
    records: tuple[Record, ...]
    decimal: str

    def check_column(self, option: str, name: str) -> None:
        """Check that a column exists.

        Raises:
            ConfigError: It does not.
        """
        if name not in self.columns:
            raise ConfigError(explain_unknown_name(option, name, self.columns))

    def get_number(self, record: Record, column: str) -> float | None:
        """Return the number of a cell; None if it is missing.

        Raises:
            DataError: The cell is not a number.
        """
        text = record.get_text(column)
        return None if not text else self.parse_number(text, record.line, column)

    def parse_number(self, text: str, line: int, column: str) -> float:
        """Return a number.

        Args:
            text: The text of a cell or of a part of it.
            line: Line of the cell, for messages.
            column: Column of the cell, for messages.

        Raises:
            DataError: The text is not a finite number.
        """
        is_point = "." in text and self.decimal == ","  # 1.234 may be 1234, with a point between thousands
        try:
            number = math.nan if is_point else float(text.replace(self.decimal, "."))
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or abs(number) > 1e9:
            hint = "; add --decimal ','" if "," in text and self.decimal == "." else ""
            hint = hint or ("; with --decimal ',' it must not have a point" if is_point else "")
            raise DataError(f"{self.path}, line {line}: {column} is '{text:.80}', which is not a number{hint}")
        return number


def read_table_file(path: Path, required: str, separator: str | None, decimal: str) -> TableFile:
    """Read a table.

    Args:
        path: The file.
        required: A column of the table, by which the separator is found.
        separator: Separator of columns; None to find it.
        decimal: "." or ",".

    Raises:
        ConfigError: The file or the required column does not exist, or an option is not valid.
        DataError: The file is not a table.
    """
    if decimal not in (".", ","):
        raise ConfigError(explain_unknown_name("--decimal", decimal, (".", ",")))
    if separator is not None and separator not in ("\\t", "tab") and len(separator) != 1:
        raise ConfigError(f"--sep: '{separator}' must be one character, or tab")
    try:
        content = read_bounded(path, _MAX_BYTES)
    except FileNotFoundError as error:
        raise ConfigError(f"--table: {path}: this file does not exist; give a table saved as text (CSV)") from error
    except UnusableContentError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise DataError(f"{path}: is a workbook of a spreadsheet program; save it as CSV")
    text = _decode(content)
    first_line, _, following = text.partition("\n")
    skipped = 0
    if first_line.lower().startswith("sep="):  # written for a spreadsheet program
        separator = separator or first_line[4:].strip("\r") or None
        text, skipped = following, 1
    candidates = _SEPARATORS if separator is None else ("\t" if separator in ("\\t", "tab") else separator,)
    header: list[str] = []
    for candidate in candidates:
        names = [name.strip() for name in next(parse_csv(text, delimiter=candidate), [])]
        if required in names:
            return _parse(path, text, candidate, decimal, skipped)
        header = names if len(names) > len(header) else header
    raise ConfigError(f"{path}: {explain_unknown_name('--image', required, header)}")


def _parse(path: Path, text: str, separator: str, decimal: str, skipped: int) -> TableFile:
    reader = parse_csv(text, delimiter=separator)
    records: list[Record] = []
    try:
        header = [name.strip() for name in next(reader)]
        repeated = sorted({name for name in header if name and header.count(name) > 1})
        if repeated:
            raise DataError(f"{path}: the column {', '.join(repeated)} exists more than once; rename or remove one")
        end = reader.line_num
        for cells in reader:
            line, end = end + 1 + skipped, reader.line_num
            if any(cell.strip() for cell in cells[len(header) :]):
                raise DataError(f"{path}, line {line}: has {pluralize(len(cells), 'cell')}, the header {len(header)}")
            values = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
            if any(values.values()):
                texts = {name: value for name, value in values.items() if normalize_subject(value)}
                marks = {name: value for name, value in values.items() if value and name not in texts}
                records.append(Record(line, texts, marks))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + skipped}: not a table ({error})") from error
    if not records:
        raise DataError(f"{path}: has no rows")
    return TableFile(path, tuple(header), tuple(records), decimal)


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")  # the encoding of Western spreadsheets
