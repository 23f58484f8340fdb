"""Runs with each method of balancing and sampling: they train, resume, and write the documented files."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.data.factories import read_rows, tiny_data, write_rows
from tests.training.test_resume import digest, train, train_with_stops
from tests.training.test_run import execute, pick, plan_of
from usaggr.data.batches.streams import NOT_EQUAL
from usaggr.errors import ConfigError, RunError
from usaggr.models.network import MultiTaskNetwork, NetworkOutput
from usaggr.training import balancing as balancing_room
from usaggr.training.balancing import TaskGradients
from usaggr.training.module import MultiTaskModule
from usaggr.training.run import make_intervals

COMMON = ("training.budget=24 examples", "training.validations=2", "training.keep_weights=scored")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("balancing")
    tiny_data(folder / "data", n=30)
    return folder


def sums(gramian: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(gramian))


def test_with_equal_weights_a_run_differs_from_equal_by_rounding_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = (*COMMON, "training.learning_rate=1e-5", "training.budget=16 examples")
    expected = execute(plan_of(folder, *slow), "unified", tmp_path / "equal")
    monkeypatch.setattr(balancing_room, "make_gradient_weighting", lambda method: sums)
    result = execute(plan_of(folder, *slow, "training.balancing=pcgrad"), "unified", tmp_path / "sums")
    assert result.examples == expected.examples
    losses = [pd.read_csv(tmp_path / name / "curve.csv").filter(like="loss") for name in ("equal", "sums")]
    pd.testing.assert_frame_equal(losses[0], losses[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("balancing", ["uncertainty", pytest.param("upgrad", marks=pytest.mark.slow)])
def test_a_task_by_itself_is_trained_as_by_equal_byte_by_byte(folder: Path, tmp_path: Path, balancing: str) -> None:
    for name in ("equal", balancing):
        execute(plan_of(folder, *COMMON, f"training.balancing={name}"), "det", tmp_path / name)
    assert digest(tmp_path / "equal") == digest(tmp_path / balancing)


@pytest.mark.parametrize(
    "balancing",
    ["upgrad", *(pytest.param(name, marks=pytest.mark.slow) for name in ("uncertainty", "pcgrad", "mgda", "imtl_g"))],
)
def test_tasks_that_share_a_model_are_trained_otherwise_than_by_equal(
    folder: Path, tmp_path: Path, balancing: str
) -> None:
    few, weights = (*COMMON, "training.budget=16 examples", "training.validations=1"), {}
    for name in ("equal", balancing):
        execute(plan_of(folder, *few, f"training.balancing={name}"), "unified", tmp_path / name)
        weights[name] = load_file(tmp_path / name / "weights" / "scored.safetensors")
    assert weights["equal"].keys() == weights[balancing].keys(), "learned weights are not part of the scored network"
    assert any(not torch.equal(weights["equal"][name], weights[balancing][name]) for name in weights["equal"])
    assert all(torch.isfinite(tensor).all() for tensor in weights[balancing].values())


KINDS = [
    ("uncertainty", "tiny", [5]),
    pytest.param("pcgrad", "tiny", [5, 6], marks=pytest.mark.slow),
    pytest.param("pcgrad", "m2dino_tiny", [1, 6, 9, 12], marks=pytest.mark.slow),
    pytest.param("uncertainty", "m2dino_tiny", [2, 6, 12], marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("balancing", "model", "stops"), KINDS)
def test_a_stopped_and_resumed_run_is_the_same_byte_by_byte(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, balancing: str, model: str, stops: list[int]
) -> None:
    plan = plan_of(folder, *COMMON, f"training.balancing={balancing}", f"model={model}")
    train(plan, tmp_path / "whole")
    assert len(train_with_stops(plan, tmp_path / "stopped", stops, monkeypatch)) == len(stops)
    assert digest(tmp_path / "stopped") == digest(tmp_path / "whole")


def test_learned_weights_have_the_heads_rate_do_not_decay_and_are_in_the_curve(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    original = MultiTaskModule.configure_optimizers

    def configure(self: MultiTaskModule) -> Any:
        made = original(self)
        seen["group"], seen["uncertainty"] = made["optimizer"].param_groups[-1], self.uncertainty
        return made

    monkeypatch.setattr(MultiTaskModule, "configure_optimizers", configure)
    plan = plan_of(folder, *COMMON, "training.balancing=uncertainty", "training.learning_rate=1e-2")
    execute(plan, "unified", tmp_path / "run")
    assert seen["group"]["initial_lr"] == 1e-2
    assert seen["group"]["weight_decay"] == 0
    assert {id(p) for p in seen["group"]["params"]} == {id(p) for p in seen["uncertainty"].parameters()}
    weights = pd.read_csv(tmp_path / "run" / "curve.csv").filter(like=":balancing_weight")
    assert list(weights) == [f"{task}:balancing_weight" for task in ("cls", "det", "reg", "seg")]
    assert (weights > 0).all(axis=None)
    assert (weights.iloc[0] != 1).all()
    assert (weights.iloc[0] != weights.iloc[1]).all()


def test_combined_gradients_are_clipped(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    original = torch.optim.AdamW.step

    def step(self: torch.optim.AdamW, closure: Any = None) -> Any:
        step_result = original(self, closure)
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))
        return step_result

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    plan = plan_of(folder, *COMMON, "training.balancing=upgrad", "training.gradient_clip=0.01")
    execute(plan, "unified", tmp_path / "run")
    assert norms
    assert max(norms) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.slow
def test_the_auxiliary_loss_of_experts_is_kept_separate_from_the_tasks(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_auxiliary_loss: list[bool] = []
    original = TaskGradients.backward

    def backward(self: TaskGradients, losses: Any, auxiliary_loss: torch.Tensor | None = None) -> None:
        has_auxiliary_loss.append(auxiliary_loss is not None and float(auxiliary_loss) > 0)
        original(self, losses, auxiliary_loss)

    monkeypatch.setattr(TaskGradients, "backward", backward)
    plan = plan_of(folder, *COMMON, "model=m2dino_tiny", "training.balancing=upgrad")
    execute(plan, "unified", tmp_path / "run")
    assert has_auxiliary_loss
    assert all(has_auxiliary_loss)


@pytest.mark.slow
def test_half_precision_of_wide_range_trains(folder: Path, tmp_path: Path) -> None:
    plan = plan_of(folder, *COMMON, "training.balancing=pcgrad", "training.precision=bf16-mixed")
    assert set(execute(plan, "unified", tmp_path / "run").scores) == {"seg", "cls", "det", "reg"}


def test_a_loss_that_is_not_finite_ends_the_run_before_gradients_are_combined(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = MultiTaskNetwork.forward_with_routing

    def forward(self: MultiTaskNetwork, images: Any, batch_indices: Any) -> NetworkOutput:
        result = original(self, images, batch_indices)
        return NetworkOutput({task: output * float("nan") for task, output in result.outputs.items()}, result.routing)

    monkeypatch.setattr(MultiTaskNetwork, "forward_with_routing", forward)
    with pytest.raises(RunError, match="nan at step 1"):
        execute(plan_of(folder, *COMMON, "training.balancing=upgrad"), "unified", tmp_path / "run")


# Sampling


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data whose classification task has only a third of its rows."""
    folder = tmp_path_factory.mktemp("uneven")
    tiny_data(folder / "data", n=36)
    write_rows(folder / "data", "cls.csv", read_rows(folder / "data", "cls.csv")[:12])
    return folder


