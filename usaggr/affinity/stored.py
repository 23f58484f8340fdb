"""What `outputs/<name>/affinity/` holds: a file a measure and seed, and the tables that are made of them.

affinity.json says of which data and study they are; the report refuses those of others.
"""

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from usaggr.errors import RunError
from usaggr.files import write_atomic
from usaggr.stored import SCHEMA_VERSION, refuse_newer

Array = NDArray[np.float64]
Measure = Literal["lookahead", "gradient", "routing", "features"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
SIMILARITIES: tuple[Measure, ...] = ("routing", "features")
"""Measures without a zero of their own: how alike tasks are, not what one does to another."""

COLUMNS = ("measure", "source", "target", "seed", "value", "estimates")
"""Of affinity.csv."""
SUMMARY_COLUMNS = ("measure", "source", "target", "mean", "sd", "seeds", "estimates")
"""Of summary.csv."""
FOLDER, TABLE, HEAD = "affinity", "affinity.csv", "affinity.json"


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
    scale: float | int
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
        RunError: a newer version of the tool wrote it.
    """
    path = _seed_path(folder, measure, seed)
    try:
        content = json.loads(path.read_text())
        refuse_newer(path, content["schema_version"])
        if content["identity"] != identity:
            return None
        tasks = tuple(content["tasks"])
        values = np.array([[math.nan if value is None else value for value in row] for row in content["values"]], float)
        estimates = np.array(content["estimates"], dtype=np.int64)
        seconds = float(content["seconds"]), float(content["probe_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it is estimated again
    whole = values.shape == estimates.shape == (len(tasks), len(tasks))
    return SeedAffinity(measure, seed, identity, tasks, values, estimates, *seconds) if whole else None


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
        RunError: it is not there, cannot be read, or a newer version of the tool wrote it.
    """
    path = folder / HEAD
    try:
        content = json.loads(path.read_text())
        refuse_newer(path, content.pop("schema_version"))
        return Head(**{**content, "tasks": tuple(content["tasks"]), "seeds": tuple(content["seeds"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: cannot be read ({error}); estimate again: usaggr affinity") from error


def read_values(folder: Path) -> dict[Measure, dict[int, dict[tuple[str, str], float]]]:
    """What affinity.csv says: measure: seed: source and target: value, where there is one.

    Raises:
        RunError: it cannot be read, or is no such table.
    """
    path = folder / TABLE
    found: dict[Measure, dict[int, dict[tuple[str, str], float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                measure: Any = row["measure"]
                if measure not in MEASURES:
                    raise ValueError(f"line {number}: measure {measure!r}; allowed: {', '.join(MEASURES)}")
                of_seed = found.setdefault(measure, {}).setdefault(int(row["seed"]), {})
                if row["value"]:
                    of_seed[row["source"], row["target"]] = float(row["value"])
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise RunError(f"{path}: cannot be read ({error}); estimate again: usaggr affinity") from error
    return found


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
