"""The files of `outputs/<name>/affinity/`: one per measure and seed, and the tables that are made from them.

affinity.json names the data and the study; the report refuses affinities of another study.
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
from usaggr.io.bounded_content import parse_csv_table
from usaggr.io.bounded_files import read_bounded_text
from usaggr.results import contract
from usaggr.results.integrity import SCHEMA_VERSION, parse_content, read_json, shorten

Array = NDArray[np.float64]
Measure = Literal["lookahead", "gradient", "routing", "features"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
SIMILARITIES: tuple[Measure, ...] = ("routing", "features")
"""Measures of the similarity of tasks. They have no natural zero, unlike measures of one task's effect on another."""

COLUMNS = ("measure", "source", "target", "seed", "value", "estimates")
"""Columns of affinity.csv."""
SUMMARY_COLUMNS = ("measure", "source", "target", "mean", "sd", "seeds", "estimates")
"""Columns of summary.csv."""
CellT = TypeVar("CellT")
REMEDY = "estimate again: usaggr affinity"
FOLDER, TABLE, DESCRIPTION = contract.AFFINITY, contract.AFFINITY_POINTS, contract.AFFINITY_DESCRIPTION


@dataclass(frozen=True)
class SeedAffinity:
    """One measure of one seed."""

    measure: Measure
    seed: int
    identity: str
    """Hash of the unified run's fingerprint and of all settings of the measurement."""
    tasks: tuple[str, ...]
    """T sorted task ids."""
    values: Array
    """(T, T) effect of the row's task on the column's task; NaN on the diagonal, and without an estimate."""
    estimates: NDArray[np.int64]
    """(T, T) number of estimates in each mean."""
    seconds: float = 0.0
    """Seconds of the training with its probes; 0 without a training."""
    probe_seconds: float = 0.0
    """Seconds of the probes alone."""


@dataclass(frozen=True)
class AffinityDescription:
    """Content of affinity.json: the study, data and runs of the tables."""

    study: str
    content_hash: str
    split_hash: str
    scale: float
    variant: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    overhead: float


def hash_measurement(fingerprint: str, measure: Measure, **settings: float | int) -> str:
    """Return the hash that identifies a stored measure of a seed.

    Args:
        fingerprint: fingerprint of the unified run.
        measure: name of the measure.
        **settings: settings of the measurement.
    """
    # Sorted keys: the order of the keyword arguments must not change the hash.
    return hashlib.sha256(json.dumps([fingerprint, measure, settings], sort_keys=True).encode()).hexdigest()


def mask_diagonal(values: Array) -> Array:
    """Return a copy of a (T, T) matrix with NaN on the diagonal, where a task meets itself."""
    masked = np.array(values, dtype=float)
    np.fill_diagonal(masked, np.nan)
    return masked


