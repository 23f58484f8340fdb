"""Objective of a training step: every sample counts the same, in a batch of any length."""

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from tests.models.networks import ALL, CLS, DET, REG, SEG, awaken
from tests.training.factories import sample
from usaggr.config.compose import compose_study
from usaggr.config.study import StudyConfig
from usaggr.data.batches.batches import Batch
from usaggr.models.build_network import build_network
from usaggr.models.experts import load_balancing_loss
from usaggr.models.m2dino import M2Dino
from usaggr.results.run_result import Scores
from usaggr.training.losses import sample_losses
from usaggr.training.module import MultiTaskModule
from usaggr.training.validation_curve import Curve

BATCH_SIZE = 16
WEIGHTS = {SEG.id: 1.0, CLS.id: 0.5, DET.id: 3.0, REG.id: 1.0}
pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log")


def study(*overrides: str) -> StudyConfig:
    weights = ", ".join(f"{task_id}: {weight}" for task_id, weight in WEIGHTS.items())
    usual = [f"training.batch_size={BATCH_SIZE}", f"training.task_weights={{{weights}}}", "model.dropout=0"]
    return compose_study("demo", [*usual, *overrides])


class Collected:
    """Replacement of a scorer that records the samples it receives."""

    def __init__(self) -> None:
        self.samples: list[str] = []

    def add(self, predictions: object, samples: Any) -> None:
        self.samples += [item.sample_id for item in samples]

    def compute_scores(self) -> tuple[Scores, dict[str, list[str]]]:
        return {task.id: {} for task in ALL}, {}


def module_of(config: StudyConfig, intervals: Any = (), curve: Any = None) -> MultiTaskModule:
    network = build_network(config.model, ALL, 0)
    scorer = cast(Any, Collected)
    tasks = {task.id: task for task in ALL}
    return MultiTaskModule(network, tasks, config.training, intervals, cast(Any, None), scorer, curve)


def batch_of(groups: int, first: int = 0) -> Batch:
    """Make a batch of groups of four samples, one of each task; a group depends only on its number."""
    parts = [_group(number) for number in range(first, first + groups)]
    names = [task.id for task in ALL]
    batch_indices = {task_id: torch.arange(groups) * len(ALL) + i for i, task_id in enumerate(names)}
    samples = tuple(sample(t, f"{t}{n}", 32, 32) for n in range(first, first + groups) for t in names)
    targets = {task_id: torch.cat([group[1][task_id] for group in parts]) for task_id in names}
    return Batch(torch.cat([group[0] for group in parts]), samples, batch_indices, targets)


def _group(number: int) -> tuple[Tensor, dict[str, Tensor]]:
    drawn = torch.Generator().manual_seed(number)
    images = torch.randn(4, 3, 32, 32, generator=drawn)
    targets = {
        SEG.id: torch.randint(0, SEG.num_classes, (1, 32, 32), generator=drawn),
        CLS.id: torch.randint(0, CLS.num_classes, (1,), generator=drawn),
        DET.id: torch.tensor([[0.2, 0.3, 0.6, 0.7]]),
        REG.id: torch.rand(1, REG.num_classes, 2, generator=drawn),
    }
    return images, targets


def doubled(batch: Batch) -> Batch:
    """Return the same batch for a network in double precision."""
    targets = {t: target.double() if target.is_floating_point() else target for t, target in batch.targets.items()}
    return Batch(batch.images.double(), batch.samples, batch.batch_indices, targets)


def repeated(batch: Batch, times: int) -> Batch:
    """Return a batch of copies of a batch, so that experts have the same shares."""
    batch_indices = {
        t: torch.cat([indices + i * len(batch.samples) for i in range(times)])
        for t, indices in batch.batch_indices.items()
    }
    targets = {task_id: torch.cat([target] * times) for task_id, target in batch.targets.items()}
    return Batch(torch.cat([batch.images] * times), batch.samples * times, batch_indices, targets)


def objective(module: MultiTaskModule, batch: Batch) -> float:
    return float(module.training_step(batch, 0).detach())


