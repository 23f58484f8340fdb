"""Trains a unified run for the sake of its probes: steps and weights as in a sweep, no validation, no scores."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor

from usaggr.affinity.gradient_probe import Probe, Probing
from usaggr.config.study import StudyConfig
from usaggr.data.batches.run_data import RunData
from usaggr.data.seeds import derived_seed
from usaggr.models.build_network import build_network
from usaggr.progress import Progress
from usaggr.results.spec import Placement, RunSpec
from usaggr.training.balancing import map_task_parameters
from usaggr.training.run import make_intervals, make_module
from usaggr.training.trainer import make_trainer
from usaggr.training.validation_curve import Curve


@dataclass(frozen=True)
class Ridden:
    """What a probed run has found, and what it took."""

    probe: Probe
    weights: Mapping[str, Tensor]
    """Of the trained network."""
    seconds: float
    """Of training, probes included."""
    probe_seconds: float


def ride(
    spec: RunSpec, study: StudyConfig, data: RunData, placement: Placement, probing: Probing, progress: Progress
) -> Ridden:
    """Train a run from its start, and probe it on the way.

    Raises:
        RunError: the training loss is not finite.
        ConfigError: the network cannot be built as configured.
        RunInterrupted: it was asked to stop.
    """
    torch.set_num_threads(placement.threads)
    cv2.setNumThreads(placement.threads)
    torch.manual_seed(derived_seed("run", spec.seed))
    network = build_network(study.model, list(data.tasks.values()), spec.seed)
    parts, _ = make_intervals(spec, study, data)
    steps = sum(map(len, parts))
    probe = Probe(data, study.training, spec.seed, steps, probing, progress)
    trainer = make_trainer(study, placement, None, len(parts), [probe])
    trainer.limit_val_batches = 0
    module = make_module(network, study, data, parts, Curve(data.tasks, {}, steps, keep_best=False))
    progress.start(f"affinity, seed {spec.seed}", steps)
    start = time.perf_counter()
    trainer.fit(module)
    seconds = time.perf_counter() - start
    progress.finish()
    assert probe.pace is not None
    return Ridden(probe, network.state_dict(), seconds, probe.pace.spent)


def parameter_counts(study: StudyConfig, data: RunData, seed: int) -> tuple[int, dict[str, int]]:
    """Parameters of a model that are there once, and by task those that come with it.

    Every block's model has the same architecture, so that its parameters are the first plus those of its tasks.
    """
    network = build_network(study.model, list(data.tasks.values()), seed)
    own = map_task_parameters(network)
    of = dict.fromkeys(data.tasks, 0)
    shared = 0
    for name, parameter in network.named_parameters():
        if name in own:
            of[own[name]] += parameter.numel()
        else:
            shared += parameter.numel()
    return shared, of
