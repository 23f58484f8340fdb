"""Checks of a study's files before they are read or replaced: their version, and the cells of plan.csv.

What a newer version of the tool wrote is refused, and nothing of it replaced.

study.yaml says it in its first line, which is a comment, so that the file can be composed as a study again; plan.csv in
its last column; data.json and run.yaml under the key schema_version. Files of tools that wrote none are of version 1.
"""

import csv
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from usaggr.errors import RunError
from usaggr.results.integrity import OLDEST_VERSION, SCHEMA_VERSION, check_version

STUDY_HEAD = f"# schema_version: {SCHEMA_VERSION}\n"
"""First line of study.yaml."""
COLUMN = "schema_version"
"""Of plan.csv."""
_HEAD = 1024
"""Characters of a file that are looked at."""
_VERSION = re.compile(r"^(?:# )?schema_version:[ \t]*(.*?)[ \t]*$", re.MULTILINE)


def check_versions(directory: Path) -> None:
    """Check the version of the files that a sweep would replace; those that are missing or damaged may be replaced.

    Raises:
        RunError: another version of the tool wrote study.yaml or plan.csv.
    """
    check_yaml(directory / "study.yaml")
    path = directory / "plan.csv"
    try:
        with path.open(newline="") as file:
            row = next(csv.DictReader(file), {})
    except (OSError, UnicodeDecodeError, csv.Error):
        return
    _check_cell_version(path, row)


def check_yaml(path: Path) -> None:
    """Refuse a study.yaml or run.yaml of another version, by its head alone.

    Raises:
        RunError: another version of the tool wrote it.
    """
    try:
        with path.open() as file:
            found = _VERSION.search(file.read(_HEAD))
    except (OSError, UnicodeDecodeError):
        return
    if found is not None:
        check_version(path, _as_version(found.group(1).strip("'\"")))


def read_plan_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of plan.csv, whose version and cells are checked.

    Args:
        path: of plan.csv.
        columns: those that the caller reads; other columns are not checked, and may be missing.

    Raises:
        RunError: it is not there, is no such table, or another version of the tool wrote it; or which cell is missing
            or wrong, and what is allowed.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise RunError(f"{path}: no column {', '.join(missing)}; {_AGAIN}")
            return [_checked(path, reader.line_num, row, columns) for row in reader]
    except FileNotFoundError as error:
        raise RunError(f"{path}: not there; `usaggr sweep` writes it") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())}); {_AGAIN}") from error


def _checked(path: Path, line: int, row: dict[str, str], columns: Sequence[str]) -> dict[str, str]:
    _check_cell_version(path, row)
    for name in columns:
        cell: str | None = row[name]  # None: the line is cut off before it
        allowed, fits = _CELLS.get(name, ("a text", lambda cell: True))
        if cell is None or not fits(cell):
            said = f"no {name}" if cell is None else f"{name} is {cell!r}, not {allowed}"
            raise RunError(f"{path}: line {line}: {said}; {_AGAIN}")
    return row


def _check_cell_version(path: Path, row: dict[str, str]) -> None:
    check_version(path, _as_version(row.get(COLUMN) or str(OLDEST_VERSION)))


def _as_version(text: str) -> int | str:
    """Return a version as the number that it is, or as the text that it should not be."""
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else text


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


_CELLS: dict[str, tuple[str, Callable[[str], object]]] = {
    "run_id": ("a name", str.strip),
    "block": ("a name", str.strip),
    "tasks": ("names with ; between", str.strip),
    "scale": ("a number", _is_number),
    "seed": ("a whole number", re.compile(r"-?[0-9]+").fullmatch),
    "variant": ("a name", str.strip),
    "fingerprint": ("64 hexadecimal digits", re.compile(r"[0-9a-f]{64}").fullmatch),
}
"""Column of plan.csv: what it may hold, and whether a cell does."""
_AGAIN = "`usaggr sweep` of the same study writes it again"
