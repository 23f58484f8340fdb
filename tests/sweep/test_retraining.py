"""Finished runs without weights are trained again for their weights alone; all their other files stay."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.sweep import fakes
from tests.sweep.scripted import ScriptedExecutor, Step
from usaggr.errors import ConfigError
from usaggr.results.contract import PARENT, WEIGHTS
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import RunResult
from usaggr.sweep.execution.jobs import Outcome
from usaggr.sweep.kept_weights import KeptWeights
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.sweep.retraining import RetrainOutcome, check_request, retrain_for_weights

DECISION = KeptWeights("auto", (), (100,), is_known=True, is_sendable=True, missing=0, free=1000)


def finish(run: PlannedRun) -> None:
    run.directory.mkdir(parents=True)
    (run.directory / "predictions.parquet").write_text("predictions")
    RunDirectory(run.directory).write_result(replace(fakes.RESULT, cost=replace(fakes.RESULT.cost, seconds=77.0)))


def finished(tmp_path: Path, count: int = 2) -> Plan:
    study = fakes.study(tmp_path, "logger=csv", "training.keep_weights=auto")
    plan = fakes.plan(study, *(fakes.planned(study, seed) for seed in range(count)))
    for run in plan.runs:
        finish(run)
    return plan


def again(plan: Plan, run: PlannedRun) -> Path:
    return plan.directory / "retrained" / run.spec.run_id


def train(directory: Path, result: RunResult = fakes.RESULT) -> Callable[[], Outcome]:
    """Return a step that leaves weights and a result in a directory."""

    def step() -> Outcome:
        (directory / WEIGHTS).parent.mkdir(parents=True)
        (directory / WEIGHTS).write_text(f"weights of {directory.name}")
        (directory / WEIGHTS).with_suffix(".sha256").write_text("checksum")
        RunDirectory(directory).write_result(result)
        return "done"

    return step


def retrain(plan: Plan, *steps: tuple[PlannedRun, Sequence[Step]]) -> tuple[RetrainOutcome, ScriptedExecutor, str]:
    executor = ScriptedExecutor({run.spec.run_id: script for run, script in steps})
    out = io.StringIO()
    outcome = retrain_for_weights(
        plan, DECISION, console=Console(file=out, width=300), executor=executor,
        prepare=lambda plan, runs, progress: lambda run: None,
    )  # fmt: skip
    return outcome, executor, out.getvalue()


def files(run: PlannedRun) -> dict[str, bytes]:
    return {
        str(path.relative_to(run.directory)): path.read_bytes() for path in run.directory.rglob("*") if path.is_file()
    }


def test_weights_are_added_and_every_other_file_stays_byte_for_byte(tmp_path: Path) -> None:
    plan = finished(tmp_path)
    before = [files(run) for run in plan.runs]
    outcome, executor, out = retrain(plan, *((run, [train(again(plan, run))]) for run in plan.runs))
    assert (outcome.with_weights, outcome.differing, outcome.remaining, outcome.exit_status) == (2, 0, 0, 0)
    assert "2 finished runs have no weights; trained again in " in out
    for run, files_before in zip(plan.runs, before, strict=True):
        weights = {str(WEIGHTS): f"weights of {run.spec.run_id}".encode(), "weights/scored.sha256": b"checksum"}
        assert files(run) == {**files_before, **weights}
    assert not (plan.directory / "retrained").exists()
    assert {(job.study.training.keep_weights, job.study.logger.name) for job in executor.submitted} == {
        ("scored", "none")
    }, "nothing is tracked a second time"
    second, executor, out = retrain(plan)
    assert (second.exit_status, executor.submitted) == (0, [])
    assert "every finished run that keeps its weights has them" in out


def test_weights_with_other_scores_are_not_kept(tmp_path: Path) -> None:
    plan = finished(tmp_path)
    other = replace(fakes.RESULT, scores={fakes.TASK.id: {"auc": 0.9000000001}})
    before = files(plan.runs[0])
    outcome, _, out = retrain(
        plan,
        (plan.runs[0], [train(again(plan, plan.runs[0]), other)]),
        (plan.runs[1], [train(again(plan, plan.runs[1]))]),
    )
    assert (outcome.with_weights, outcome.differing, outcome.exit_status) == (1, 1, 1)
    assert files(plan.runs[0]) == before
    assert f"test auc of {fakes.TASK.id}: 0.9000000001 instead of 0.9; 1 in total" in out
    assert not (plan.directory / "retrained").exists()


def test_an_unfinished_training_is_left_for_the_same_command(tmp_path: Path) -> None:
    plan = finished(tmp_path)
    first, second = plan.runs
    outcome, _, out = retrain(plan, (first, [train(again(plan, first))]), (second, ["failed"]))
    assert (outcome.with_weights, outcome.remaining, outcome.exit_status) == (1, 1, 1)
    assert "1 run is left; run the same command to continue" in out
    assert second.read_state() == "done"
    assert (again(plan, second) / "status.json").is_file()
    outcome, executor, _ = retrain(plan, (second, [train(again(plan, second))]))
    assert (outcome.with_weights, outcome.exit_status) == (1, 0)
    assert executor.order == [second.spec.run_id]


def test_a_training_that_ended_before_its_weights_were_moved_is_not_repeated(tmp_path: Path) -> None:
    plan = finished(tmp_path, count=1)
    train(again(plan, plan.runs[0]))()
    outcome, executor, _ = retrain(plan)
    assert (outcome.with_weights, executor.submitted) == (1, [])
    assert (plan.runs[0].directory / WEIGHTS).is_file()


def test_a_second_stage_starts_from_its_parent_that_is_trained_again_first(tmp_path: Path) -> None:
    plan = finished(tmp_path, count=1)
    parent = plan.runs[0]
    child = fakes.planned(plan.study, 1, examples=9000, parent=parent.spec.run_id)
    child = replace(child, spec=replace(child.spec, window={fakes.TASK.id: (5, 9)}))
    finish(child)
    plan = replace(plan, runs=(parent, child))
    seen: list[str] = []

    def start() -> Outcome:
        seen.append((again(plan, child) / PARENT / "scored.safetensors").read_text())
        return train(again(plan, child))()

    outcome, executor, _ = retrain(plan, (parent, [train(again(plan, parent))]), (child, [start]))
    assert outcome.with_weights == 2
    assert executor.order == [parent.spec.run_id, child.spec.run_id]
    assert seen == [f"weights of {parent.spec.run_id}"]
    assert not (child.directory / PARENT).exists()


def test_a_study_that_keeps_no_weights_is_refused(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "training.keep_weights=none")
    plan = fakes.plan(study, fakes.planned(study, 0))
    with pytest.raises(ConfigError, match=r"^--weights: this study keeps none; add training\.keep_weights=scored"):
        check_request(plan)
