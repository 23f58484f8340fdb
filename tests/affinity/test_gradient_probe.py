"""Probes against an independent computation of a step; they leave the run unchanged, bit by bit."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.affinity.runs import unified
from usaggr.affinity.gradient_probe import (
    GradientProbe,
    ProbeSamples,
    ProbeSettings,
    TrainingState,
    find_shared_parameters,
)
from usaggr.affinity.probed_training import count_shared_and_task_parameters, train_with_probes
from usaggr.data.seeds import derive_seed
from usaggr.errors import ConfigError
from usaggr.models.build_network import build_network
from usaggr.models.parameters import count_parameters
from usaggr.progress import NoProgress
from usaggr.results.spec import Placement
from usaggr.training.losses import sample_losses
from usaggr.training.module import MultiTaskModule
from usaggr.training.run import execute_run, make_intervals, make_module
from usaggr.training.trainer import make_trainer
from usaggr.training.validation_curve import Curve

BOTH_PROBES = ProbeSettings(lookahead=True, gradient=True, overhead=6.0)
SETTINGS = [
    ("model=tiny", "model.dropout=0.2"),
    ("model=m2dino_tiny", "data.channels=3"),
    ("model=tiny", "training.balancing=uncertainty"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probe")


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS, ids=["dropout", "experts", "uncertainty"])
def test_a_probed_run_ends_with_the_weights_of_an_unprobed_one_bit_by_bit(
    folder: Path, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    run, data = unified(folder, *settings, "training.keep_weights=scored", "training.validations=2")
    execute_run(run.spec, tmp_path, run.study, Placement(threads=1), data)
    alone = load_file(tmp_path / "weights" / "scored.safetensors")
    training = train_with_probes(run.spec, run.study, data, Placement(threads=1), BOTH_PROBES, NoProgress())
    assert training.probe.lookahead.counts.sum() > 0
    assert training.probe.gradient.counts.sum() > 0
    assert set(training.weights) == set(alone)
    assert all(torch.equal(training.weights[name], weight) for name, weight in alone.items())


class CompareSteps(pl.Callback):
    """Callback that compares, after two steps, a virtual step with a real step of a copy of the network."""

    def __init__(self, data: Any, study: Any) -> None:
        self.data, self.study = data, study
        self.losses: list[tuple[dict[str, float], dict[str, float]]] = []
        self.gradients: list[tuple[list[Tensor], list[Tensor]]] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        if pl_module.step != 2:
            return
        pl_module.network.eval()
        state = TrainingState(trainer, pl_module, self.data, self.study.training, ProbeSamples(self.data.train, 0))
        targets = state.take_targets(sorted(self.data.tasks))
        source = sorted(self.data.tasks)[0]
        before = state.compute_losses(targets)
        gradients = state.compute_gradients(source)
        after = state.compute_losses_after_step(gradients, targets)
        assert state.compute_losses(targets) == before  # the step is undone
        # Independently: a copy of the network, torch's SGD on the shared parameters, the same samples.
        samples = ProbeSamples(self.data.train, 0)
        for task_id in sorted(self.data.tasks):
            samples.take(task_id, 4)
        copied_state = TrainingState(trainer, pl_module, self.data, self.study.training, samples)
        copied_network = copy.deepcopy(pl_module.network)
        copied_state.network = copied_network
        rates = {id(p): g["lr"] for g in trainer.optimizers[0].param_groups for p in g["params"]}
        pairs = zip(pl_module.network.named_parameters(), copied_network.parameters(), strict=True)
        groups = [
            {"params": [copied], "lr": rates[id(original)]}
            for (name, original), copied in pairs
            if ".head_" not in f".{name}"
        ]
        from usaggr.data.batches.batches import CachedPixels, make_batch

        source_batch = make_batch(samples.take(source, 8), CachedPixels(self.data.cache))
        output = copied_network(source_batch.images, source_batch.batch_indices)[source]
        task = self.data.tasks[source]
        loss = sample_losses(task, output, source_batch.targets[source], self.study.training).mean()
        loss.backward()
        self.gradients.append((gradients, [g["params"][0].grad for g in groups]))  # type: ignore[attr-defined]
        torch.optim.SGD(groups, lr=0.0).step()
        self.losses.append((after, copied_state.compute_losses(targets)))
        pl_module.network.train()


@pytest.mark.slow
def test_lookahead_is_an_sgd_step_at_the_runs_learning_rates_without_the_heads(folder: Path) -> None:
    run, data = unified(folder, "training.encoder_learning_rate=1e-2", "training.learning_rate=2e-2")
    torch.manual_seed(derive_seed("run", 0))
    network = build_network(run.study.model, list(data.tasks.values()), 0)
    intervals, _ = make_intervals(run.spec, run.study, data)
    callback = CompareSteps(data, run.study)
    trainer = make_trainer(run.study, Placement(1), None, len(intervals), [callback])
    trainer.limit_val_batches = 0
    trainer.fit(make_module(network, run.study, data, intervals, Curve(data.tasks, {}, 16, keep_best=False)))
    ((after, expected),) = callback.losses
    assert after == pytest.approx(expected, rel=1e-5)
    ((gradients, expected_gradients),) = callback.gradients
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        expected_gradient = torch.zeros_like(gradient) if expected_gradient is None else expected_gradient
        assert torch.allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_cosines_are_symmetric_and_at_most_one(folder: Path) -> None:
    run, data = unified(folder)
    cosines = train_with_probes(run.spec, run.study, data, Placement(1), BOTH_PROBES, NoProgress()).probe.gradient
    means = cosines.compute_means()
    off_diagonal = ~np.eye(len(means), dtype=bool)
    assert np.allclose(means[off_diagonal], means.T[off_diagonal])
    assert np.abs(means[off_diagonal]).max() <= 1 + 1e-6
    assert (cosines.counts == cosines.counts.T).all()


@pytest.mark.slow
def test_gradients_that_do_not_fit_in_memory_are_kept_two_at_a_time(folder: Path) -> None:
    run, data = unified(folder)
    small_memory = ProbeSettings(lookahead=True, gradient=True, overhead=6.0, memory=1)
    probe = train_with_probes(run.spec, run.study, data, Placement(1), small_memory, NoProgress()).probe
    pairs = probe.gradient.counts[np.triu_indices(4, 1)]
    assert pairs.max() - pairs.min() <= 2
    assert probe.lookahead.counts.sum() == pairs.sum() * 2 * 3  # each source of a pair has three targets


@pytest.mark.parametrize("model", ["tiny", "m2dino_tiny"])
def test_heads_and_embeddings_are_not_shared_and_counts_add_up(folder: Path, model: str) -> None:
    run, data = unified(folder, f"model={model}", "data.channels=3")
    network = build_network(run.study.model, list(data.tasks.values()), 0)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    shared = {names[id(parameter)] for parameter in find_shared_parameters(network)}
    assert shared
    assert not any(name.startswith(("heads.", "embeddings.")) for name in shared)
    assert all(
        name in shared for name, p in network.named_parameters() if name.startswith("decoder.") and p.requires_grad
    )
    shared_count, by_task = count_shared_and_task_parameters(run.study, data, 0)
    for block in (["cls"], ["cls", "seg"], sorted(data.tasks)):
        tasks = [data.tasks[task_id] for task_id in block]
        network = build_network(run.study.model, tasks, 0)
        assert shared_count + sum(by_task[t] for t in block) == count_parameters(network).total


def test_probes_refuse_a_network_whose_shared_parameters_are_all_frozen(folder: Path) -> None:
    run, data = unified(folder)
    network = build_network(run.study.model, list(data.tasks.values()), 0)
    for parameter in find_shared_parameters(network):
        parameter.requires_grad_(False)
    intervals, _ = make_intervals(run.spec, run.study, data)
    module = make_module(network, run.study, data, intervals, Curve(data.tasks, {}, 16, keep_best=False))
    probe = GradientProbe(data, run.study.training, 0, 16, BOTH_PROBES, NoProgress())
    with pytest.raises(ConfigError, match="no parameter that the tasks share is trained"):
        probe.on_train_start(pl.Trainer(logger=False, accelerator="cpu"), module)


def test_a_task_without_training_samples_is_refused_instead_of_waited_for() -> None:
    with pytest.raises(ValueError, match="task empty has no training samples"):
        ProbeSamples({"empty": ()}, 0).take("empty", 1)


def test_samples_of_probes_are_complete_epochs_in_another_order_than_the_streams(folder: Path) -> None:
    _, data = unified(folder)
    samples = ProbeSamples(data.train, 0)
    count = len(data.train["cls"])
    first = [s.sample_id for _ in range(count // 3) for s in samples.take("cls", 3)]
    first += [s.sample_id for s in samples.take("cls", count - len(first))]
    assert sorted(first) == sorted(s.sample_id for s in data.train["cls"])
    assert [s.sample_id for s in ProbeSamples(data.train, 1).take("cls", count)] != first
    assert [s.sample_id for s in ProbeSamples(data.train, 0).take("cls", count)] == first
