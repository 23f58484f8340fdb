"""One run from start to finish: data, network, training, scores, and files, of which `result.json` is the last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from safetensors.torch import save_file

from usaggr.config.study import StudyConfig
from usaggr.data.batches.batches import CachedPixels, SubsetBatches, TrainingBatches
from usaggr.data.batches.run_data import RunData
from usaggr.data.batches.streams import (
    add_exposure_notes,
    compute_stream_lengths,
    cut_batches,
    make_stream,
    merge_streams,
)
from usaggr.data.samples import Sample
from usaggr.data.seeds import derive_seed
from usaggr.io.atomic_files import apply_umask
from usaggr.io.checksums import write_checksum
from usaggr.models.assumed_input import find_pixel_normalization
from usaggr.models.build_network import build_network
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.parameters import count_parameters
from usaggr.results import contract
from usaggr.results.predictions import write_predictions
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Cost, RunResult, Scores
from usaggr.results.spec import Placement, RunSpec
from usaggr.tracking.lightning_logger import track_run
from usaggr.training.checkpoint import CheckpointFile
from usaggr.training.decode_outputs import decode_outputs
from usaggr.training.expert_usage import ExpertUsage
from usaggr.training.module import MultiTaskModule
from usaggr.training.peak_memory import read_peak_mib, reset_peak
from usaggr.training.resume import CheckpointCallback, ResumePoint
from usaggr.training.scoring import SubsetScorer, fit_trivial_predictors
from usaggr.training.start_from_parent import add_budget_notes, start_from_parent
from usaggr.training.stopwatch import FitClock, Stopwatch
from usaggr.training.trainer import make_trainer
from usaggr.training.validation_curve import Curve

EVALUATION_BATCH = 32
"""Number of samples per batch in validation and test; it does not affect scores."""


def execute_run(spec: RunSpec, directory: Path, study: StudyConfig, placement: Placement, data: RunData) -> None:
    """Train and score one run; resume it if its directory has a checkpoint.

    Args:
        spec: Specification of the run: tasks, scale, seed, samples.
        directory: Directory of the run, which this process has claimed.
        study: Configuration of the study, with the overrides of the run's variant.
        placement: Device and threads.
        data: Samples of the run by subset, and the cache of their images.

    Raises:
        RunError: The training loss or a score is not finite.
        ConfigError: The network cannot be built as configured.
        RunInterrupted: The run was asked to stop during training.
    """
    stopwatch = Stopwatch()
    _prepare_process(placement.threads, spec.seed)
    with stopwatch.measure("network"):
        network = _build_initial_network(spec, directory, study, data)
        input_scale = find_pixel_normalization(study.model)
    with stopwatch.measure("streams"):
        intervals, examples = make_intervals(spec, study, data)
    with stopwatch.measure("trivial"):
        trivial = score_trivial_predictors(study, data)
    curve = Curve(data.tasks, trivial.validation, sum(map(len, intervals)), study.training.score_weights == "best")
    file = CheckpointFile(directory, spec.fingerprint, study.training.precision)
    resume_point = ResumePoint(file, intervals)
    resume_point.restore(curve, stopwatch, network)
    with track_run(spec, study, directory, resume_point.position.steps_done) as logger:
        with stopwatch.measure("fit"):
            remaining, clock = resume_point.get_remaining_intervals(intervals), FitClock(stopwatch)
            checkpoints = CheckpointCallback(file, resume_point, study.training.checkpoint, curve, stopwatch, clock)
            callbacks = [clock, checkpoints]  # the clock first: a checkpoint stores the times that it has counted
            trainer = make_trainer(study, placement, logger, len(remaining), callbacks)
            if not resume_point.is_trained:
                trainer.fit(make_module(network, study, data, remaining, curve, resume_point.position.steps_done))
        validation = curve.load_scored_weights(network)  # first, because they may be of an earlier validation
        with stopwatch.measure("test"):
            test_results = _test_network(network, study, data, trainer.strategy.root_device)
        if logger is not None:
            logger.log_scores(test_results.scores, resume_point.steps)
        with stopwatch.measure("write"):
            _write_files(directory, study, network, curve, test_results)
        n_train = {task_id: len(samples) for task_id, samples in data.train.items()}
        result = RunResult(
            scores=test_results.scores,
            trivial=trivial.test,
            validation=validation,
            trivial_validation=trivial.validation,
            n_train=n_train,
            n_test={t: sum(s.task_id == t for s in data.test) for t in data.tasks},
            n_subjects={t: len({s.subject_id for s in data.test if s.task_id == t}) for t in data.tasks},
            examples=examples,
            cost=_measure_cost(stopwatch, network, sum(examples.values())),
            notes=_add_notes(test_results.notes, spec, study, n_train),
            timings=stopwatch.timings,
            input_scale=input_scale,
            trivial_by_subject=trivial.test_by_subject,
        )
        RunDirectory(directory).write_result(result)


def _prepare_process(threads: int, seed: int) -> None:
    """Reset what earlier runs have left in this process: peak memory, threads and random numbers."""
    reset_peak()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.manual_seed(derive_seed("run", seed))


def _build_initial_network(spec: RunSpec, directory: Path, study: StudyConfig, data: RunData) -> MultiTaskNetwork:
    """Build the network with its initial weights, which are those of the parent run in a second stage.

    Args:
        spec: Specification of the run.
        directory: Directory of the run, which holds the weights of the parent.
        study: Configuration of the study.
        data: Samples of the run.
    """
    network = build_network(study.model, list(data.tasks.values()), spec.seed)
    start_from_parent(network, spec, directory)
    return network


def make_intervals(spec: RunSpec, study: StudyConfig, data: RunData) -> tuple[list[TrainingBatches], dict[str, int]]:
    """Make the batches of a run, divided into one interval per validation.

    A run with fewer batches than `training.validations` has one interval per batch.

    Args:
        spec: Specification of the run.
        study: Configuration of the study.
        data: Samples of the run.

    Returns:
        The intervals, and the number of examples of each task over all of them.
    """
    training = study.training
    lengths = compute_stream_lengths(training, {task_id: len(samples) for task_id, samples in data.train.items()})
    windows = spec.window or {task_id: (0, length) for task_id, length in lengths.items()}
    streams = {t: make_stream(t, spec.train_samples[t], spec.seed, end)[first:] for t, (first, end) in windows.items()}
    batches = cut_batches(merge_streams(streams), training.batch_size)
    samples = {(s.task_id, s.sample_id): s for task_samples in data.train.values() for s in task_samples}
    count = min(training.validations, len(batches))
    ends = [round(len(batches) * (i + 1) / count) for i in range(count)]
    intervals = [
        TrainingBatches(batches[start:end], samples, data.cache, training.augment)
        for start, end in zip([0, *ends], ends, strict=False)
    ]
    return intervals, {task_id: len(draws) for task_id, draws in streams.items()}


def make_module(
    network: MultiTaskNetwork,
    study: StudyConfig,
    data: RunData,
    intervals: Sequence[TrainingBatches],
    curve: Curve,
    start_step: int = 0,
) -> MultiTaskModule:
    """Make the module that the trainer trains.

    Args:
        network: Network to train.
        study: Configuration of the study.
        data: Samples of the run.
        intervals: Batches of each interval that remains after `start_step` steps.
        curve: Receives the results of each validation.
        start_step: Training steps that earlier attempts at this run have done.
    """
    return MultiTaskModule(
        network,
        data.tasks,
        study.training,
        intervals,
        SubsetBatches(data.val, data.cache, EVALUATION_BATCH),
        lambda: _make_scorer(study, data, main_only=True, keep_masks=False),
        curve,
        start_step,
    )


def _make_scorer(study: StudyConfig, data: RunData, *, main_only: bool, keep_masks: bool) -> SubsetScorer:
    """Make a scorer for a subset of a run.

    Args:
        study: Configuration of the study.
        data: Samples of the run.
        main_only: Leave out the surface distances of masks.
        keep_masks: Encode predicted masks for predictions.parquet.
    """
    return SubsetScorer(data.tasks, study.data, study.metrics.nsd_tolerance, main_only, keep_masks)


@dataclass(frozen=True)
class _TrivialScores:
    """Scores of the predictors that ignore the image."""

    test: Scores
    """Scores on the test set, with all metrics."""
    test_by_subject: Scores
    """The same as means over subjects."""
    validation: Scores
    """Main scores on the validation set."""


def score_trivial_predictors(study: StudyConfig, data: RunData) -> _TrivialScores:
    """Score the predictors that ignore the image: with all metrics on test, with the main ones on validation."""
    predictors = fit_trivial_predictors(data.tasks, data.train, data.cache)

    def score(samples: Sequence[Sample], main_only: bool) -> SubsetScorer:
        scorer = _make_scorer(study, data, main_only=main_only, keep_masks=False)
        scorer.add(
            [predictors[s.task_id].predict(s.sample_id, s.subject_id, s.height, s.width) for s in samples], samples
        )
        return scorer

    test, validation = score(data.test, main_only=False), score(data.val, main_only=True)
    return _TrivialScores(test.compute_scores()[0], test.compute_subject_scores(), validation.compute_scores()[0])


def _add_notes(
    notes: Mapping[str, list[str]], spec: RunSpec, study: StudyConfig, n_train: Mapping[str, int]
) -> dict[str, list[str]]:
    """Return the notes on a run's scores with those on tasks that have other numbers of examples than usual.

    Args:
        notes: Notes on the scores by task id.
        spec: Specification of the run.
        study: Configuration of the study.
        n_train: Number of training samples by task id.
    """
    return add_budget_notes(add_exposure_notes(notes, study.training, n_train), spec, study.training, n_train)


@dataclass(frozen=True)
class _TestResults:
    """Results of the scored weights on the test set."""

    rows: list[dict[str, Any]]
    """One row per sample, as in predictions.parquet."""
    scores: Scores
    notes: dict[str, list[str]]
    """Notes on the scores by task id."""
    usage: ExpertUsage


def _test_network(network: MultiTaskNetwork, study: StudyConfig, data: RunData, device: torch.device) -> _TestResults:
    """Predict and score the whole test set.

    Args:
        network: Network with the weights to score; the trainer has left it on the CPU.
        study: Configuration of the study.
        data: Samples of the run.
        device: Device to predict on.
    """
    scorer, usage = _make_scorer(study, data, main_only=False, keep_masks=True), ExpertUsage()
    network.to(device).eval()
    with torch.inference_mode():
        for batch in SubsetBatches(data.test, data.cache, EVALUATION_BATCH).with_pixels(
            CachedPixels(data.cache, device)
        ):
            result = network.forward_with_routing(batch.images, batch.batch_indices)
            for task_id, outputs in result.outputs.items():
                samples = [batch.samples[i] for i in batch.batch_indices[task_id].tolist()]
                scorer.add(decode_outputs(data.tasks[task_id], outputs, samples), samples)
            usage.add(result.routing, batch.batch_indices)
    scores, notes = scorer.compute_scores()
    return _TestResults(scorer.rows, scores, notes, usage)


def _write_files(
    directory: Path, study: StudyConfig, network: MultiTaskNetwork, curve: Curve, test_results: _TestResults
) -> None:
    """Write all files of a run except its result, which marks the run as done.

    Args:
        directory: Directory of the run.
        study: Configuration of the study; `training.keep_weights` is read.
        network: Network with the scored weights.
        curve: Validation curve of the run.
        test_results: Predictions and expert usage.
    """
    curve.write(directory / contract.CURVE)
    write_predictions(directory / contract.PREDICTIONS, test_results.rows)
    test_results.usage.write(directory / contract.ROUTING)
    if study.training.keep_weights == "scored":
        (directory / "weights").mkdir(exist_ok=True)
        weights = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
        file = directory / contract.WEIGHTS
        save_file(weights, file)
        apply_umask(file)
        write_checksum(file)


def _measure_cost(stopwatch: Stopwatch, network: MultiTaskNetwork, examples: int) -> Cost:
    """Return time, memory and parameters of a run.

    Args:
        stopwatch: Stopwatch of the run.
        network: Network of the run.
        examples: Number of training examples over all tasks.
    """
    counts = count_parameters(network)
    return Cost(
        seconds=stopwatch.seconds,
        train_seconds=stopwatch.timings["train"],
        samples_per_second=examples / stopwatch.timings["train"],
        peak_mib=read_peak_mib(),
        parameters=counts.total,
        trained_parameters=counts.trained,
        active_parameters=counts.active,
    )
