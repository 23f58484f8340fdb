"""Every command refuses every kind of damage to every file of a results folder in one line, without a traceback.

A new file of the contract, or a new module that reads one, fails the last two tests until it is added to the tables.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

import usaggr
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
from usaggr.inference.prediction_folder import open_prediction_folder
from usaggr.io.checksums import write_checksum
from usaggr.report.affinity.tables import make_affinity
from usaggr.report.routing.tables import make_routing
from usaggr.results.affinity import SeedAffinity, read_description, read_seed, write_seed
from usaggr.results.integrity import SCHEMA_VERSION
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of results with every file that a command reads; `run_of` is the unified run."""
    settings = {"data": {"max_pixels": 10**8}, "report": {"margin": 0.02}}
    folder = tmp_path_factory.mktemp("contract") / "study"
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
    return folder


@cache
def run_of(folder: Path) -> Path:
    (run,) = folder.glob("runs/unified-s1-k0-*")
    return run


# One reader per command


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
    "report, of curves": lambda folder: read_validity(collect([folder]), 0.02),
    "advise": lambda folder: find_sweeps([folder]),
    "status": read_sweep_status,
    "clean": list_removable,
    "plan": check_plan,
    "sweep, of weights": lambda folder: _read_downloads(folder / DOWNLOADS),
    "sweep, of trackers": lambda folder: read_record(run_of(folder)),
    "status, of a run": lambda folder: RunDirectory(run_of(folder)).state(),
    "affinity, of a seed": lambda folder: read_seed(folder / "affinity", "gradient", 0, "i"),
    "predict": lambda folder: select_models(folder, "unified", False, RunFilter()),
    "export": lambda folder: read_stored_run(run_of(folder)),
    "result alone": lambda folder: RunDirectory(run_of(folder)).result(),
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
QUICK = {
    "study.yaml": "advise",
    "groupings.yaml": "advise",
    "data.json": "advise",
    "weights.json": "sweep, of weights",
    "affinity/affinity.json": "affinities alone",
    "affinity/seeds/gradient-k0.json": "affinity, of a seed",
    "RUN/run.yaml": "export",
    "RUN/result.json": "result alone",
    "RUN/status.json": "status, of a run",
    "RUN/tracking.json": "sweep, of trackers",
}
"""One reader per mapping for the tests of single fields, because all readers of a file use the same check."""
PASSED: dict[str, tuple[str, ...]] = {
    "RUN/status.json": ("status, of a run",),
    "RUN/tracking.json": ("sweep, of trackers",),
    "RUN/curve.csv": ("report, of curves",),
    "affinity/seeds/gradient-k0.json": ("affinity, of a seed",),
}
"""Readers that ignore a damaged file, because the file is written again or not required."""
VERSIONED = {
    "study.yaml": (*STUDY, "plan"),
    "data.json": (*STUDY, "plan"),
    "plan.csv": (*STUDY, "status", "clean", "plan"),
    "affinity/affinity.json": ("report, of affinities",),
    "affinity/seeds/gradient-k0.json": ("affinity, of a seed",),
    "RUN/run.yaml": ("export", "report, of a run"),
    "RUN/result.json": ("report, of a run", "export"),
}
"""Readers that refuse a file of another version."""
USED = {
    "study.yaml": ("name", "groupings", "reference", "scales", "scales.0", "seeds", "seeds.0", "variants",
                   "variants.base", "report", "report.confidence", "report.formats", "report.margin", "outputs",
                   "data", "data.max_pixels", "data.name", "model", "model.norm", "model.weights"),
    "groupings.yaml": ("two", "two.parent", "two.share", "two.budget", "two.overrides", "two.overrides.0"),
    "data.json": ("root", "content_hash", "split_hash", "tasks", "tasks.0", "tasks.1.id", "tasks.0.type",
                  "tasks.0.num_classes", "tasks.0.class_names", "tasks.0.organ", "tasks.0.clinical_group",
                  "tasks.0.n_train", "tasks.0.n_val", "tasks.0.n_test", "tasks.0.subjects_test", "skipped", "dropped",
                  "warnings", "disjoint", "disjoint.images"),
    "weights.json": ("vit",),
    "affinity/affinity.json": ("study", "content_hash", "split_hash", "scale", "variant", "tasks", "seeds", "seeds.0"),
    "RUN/run.yaml": ("run_id", "fingerprint", "tasks", "scale", "seed", "variant", "settings", "settings.data",
                     "settings.model", "settings.data.image_size", "settings.data.channels", "settings.model.encoder"),
    "RUN/result.json": ("scores", "scores.fetal_femur", "scores.fetal_femur.mre", "trivial", "validation",
                        "trivial_validation", "n_train", "n_train.fetal_femur", "n_test", "n_subjects", "examples",
                        "cost", "cost.seconds", "cost.train_seconds", "cost.peak_mib", "cost.parameters",
                        "cost.active_parameters", "notes", "timings"),
}  # fmt: skip
"""Keys whose type is checked; a message about a wrong type names the key."""


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