@torch.no_grad()
def summed_losses(module: MultiTaskModule, config: StudyConfig, batch: Batch) -> dict[str, float]:
    """Return weight x sum of the losses of each task's samples, computed from the network itself."""
    outputs = module.network(batch.images, batch.batch_indices)
    losses = {t: sample_losses(_task(t), o, batch.targets[t], config.training) for t, o in outputs.items()}
    return {task_id: WEIGHTS[task_id] * float(task_losses.sum()) for task_id, task_losses in losses.items()}


def _task(task_id: str) -> Any:
    return next(task for task in ALL if task.id == task_id)


MODELS = {
    "mh_mtl": ("model=tiny",),
    "m2dino": ("model=m2dino_tiny", "model.experts.balance=0.7"),
}
each_model = pytest.mark.parametrize("overrides", MODELS.values(), ids=MODELS)


@each_model
@pytest.mark.parametrize("groups", [1, 3])
def test_the_objective_is_the_sum_over_samples_over_the_configured_batch_size(
    overrides: tuple[str, ...], groups: int
) -> None:
    config = study(*overrides)
    module, batch = module_of(config), batch_of(groups)
    expected = sum(summed_losses(module, config, batch).values()) / BATCH_SIZE
    if routing := module.network.forward_with_routing(batch.images, batch.batch_indices).routing:
        expected += module.network.load_balancing_weight * float(load_balancing_loss(routing)) * 4 * groups / BATCH_SIZE
    assert objective(module, batch) == pytest.approx(expected, rel=1e-5)


@each_model
def test_a_shorter_batch_counts_in_proportion_to_its_samples(overrides: tuple[str, ...]) -> None:
    """The load-balancing loss too counts in a shorter batch in proportion to its samples."""
    module, batch = module_of(study(*overrides)), batch_of(1)
    full_batch = objective(module, repeated(batch, BATCH_SIZE // 4))
    for times in (1, 3):
        assert objective(module, repeated(batch, times)) == pytest.approx(full_batch * times * 4 / BATCH_SIZE, rel=1e-5)


def test_the_gradients_of_the_parts_of_a_batch_sum_to_that_of_the_batch() -> None:
    gradients = []
    for batches in ([batch_of(4)], [batch_of(3), batch_of(1, first=3)]):
        module = module_of(study("model=tiny")).double()
        for batch in batches:
            module.training_step(doubled(batch), 0).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in module.network.parameters() if p.grad is not None]))
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-9, atol=1e-12)


def test_the_load_balancing_loss_trains_the_routers_with_its_weight() -> None:
    """The gradient of the objective is that of the losses + weight x that of load balancing (in double precision)."""
    gradients = []
    for weight in (0.0, 0.7):
        module = module_of(study("model=m2dino_tiny", f"model.experts.balance={weight}")).double()
        awaken(cast(M2Dino, module.network))
        batch = doubled(batch_of(3))
        if not gradients:
            balance = load_balancing_loss(
                module.network.forward_with_routing(batch.images, batch.batch_indices).routing
            )
            routers = [p for name, p in module.network.named_parameters() if ".router." in name]
            expected = torch.autograd.grad(0.7 * balance * 12 / BATCH_SIZE, routers)
        module.training_step(batch, 0).backward()
        router_gradients = [p.grad for name, p in module.network.named_parameters() if ".router." in name]
        gradients.append(torch.cat([g.flatten() for g in router_gradients if g is not None]))
    change, expected_change = gradients[1] - gradients[0], torch.cat([g.flatten() for g in expected])
    assert expected_change.norm() > 1e-4
    assert torch.allclose(change, expected_change, rtol=1e-6, atol=1e-9)


def test_learned_weights_are_of_samples_and_not_of_tasks() -> None:
    """The objective is the sum over samples of weight x (exp(-s) x loss + s), divided by the batch size."""
    config = study("model=tiny", "training.balancing=uncertainty")
    module, batch = module_of(config), batch_of(3)
    assert module.uncertainty is not None
    s_of = {task.id: 0.3 * number - 0.4 for number, task in enumerate(ALL)}
    with torch.no_grad():
        for task_id, s in s_of.items():
            module.uncertainty.log_variances[f"task_{task_id}"].fill_(s)
    losses = summed_losses(module, config, batch)
    expected = sum(math.exp(-s_of[t]) * losses[t] + WEIGHTS[t] * 3 * s_of[t] for t in losses) / BATCH_SIZE
    assert objective(module, batch) == pytest.approx(expected, rel=1e-5)


