"""Training of a unified run with probes: the steps and weights of a sweep's run, without validation and scores."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor

from usaggr.affinity.gradient_probe import GradientProbe, ProbeSettings
from usaggr.config.study import StudyConfig
from usaggr.data.batches.run_data import RunData
from usaggr.data.seeds import derive_seed
from usaggr.models.build_network import build_network
from usaggr.progress import Progress
from usaggr.results.spec import Placement, RunSpec
from usaggr.training.balancing import map_task_parameters
from usaggr.training.run import make_intervals, make_module
from usaggr.training.trainer import make_trainer
from usaggr.training.validation_curve import Curve


@dataclass(frozen=True)
class ProbedTraining:
    """Result of a probed training: its estimates, weights and cost."""

    probe: GradientProbe
    weights: Mapping[str, Tensor]
    """State dict of the trained network."""
    seconds: float
    """Seconds of the training, with its probes."""
    probe_seconds: float
    """Seconds of the probes."""


def train_with_probes(
    spec: RunSpec,
    study: StudyConfig,
    data: RunData,
    placement: Placement,
    settings: ProbeSettings,
    progress: Progress,
) -> ProbedTraining:
    """Train a run from the beginning, and probe it during the training.

    Args:
        spec: Specification of the unified run.
        study: Configuration of the study.
        data: Samples of the run.
        placement: Device and threads.
        settings: Quantities to estimate, and their limit on time and memory.
        progress: Receives the number of training steps.

    Raises:
        RunError: The training loss is not finite.
        ConfigError: The network cannot be built as configured, or nothing that the tasks share is trained.
        RunInterrupted: The run was asked to stop.
    """
    torch.set_num_threads(placement.threads)
    cv2.setNumThreads(placement.threads)
    torch.manual_seed(derive_seed("run", spec.seed))  # as in a sweep's run, so that the steps are the same
    network = build_network(study.model, list(data.tasks.values()), spec.seed)
    intervals, _ = make_intervals(spec, study, data)
    steps = sum(map(len, intervals))
    probe = GradientProbe(data, study.training, spec.seed, steps, settings, progress)
    trainer = make_trainer(study, placement, None, len(intervals), [probe])
    trainer.limit_val_batches = 0
    module = make_module(network, study, data, intervals, Curve(data.tasks, {}, steps, keep_best=False))
    progress.start(f"affinity, seed {spec.seed}", steps)
    start = time.perf_counter()
    trainer.fit(module)
    seconds = time.perf_counter() - start
    progress.finish()
    assert probe.budget is not None
    return ProbedTraining(probe, network.state_dict(), seconds, probe.budget.probe_seconds)


def count_shared_and_task_parameters(study: StudyConfig, data: RunData, seed: int) -> tuple[int, dict[str, int]]:
    """Count the parameters that each model has once, and those that each task adds.

    All blocks have the same architecture, so that a model has the shared parameters plus those of its tasks.

    Args:
        study: Configuration of the study.
        data: Samples of the unified run, with all tasks.
        seed: Seed of the run.

    Returns:
        Number of shared parameters, and number of parameters by task id.
    """
    network = build_network(study.model, list(data.tasks.values()), seed)
    task_by_parameter = map_task_parameters(network)
    by_task = dict.fromkeys(data.tasks, 0)
    shared = 0
    for name, parameter in network.named_parameters():
        if name in task_by_parameter:
            by_task[task_by_parameter[name]] += parameter.numel()
        else:
            shared += parameter.numel()
    return shared, by_task