def make_damages(path: Path) -> dict[str, bytes]:
    content = path.read_bytes()
    end = len(content) * 3 // 5
    end -= 4 * (content[end : end + 1] == b"\n")  # a table cut between two lines would be a valid table
    return {
        "empty": b"",
        "cut off": content[:end],
        "not of the format": b"\xff\xfe\x00\x81" * 50,
        "a list": b"[1, 2]",
        "a text": b"hello",
        "deep": b"[" * 20_000,
    }


@pytest.mark.parametrize(("name", "reader"), pairs(FILES))
def test_a_file_that_is_cut_off_or_of_another_format_is_refused_by_name(folder: Path, name: str, reader: str) -> None:
    path = path_of(folder, name)
    assert refusal(reader, folder) is None
    for kind, content in make_damages(path).items():
        with with_content(path, content):
            message = refusal(reader, folder)
        if name == "groupings.yaml" and kind == "cut off" and message is None:
            continue  # YAML that is cut between two lines is valid YAML
        assert message is not None, kind
        assert path.name in message, kind


@pytest.mark.parametrize(("name", "reader"), pairs(PASSED))
def test_a_damaged_file_that_is_written_again_stops_no_command(folder: Path, name: str, reader: str) -> None:
    path = path_of(folder, name)
    for content in make_damages(path).values():
        with with_content(path, content):
            assert refusal(reader, folder) is None
    for content in ({}, {"state": 3}, {"attempt": "x"}, {"identity": "i", "tasks": "x"}):
        with with_content(path, json.dumps(content)):
            assert refusal(reader, folder) is None


@pytest.mark.parametrize(("name", "reader"), pairs(VERSIONED))
def test_a_file_of_another_version_is_refused_with_both_versions(folder: Path, name: str, reader: str) -> None:
    path = path_of(folder, name)
    for version, message in (
        (SCHEMA_VERSION + 1, f"schema_version {SCHEMA_VERSION + 1} is newer than this tool's {SCHEMA_VERSION}"),
        (0, "schema_version 0 is older than those that are read"),
        ("x", "schema_version is 'x', not a whole number"),
        (1.5, "not a whole number"),
        (True, "not a whole number"),
        (None, "not a whole number"),
    ):
        with with_content(path, with_version(path, version)):
            message = refusal(reader, folder)
        assert message is not None, version
        assert message in message
        assert f"{path.name}: " in message


def with_version(path: Path, version: object) -> str:
    text = path.read_text()
    if path.name == "study.yaml":
        return re.sub(r"# schema_version: .*", f"# schema_version: {version}", text)
    if path.suffix == ".csv":
        head, *lines = text.splitlines()
        return "\n".join([f"{head},schema_version", *(f"{row},{version}" for row in lines)])
    if path.suffix == ".yaml":  # only the line of the version changes, so that the order of keys stays
        return re.sub(r"^schema_version: .*", f"schema_version: {json.dumps(version)}", text, flags=re.MULTILINE)
    return json.dumps({**read_mapping(path), "schema_version": version})


def with_value(content: Any, key: Sequence[str], value: object) -> Any:
    """Return a copy of nested mappings and lists with another value at a key."""
    if not key:
        return value
    if isinstance(content, list):
        return [with_value(item, key[1:], value) if str(i) == key[0] else item for i, item in enumerate(content)]
    return {**content, key[0]: with_value(content[key[0]], key[1:], value)}


