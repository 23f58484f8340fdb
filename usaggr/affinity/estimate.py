"""Estimation of affinities between a study's tasks, seed by seed, in this process; existing estimates are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from usaggr import stopping
from usaggr.affinity.probe_schedule import SOURCE_SAMPLES, TARGET_SAMPLES
from usaggr.affinity.routing_affinity import check_has_router, compute_run_similarity
from usaggr.config.study import StudyConfig
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import RunData, select_run_data
from usaggr.errors import ConfigError, explain_unknown_name
from usaggr.progress import NoProgress, Progress
from usaggr.results.affinity import (
    FOLDER,
    MEASURES,
    AffinityDescription,
    Array,
    Measure,
    SeedAffinity,
    average_over_seeds,
    hash_measurement,
    mask_diagonal,
    read_seed,
    write_seed,
    write_tables,
)
from usaggr.results.spec import Placement
from usaggr.stopping import RunInterrupted
from usaggr.sweep.execution.signals import handle_interrupts
from usaggr.sweep.executors.local.placement import count_usable_cores, make_placements
from usaggr.sweep.planning.study_plan import Plan, PlannedRun, make_plan
from usaggr.tasks import Task

if TYPE_CHECKING:
    from usaggr.affinity.probed_training import ProbedTraining

DEFAULT_MEASURES: tuple[Measure, ...] = ("lookahead", "gradient")
"""Default measures, which are those that need probes."""
OVERHEAD = 0.3
"""Default seconds of probes per second of training."""


@dataclass(frozen=True)
class AffinityRequest:
    """Measures to estimate, and how."""

    measures: tuple[Measure, ...] = DEFAULT_MEASURES
    overhead: float = OVERHEAD
    """Seconds of probes per second of training."""
    scale: float | int | None = None
    """Scale of the unified runs; None: the study's first."""

    def __post_init__(self) -> None:
        for measure in self.measures:
            if measure not in MEASURES:
                raise ConfigError(explain_unknown_name("--measure", measure, MEASURES))
        if not self.measures:
            raise ConfigError(f"--measure: give at least one of {', '.join(MEASURES)}")
        if not 0 < self.overhead <= 100:
            raise ConfigError(f"--overhead: must be a number above 0 and up to 100; got {self.overhead:g}")


