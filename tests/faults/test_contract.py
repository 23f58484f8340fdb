"""Every file of a results folder, damaged in every way, by every command that reads it: one line, and no traceback.

A new file of the contract, or a new place that reads one, fails the last two tests until it is added to the tables.
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
from usaggr.io.checksums import note_hash
from usaggr.report.affinity.tables import make_affinity
from usaggr.report.routing.tables import make_routing
from usaggr.results.affinity import SeedAffinity, read_head, read_seed, write_seed
from usaggr.results.integrity import SCHEMA_VERSION
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Status
from usaggr.results.spec import RunSpec
from usaggr.results.stored_study import check_replaceable
from usaggr.results.trained_model import read_stored_run
from usaggr.sweep.inspect.clean import removable
from usaggr.sweep.inspect.status import status_of
from usaggr.sweep.network_checks import DOWNLOADS, _read_downloads
from usaggr.tracking.record import Record, read_record

TASKS = ("breast_2cls", "fetal_femur")
SETTINGS = {
    "data": {"image_size": 64, "channels": 1},
    "model": compose_study("demo").model.model_dump(mode="json"),
}
Where = Path
"""The folder of results."""


class Swept(FakeSweep):
    """A fake sweep whose runs say what network they have."""

    def spec(self, name: str, block: tuple[str, ...], scale: float | int, seed: int, variant: str = "base") -> RunSpec:
        return replace(super().spec(name, block, scale, seed, variant), settings=SETTINGS)


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Where:
    """A folder of results with every file that a command reads; the run is the unified one."""
    settings = {"data": {"max_pixels": 10**8}, "report": {"margin": 0.02}}
    folder = tmp_path_factory.mktemp("contract") / "study"
    groupings = ("task_specific", "unified")
    made = Swept(folder, tasks=TASKS, groupings=groupings, seeds=(0,), spread=0.1, settings=settings)
    made.finish(scorer)
    for path in folder.glob("runs/*/predictions.parquet"):
        if path.parent != run_of(folder):
            path.unlink()  # one is enough
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
    note_hash(run / "weights" / "scored.safetensors")
    return folder


@cache
def run_of(where: Where) -> Path:
    (run,) = where.glob("runs/unified-s1-k0-*")
    return run


# The readers, by the command that they stand for


def collected(where: Where) -> object:
    """What `report` and `advise` make of runs; a run that is not believed is named."""
    (run,) = [run for run in collect([where]).runs if run.path == run_of(where)]
    if run.state == "failed":
        raise UsaggrError(run.error)
    return run


def planned(where: Where) -> object:
    """What `plan`, `sweep`, `train` and `affinity` look at in a folder that is there already."""
    check_replaceable(where)
    manifest: Any = SimpleNamespace(dataset=SimpleNamespace(content_hash="c" * 64), split_hash="d" * 64)
    return check_same_data(manifest, where)


def affine(where: Where) -> object:
    tables = make_affinity(compare_study(collect([where])))
    if tables.refused:
        raise UsaggrError(tables.refused)
    return tables


def routed(where: Where) -> object:
    tables = make_routing(compare_study(collect([where])))
    if tables.faults:
        raise UsaggrError(" ".join(said for _, said in tables.faults))
    return tables


READERS: dict[str, Callable[[Where], object]] = {
    "report": lambda where: collect([where]),
    "report, of a run": collected,
    "report, of affinities": affine,
    "report, of routing": routed,
    "report, of curves": lambda where: read_validity(collect([where]), 0.02),
    "advise": lambda where: find_sweeps([where]),
    "status": status_of,
    "clean": removable,
    "plan": planned,
    "sweep, of weights": lambda where: _read_downloads(where / DOWNLOADS),
    "sweep, of trackers": lambda where: read_record(run_of(where)),
    "status, of a run": lambda where: RunDirectory(run_of(where)).state(),
    "affinity, of a seed": lambda where: read_seed(where / "affinity", "gradient", 0, "i"),
    "predict": lambda where: select_models(where, "unified", False, RunFilter()),
    "export": lambda where: read_stored_run(run_of(where)),
    "result alone": lambda where: RunDirectory(run_of(where)).result(),
    "affinities alone": lambda where: read_head(where / "affinity"),
    "evaluate": lambda where: read_split(where / "split.csv"),
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
"""Which readers refuse a file that is cut off or of another format, and name it."""
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
"""By mapping, the reader that is asked of each field: all readers of a file come to the same check."""
PASSED: dict[str, tuple[str, ...]] = {
    "RUN/status.json": ("status, of a run",),
    "RUN/tracking.json": ("sweep, of trackers",),
    "RUN/curve.csv": ("report, of curves",),
    "affinity/seeds/gradient-k0.json": ("affinity, of a seed",),
}
"""Files that are written again, or do without: readers that pass over one that is damaged."""
VERSIONED = {
    "study.yaml": (*STUDY, "plan"),
    "data.json": (*STUDY, "plan"),
    "plan.csv": (*STUDY, "status", "clean", "plan"),
    "affinity/affinity.json": ("report, of affinities",),
    "affinity/seeds/gradient-k0.json": ("affinity, of a seed",),
    "RUN/run.yaml": ("export", "report, of a run"),
    "RUN/result.json": ("report, of a run", "export"),
}
"""Which readers refuse a file of another version."""
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
"""Keys whose type is checked, and named where it is wrong."""


def path_of(where: Where, name: str) -> Path:
    return run_of(where) / name.removeprefix("RUN/") if name.startswith("RUN/") else where / name


@contextmanager
def replaced(path: Path, content: str | bytes) -> Iterator[None]:
    """Let a file hold something else for a while."""
    before = path.read_bytes()
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        yield
    finally:
        path.write_bytes(before)


def refusal(reader: str, where: Where) -> str | None:
    """The line with which a reader refuses a folder; None: it takes it. Any other exception ends the test."""
    try:
        READERS[reader](where)
    except UsaggrError as error:
        said = str(error)
        assert said
        assert "\n" not in said
        return said
    return None


def loaded(path: Path) -> dict[str, Any]:
    """The mapping in a file, without the checksum that would tell that it is changed."""
    content = yaml.safe_load(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_text())
    return {key: value for key, value in content.items() if key != "sha256"}


def dumped(path: Path, content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False) if path.suffix == ".yaml" else json.dumps(content)


def pairs(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(name, reader) for name, readers in table.items() for reader in readers]


def damages(path: Path) -> dict[str, bytes]:
    whole = path.read_bytes()
    end = len(whole) * 3 // 5
    end -= 4 * (whole[end : end + 1] == b"\n")  # a table that is cut between two lines is a table
    return {
        "empty": b"",
        "cut off": whole[:end],
        "not of the format": b"\xff\xfe\x00\x81" * 50,
        "a list": b"[1, 2]",
        "a text": b"hello",
        "deep": b"[" * 20_000,
    }


@pytest.mark.parametrize(("name", "reader"), pairs(FILES))
def test_a_file_that_is_cut_off_or_of_another_format_is_refused_by_name(where: Where, name: str, reader: str) -> None:
    path = path_of(where, name)
    assert refusal(reader, where) is None
    for kind, content in damages(path).items():
        with replaced(path, content):
            said = refusal(reader, where)
        if name == "groupings.yaml" and kind == "cut off" and said is None:
            continue  # YAML that is cut between two lines is YAML
        assert said is not None, kind
        assert path.name in said, kind


@pytest.mark.parametrize(("name", "reader"), pairs(PASSED))
def test_a_damaged_file_that_is_written_again_stops_nobody(where: Where, name: str, reader: str) -> None:
    path = path_of(where, name)
    for content in damages(path).values():
        with replaced(path, content):
            assert refusal(reader, where) is None
    for content in ({}, {"state": 3}, {"attempt": "x"}, {"identity": "i", "tasks": "x"}):
        with replaced(path, json.dumps(content)):
            assert refusal(reader, where) is None


@pytest.mark.parametrize(("name", "reader"), pairs(VERSIONED))
def test_a_file_of_another_version_is_refused_with_both_versions(where: Where, name: str, reader: str) -> None:
    path = path_of(where, name)
    for version, said in (
        (SCHEMA_VERSION + 1, f"schema_version {SCHEMA_VERSION + 1} is newer than this tool's {SCHEMA_VERSION}"),
        (0, "schema_version 0 is older than those that are read"),
        ("x", "schema_version is 'x', not a whole number"),
        (1.5, "not a whole number"),
        (True, "not a whole number"),
        (None, "not a whole number"),
    ):
        with replaced(path, with_version(path, version)):
            found = refusal(reader, where)
        assert found is not None, version
        assert said in found
        assert f"{path.name}: " in found


def with_version(path: Path, version: object) -> str:
    text = path.read_text()
    if path.name == "study.yaml":
        return re.sub(r"# schema_version: .*", f"# schema_version: {version}", text)
    if path.suffix == ".csv":
        head, *rows = text.splitlines()
        return "\n".join([f"{head},schema_version", *(f"{row},{version}" for row in rows)])
    if path.suffix == ".yaml":  # the head is read by itself, so that the order stays
        return re.sub(r"^schema_version: .*", f"schema_version: {json.dumps(version)}", text, flags=re.MULTILINE)
    return json.dumps({**loaded(path), "schema_version": version})


def changed(content: Any, key: Sequence[str], value: object) -> Any:
    """A copy of nested mappings and lists with another value at a key."""
    if not key:
        return value
    if isinstance(content, list):
        return [changed(item, key[1:], value) if str(i) == key[0] else item for i, item in enumerate(content)]
    return {**content, key[0]: changed(content[key[0]], key[1:], value)}


WRONG: tuple[object, ...] = ("x", 7, 1.5, True, [], [None], {}, {"a": None}, None)


def is_like(value: object, old: object) -> bool:
    """Whether a value is of the type that an old one has, so far as the schema can tell."""
    if isinstance(old, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(old, list | dict):
        return type(value) is type(old)
    return type(value) is type(old)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in USED.items() for key in keys])
def test_a_field_of_another_type_is_named_with_what_was_found(where: Where, name: str, key: str) -> None:
    path = path_of(where, name)
    content = loaded(path)
    old: Any = content
    for part in key.split("."):
        old = old[int(part)] if isinstance(old, list) else old[part]
    optional = {"report.margin", "outputs", "data", "data.max_pixels", "data.name", "model", "model.norm",
                "model.weights", "two.parent", "two.share", "two.budget", "cost.active_parameters"}  # fmt: skip
    wrong = [value for value in WRONG if not is_like(value, old) and not (value is None and key in optional)]
    if old is None:  # of optional fields: a weights file, a count
        wrong = [[], {"a": None}, True]
    if key.endswith("image_size"):
        wrong = [value for value in wrong if value != 7]
    for value in wrong:
        with replaced(path, dumped(path, changed(content, key.split("."), value))):
            said = refusal(QUICK[name], where)
            assert said is not None, value
            assert f"{path.name}: " in said
            assert key.rpartition(".")[2] in said, value


@pytest.mark.parametrize("name", QUICK)
def test_no_field_of_any_type_ends_in_a_traceback(where: Where, name: str) -> None:
    path = path_of(where, name)
    content = loaded(path)
    for key in leaves(content):
        for value in ([7],):
            with replaced(path, dumped(path, changed(content, key, value))):
                refusal(QUICK[name], where)


def leaves(content: Any) -> Iterator[list[str]]:
    """Keys of all values that are no mappings or lists."""
    for name, value in content.items() if isinstance(content, dict) else enumerate(content):
        if name == "train_samples":
            continue
        if isinstance(value, dict | list) and value:
            yield from ([str(name), *key] for key in leaves(value))
        else:
            yield [str(name)]


@pytest.mark.parametrize(
    ("name", "column", "value", "said"),
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
def test_a_cell_that_is_wrong_is_named_with_its_line(
    where: Where, name: str, column: str, value: str, said: str
) -> None:
    path = path_of(where, name)
    head, first, *rest = path.read_text().splitlines()
    cells = dict(zip(head.split(","), first.split(","), strict=False))
    with replaced(path, "\n".join([head, ",".join((cells | {column: value}).values()), *rest, ""])):
        for reader in FILES[name]:
            found = refusal(reader, where)
            if found is None and reader in ("status", "clean"):
                assert column not in ("run_id", "fingerprint")  # others they do not read
                continue
            assert found is not None, reader
            assert said in found


@pytest.mark.parametrize("column", ["task_id", "sample_id", "mre", "label", "probs"])
def test_a_column_of_predictions_of_another_type_is_named(where: Where, column: str) -> None:
    path = path_of(where, "RUN/predictions.parquet")
    table = parquet.read_table(path)
    place = table.column_names.index(column)
    other = pa.array([["x"]] * len(table)) if column == "probs" else pa.array([True] * len(table))
    buffer = pa.BufferOutputStream()
    parquet.write_table(table.set_column(place, column, other), buffer)
    result = path_of(where, "RUN/result.json")
    unsealed = {name: value for name, value in loaded(result).items() if name != "predictions"}
    with replaced(result, json.dumps(unsealed)), replaced(path, buffer.getvalue().to_pybytes()):
        said = refusal("report, of a run", where)
    assert said is not None
    assert f"predictions.parquet: {column} is " in said


def test_a_folder_of_predictions_of_another_version_or_type_is_refused(tmp_path: Path) -> None:
    for content in ({"schema_version": 2}, {"models": {"a": 3}, "data": "x"}, {"models": {}, "data": 3}, [], {}):
        (tmp_path / "predicted_by.json").write_text(json.dumps(content))
        with (
            pytest.raises(UsaggrError, match=r"predicted_by\.json: ") as caught,
            open_prediction_folder(tmp_path, {}, tmp_path, {}),
        ):
            pass
        assert "\n" not in str(caught.value)


# What would make this file incomplete

NOT_READ = {"sweeps.csv", "log.txt", "logs/", "checkpoint/", "parent/", "weights/", "runs/<run_id>/", "report/"}
"""What docs/results.md lists and no command reads as a table or mapping; checkpoints: tests/training/test_resume.py."""


def test_every_file_that_the_documentation_lists_is_damaged_here() -> None:
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text().partition("## Tables")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    listed = {name for cell in cells[: cells.index(" `task` ") if " `task` " in cells else None] for name in
              re.findall(r"`([^`]+)`", cell) if "." in name or name.endswith("/")}  # fmt: skip
    known = {name.removeprefix("RUN/") for name in (*FILES, *PASSED)}
    assert len(listed) > 15
    damaged = known | NOT_READ
    assert {name for name in listed if not any(one.startswith(name) for one in damaged)} == set()


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
    "report/tasks/examples.py": "predictions of single samples, of runs that the report believes",
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


def test_nothing_else_reads_files_of_a_results_folder() -> None:
    """A new reader goes through usaggr/results/integrity.py; or is named here, and damaged above."""
    package = Path(usaggr.__file__).parent
    found = {str(path.relative_to(package)) for path in package.rglob("*.py") if READING.search(path.read_text())}
    assert found == WHO_READS.keys() | ELSEWHERE.keys()
