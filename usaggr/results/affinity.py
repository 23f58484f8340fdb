"""What `outputs/<name>/affinity/` holds: a file a measure and seed, and the tables that are made of them.

affinity.json says of which data and study they are; the report refuses those of others.
"""

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from usaggr.errors import RunError
from usaggr.io.atomic_files import write_atomic
from usaggr.results import contract
from usaggr.results.integrity import SCHEMA_VERSION, read_json, typed

Array = NDArray[np.float64]
Measure = Literal["lookahead", "gradient", "routing", "features"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
SIMILARITIES: tuple[Measure, ...] = ("routing", "features")
"""Measures without a zero of their own: how alike tasks are, not what one does to another."""

COLUMNS = ("measure", "source", "target", "seed", "value", "estimates")
"""Of affinity.csv."""
SUMMARY_COLUMNS = ("measure", "source", "target", "mean", "sd", "seeds", "estimates")
"""Of summary.csv."""
CellT = TypeVar("CellT")
AGAIN = "estimate again: usaggr affinity"
FOLDER, TABLE, HEAD = contract.AFFINITY, contract.AFFINITY_POINTS, contract.AFFINITY_HEAD


@dataclass(frozen=True)
class SeedAffinity:
    """One measure of one seed."""

    measure: Measure
    seed: int
    identity: str
    """Hash of the unified run's fingerprint and of all that decides how it is measured."""
    tasks: tuple[str, ...]
    """T ids, sorted."""
    values: Array
    """(T, T) of the task of the row on that of the column; NaN on the diagonal, and where there is no estimate."""
    estimates: NDArray[np.int64]
    """(T, T): how many estimates each value is the mean of."""
    seconds: float = 0.0
    """What the training took that the probes rode on, probes included; 0 without one."""
    probe_seconds: float = 0.0


@dataclass(frozen=True)
class Head:
    """Of which study, data and runs the table is; affinity.json."""

    study: str
    content_hash: str
    split_hash: str
    scale: float
    variant: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    overhead: float


def identity_of(fingerprint: str, measure: Measure, **settings: float | int) -> str:
    """What a stored measure of a seed is known by."""
    return hashlib.sha256(json.dumps([fingerprint, measure, settings], sort_keys=True).encode()).hexdigest()


def without_diagonal(values: Array) -> Array:
    """A matrix with NaN for what a task is to itself."""
    found = np.array(values, dtype=float)
    np.fill_diagonal(found, np.nan)
    return found


def write_seed(folder: Path, found: SeedAffinity) -> None:
    """Keep a measure of a seed."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "identity": found.identity,
        "tasks": list(found.tasks),
        "values": [[None if math.isnan(value) else value for value in row] for row in found.values.tolist()],
        "estimates": found.estimates.tolist(),
        "seconds": found.seconds,
        "probe_seconds": found.probe_seconds,
    }
    write_atomic(_seed_path(folder, found.measure, found.seed), json.dumps(content, indent=1))


def read_seed(folder: Path, measure: Measure, seed: int, identity: str) -> SeedAffinity | None:
    """A measure of a seed that was kept; None where there is none, or one of another run or other settings.

    Raises:
        RunError: another version of the tool wrote it, or it cannot be opened.
    """
    path = _seed_path(folder, measure, seed)
    if not path.is_file():
        return None
    try:
        stored = typed(path, read_json(path, AGAIN, _UnusableError), _StoredSeed, AGAIN, _UnusableError)
        values = np.array([[math.nan if value is None else value for value in row] for row in stored.values], float)
        estimates = np.array(stored.estimates, dtype=np.int64)
    except (_UnusableError, ValueError):  # ValueError: rows of several lengths
        return None  # it is estimated again
    count = len(stored.tasks)
    if stored.identity != identity or not values.shape == estimates.shape == (count, count):
        return None
    return SeedAffinity(measure, seed, identity, stored.tasks, values, estimates, stored.seconds, stored.probe_seconds)


class _UnusableError(RunError):
    """A stored measure is damaged, and is estimated again."""


@dataclass(frozen=True)
class _StoredSeed:
    """What the file of a measure and seed holds."""

    identity: str
    tasks: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    estimates: tuple[tuple[int, ...], ...]
    seconds: float
    probe_seconds: float


def write_tables(folder: Path, head: Head, found: Sequence[SeedAffinity]) -> None:
    """affinity.csv, summary.csv and, last, affinity.json."""
    rows = [
        (one.measure, one.tasks[a], one.tasks[b], one.seed, one.values[a, b], one.estimates[a, b])
        for one in found
        for a, b in _pairs(len(one.tasks))
    ]
    write_atomic(folder / TABLE, _as_csv(COLUMNS, rows))
    write_atomic(folder / "summary.csv", _as_csv(SUMMARY_COLUMNS, _summary(found)))
    content = {**vars(head), "schema_version": SCHEMA_VERSION}
    write_atomic(folder / HEAD, json.dumps(content, indent=1))


def read_head(folder: Path) -> Head:
    """What affinity.json says.

    Raises:
        RunError: it is not there, is damaged, or another version of the tool wrote it.
    """
    path = folder / HEAD
    content = read_json(path, AGAIN)
    return replace(typed(path, content, Head, AGAIN), scale=content["scale"])  # as written: a cap is an integer


def read_values(folder: Path) -> dict[Measure, dict[int, dict[tuple[str, str], float]]]:
    """What affinity.csv says: measure: seed: source and target: value, where there is one.

    Raises:
        RunError: it cannot be read, or is no such table.
    """
    path = folder / TABLE
    found: dict[Measure, dict[int, dict[tuple[str, str], float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise RunError(f"{path}: no column {', '.join(missing)}; {AGAIN}")
            for row in reader:
                measure: Any = row["measure"]
                if measure not in MEASURES:
                    raise ValueError(f"measure is {measure!r}, not one of {', '.join(MEASURES)}")
                _cell(row, "estimates", int)  # the last column: a line that is cut off lacks it
                of_seed = found.setdefault(measure, {}).setdefault(_cell(row, "seed", int), {})
                if row["value"] != "":
                    of_seed[_cell(row, "source", str), _cell(row, "target", str)] = _cell(row, "value", float)
    except ValueError as error:
        raise RunError(f"{path}: line {reader.line_num}: {error}; {AGAIN}") from error
    except (OSError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read ({error}); {AGAIN}") from error
    return found


def _cell(row: Mapping[str, str | None], name: str, kind: Callable[[str], CellT]) -> CellT:
    """Return a cell as a number or text; a ValueError says which it is and what is allowed."""
    cell = row[name]
    if cell is None:
        raise ValueError(f"no {name}")
    try:
        return kind(cell)
    except ValueError as error:
        raise ValueError(f"{name} is {cell!r}, not {'a whole number' if kind is int else 'a number'}") from error


def mean_over_seeds(found: Sequence[SeedAffinity]) -> tuple[Array, Array]:
    """(T, T) mean and standard deviation over seeds; NaN where no seed, or only one, has an estimate."""
    values = np.stack([one.values for one in found])
    known = np.isfinite(values)
    count = known.sum(axis=0)
    mean = np.where(count > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
    return mean, np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def _summary(found: Sequence[SeedAffinity]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    by_measure: Mapping[Measure, list[SeedAffinity]] = {
        measure: [one for one in found if one.measure == measure] for measure in dict.fromkeys(o.measure for o in found)
    }
    for measure, of in by_measure.items():
        mean, sd = mean_over_seeds(of)
        seeds = np.isfinite(np.stack([one.values for one in of])).sum(axis=0)
        estimates = np.stack([one.estimates for one in of]).sum(axis=0)
        tasks = of[0].tasks
        rows += [
            (measure, tasks[a], tasks[b], mean[a, b], sd[a, b], seeds[a, b], estimates[a, b])
            for a, b in _pairs(len(tasks))
        ]
    return rows


def _pairs(tasks: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(tasks) for b in range(tasks) if a != b]


def _as_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_written(value) for value in row])
    return text.getvalue()


def _written(value: Any) -> Any:
    """What is not known is an empty field; ten digits are more than any estimate has."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.10g}"
    return value


def _seed_path(folder: Path, measure: Measure, seed: int) -> Path:
    return folder / "seeds" / f"{measure}-k{seed}.json"