WRONG_VALUES: tuple[object, ...] = ("x", 7, 1.5, True, [], [None], {}, {"a": None}, None)


def is_like(value: object, old: object) -> bool:
    """Return whether a value has the type of an old value, as far as the schema distinguishes types."""
    if isinstance(old, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(old, list | dict):
        return type(value) is type(old)
    return type(value) is type(old)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in USED.items() for key in keys])
def test_a_field_of_another_type_is_named_in_the_message(folder: Path, name: str, key: str) -> None:
    path = path_of(folder, name)
    content = read_mapping(path)
    old: Any = content
    for name_part in key.split("."):
        old = old[int(name_part)] if isinstance(old, list) else old[name_part]
    optional = {"report.margin", "outputs", "data", "data.max_pixels", "data.name", "model", "model.norm",
                "model.weights", "two.parent", "two.share", "two.budget", "cost.active_parameters"}  # fmt: skip
    wrong = [value for value in WRONG_VALUES if not is_like(value, old) and not (value is None and key in optional)]
    if old is None:  # optional fields: a weights file, a count
        wrong = [[], {"a": None}, True]
    if key.endswith("image_size"):
        wrong = [value for value in wrong if value != 7]
    for value in wrong:
        with with_content(path, to_text(path, with_value(content, key.split("."), value))):
            message = refusal(QUICK[name], folder)
            assert message is not None, value
            assert f"{path.name}: " in message
            assert key.rpartition(".")[2] in message, value


@pytest.mark.parametrize("name", QUICK)
def test_no_field_of_any_type_ends_in_a_traceback(folder: Path, name: str) -> None:
    path = path_of(folder, name)
    content = read_mapping(path)
    for key in leaves(content):
        for value in ([7],):
            with with_content(path, to_text(path, with_value(content, key, value))):
                refusal(QUICK[name], folder)


def leaves(content: Any) -> Iterator[list[str]]:
    """Yield the keys of all values that are neither mappings nor lists."""
    for name, value in content.items() if isinstance(content, dict) else enumerate(content):
        if name == "train_samples":
            continue
        if isinstance(value, dict | list) and value:
            yield from ([str(name), *key] for key in leaves(value))
        else:
            yield [str(name)]


@pytest.mark.parametrize(
    ("name", "column", "value", "message"),
    [
        ("plan.csv", "scale", "much", "line 2: scale is 'much', not a number"),
        ("plan.csv", "scale", "inf", "line 2: scale is 'inf', not a number"),
        ("plan.csv", "seed", "1.5", "line 2: seed is '1.5', not a whole number"),
        ("plan.csv", "fingerprint", "f", "line 2: fingerprint is 'f', not 64 hexadecimal digits"),
        ("plan.csv", "run_id", "", "line 2: run_id is '', not a name"),
        ("plan.csv", "tasks", "", "line 2: tasks is '', not names"),
        ("split.csv", "component", "1.5", "line 2: component is '1.5', not a whole number"),
        ("split.csv", "fold", "tset", "line 2: fold is 'tset', not one of train, val, test, dropped"),
        ("affinity/affinity.csv", "measure", "love", "line 2: measure is 'love', not one of lookahead"),
        ("affinity/affinity.csv", "seed", "x", "line 2: seed is 'x', not a whole number"),
        ("affinity/affinity.csv", "value", "x", "line 2: value is 'x', not a number"),
        ("RUN/routing.csv", "share", "x", "its routing.csv cannot be used (could not convert string to float: 'x')"),
    ],
)
def test_an_invalid_cell_is_named_with_its_line(folder: Path, name: str, column: str, value: str, message: str) -> None:
    path = path_of(folder, name)
    head, first, *other_lines = path.read_text().splitlines()
    cells = dict(zip(head.split(","), first.split(","), strict=False))
    with with_content(path, "\n".join([head, ",".join((cells | {column: value}).values()), *other_lines, ""])):
        for reader in FILES[name]:
            message = refusal(reader, folder)
            if message is None and reader in ("status", "clean"):
                assert column not in ("run_id", "fingerprint")  # these commands read no other column
                continue
            assert message is not None, reader
            assert message in message


