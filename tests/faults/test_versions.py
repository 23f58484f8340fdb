"""Files of a newer or unknown version are refused with both versions, and nothing is overwritten."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.sweeps import FakeSweep
from tests.report.test_build import scorer
from tests.sweep import fakes
from usaggr.errors import ConfigError, RunError, UsaggrError
from usaggr.results.integrity import SCHEMA_VERSION
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import Placement
from usaggr.results.stored_study import check_replaceable, read_source
from usaggr.sweep.execution.jobs import Job
from usaggr.sweep.executors.local.worker import run_in_worker
from usaggr.sweep.inspect.status import read_sweep_status
from usaggr.sweep.planning.study_plan import write_plan

NEWER = SCHEMA_VERSION + 1
MESSAGE = rf"schema_version {NEWER} is newer than this tool's {SCHEMA_VERSION}; update usaggr"


def in_yaml(text: str) -> str:
    assert f"schema_version: {SCHEMA_VERSION}\n" in text
    return text.replace(f"schema_version: {SCHEMA_VERSION}\n", f"schema_version: {NEWER}\n")


def in_table(text: str) -> str:
    assert f",{SCHEMA_VERSION}\n" in text
    return text.replace(f",{SCHEMA_VERSION}\n", f",{NEWER}\n")


def in_json(text: str) -> str:
    return json.dumps({**json.loads(text), "schema_version": NEWER})


@pytest.mark.parametrize(("name", "newer"), [("study.yaml", in_yaml), ("plan.csv", in_table), ("data.json", in_json)])
def test_a_file_of_a_newer_version_is_refused_by_all_its_readers_and_writers(
    tmp_path: Path, name: str, newer: Callable[[str], str]
) -> None:
    study = fakes.study(tmp_path)
    plan = fakes.plan(study, fakes.planned(study, 0))
    write_plan(plan)
    check_replaceable(plan.directory)
    path = plan.directory / name
    path.write_text(newer(path.read_text()))
    before = {file: file.read_bytes() for file in plan.directory.iterdir()}
    for act in (lambda: write_plan(plan), lambda: read_source(plan.directory)):
        with pytest.raises(RunError, match=rf"{name}: {MESSAGE}"):
            act()
    if name == "plan.csv":
        with pytest.raises(RunError, match=rf"{name}: {MESSAGE}"):
            read_sweep_status(plan.directory)
    assert {file: file.read_bytes() for file in plan.directory.iterdir()} == before


def test_a_run_of_a_newer_version_is_not_overwritten(tmp_path: Path) -> None:
    study = fakes.study(tmp_path)
    run = fakes.planned(study, 0)
    directory = RunDirectory(run.directory)
    directory.write_spec(run.spec)
    path = run.directory / "run.yaml"
    path.write_text(in_yaml(path.read_text()))
    (run.directory / "predictions.parquet").write_text("of the newer version")
    before = path.read_bytes()
    outcome, message = run_in_worker(Job(run.spec, run.directory, study, None, 1), Placement(1), fakes.TARGET)
    assert outcome == "failed"
    assert f"run.yaml: {MESSAGE}" in message
    assert path.read_bytes() == before
    assert (run.directory / "predictions.parquet").read_text() == "of the newer version"


@pytest.mark.parametrize("text", ["[1, 2]", '"text"', '{"schema_version": "old"}', "{", ""])
def test_an_invalid_description_of_data_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    study = fakes.study(tmp_path)
    plan = fakes.plan(study, fakes.planned(study, 0))
    write_plan(plan)
    (plan.directory / "data.json").write_text(text)
    with pytest.raises((ConfigError, RunError), match=r"data\.json: "):
        write_plan(plan)
    with pytest.raises(UsaggrError, match=r"data\.json: "):
        read_source(plan.directory)
    assert (plan.directory / "data.json").read_text() == text


def test_directories_without_versions_of_older_tools_are_read_and_written(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "old", tasks=("breast_lesion", "fetal_femur"), seeds=(0,)).finish(scorer)
    assert "schema_version" not in (sweep.directory / "plan.csv").read_text()
    assert "schema_version" not in (sweep.directory / "study.yaml").read_text()
    check_replaceable(sweep.directory)
    assert len(read_source(sweep.directory).plan) == len(read_sweep_status(sweep.directory).runs) == 3
