"""Runs of two stages: initial weights and examples of the second stage, and its resume."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.data.factories import tiny_data
from tests.training.test_resume import digest
from tests.training.test_run import plan_of
from usaggr import stopping
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import RunData, select_run_data
from usaggr.errors import RunError
from usaggr.models.build_network import build_network
from usaggr.models.parameters import count_parameters
from usaggr.results.contract import PARENT, WEIGHTS
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import Placement
from usaggr.stopping import RunInterrupted
from usaggr.sweep.execution.parent_weights import provide_parent_weights
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.training import resume
from usaggr.training.optimizer import make_optimizer
from usaggr.training.run import execute_run, make_intervals
from usaggr.training.start_from_parent import add_budget_notes, start_from_parent

COMMON = ("training.budget=32 examples", "training.min_examples=8", "training.validations=2")
STAGED = ("groupings=[task_specific,unified,staged_task,staged_task_extra,staged_task_frozen]",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("staged")
    tiny_data(folder / "data", n=30)
    return folder


@pytest.fixture(scope="module")
def plan(folder: Path) -> Plan:
    return plan_of(folder, *COMMON, *STAGED)


def run_of(plan: Plan, block: str) -> tuple[PlannedRun, RunData]:
    run = next(candidate for candidate in plan.runs if candidate.spec.block == block)
    return run, select_run_data(plan.manifest, run.spec, build_or_open(plan.manifest.dataset, run.study.data))


def train(plan: Plan, block: str, directory: Path | None = None) -> Path:
    run, data = run_of(plan, block)
    directory = directory or run.directory
    directory.mkdir(parents=True, exist_ok=True)
    stopping.withdraw_request()
    RunDirectory(directory).clear()
    execute_run(run.spec, directory, run.study, Placement(threads=1), data)
    return directory


@pytest.fixture(scope="module")
def parent(plan: Plan) -> PlannedRun:
    """Trained first stage."""
    train(plan, "unified.first")
    return run_of(plan, "unified.first")[0]


def shown(plan: Plan, block: str, task: str) -> list[tuple[str, int]]:
    run, data = run_of(plan, block)
    draws = [
        draw
        for interval in make_intervals(run.spec, run.study, data)[0]
        for batch in interval.draws_by_batch
        for draw in batch
    ]
    return [(draw.sample_id, draw.augmentation) for draw in draws if draw.task_id == task]


def test_both_stages_train_on_the_examples_of_one_stage_in_the_same_order(plan: Plan) -> None:
    for task in ("cls", "seg"):
        one_stage = shown(plan, task, task)
        first, second = shown(plan, "unified.first", task), shown(plan, f"staged_task.{task}", task)
        assert len(first) == len(second) == 16
        assert first + second == one_stage
        longer = shown(plan, f"staged_task_extra.{task}", task)
        assert len(longer) == 16
        assert not set(longer) & set(one_stage)


def test_the_child_starts_as_its_parent_ended_with_its_own_head(plan: Plan, parent: PlannedRun, tmp_path: Path) -> None:
    run, data = run_of(plan, "staged_task.seg")
    child = PlannedRun(run.spec, run.groupings, tmp_path / "child", run.study, run.examples)
    provide_parent_weights(parent, child)
    network = build_network(run.study.model, list(data.tasks.values()), run.spec.seed)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    start_from_parent(network, run.spec, child.directory)
    stored = load_file(parent.directory / WEIGHTS)
    assert stored.keys() > before.keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, stored[name])
    moved = [name for name, tensor in before.items() if not torch.equal(tensor, stored[name])]
    assert any(name.startswith("heads.head_seg") for name in moved)
    assert any(name.startswith("encoder.") for name in moved)


def test_weights_that_changed_or_are_of_another_network_are_refused(
    plan: Plan, parent: PlannedRun, tmp_path: Path
) -> None:
    run, data = run_of(plan, "staged_task.seg")
    network = build_network(run.study.model, list(data.tasks.values()), run.spec.seed)
    with pytest.raises(RunError, match="are not in parent/ of the run's folder"):
        start_from_parent(network, run.spec, tmp_path)
    parent_folder = tmp_path / PARENT
    shutil.copytree((parent.directory / WEIGHTS).parent, parent_folder)
    (parent_folder / "scored.sha256").write_text("0" * 64 + "  scored.safetensors\n")
    with pytest.raises(RunError, match="have changed since they were written"):
        start_from_parent(network, run.spec, tmp_path)
    (parent_folder / "scored.sha256").unlink()
    other = run.study.model.model_copy(update={"decoder_channels": 64})
    with pytest.raises(RunError, match="are of another network"):
        start_from_parent(build_network(other, list(data.tasks.values()), 0), run.spec, tmp_path)


def test_a_frozen_encoder_is_not_trained_not_counted_and_in_evaluation_mode(plan: Plan) -> None:
    run, data = run_of(plan, "staged_task_frozen.seg")
    network = build_network(run.study.model, list(data.tasks.values()), 0).train()
    frozen = {id(parameter) for parameter in network.encoder.parameters()}
    trained = {id(p) for group in make_optimizer(network, run.study.training).param_groups for p in group["params"]}
    assert trained
    assert not frozen & trained
    counts = count_parameters(network)
    assert counts.trained == counts.total - sum(parameter.numel() for parameter in network.encoder.parameters())
    assert not any(module.training for module in network.encoder.modules())
    assert network.decoder.training
    thawed, _ = run_of(plan, "staged_task.seg")
    assert build_network(thawed.study.model, list(data.tasks.values()), 0).train().encoder.training


@pytest.mark.slow
def test_a_frozen_encoder_ends_as_its_parent_left_it(plan: Plan, parent: PlannedRun) -> None:
    run, _ = run_of(plan, "staged_task_frozen.seg")
    keeping = run.study.model_copy(
        update={"training": run.study.training.model_copy(update={"keep_weights": "scored"})}
    )
    provide_parent_weights(parent, run)
    _, data = run_of(plan, "staged_task_frozen.seg")
    execute_run(run.spec, run.directory, keeping, Placement(threads=1), data)
    before, after = load_file(parent.directory / WEIGHTS), load_file(run.directory / WEIGHTS)
    encoder = [name for name in after if name.startswith("encoder.")]
    assert encoder
    assert all(torch.equal(after[name], before[name]) for name in encoder)
    assert not all(torch.equal(after[name], before[name]) for name in after if name.startswith("decoder."))
    assert not (run.directory / PARENT).exists()


@pytest.mark.slow
def test_an_interrupted_second_stage_ends_as_one_that_never_stopped(
    plan: Plan, parent: PlannedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = run_of(plan, "staged_task.seg")
    uninterrupted, stopped = tmp_path / "whole", tmp_path / "stopped"
    for directory in (uninterrupted, stopped):
        provide_parent_weights(parent, PlannedRun(run.spec, run.groupings, directory, run.study, run.examples))
    train(plan, "staged_task.seg", uninterrupted)
    original = resume.CheckpointCallback.on_train_batch_end

    def ask(self: resume.CheckpointCallback, *args: object) -> None:
        if self._position.steps_done + 1 == 1:
            stopping.request_stop()
        original(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(resume.CheckpointCallback, "on_train_batch_end", ask)
    with pytest.raises(RunInterrupted):
        train(plan, "staged_task.seg", stopped)
    assert (stopped / PARENT / WEIGHTS.name).is_file()
    monkeypatch.setattr(resume.CheckpointCallback, "on_train_batch_end", original)
    train(plan, "staged_task.seg", stopped)
    assert digest(stopped) == digest(uninterrupted)


def test_a_note_names_tasks_whose_stages_see_more_examples_than_one_stage(plan: Plan) -> None:
    training = plan.study.training  # 32 examples of each task
    for end, noted in ((31, False), (32, False), (33, True)):
        spec = replace(run_of(plan, "staged_task.cls")[0].spec, window={"cls": (16, end)})
        notes = add_budget_notes({"seg": ["a remark"]}, spec, training, {"cls": 20})
        assert notes["seg"] == ["a remark"]
        assert ("cls" in notes) is noted


@pytest.mark.slow
def test_more_budget_is_noted_and_equal_budget_is_not(plan: Plan, parent: PlannedRun) -> None:
    train(plan, "unified")
    for block, parent_run, note in (
        ("staged_task.cls", parent, None),
        ("staged_task_extra.cls", run_of(plan, "unified")[0], "more budget (1.5 times the examples)"),
    ):
        run, _ = run_of(plan, block)
        provide_parent_weights(parent_run, run)
        result = RunDirectory(train(plan, block)).read_result()
        assert result.examples == {"cls": 16}
        assert (note in result.notes.get("cls", [])) is (note is not None)
        assert not any("budget" in note_text for note_text in result.notes.get("cls", [])) or note