@pytest.mark.parametrize("column", ["task_id", "sample_id", "mre", "label", "probs"])
def test_a_column_of_predictions_of_another_type_is_named(folder: Path, column: str) -> None:
    path = path_of(folder, "RUN/predictions.parquet")
    table = parquet.read_table(path)
    position = table.column_names.index(column)
    other = pa.array([["x"]] * len(table)) if column == "probs" else pa.array([True] * len(table))
    buffer = pa.BufferOutputStream()
    parquet.write_table(table.set_column(position, column, other), buffer)
    result = path_of(folder, "RUN/result.json")
    unsealed = {name: value for name, value in read_mapping(result).items() if name != "predictions"}
    with with_content(result, json.dumps(unsealed)), with_content(path, buffer.getvalue().to_pybytes()):
        message = refusal("report, of a run", folder)
    assert message is not None
    assert f"predictions.parquet: {column} is " in message


def test_a_folder_of_predictions_of_another_version_or_type_is_refused(tmp_path: Path) -> None:
    for content in ({"schema_version": 2}, {"models": {"a": 3}, "data": "x"}, {"models": {}, "data": 3}, [], {}):
        (tmp_path / "predicted_by.json").write_text(json.dumps(content))
        with (
            pytest.raises(UsaggrError, match=r"predicted_by\.json: ") as caught,
            open_prediction_folder(tmp_path, {}, tmp_path, {}),
        ):
            pass
        assert "\n" not in str(caught.value)


# Tests that this file is complete

NOT_READ = {"sweeps.csv", "log.txt", "logs/", "checkpoint/", "parent/", "weights/", "runs/<run_id>/", "report/"}
"""Entries of docs/results.md that no command reads as a table or mapping (checkpoints: training/test_resume.py)."""


def test_every_documented_file_is_damaged_here() -> None:
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text().partition("## Tables")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    listed = {name for cell in cells[: cells.index(" `task` ") if " `task` " in cells else None] for name in
              re.findall(r"`([^`]+)`", cell) if "." in name or name.endswith("/")}  # fmt: skip
    tabled = {name.removeprefix("RUN/") for name in (*FILES, *PASSED)}
    assert len(listed) > 15
    damaged = tabled | NOT_READ
    assert {name for name in listed if not any(prefix.startswith(name) for prefix in damaged)} == set()


READING = re.compile(
    r"\b(?:json\.loads?|yaml\.(?:safe_)?load|pd\.read_csv|csv\.(?:Dict)?[rR]eader|parquet\.read_table)\("
)
WHO_READS = {
    "results/integrity.py": "all mappings under outputs/",
    "results/plan.py": "plan.csv",
    "results/split.py": "split.csv",
    "results/affinity.py": "affinity.csv",
    "results/routing.py": "routing.csv",
    "results/curve.py": "curve.csv",
    "results/run_settings.py": "the network and the packages in run.yaml",
    "results/predictions.py": "predictions.parquet",
    "training/checkpoint.py": "the head of a checkpoint",
    "report/tasks/saved_predictions.py": "predictions of single samples, of runs that the report believes",
    "training/validation_curve.py": "a curve in a checkpoint, whose hash is checked",
}
ELSEWHERE = {
    "challenge/submission.py": "predictions that others made",
    "inference/prediction_folder.py": "the journal of a folder of predictions",
    "config/folders.py": "configuration",
    "data/read/file_facts.py": "the cache",
    "data/batches/cache_build.py": "the cache",
    "data/batches/cache_check.py": "the cache",
    "data/read/index.py": "an index of data",
    "data/read/labels.py": "labels of data",
    "tracking/backends.py": "what the same run has logged",
    "data/sources/coco.py": "data in another layout",
}


def test_no_other_module_reads_files_of_a_results_folder() -> None:
    """A new reader uses usaggr/results/integrity.py, or is listed here and tested above."""
    package = Path(usaggr.__file__).parent
    readers = {str(path.relative_to(package)) for path in package.rglob("*.py") if READING.search(path.read_text())}
    assert readers == WHO_READS.keys() | ELSEWHERE.keys()
