"""A run in its tracker: the logged numbers, and proof that no tracker delays a run or makes it fail."""

import csv
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pytorch_lightning.loggers.logger import DummyLogger

from tests.data.factories import tiny_data
from tests.training.test_resume import train, train_with_stops
from tests.training.test_run import execute, pick, plan_of
from usaggr.config.study import Tracked
from usaggr.errors import RunError
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import Placement
from usaggr.sweep.planning.study_plan import Plan
from usaggr.tracking import backends, lightning_logger
from usaggr.tracking.record import End, make_mlflow_client, read_record
from usaggr.training.run import execute_run

COMMON = ("training.validations=2", "logger.every=1")
STEPS = 12
"""Training steps of the block `unified` in these plans, as in test_resume."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trackers")
    tiny_data(folder / "data", n=30)
    return folder


class RecordingLogger(DummyLogger):
    """A logger that stores everything that is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[int | None, dict[str, float]]] = []
        self.scores: dict[str, float] = {}
        self.ends: list[End] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        if any(name.startswith("test/") for name in metrics):
            assert step == STEPS
            self.scores = dict(metrics)
        else:
            self.entries.append((step, dict(metrics)))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> RecordingLogger:
    logger = RecordingLogger()
    run = backends.OpenRun(logger, logger.ends.append, "nowhere", "1")
    monkeypatch.setattr(lightning_logger, "open_run", lambda *_: run)
    return logger


