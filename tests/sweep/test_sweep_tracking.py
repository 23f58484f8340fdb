"""A sweep is the parent of its runs in the tracker; a failing tracker does not stop a sweep."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.sweep import fakes
from usaggr.config.study import Tracked
from usaggr.errors import ConfigError
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep import sweep_tracking
from usaggr.sweep.planning.study_plan import Plan
from usaggr.sweep.sweep import SweepOutcome, run_sweep
from usaggr.tracking.record import Record, make_mlflow_client, read_record

pytestmark = pytest.mark.usefixtures("kept_server")


def fake_plan(tmp_path: Path, *overrides: str, **settings: Any) -> Plan:
    study = fakes.study(tmp_path / "outputs", *overrides)
    return fakes.plan(study, *(fakes.planned(study, seed, **settings) for seed in (0, 1)))


def sweep(plan: Plan) -> tuple[SweepOutcome, str]:
    """Sweep runs that train nothing; return the outcome and the printed text."""
    printed = io.StringIO()
    outcome = run_sweep(
        plan,
        console=Console(file=printed, width=500),
        executor=fakes.executor(plan.study),
        prepare=lambda *_: lambda run: None,
        build_report=lambda directories: directories[0],
    )
    return outcome, printed.getvalue()


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(location: str) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(sweep_tracking, "make_mlflow_client", refuse)


def test_a_missing_package_ends_a_sweep_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    plan = fake_plan(tmp_path, "logger=wandb")
    with pytest.raises(ConfigError, match=r"^logger=wandb needs the package wandb: pip install usaggr\[wandb\]$"):
        sweep(plan)
    assert fakes.executions(plan.study) == []


@pytest.mark.usefixtures("unreachable")
def test_a_tracker_that_cannot_be_reached_costs_a_sweep_one_line(tmp_path: Path) -> None:
    outcome, printed = sweep(fake_plan(tmp_path, "logger=mlflow", "logger.location='http://me:secret@there:1'"))
    assert (outcome.done, outcome.exit_status) == (2, 0)
    lines = [line for line in printed.splitlines() if "logger" in line]
    assert lines == ["logger=mlflow: the sweep is not tracked at http://there:1: ConnectionError: no route to host"]


def test_runs_that_are_not_tracked_are_counted_with_the_first_reason(tmp_path: Path) -> None:
    plan = fake_plan(tmp_path, "logger=csv")
    for run in plan.runs:
        run.directory.mkdir(parents=True)
    Record("csv", None, None, "OSError: gone").write(plan.runs[0].directory)
    Record("csv", None, None).write(plan.runs[1].directory)
    outcome, printed = sweep(plan)
    assert outcome.exit_status == 0
    assert "logger=csv: 1 of 2 runs are not fully tracked; reason of the first: OSError: gone\n" in printed


def test_tracker_settings_of_a_run_do_not_change_its_study(tmp_path: Path) -> None:
    study = fakes.study(tmp_path)
    tracked_study = study.set_tracked(Tracked("http://there:1", "abc", ("unified",)))
    assert tracked_study == study
    assert tracked_study.tracked.parent == "abc"
    assert study.tracked.parent is None
    assert "abc" not in str(tracked_study.model_dump())


@pytest.mark.usefixtures("unreachable")
def test_a_run_without_a_sweep_gets_the_parent_of_an_earlier_sweep(tmp_path: Path) -> None:
    plan = fake_plan(tmp_path, "logger=mlflow", "logger.location='http://there:1'")
    assert sweep_tracking.make_tracked_study(plan, plan.runs[0]).tracked.parent is None
    Record("mlflow", "http://there:1", "abc").write(plan.directory)
    tracked = sweep_tracking.make_tracked_study(plan, plan.runs[0]).tracked
    assert (tracked.location, tracked.parent, tracked.groupings) == ("http://there:1", "abc", ("task_specific",))


@pytest.mark.slow
def test_mlflow_has_one_parent_for_all_sweeps_of_a_study(tmp_path: Path) -> None:
    location = f"sqlite:///{tmp_path}/ml.db"
    overrides = ("logger=mlflow", f"logger.location='{location}'", "logger.experiment=trial")
    broken = fake_plan(tmp_path, *overrides, raises="no", times=1)
    assert sweep(broken)[0].failed == 2
    client = make_mlflow_client(location)
    record = read_record(broken.directory)
    assert record is not None
    parent = client.get_run(str(record.id))
    assert parent.info.run_name == "fake"
    assert parent.info.status == "FAILED"
    assert parent.data.metrics == {"runs": 2, "runs_done": 0, "runs_failed": 2}
    assert parent.data.tags["usaggr.groupings"] == "task_specific, clinical, unified"
    for run in broken.runs:
        RunDirectory(run.directory).record_end("pending", 1)
    outcome, printed = sweep(fake_plan(tmp_path, *overrides, raises="no", times=1))
    assert (outcome.done, "logger" in printed) == (2, False)
    experiment = client.get_experiment_by_name("trial")
    assert experiment is not None
    mlflow_runs = client.search_runs([experiment.experiment_id])
    assert [(run.info.run_id, run.info.status) for run in mlflow_runs] == [(record.id, "FINISHED")]
    assert mlflow_runs[0].data.metrics["runs_done"] == 2