class Rows:
    """Replacement of a curve that records what it receives."""

    skill = 0.0

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, **row: Any) -> None:
        self.rows.append(row)


class Draws(list[int]):
    """Replacement of an interval's batches, with a number of draws in each."""

    @property
    def draws_by_batch(self) -> list[list[None]]:
        return [[None] * length for length in self]


def curve_of(module: MultiTaskModule, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the row that a validation adds, for a module without a trainer."""
    groups = [{"lr": 0.01}, {"lr": 0.1}]
    trainer = type("Trainer", (), {"optimizers": [type("Optimizer", (), {"param_groups": groups})]})
    monkeypatch.setattr(MultiTaskModule, "trainer", trainer)
    monkeypatch.setattr(MultiTaskModule, "logger", None)
    module.on_validation_epoch_end()
    row: dict[str, Any] = cast(Rows, module._curve).rows[-1]
    return row


def test_the_training_loss_of_the_curve_is_a_mean_over_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    config = study("model=tiny")
    batches = [batch_of(4), batch_of(4, first=4), batch_of(1, first=8)]
    module = module_of(config, [Draws([16, 16, 4])], Rows())
    for batch in batches:
        module.training_step(batch, 0)
    module._val_losses = {task.id: [torch.ones(1)] for task in ALL}
    expected = sum(sum(summed_losses(module, config, batch).values()) for batch in batches) / 36
    row = curve_of(module, monkeypatch)
    assert row["training_loss"] == pytest.approx(expected, rel=1e-5)
    assert row["learning_rate"] == 0.1  # the rate of the heads, which come last
    monkeypatch.undo()
    module.training_step(batches[2], 0)  # the next interval has its own losses
    alone = sum(summed_losses(module, config, batches[2]).values()) / 4
    assert curve_of(module, monkeypatch)["training_loss"] == pytest.approx(alone, rel=1e-5)


@torch.no_grad()
def test_a_validation_loss_is_a_mean_over_samples_and_not_over_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = study("model=tiny")
    module = module_of(config, [Draws()], Rows())
    for batches in ([batch_of(2, first=9)], [batch_of(3), batch_of(1, first=3)]):  # only the second validation counts
        module.on_validation_epoch_start()
        for batch in batches:
            module.validation_step(batch, 0)
    row = curve_of(module, monkeypatch)
    sums = summed_losses(module, config, batch_of(4))
    assert row["val_losses"] == pytest.approx({t: sums[t] / WEIGHTS[t] / 4 for t in sums}, rel=1e-5)
    assert sorted(cast(Any, module._scorer).samples) == sorted(item.sample_id for item in batch_of(4).samples)
    assert math.isnan(row["training_loss"])


def test_the_best_weights_are_those_of_the_first_of_equal_skills() -> None:
    trivial = {CLS.id: {"auc": 0.5}}
    curve = Curve({CLS.id: CLS}, trivial, 30, keep_best=True)
    layer = torch.nn.Linear(1, 1, bias=False)
    for step, auc in ((10, 0.7), (20, 0.8), (25, 0.8), (30, 0.6)):
        with torch.no_grad():
            layer.weight.fill_(step)
        curve.add(step, 0.1, 1.0, {CLS.id: 1.0}, {CLS.id: {"auc": auc}}, {}, layer)
    assert curve.load_scored_weights(layer) == {CLS.id: {"auc": 0.8}}
    assert layer.weight.item() == 20


def test_no_step_of_a_run_has_a_rate_of_zero_and_the_encoders_share_holds_at_every_one() -> None:
    config = study(
        "model=tiny", "training.learning_rate=1e-2", "training.encoder_learning_rate=1e-3", "training.warmup=0.5"
    )
    module = module_of(config, [Draws([1] * 2), Draws([1] * 3)])
    made = module.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(5):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    heads = [step[-1] for step in rates]  # the rates in curve.csv
    # The first of five steps is at progress 1/6, a third of the warm-up; the third step is at its end.
    assert heads == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2, 7.5e-3, 2.5e-3])
    assert all(step[0] == pytest.approx(step[-1] / 10) for step in rates)
