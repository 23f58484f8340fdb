"""Damaged results of finished runs are set aside, so that a sweep trains these runs again."""

import json
from pathlib import Path

import pytest

from tests.sweep import fakes
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.damaged_results import ASIDE, set_damaged_aside
from usaggr.sweep.planning.study_plan import PlannedRun


@pytest.fixture
def run(tmp_path: Path) -> PlannedRun:
    """A finished run with predictions."""
    run = fakes.planned(fakes.study(tmp_path), 0)
    directory = RunDirectory(run.directory)
    with directory.claim(1):
        directory.predictions_path.write_bytes(b"predictions")
        directory.write_result(fakes.RESULT)
    return run


def test_an_undamaged_result_is_kept(run: PlannedRun) -> None:
    assert list(set_damaged_aside([run])) == []
    assert run.read_state() == "done"


def test_a_result_that_was_changed_is_set_aside(run: PlannedRun) -> None:
    path = run.directory / "result.json"
    path.write_text(path.read_text().replace("0.9", "0.8"))
    (line,) = set_damaged_aside([run])
    assert f"its result was renamed to {ASIDE}" in line
    assert run.read_state() != "done"
    assert (run.directory / ASIDE).exists()


def test_a_result_whose_predictions_have_another_size_is_set_aside(run: PlannedRun) -> None:
    (run.directory / "predictions.parquet").write_bytes(b"prediction")
    (line,) = set_damaged_aside([run])
    assert "predictions.parquet" in line
    assert run.read_state() != "done"


def test_a_result_of_a_newer_version_is_left_unchanged(run: PlannedRun) -> None:
    path = run.directory / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    assert list(set_damaged_aside([run])) == []
    assert run.read_state() == "done"
