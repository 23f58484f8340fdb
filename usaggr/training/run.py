"""One run from start to finish: data, network, training, scores, files; `result.json` is written last."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from safetensors.torch import save_file

from usaggr.config.study import StudyConfig
from usaggr.data.batches.batches import CachedPixels, FoldBatches, TrainingBatches
from usaggr.data.batches.run_data import RunData
from usaggr.data.batches.streams import cut_batches, merge_streams, stream, stream_lengths, with_exposure
from usaggr.data.samples import Sample
from usaggr.data.seeds import derived_seed
from usaggr.io.atomic_files import make_usual
from usaggr.io.checksums import note_hash
from usaggr.models.assumed_input import input_scale_of
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.parameters import count_parameters
from usaggr.results import contract
from usaggr.results.predictions import write_predictions
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Cost, RunResult, Scores
from usaggr.results.spec import Placement, RunSpec
from usaggr.tracking.lightning_logger import tracked
from usaggr.training.checkpoint import CheckpointFile
from usaggr.training.decode_outputs import predictions_of
from usaggr.training.expert_usage import ExpertUsage
from usaggr.training.module import MultiTaskModule
from usaggr.training.peak_memory import forget_peak, peak_mib
from usaggr.training.resume import Checkpoints, Progress
from usaggr.training.scoring import FoldScorer, trivial_predictors
from usaggr.training.start_from_parent import start_from_parent, with_budget
from usaggr.training.stopwatch import FitClock, Stopwatch
from usaggr.training.trainer import make_trainer
from usaggr.training.validation_curve import Curve

EVALUATION_BATCH = 32
"""Samples at once where no gradient is kept; a number of no consequence for scores."""


def execute_run(spec: RunSpec, directory: Path, study: StudyConfig, placement: Placement, data: RunData) -> None:
    """Train and score one run in its (claimed) directory; one with a checkpoint goes on from there.

    Raises:
        RunError: the training loss is not finite, or a score is not.
        ConfigError: the network cannot be built as configured.
        RunInterrupted: it was asked to stop while it trained.
    """
    watch = Stopwatch()
    forget_peak()
    torch.set_num_threads(placement.threads)
    cv2.setNumThreads(placement.threads)
    torch.manual_seed(derived_seed("run", spec.seed))
    with watch.part("network"):
        network = build_network(study.model, list(data.tasks.values()), spec.seed)
        start_from_parent(network, spec, directory)
        input_scale = input_scale_of(study.model)
    with watch.part("streams"):
        parts, examples = training_parts(spec, study, data)
    with watch.part("trivial"):
        trivial, trivial_validation = trivial_scores(study, data)
    curve = Curve(data.tasks, trivial_validation, sum(map(len, parts)), study.training.score_weights == "best")
    file = CheckpointFile(directory, spec.fingerprint, study.training.precision)
    progress = Progress(file, parts)
    progress.take_up(curve, watch, network)
    with tracked(spec, study, directory, progress.position.step) as tracker:
        with watch.part("fit"):
            rest, clock = progress.rest_of(parts), FitClock(watch)
            checkpoints = Checkpoints(file, progress, study.training.checkpoint, curve, watch, clock)
            trainer = make_trainer(study, placement, tracker, len(rest), [clock, checkpoints])
            if not progress.fitted:
                trainer.fit(make_module(network, study, data, rest, curve, progress.position.step))
        validation = curve.settle(network)
        with watch.part("test"):
            tested = _test(network, study, data, trainer.strategy.root_device)
        if tracker is not None:
            tracker.log_scores(tested.scores, progress.steps)
        with watch.part("write"):
            _write(directory, study, network, curve, tested)
        n_train = {task_id: len(samples) for task_id, samples in data.train.items()}
        result = RunResult(
            scores=tested.scores,
            trivial=trivial,
            validation=validation,
            trivial_validation=trivial_validation,
            n_train=n_train,
            n_test={t: sum(s.task_id == t for s in data.test) for t in data.tasks},
            n_subjects={t: len({s.subject_id for s in data.test if s.task_id == t}) for t in data.tasks},
            examples=examples,
            cost=_cost(watch, network, sum(examples.values())),
            notes=with_budget(with_exposure(tested.notes, study.training, n_train), spec, study.training, n_train),
            timings=watch.timings,
            input_scale=input_scale,
        )
        RunDirectory(directory).write_result(result)


def training_parts(spec: RunSpec, study: StudyConfig, data: RunData) -> tuple[list[TrainingBatches], dict[str, int]]:
    """The run's batches, in as many parts as there are validations, and each task's number of examples."""
    training = study.training
    lengths = stream_lengths(training, {task_id: len(samples) for task_id, samples in data.train.items()})
    windows = spec.window or {task_id: (0, length) for task_id, length in lengths.items()}
    streams = {t: stream(t, spec.train_samples[t], spec.seed, end)[first:] for t, (first, end) in windows.items()}
    batches = cut_batches(merge_streams(streams), training.batch_size)
    samples = {(s.task_id, s.sample_id): s for found in data.train.values() for s in found}
    count = min(training.validations, len(batches))
    ends = [round(len(batches) * (i + 1) / count) for i in range(count)]
    parts = [
        TrainingBatches(batches[start:end], samples, data.cache, training.augment)
        for start, end in zip([0, *ends], ends, strict=False)
    ]
    return parts, {task_id: len(draws) for task_id, draws in streams.items()}


def make_module(
    network: MultiTaskNetwork,
    study: StudyConfig,
    data: RunData,
    parts: Sequence[TrainingBatches],
    curve: Curve,
    begun: int = 0,
) -> MultiTaskModule:
    """What the trainer trains: the network with its objective, batches (left after `begun` steps) and validation."""
    return MultiTaskModule(
        network,
        data.tasks,
        study.training,
        parts,
        FoldBatches(data.val, data.cache, EVALUATION_BATCH),
        lambda: _scorer(study, data, main_only=True, keep_masks=False),
        curve,
        begun,
    )


def _scorer(study: StudyConfig, data: RunData, *, main_only: bool, keep_masks: bool) -> FoldScorer:
    return FoldScorer(data.tasks, study.data, study.metrics.nsd_tolerance, main_only, keep_masks)


def trivial_scores(study: StudyConfig, data: RunData) -> tuple[Scores, Scores]:
    """Of the predictor that ignores the image: all metrics on test, the main ones on validation."""
    predictors = trivial_predictors(data.tasks, data.train, data.cache)

    def score(samples: Sequence[Sample], main_only: bool) -> Scores:
        scorer = _scorer(study, data, main_only=main_only, keep_masks=False)
        scorer.add(
            [predictors[s.task_id].predict(s.sample_id, s.subject_id, s.height, s.width) for s in samples], samples
        )
        return scorer.scores()[0]

    return score(data.test, main_only=False), score(data.val, main_only=True)


@dataclass(frozen=True)
class _Tested:
    """What the scored weights did on the test fold."""

    rows: list[dict[str, Any]]
    """A row a sample, as in predictions.parquet."""
    scores: Scores
    notes: dict[str, list[str]]
    usage: ExpertUsage


def _test(network: MultiTaskNetwork, study: StudyConfig, data: RunData, device: torch.device) -> _Tested:
    """Predict the whole test fold on a device and score it; the trainer has left the network on the CPU."""
    scorer, usage = _scorer(study, data, main_only=False, keep_masks=True), ExpertUsage()
    network.to(device).eval()
    with torch.inference_mode():
        for batch in FoldBatches(data.test, data.cache, EVALUATION_BATCH).of(CachedPixels(data.cache, device)):
            for task_id, outputs in network(batch.images, batch.rows).items():
                samples = [batch.samples[i] for i in batch.rows[task_id].tolist()]
                scorer.add(predictions_of(data.tasks[task_id], outputs, samples), samples)
            usage.add(network.routing(), batch.rows)
    scores, notes = scorer.scores()
    return _Tested(scorer.rows, scores, notes, usage)


def _write(directory: Path, study: StudyConfig, network: MultiTaskNetwork, curve: Curve, tested: _Tested) -> None:
    """All files of a run but its result."""
    curve.write(directory / contract.CURVE)
    write_predictions(directory / contract.PREDICTIONS, tested.rows)
    tested.usage.write(directory / contract.ROUTING)
    if study.training.keep_weights == "scored":
        (directory / "weights").mkdir(exist_ok=True)
        weights = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
        file = directory / contract.WEIGHTS
        save_file(weights, file)
        make_usual(file)
        note_hash(file)


def _cost(watch: Stopwatch, network: MultiTaskNetwork, examples: int) -> Cost:
    counts = count_parameters(network)
    return Cost(
        seconds=watch.seconds,
        train_seconds=watch.timings["train"],
        samples_per_second=examples / watch.timings["train"],
        peak_mib=peak_mib(),
        parameters=counts.total,
        trained_parameters=counts.trained,
        active_parameters=counts.active,
    )
