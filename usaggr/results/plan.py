"""plan.csv: the runs that a study asks for, and their states when it was written."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.errors import RunError
from usaggr.io.atomic_files import write_atomic
from usaggr.results import contract
from usaggr.results.integrity import OLDEST_VERSION, SCHEMA_VERSION, check_version
from usaggr.results.versions import as_version

VERSION_COLUMN = "schema_version"
COLUMNS = (
    "run_id", "block", "groupings", "tasks", "scale", "seed", "variant", "parent", "fingerprint", "state",
    VERSION_COLUMN,
)  # fmt: skip
_NEEDED = ("run_id", "block", "groupings", "tasks", "scale", "seed", "variant", "fingerprint")
"""Columns that every version has written."""
_AGAIN = "`usaggr sweep` of the same study writes it again"


@dataclass(frozen=True)
class PlanRow:
    """A run that the study asks for."""

    run_id: str
    block: str
    groupings: tuple[str, ...]
    tasks: tuple[str, ...]
    scale: float | int
    seed: int
    variant: str
    fingerprint: str
    parent: str = ""
    """run_id of the run whose weights it starts from, which ends in the first 8 digits of its fingerprint."""


def write_plan_rows(directory: Path, rows: Iterable[tuple[PlanRow, str]]) -> None:
    """Write the plan of a study: its runs in their order, each with its current state."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row, state in rows:
        groupings, tasks = ";".join(row.groupings), ";".join(row.tasks)
        place = (row.run_id, row.block, groupings, tasks, row.scale, row.seed, row.variant)
        writer.writerow([*place, row.parent, row.fingerprint, state, SCHEMA_VERSION])
    write_atomic(directory / contract.PLAN, text.getvalue())


def read_plan(directory: Path) -> list[PlanRow]:
    """Return the runs of a study's plan, in its order. Every cell that is used is checked.

    Raises:
        RunError: there is no plan.csv, it is no such table, or another version of the tool wrote it; or which cell is
            missing or wrong, and what is allowed.
    """
    path = directory / contract.PLAN
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise RunError(f"{path}: no column {', '.join(missing)}; {_AGAIN}")
            return [_row(_checked(path, reader.line_num, row, _NEEDED)) for row in reader]
    except FileNotFoundError as error:
        raise RunError(f"{path}: not there; `usaggr sweep` writes it") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())}); {_AGAIN}") from error


def check_plan_version(directory: Path) -> None:
    """Check the version of a plan that is to be replaced; one that is missing or damaged may be replaced.

    Raises:
        RunError: another version of the tool wrote it.
    """
    path = directory / contract.PLAN
    try:
        with path.open(newline="") as file:
            row = next(csv.DictReader(file), {})
    except (OSError, UnicodeDecodeError, csv.Error):
        return
    _check_cell_version(path, row)


def _row(row: dict[str, str]) -> PlanRow:
    return PlanRow(
        run_id=row["run_id"],
        block=row["block"],
        groupings=_names(row["groupings"]),
        tasks=_names(row["tasks"]),
        scale=_scale(row["scale"]),
        seed=int(row["seed"]),
        variant=row["variant"],
        fingerprint=row["fingerprint"],
        parent=row.get("parent") or "",
    )


def _names(cell: str) -> tuple[str, ...]:
    return tuple(name for name in cell.split(";") if name)


def _scale(text: str) -> float | int:
    """Return a scale: a cap of samples is written as an integer, a fraction with its point."""
    try:
        return int(text)
    except ValueError:
        return float(text)


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
    check_version(path, as_version(row.get(VERSION_COLUMN) or str(OLDEST_VERSION)))


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