@dataclass(frozen=True)
class Affinities:
    """Estimated affinities of a study, from this call or earlier ones."""

    plan: Plan
    """Plan of the unified runs only."""
    head: AffinityDescription
    estimates: tuple[SeedAffinity, ...]
    """Estimates sorted by measure, then seed."""

    @property
    def folder(self) -> Path:
        """Folder of the results, `outputs/<name>/affinity/`."""
        return self.plan.directory / FOLDER

    @property
    def tasks(self) -> dict[str, Task]:
        """Tasks by id, in the order of rows and columns."""
        return {task_id: self.plan.manifest.dataset.tasks[task_id] for task_id in self.head.tasks}

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Measures that have estimates."""
        return tuple(dict.fromkeys(estimate.measure for estimate in self.estimates))

    def select(self, measure: Measure) -> tuple[SeedAffinity, ...]:
        """Return the estimates of a measure, one per seed."""
        return tuple(estimate for estimate in self.estimates if estimate.measure == measure)

    def compute_mean(self, measure: Measure) -> Array:
        """Return the mean over seeds (T, T); NaN on the diagonal, and for pairs without an estimate."""
        return average_over_seeds(self.select(measure))[0]


def estimate(study: StudyConfig, request: AffinityRequest, progress: Progress | None = None) -> Affinities:
    """Estimate the requested measures that do not exist yet, and write the tables of all estimates.

    Args:
        study: Configuration of the study; its groupings need not include `unified`.
        request: Measures to estimate, and how.
        progress: Receives the progress of the work.

    Raises:
        ConfigError: The study does not have the scale, has fewer than two tasks, or has no experts for `routing`; its
            folder is of other data; or its runs are too short for an estimate.
        RunError: A run fails, or its files are damaged.
        RunInterrupted: Ctrl-C or SIGTERM; the estimates of finished seeds are kept.
    """
    progress = progress or NoProgress()
    plan = _plan_unified_runs(study, request, progress)
    if "routing" in request.measures:
        check_has_router(plan.runs[0].study.model)
    folder = plan.directory / FOLDER
    for run in plan.runs:
        missing = [measure for measure in request.measures if _read_estimate(folder, run, measure, request) is None]
        for seed_affinity in _estimate_seed(plan, run, missing, request, progress) if missing else ():
            write_seed(folder, seed_affinity)
    # All measures, also those of earlier requests.
    stored = [_read_estimate(folder, run, measure, request) for measure in MEASURES for run in plan.runs]
    estimates = [seed_affinity for seed_affinity in stored if seed_affinity is not None]
    head = _make_head(plan, request)
    write_tables(folder, head, estimates)
    return Affinities(plan, head, tuple(estimates))


def _plan_unified_runs(study: StudyConfig, request: AffinityRequest, progress: Progress) -> Plan:
    """Plan the unified run of each seed, at one scale and the first variant.

    Args:
        study: Configuration of the study.
        request: Scale of the runs.
        progress: Receives the progress of planning.

    Raises:
        ConfigError: The study does not have the scale, or has fewer than two tasks.
    """
    scale = study.scales[0] if request.scale is None else request.scale
    if scale not in study.scales:
        raise ConfigError(
            explain_unknown_name("--scale", f"{scale:g}", [f"{study_scale:g}" for study_scale in study.scales])
        )
    variant, overrides = next(iter(study.variants.items()))
    changes = {"groupings": ["unified"], "reference": "unified", "scales": [scale], "variants": {variant: overrides}}
    plan = make_plan(study.model_copy(update=changes), progress)
    tasks = plan.runs[0].spec.tasks
    if len(tasks) < 2:
        raise ConfigError(f"affinity: needs at least two tasks; the study has one, {tasks[0]}")
    return plan


def _make_head(plan: Plan, request: AffinityRequest) -> AffinityDescription:
    """Describe the origin of the estimates, for the tables."""
    spec, manifest = plan.runs[0].spec, plan.manifest
    return AffinityDescription(
        study=plan.study.name,
        content_hash=manifest.dataset.content_hash,
        split_hash=manifest.split_hash,
        scale=spec.scale,
        variant=spec.variant,
        tasks=tuple(sorted(spec.tasks)),
        seeds=tuple(run.spec.seed for run in plan.runs),
        overhead=request.overhead,
    )


def _read_estimate(folder: Path, run: PlannedRun, measure: Measure, request: AffinityRequest) -> SeedAffinity | None:
    """Return the stored estimate of a run; None if there is none, or one with other settings.

    Args:
        folder: Folder of the results.
        run: Unified run.
        measure: Measure to read.
        request: Settings of the estimate.
    """
    return read_seed(folder, measure, run.spec.seed, _make_identity(run, measure, request))


def _make_identity(run: PlannedRun, measure: Measure, request: AffinityRequest) -> str:
    """Return the hash of everything that determines an estimate.

    Args:
        run: Unified run.
        measure: Measure of the estimate.
        request: Settings; only probes depend on them.
    """
    settings: Mapping[str, float | int] = {}
    if measure in DEFAULT_MEASURES:
        settings = {"overhead": request.overhead, "source": SOURCE_SAMPLES, "target": TARGET_SAMPLES}
    return hash_measurement(run.spec.fingerprint, measure, **settings)


def _estimate_seed(
    plan: Plan, run: PlannedRun, measures: Sequence[Measure], request: AffinityRequest, progress: Progress
) -> list[SeedAffinity]:
    """Estimate measures for the unified run of one seed.

    Args:
        plan: Plan of the unified runs.
        run: Run of the seed.
        measures: Measures that do not exist yet, at least one.
        request: Settings of the estimates.
        progress: Receives the progress of the work.

    Raises:
        ConfigError: The run is too short for an estimate, or (for routing) not finished.
        RunError: The run fails, or its files are damaged.
        RunInterrupted: Ctrl-C or SIGTERM.
    """
    tasks = tuple(sorted(run.spec.tasks))
    pairs = ~np.eye(len(tasks), dtype=bool)

    def make_similarity(measure: Measure, values: Array, estimates_per_pair: int) -> SeedAffinity:
        """Make the estimate of a similarity, which all pairs of tasks have.

        Args:
            measure: routing or features.
            values: (T, T) similarities.
            estimates_per_pair: Number of models or images that each similarity is computed from.
        """
        identity = _make_identity(run, measure, request)
        counts = np.where(pairs, estimates_per_pair, 0).astype(np.int64)
        return SeedAffinity(measure, run.spec.seed, identity, tasks, mask_diagonal(values), counts)

    estimates = [make_similarity("routing", compute_run_similarity(run), 1)] if "routing" in measures else []
    if set(measures) == {"routing"}:
        return estimates  # routing needs no images
    data = select_run_data(plan.manifest, run.spec, build_or_open(plan.manifest.dataset, run.study.data, progress))
    if "features" in measures:
        from usaggr.affinity.feature_similarity import compute_feature_similarity  # imports torch, which takes seconds

        similarity, images = compute_feature_similarity(run.study, data, run.spec.seed, progress)
        estimates.append(make_similarity("features", similarity, images))
    if probe_measures := [measure for measure in DEFAULT_MEASURES if measure in measures]:
        estimates += _estimate_with_probes(run, data, probe_measures, request, progress)
    return estimates


def _estimate_with_probes(
    run: PlannedRun, data: RunData, measures: Sequence[Measure], request: AffinityRequest, progress: Progress
) -> list[SeedAffinity]:
    """Train the unified run of one seed with probes, and return the estimates of lookahead and gradient.

    Args:
        run: Run of the seed.
        data: Samples of the run.
        measures: lookahead, gradient or both.
        request: Limit on the time of probes.
        progress: Receives the number of training steps.

    Raises:
        ConfigError: The run is too short for an estimate.
        RunError: The training loss is not finite.
        RunInterrupted: Ctrl-C or SIGTERM.
    """
    training = _train_with_probes(run, data, measures, request, progress)
    estimates = []
    for measure in measures:
        means = training.probe.lookahead if measure == "lookahead" else training.probe.gradient
        if not means.counts.any():
            raise ConfigError(
                f"affinity: the unified run of seed {run.spec.seed} is too short for one estimate of {measure} "
                f"at --overhead {request.overhead:g}; raise it, or training.budget"
            )
        estimates.append(
            SeedAffinity(
                measure,
                run.spec.seed,
                _make_identity(run, measure, request),
                tuple(sorted(run.spec.tasks)),
                mask_diagonal(means.compute_means()),
                means.counts,
                training.seconds,
                training.probe_seconds,
            )
        )
    return estimates


def _train_with_probes(
    run: PlannedRun, data: RunData, measures: Sequence[Measure], request: AffinityRequest, progress: Progress
) -> "ProbedTraining":
    """Train a run with probes, from the beginning; it can be stopped by Ctrl-C and SIGTERM.

    Args:
        run: Run of the seed.
        data: Samples of the run.
        measures: lookahead, gradient or both.
        request: Limit on the time of probes.
        progress: Receives the number of training steps.

    Raises:
        RunError: The training loss is not finite.
        RunInterrupted: Ctrl-C or SIGTERM.
    """
    from usaggr.affinity.gradient_probe import ProbeSettings
    from usaggr.affinity.probed_training import train_with_probes

    settings = ProbeSettings("lookahead" in measures, "gradient" in measures, request.overhead)
    stopping.withdraw_request()  # a request to stop an earlier run of this process
    try:
        with handle_interrupts(lambda: None, on_request=stopping.request_stop):
            return train_with_probes(run.spec, run.study, data, _get_placement(run.study), settings, progress)
    except RunInterrupted as stop:
        raise RunInterrupted(
            f"affinity, seed {run.spec.seed}: {stop}; the same command keeps the finished seeds and repeats this one"
        ) from stop
    finally:
        progress.finish()


def _get_placement(study: StudyConfig) -> Placement:
    """Return the placement of a run in a sweep, so that the numbers are the same; Lightning chooses the device."""
    machine = study.executor.machine.model_copy(update={"devices": None})
    return make_placements(machine, gpus=0, cores=count_usable_cores())[0]
