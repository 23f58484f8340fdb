"""A folder of results with every file of the contract, and a reader of each for every command."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from tests.report.affinities import write_affinities
from tests.report.routings import by_kind, write_routing
from tests.report.sweeps import FakeSweep
from tests.report.test_build import scorer
from usaggr.advice.evidence import find_sweeps
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.convergence_table import read_validity
from usaggr.challenge.selection import read_split
from usaggr.config.compose import compose_study
from usaggr.data.split.manifest import check_same_data
from usaggr.errors import UsaggrError
from usaggr.inference.model_selection import RunFilter, select_models
from usaggr.io.checksums import write_checksum
from usaggr.report.affinity.tables import make_affinity
from usaggr.report.routing.tables import make_routing
from usaggr.results.affinity import SeedAffinity, read_description, read_seed, write_seed
from usaggr.results.integrity import SCHEMA_VERSION
from usaggr.results.reported_seeds import read_reported_seeds, record_reported_seeds
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Status
from usaggr.results.spec import RunSpec
from usaggr.results.stored_study import check_replaceable
from usaggr.results.trained_model import read_stored_run
from usaggr.sweep.inspect.clean import list_removable
from usaggr.sweep.inspect.status import read_sweep_status
from usaggr.sweep.network_checks import DOWNLOADS, _read_downloads
from usaggr.tracking.record import Record, read_record

TASKS = ("breast_2cls", "fetal_femur")
SETTINGS = {
    "data": {"image_size": 64, "channels": 1},
    "model": compose_study("demo").model.model_dump(mode="json"),
}


class SweepWithNetworks(FakeSweep):
    """A fake sweep whose runs store the settings of their network."""

    def spec(self, name: str, block: tuple[str, ...], scale: float | int, seed: int, variant: str = "base") -> RunSpec:
        return replace(super().spec(name, block, scale, seed, variant), settings=SETTINGS)


def write_folder(folder: Path) -> None:
    """Write a folder of results with every file that a command reads; `run_of` is the unified run."""
    settings = {"data": {"max_pixels": 10**8}, "report": {"margin": 0.02}}
    groupings = ("task_specific", "unified")
    made = SweepWithNetworks(folder, tasks=TASKS, groupings=groupings, seeds=(0,), spread=0.1, settings=settings)
    made.finish(scorer)
    for path in folder.glob("runs/*/predictions.parquet"):
        if path.parent != run_of(folder):
            path.unlink()  # one file of predictions is enough
    text = (folder / "groupings.yaml").read_text()
    staged = {"two": {"parent": "unified", "share": 0.5, "budget": "equal", "overrides": ["a=1"], "blocks": {}}}
    (folder / "groupings.yaml").write_text(text + yaml.safe_dump(staged))
    (folder / "study.yaml").write_text(f"# schema_version: {SCHEMA_VERSION}\n" + (folder / "study.yaml").read_text())
    (folder / DOWNLOADS).write_text(json.dumps({"vit": "a file"}))
    record_reported_seeds(folder, [2, 3])
    write_affinities(folder, TASKS, {"gradient": lambda a, b, seed: 0.1})
    values = np.array([[np.nan, 0.1], [0.2, np.nan]])
    write_seed(folder / "affinity", SeedAffinity("gradient", 0, "i", TASKS, values, np.ones((2, 2), int)))
    run = run_of(folder)
    RunDirectory(run).write_status(Status("failed", 1, "here", 0.0, 1))
    Record("csv", None, "1").write(run)
    (run / "curve.csv").write_text("step,progress,skill,fetal_femur:mre\n1,0.5,0.1,9.0\n2,1.0,0.2,8.0\n")
    write_routing(run / "routing.csv", TASKS, by_kind(["a", "b"]))
    (run / "weights").mkdir()
    (run / "weights" / "scored.safetensors").write_bytes(b"weights")
    write_checksum(run / "weights" / "scored.safetensors")


@cache
def run_of(folder: Path) -> Path:
    (run,) = folder.glob("runs/unified-s1-k0-*")
    return run


def read_run(folder: Path) -> object:
    """Read the run as `report` and `advise` do; raise the error of a run that they do not accept."""
    (run,) = [run for run in collect([folder]).runs if run.path == run_of(folder)]
    if run.state == "failed":
        raise UsaggrError(run.error)
    return run


def check_plan(folder: Path) -> object:
    """Check an existing folder as `plan`, `sweep`, `train` and `affinity` do."""
    check_replaceable(folder)
    manifest: Any = SimpleNamespace(dataset=SimpleNamespace(content_hash="c" * 64), split_hash="d" * 64)
    return check_same_data(manifest, folder)


def read_affinities(folder: Path) -> object:
    tables = make_affinity(compare_study(collect([folder])))
    if tables.refused:
        raise UsaggrError(tables.refused)
    return tables


def read_routings(folder: Path) -> object:
    tables = make_routing(compare_study(collect([folder])))
    if tables.errors:
        raise UsaggrError(" ".join(message for _, message in tables.errors))
    return tables


READERS: dict[str, Callable[[Path], object]] = {
    "report": lambda folder: collect([folder]),
    "report, of a run": read_run,
    "report, of affinities": read_affinities,
    "report, of routing": read_routings,
    "report, of earlier reports": read_reported_seeds,
    "report, of curves": lambda folder: read_validity(collect([folder]), 0.02),
    "advise": lambda folder: find_sweeps([folder]),
    "status": read_sweep_status,
    "clean": list_removable,
    "plan": check_plan,
    "sweep, of weights": lambda folder: _read_downloads(folder / DOWNLOADS),
    "sweep, of trackers": lambda folder: read_record(run_of(folder)),
    "status, of a run": lambda folder: RunDirectory(run_of(folder)).read_state(),
    "affinity, of a seed": lambda folder: read_seed(folder / "affinity", "gradient", 0, "i"),
    "predict": lambda folder: select_models(folder, "unified", False, RunFilter()),
    "export": lambda folder: read_stored_run(run_of(folder)),
    "result alone": lambda folder: RunDirectory(run_of(folder)).read_result(),
    "affinities alone": lambda folder: read_description(folder / "affinity"),
    "evaluate": lambda folder: read_split(folder / "split.csv"),
}
STUDY = ("report", "advise", "predict", "export")
FILES: dict[str, tuple[str, ...]] = {
    "study.yaml": STUDY,
    "groupings.yaml": STUDY,
    "data.json": (*STUDY, "plan"),
    "plan.csv": (*STUDY, "status", "clean"),
    "split.csv": ("report", "evaluate"),
    "weights.json": ("sweep, of weights",),
    "affinity/affinity.json": ("report, of affinities",),
    "affinity/affinity.csv": ("report, of affinities",),
    "RUN/run.yaml": ("export",),
    "RUN/result.json": ("report, of a run", "export"),
    "RUN/predictions.parquet": ("report, of a run",),
    "RUN/routing.csv": ("report, of routing",),
}
"""Readers that refuse a file which is cut off or of another format, and name the file."""
PASSED: dict[str, tuple[str, ...]] = {
    "RUN/status.json": ("status, of a run",),
    "RUN/tracking.json": ("sweep, of trackers",),
    "RUN/curve.csv": ("report, of curves",),
    "affinity/seeds/gradient-k0.json": ("affinity, of a seed",),
    "reported_seeds.csv": ("report, of earlier reports",),
}
"""Readers that ignore a damaged file, because the file is written again or not required."""


def path_of(folder: Path, name: str) -> Path:
    return run_of(folder) / name.removeprefix("RUN/") if name.startswith("RUN/") else folder / name


@contextmanager
def with_content(path: Path, content: str | bytes) -> Iterator[None]:
    """Replace the content of a file until the context ends."""
    before = path.read_bytes()
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        yield
    finally:
        path.write_bytes(before)


def refusal(reader: str, folder: Path) -> str | None:
    """Return the line with which a reader refuses a folder; None if it accepts it. Other exceptions fail the test."""
    try:
        READERS[reader](folder)
    except UsaggrError as error:
        message = str(error)
        assert message
        assert "\n" not in message
        return message
    return None


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a file without its checksum, which would reveal a change."""
    content = yaml.safe_load(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_text())
    return {key: value for key, value in content.items() if key != "sha256"}


def to_text(path: Path, content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False) if path.suffix == ".yaml" else json.dumps(content)


def pairs(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(name, reader) for name, readers in table.items() for reader in readers]