def test_sampling_changes_the_length_of_streams_and_not_their_content(uneven: Path) -> None:
    equal, sqrt = plan_of(uneven, *COMMON), plan_of(uneven, *COMMON, "training.sampling=sqrt")
    draws: dict[str, dict[str, list[Any]]] = {}
    for name, plan in (("equal", equal), ("sqrt", sqrt)):
        run, data = pick(plan, "unified")
        intervals, lengths = make_intervals(run.spec, run.study, data)
        all_draws = [draw for interval in intervals for batch in interval.draws_by_batch for draw in batch]
        draws[name] = {task: [draw for draw in all_draws if draw.task_id == task] for task in lengths}
        assert {task: len(task_draws) for task, task_draws in draws[name].items()} == lengths
        assert run.examples == sum(lengths.values()) == 4 * 24
    assert len(draws["sqrt"]["cls"]) < 24 < len(draws["sqrt"]["seg"])
    for task, task_draws in draws["sqrt"].items():
        shorter = min(len(task_draws), 24)
        assert task_draws[:shorter] == draws["equal"][task][:shorter]


def test_a_run_notes_which_of_its_tasks_are_not_equally_exposed(uneven: Path, tmp_path: Path) -> None:
    plan = plan_of(uneven, *COMMON, "training.sampling=proportional")
    shared = execute(plan, "unified", tmp_path / "shared")
    assert sum(shared.examples.values()) == 4 * 24
    assert shared.examples["cls"] < 24 < shared.examples["seg"]
    assert all(f"{NOT_EQUAL} (proportional)" in shared.notes[task] for task in shared.examples)
    alone = execute(plan, "cls", tmp_path / "alone")
    assert alone.examples == {"cls": 24}
    assert not any(NOT_EQUAL in note for notes in alone.notes.values() for note in notes)


def test_sampling_by_the_rule_of_the_budget_changes_only_the_fingerprint(uneven: Path) -> None:
    uniform, equal = plan_of(uneven, *COMMON, "training.sampling=uniform"), plan_of(uneven, *COMMON)
    draws = []
    for plan in (uniform, equal):
        run, data = pick(plan, "unified")
        draws.append([interval.draws_by_batch for interval in make_intervals(run.spec, run.study, data)[0]])
    assert draws[0] == draws[1]
    assert {run.spec.fingerprint for run in equal.runs}.isdisjoint(run.spec.fingerprint for run in uniform.runs)


# Refused configurations


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["training.precision=16-mixed"],
            "training.precision must be 32-true or bf16-mixed with training.balancing=upgrad",
        ),
        (["training.compile=true"], "training.compile must be false with training.balancing=upgrad"),
        (["model=mh_mtl", "model.norm=batch"], "model.norm must be group or frozen with training.balancing=upgrad"),
    ],
)
def test_configurations_without_gradients_by_task_are_refused_in_one_line(
    folder: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of(folder, "training.balancing=upgrad", *overrides)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    plan_of(folder, "training.balancing=uncertainty", *overrides, "data.image_size=64")
