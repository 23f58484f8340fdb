"""plan.csv: the runs of a study, and their states when the file was written."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.errors import RunError
from usaggr.io.bounded_content import parse_csv_table
from usaggr.io.bounded_files import read_bounded_text
from usaggr.results import contract
from usaggr.results.contract_sums import check_sum, write_contract_file
from usaggr.results.integrity import OLDEST_VERSION, SCHEMA_VERSION, check_version, shorten
from usaggr.results.versions import parse_version

VERSION_COLUMN = "schema_version"
COLUMNS = (
    "run_id", "block", "groupings", "tasks", "scale", "seed", "variant", "parent", "fingerprint", "state",
    VERSION_COLUMN,
)  # fmt: skip
_NEEDED = ("run_id", "block", "groupings", "tasks", "scale", "seed", "variant", "fingerprint")
"""Columns that every version writes."""
_REMEDY = "`usaggr sweep` of the same study writes it again"
_LARGEST_SCALE = 1e15
"""Largest cap of training samples that is read."""


@dataclass(frozen=True)
class PlanRow:
    """A planned run of a study."""

    run_id: str
    block: str
    groupings: tuple[str, ...]
    tasks: tuple[str, ...]
    scale: float | int
    seed: int
    variant: str
    fingerprint: str
    parent: str = ""
    """run_id of the run whose weights it starts from; it ends in the first 8 digits of that run's fingerprint."""


def write_plan_rows(directory: Path, runs: Iterable[tuple[PlanRow, str]]) -> None:
    """Write the plan of a study: its runs in order, each with its current state."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row, state in runs:
        groupings, tasks = ";".join(row.groupings), ";".join(row.tasks)
        identity = (row.run_id, row.block, groupings, tasks, row.scale, row.seed, row.variant)
        writer.writerow([*identity, row.parent, row.fingerprint, state, SCHEMA_VERSION])
    write_contract_file(directory / contract.PLAN, text.getvalue())


def read_plan(directory: Path) -> list[PlanRow]:
    """Return the runs of a study's plan, in its order, with every used cell checked.

    Raises:
        RunError: there is no plan.csv, another version of usaggr wrote it, or a column or cell is missing or invalid.
    """
    path = directory / contract.PLAN
    try:
        reader = parse_csv_table(read_bounded_text(path))
        missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise RunError(f"{path}: no column {', '.join(missing)}; {_REMEDY}")
        plan = [_parse_row(_check_cells(path, reader.line_num, row, _NEEDED)) for row in reader]
    except FileNotFoundError as error:
        raise RunError(f"{path}: does not exist; `usaggr sweep` writes it") from error
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())}); {_REMEDY}") from error
    check_sum(path, _REMEDY)
    return plan


def check_plan_version(directory: Path) -> None:
    """Check the version of a plan before it is replaced; a missing or damaged plan may be replaced.

    Raises:
        RunError: another version of usaggr wrote it.
    """
    path = directory / contract.PLAN
    try:
        # Every row has the version, so the first one is enough.
        row = next(parse_csv_table(read_bounded_text(path)), {})
    except (OSError, ValueError, csv.Error):
        return
    _check_cell_version(path, row)


def _parse_row(row: dict[str, str]) -> PlanRow:
    return PlanRow(
        run_id=row["run_id"],
        block=row["block"],
        groupings=_split_names(row["groupings"]),
        tasks=_split_names(row["tasks"]),
        scale=_parse_scale(row["scale"]),
        seed=int(row["seed"]),
        variant=row["variant"],
        fingerprint=row["fingerprint"],
        parent=row.get("parent") or "",
    )


def _split_names(cell: str) -> tuple[str, ...]:
    return tuple(name for name in cell.split(";") if name)


def _parse_scale(text: str) -> float | int:
    """Return a scale: a cap of samples is written as an integer, a fraction with a decimal point."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _check_cells(path: Path, line: int, row: dict[str, str], columns: Sequence[str]) -> dict[str, str]:
    """Return a row whose cells are valid.

    Args:
        path: the file, for messages.
        line: number of the line, for messages.
        row: cells by column.
        columns: columns to check.

    Raises:
        RunError: a cell is missing or invalid.
    """
    _check_cell_version(path, row)
    for name in columns:
        cell: str | None = row[name]  # None: the line is truncated before it
        allowed, fits = _CELLS.get(name, ("text", lambda cell: True))
        if cell is None or not fits(cell):
            problem = f"no {name}" if cell is None else f"{name} is {shorten(cell)}, not {allowed}"
            raise RunError(f"{path}: line {line}: {problem}; {_REMEDY}")
    return row


def _check_cell_version(path: Path, row: dict[str, str]) -> None:
    check_version(path, parse_version(row.get(VERSION_COLUMN) or str(OLDEST_VERSION)))


def _is_number(cell: str) -> bool:
    try:
        return abs(float(cell)) <= _LARGEST_SCALE  # false for NaN, too
    except ValueError:
        return False


_CELLS: dict[str, tuple[str, Callable[[str], object]]] = {
    # `str.strip` returns an empty text, which counts as false, for a cell of spaces.
    "run_id": ("a name", str.strip),
    "block": ("a name", str.strip),
    "tasks": ("names separated by ;", str.strip),
    "scale": ("a number", _is_number),
    # [0-9] and not \d, which also matches digits of other scripts.
    "seed": ("a whole number", re.compile(r"-?[0-9]{1,18}").fullmatch),
    "variant": ("a name", str.strip),
    "fingerprint": ("64 hexadecimal digits", re.compile(r"[0-9a-f]{64}").fullmatch),
}
"""Allowed content of a column of plan.csv, and a function that checks a cell."""