def write_seed(folder: Path, affinity: SeedAffinity) -> None:
    """Write a measure of a seed to its file."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "identity": affinity.identity,
        "tasks": list(affinity.tasks),
        # JSON has no NaN, so a missing estimate is null.
        "values": [[None if math.isnan(value) else value for value in row] for row in affinity.values.tolist()],
        "estimates": affinity.estimates.tolist(),
        "seconds": affinity.seconds,
        "probe_seconds": affinity.probe_seconds,
    }
    write_atomic(_get_seed_path(folder, affinity.measure, affinity.seed), json.dumps(content, indent=1))


def read_seed(folder: Path, measure: Measure, seed: int, identity: str) -> SeedAffinity | None:
    """Return a stored measure of a seed.

    Args:
        folder: folder of the affinities.
        measure: name of the measure.
        seed: the seed.
        identity: hash of the run and the settings (`hash_measurement`).

    Returns:
        None if there is no such file, or if it is damaged or has another identity.

    Raises:
        RunError: another version of usaggr wrote the file, or it cannot be opened.
    """
    path = _get_seed_path(folder, measure, seed)
    if not path.is_file():
        return None
    try:
        stored = parse_content(path, read_json(path, REMEDY, _UnusableError), _StoredSeed, REMEDY, _UnusableError)
        values = np.array([[math.nan if value is None else value for value in row] for row in stored.values], float)
        estimates = np.array(stored.estimates, dtype=np.int64)
    except (_UnusableError, ValueError):  # ValueError: rows of several lengths
        return None  # it is estimated again
    count = len(stored.tasks)
    if stored.identity != identity or not values.shape == estimates.shape == (count, count):
        return None
    return SeedAffinity(measure, seed, identity, stored.tasks, values, estimates, stored.seconds, stored.probe_seconds)


class _UnusableError(RunError):
    """Error about a damaged file; the measure is then estimated again."""


@dataclass(frozen=True)
class _StoredSeed:
    """Content of the file of a measure and seed."""

    identity: str
    tasks: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    estimates: tuple[tuple[int, ...], ...]
    seconds: float
    probe_seconds: float


def write_tables(folder: Path, description: AffinityDescription, affinities: Sequence[SeedAffinity]) -> None:
    """Write affinity.csv, summary.csv and, last, affinity.json, without which the tables are not read.

    Args:
        folder: folder of the affinities.
        description: content of affinity.json.
        affinities: all measures of all seeds.
    """
    points = [
        (a.measure, a.tasks[i], a.tasks[j], a.seed, a.values[i, j], a.estimates[i, j])
        for a in affinities
        for i, j in _list_pairs(len(a.tasks))
    ]
    write_atomic(folder / TABLE, _format_csv(COLUMNS, points))
    write_atomic(folder / "summary.csv", _format_csv(SUMMARY_COLUMNS, _summarize(affinities)))
    content = {**vars(description), "schema_version": SCHEMA_VERSION}
    write_atomic(folder / DESCRIPTION, json.dumps(content, indent=1))


def read_description(folder: Path) -> AffinityDescription:
    """Read affinity.json.

    Raises:
        RunError: the file is missing or damaged, or another version of usaggr wrote it.
    """
    path = folder / DESCRIPTION
    content = read_json(path, REMEDY)
    return replace(
        parse_content(path, content, AffinityDescription, REMEDY), scale=content["scale"]
    )  # as written: a cap is an integer


def read_values(folder: Path) -> dict[Measure, dict[int, dict[tuple[str, str], float]]]:
    """Read the values of affinity.csv, by measure, by seed, and by source and target task.

    Raises:
        RunError: the file cannot be read, or a column or cell is missing or invalid.
    """
    path = folder / TABLE
    values: dict[Measure, dict[int, dict[tuple[str, str], float]]] = {}
    try:
        reader = parse_csv_table(read_bounded_text(path))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}); {REMEDY}") from error
    try:
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise RunError(f"{path}: no column {', '.join(missing)}; {REMEDY}")
        for row in reader:
            measure: Any = row["measure"]
            if measure not in MEASURES:
                raise ValueError(f"measure is {shorten(measure)}, not one of {', '.join(MEASURES)}")
            _convert_cell(row, "estimates", int)  # the last column: a line that is cut off lacks it
            seed_values = values.setdefault(measure, {}).setdefault(_convert_cell(row, "seed", int), {})
            if row["value"] != "":
                seed_values[_convert_cell(row, "source", str), _convert_cell(row, "target", str)] = _convert_cell(
                    row, "value", float
                )
    except (ValueError, csv.Error) as error:
        raise RunError(f"{path}: line {reader.line_num}: {error}; {REMEDY}") from error
    return values


def _convert_cell(row: Mapping[str, str | None], name: str, kind: Callable[[str], CellT]) -> CellT:
    """Return a cell as a number or text.

    Args:
        row: line of the table.
        name: name of the column.
        kind: int, float or str.

    Raises:
        ValueError: the cell is missing or invalid; the message says what is allowed.
    """
    cell = row[name]
    if cell is None:
        raise ValueError(f"no {name}")
    try:
        return kind(cell)
    except ValueError as error:
        raise ValueError(f"{name} is {shorten(cell)}, not {'a whole number' if kind is int else 'a number'}") from error


def average_over_seeds(affinities: Sequence[SeedAffinity]) -> tuple[Array, Array]:
    """Return the (T, T) mean and standard deviation over seeds.

    The mean is NaN if no seed has an estimate, and the standard deviation if fewer than two have one.
    """
    values = np.stack([affinity.values for affinity in affinities])
    has_estimate = np.isfinite(values)
    count = has_estimate.sum(axis=0)
    # Not np.nanmean, which warns about entries without any estimate, such as the diagonal.
    mean = np.where(count > 0, np.where(has_estimate, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    squares = np.where(has_estimate, (values - mean) ** 2, 0.0).sum(axis=0)
    return mean, np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def _summarize(affinities: Sequence[SeedAffinity]) -> list[tuple[Any, ...]]:
    """Return the lines of summary.csv."""
    summary: list[tuple[Any, ...]] = []
    by_measure: dict[Measure, list[SeedAffinity]] = {}
    for affinity in affinities:
        by_measure.setdefault(affinity.measure, []).append(affinity)
    for measure, members in by_measure.items():
        mean, sd = average_over_seeds(members)
        seeds = np.isfinite(np.stack([member.values for member in members])).sum(axis=0)
        estimates = np.stack([member.estimates for member in members]).sum(axis=0)
        tasks = members[0].tasks
        summary += [
            (measure, tasks[a], tasks[b], mean[a, b], sd[a, b], seeds[a, b], estimates[a, b])
            for a, b in _list_pairs(len(tasks))
        ]
    return summary


def _list_pairs(tasks: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(tasks) for b in range(tasks) if a != b]


def _format_csv(columns: Sequence[str], records: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in records:
        writer.writerow([_format_value(value) for value in row])
    return text.getvalue()


def _format_value(value: Any) -> Any:
    """Return a value as written: empty for NaN, ten digits, which is more than the precision of any estimate."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.10g}"
    return value


def _get_seed_path(folder: Path, measure: Measure, seed: int) -> Path:
    return folder / "seeds" / f"{measure}-k{seed}.json"