def columns(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_steps_validations_and_test_scores_are_logged(folder: Path, tmp_path: Path, recorder: RecordingLogger) -> None:
    result = execute(plan_of(folder, "logger=csv", *COMMON), "unified", tmp_path / "run")
    losses = [step for step, entry in recorder.entries if "training_loss" in entry]
    assert losses == list(range(STEPS))
    shown = [entry for _, entry in recorder.entries if "val/skill" in entry]
    curve = columns(tmp_path / "run" / "curve.csv")
    for entry, row in zip(shown, curve, strict=True):
        assert entry["val/skill"] == pytest.approx(row["skill"], abs=1e-5)
        assert entry["val/loss"] == pytest.approx(row["val_loss"], rel=1e-5)
        assert entry["val/reg/mre"] == pytest.approx(row["reg:mre"], rel=1e-5)
        assert entry["val/cls/loss"] == pytest.approx(row["cls:val_loss"], rel=1e-5)
    test_scores = {f"test/{task}/{name}": v for task, metrics in result.scores.items() for name, v in metrics.items()}
    assert recorder.scores == test_scores
    assert not any("epoch" in entry for _, entry in recorder.entries)
    assert recorder.ends == ["done"]


def test_a_tracker_does_not_change_the_results_of_a_run(
    folder: Path, tmp_path: Path, recorder: RecordingLogger
) -> None:
    plain = execute(plan_of(folder, "training.validations=2"), "unified", tmp_path / "plain")
    shown = execute(plan_of(folder, "logger=csv", *COMMON), "unified", tmp_path / "shown")
    assert (plain.scores, plain.validation) == (shown.scores, shown.validation)
    assert (tmp_path / "plain" / "curve.csv").read_bytes() == (tmp_path / "shown" / "curve.csv").read_bytes()


@pytest.mark.slow
def test_the_tracker_is_informed_of_failed_and_stopped_runs(
    folder: Path, tmp_path: Path, recorder: RecordingLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(folder, "logger=csv", *COMMON)
    train_with_stops(plan, tmp_path / "run", [5], monkeypatch)
    assert recorder.ends == ["stopped", "done"]
    broken = plan_of(folder, "logger=csv", "training.learning_rate=1e30", "training.gradient_clip=null", *COMMON)
    with pytest.raises(RunError, match="training loss is nan"):
        execute(broken, "unified", tmp_path / "broken")
    assert recorder.ends == ["stopped", "done", "failed"]


def test_an_unreachable_tracker_costs_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(lightning_logger, "open_run", refuse)
    result = execute(plan_of(folder, "logger=csv", *COMMON), "cls", tmp_path / "run")
    assert result.scores["cls"]
    line = "logger=csv: the run is not fully logged: ConnectionError: no route to host"
    assert capsys.readouterr().out.splitlines() == [line]
    record = read_record(tmp_path / "run")
    assert record is not None
    assert record.problem == "ConnectionError: no route to host"


def test_a_tracker_that_fails_later_is_not_called_again(
    folder: Path,
    tmp_path: Path,
    recorder: RecordingLogger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(metrics: Mapping[str, float], step: int | None) -> None:
        recorder.entries.append((step, {}))
        if len(recorder.entries) == 3:
            raise OSError("gone")

    monkeypatch.setattr(recorder, "log_metrics", fail)
    execute(plan_of(folder, "logger=csv", *COMMON), "cls", tmp_path / "run")
    assert len(recorder.entries) == 3
    assert "not fully logged: OSError: gone" in capsys.readouterr().out


def test_a_run_does_not_wait_for_a_tracker_that_hangs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(lightning_logger, "CLOSE_SECONDS", {"done": 0.05, "failed": 0.05, "stopped": 0.05})
    monkeypatch.setattr(lightning_logger, "open_run", lambda *_: over.wait(60))
    execute(plan_of(folder, "logger=csv", *COMMON), "cls", tmp_path / "run")
    over.set()
    assert RunDirectory(tmp_path / "run").read_state() == "done"
    record = read_record(tmp_path / "run")
    assert record is not None
    assert record.problem == "no answer within 0.05 seconds"


def test_the_csv_contains_the_logged_numbers(folder: Path, tmp_path: Path) -> None:
    result = execute(plan_of(folder, "logger=csv", *COMMON), "unified", tmp_path / "run")
    entries = columns(tmp_path / "run" / "logs" / "metrics.csv")
    assert sum("training_loss" in row for row in entries) == STEPS
    assert entries[-1]["step"] == STEPS
    assert entries[-1]["test/reg/mre"] == pytest.approx(result.scores["reg"]["mre"])


@pytest.mark.slow
def test_a_resumed_run_continues_its_csv(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(folder, "logger=csv", *COMMON)
    train(plan, tmp_path / "uninterrupted")
    train_with_stops(plan, tmp_path / "resumed", [2, 6, 9], monkeypatch)
    uninterrupted, resumed = (
        columns(tmp_path / name / "logs" / "metrics.csv") for name in ("uninterrupted", "resumed")
    )
    missing = [row for row in uninterrupted if row not in resumed]
    assert [row for row in resumed if row not in uninterrupted] == []
    # The steps at which a run stopped within a validation interval: Lightning logs a step a moment later.
    assert [(row["step"], "training_loss" in row) for row in missing] == [(1, True), (8, True)]


def test_a_run_that_starts_again_has_no_entries_of_the_earlier_attempt(folder: Path, tmp_path: Path) -> None:
    plan = plan_of(folder, "logger=csv", *COMMON)
    (tmp_path / "run" / "logs").mkdir(parents=True)
    (tmp_path / "run" / "logs" / "metrics.csv").write_text("step,old\n0,1\n")
    train(plan, tmp_path / "run")
    assert not any("old" in row for row in columns(tmp_path / "run" / "logs" / "metrics.csv"))


def test_hyperparameters_identify_a_run(folder: Path) -> None:
    plan = plan_of(folder, "training.encoder_learning_rate=null")
    run, _ = pick(plan, "unified")
    study = run.study.set_tracked(Tracked(groupings=("clinical", "unified")))
    parameters = backends.list_hyperparameters(run.spec, study)
    assert parameters["run_id"] == run.spec.run_id
    assert parameters["groupings"] == "clinical, unified"
    assert parameters["tasks"] == "cls, det, reg, seg"
    assert (parameters["block"], parameters["scale"], parameters["seed"], parameters["variant"]) == (
        "unified",
        1.0,
        0,
        "base",
    )
    assert parameters["fingerprint"] == run.spec.fingerprint
    assert parameters["training.batch_size"] == study.training.batch_size
    assert parameters["training.encoder_learning_rate"] == "null"
    assert all(isinstance(value, str | int | float | bool) for value in parameters.values())


def test_no_key_of_a_logger_changes_a_fingerprint(folder: Path) -> None:
    plain = [run.spec.fingerprint for run in plan_of(folder).runs]
    for overrides in (["logger=mlflow", "logger.experiment=other"], ["logger=wandb"], ["logger=csv", "logger.every=3"]):
        assert [run.spec.fingerprint for run in plan_of(folder, *overrides).runs] == plain


# Tests with the real trackers


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for trackers: a busy machine imports them slowly."""
    monkeypatch.setattr(lightning_logger, "CLOSE_SECONDS", {"done": 120.0, "failed": 120.0, "stopped": 120.0})


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_tensorboard_shows_curves_and_scores_and_continues(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plan = plan_of(folder, "logger=tensorboard", *COMMON)
    train_with_stops(plan, tmp_path / "run", [8], monkeypatch)
    events = EventAccumulator(str(tmp_path / "run" / "logs"))
    events.Reload()
    assert [event.step for event in events.Scalars("training_loss")] == [s for s in range(STEPS) if s != 7]
    assert [event.step for event in events.Scalars("val/skill")] == [5, 11]
    result = RunDirectory(tmp_path / "run").read_result()
    assert events.Scalars("test/seg/dsc")[-1].value == pytest.approx(result.scores["seg"]["dsc"], rel=1e-6)
    assert "_hparams_/session_start_info" in events.summary_metadata


@pytest.fixture
def mlflow_plan(folder: Path, tmp_path: Path) -> Plan:
    return plan_of(folder, "logger=mlflow", f"logger.location='sqlite:///{tmp_path}/ml.db'", *COMMON)


def execute_again(plan: Plan, directory: Path) -> None:
    run, data = pick(plan, "unified")
    directory.mkdir(exist_ok=True)
    RunDirectory(directory).clear()
    study = run.study.set_tracked(Tracked(parent="0" * 32, groupings=run.groupings))
    execute_run(run.spec, directory, study, Placement(threads=1), data)


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_mlflow_continues_a_resumed_run_and_creates_another_for_one_that_starts_again(
    mlflow_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_mlflow_client(f"sqlite:///{tmp_path}/ml.db")
    execute_again(mlflow_plan, tmp_path / "run")  # as if it had been killed at its end
    first = read_record(tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    train_with_stops(mlflow_plan, tmp_path / "run", [7], monkeypatch)
    second = read_record(tmp_path / "run")
    assert first is not None
    assert second is not None
    experiment = client.get_experiment_by_name("usaggr")
    assert experiment is not None
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    assert {run_id: run.info.status for run_id, run in runs.items()} == {first.id: "KILLED", second.id: "FINISHED"}
    run = runs[str(first.id)]
    result = RunDirectory(tmp_path / "run").read_result()
    assert run.data.tags["mlflow.parentRunId"] == "0" * 32
    assert run.data.params["groupings"] == "unified"
    assert run.data.metrics["test/cls/auc"] == pytest.approx(result.scores["cls"]["auc"])
    resumed_steps = client.get_metric_history(str(second.id), "training_loss")
    assert sorted(metric.step for metric in resumed_steps) == [s for s in range(STEPS) if s != 6]


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_an_unreachable_server_costs_one_line_without_the_password(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    plan = plan_of(folder, "logger=mlflow", "logger.location='http://me:secret@127.0.0.1:9'", *COMMON)
    execute(plan, "unified", tmp_path / "run")
    messages = [line for line in capsys.readouterr().out.splitlines() if line.startswith("logger=mlflow")]
    assert len(messages) == 1
    assert "127.0.0.1" in messages[0]
    assert "secret" not in messages[0]


@pytest.fixture
def fresh_wandb() -> Iterator[None]:
    """Reset W&B, which reads its environment only once per process."""
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_wandb", "patient")
def test_wandb_offline_keeps_a_run_in_its_sweeps_group(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    plan = plan_of(folder, "logger=wandb", "logger.project=trial", *COMMON)
    train_with_stops(plan, tmp_path / "run", [7], monkeypatch)
    record = read_record(tmp_path / "run")
    assert record is not None
    assert (record.location, record.problem) == ("trial", None)
    files = sorted((tmp_path / "run" / "logs" / "wandb").glob("offline-run-*/*.wandb"))
    assert [path.name for path in files] == [f"run-{record.id}.wandb"] * 2
    content = b"".join(path.read_bytes() for path in files)
    run, _ = pick(plan, "unified")
    for text in (run.spec.run_id, run.spec.fingerprint, "demo", "test/seg/dsc", "val/skill"):
        assert text.encode() in content, text


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_wandb", "patient")
def test_wandb_without_a_key_costs_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    result = execute(plan_of(folder, "logger=wandb", *COMMON), "unified", tmp_path / "run")
    assert result.scores
    assert "logger=wandb: the run is not fully logged: " in capsys.readouterr().out
