"""Estimates affinities of a study's tasks, seed by seed, in the foreground; what is there already is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from usaggr import stopping
from usaggr.affinity.probe_schedule import SOURCE_SAMPLES, TARGET_SAMPLES
from usaggr.affinity.routing_affinity import check_routes, run_similarity
from usaggr.config.study import StudyConfig
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import RunData, run_data
from usaggr.errors import ConfigError, one_of
from usaggr.progress import NoProgress, Progress
from usaggr.results.affinity import (
    FOLDER,
    MEASURES,
    Array,
    Head,
    Measure,
    SeedAffinity,
    identity_of,
    mean_over_seeds,
    read_seed,
    without_diagonal,
    write_seed,
    write_tables,
)
from usaggr.results.spec import Placement
from usaggr.stopping import RunInterrupted
from usaggr.sweep.execution.signals import interruptible
from usaggr.sweep.executors.local.placement import placements, usable_cores
from usaggr.sweep.planning.study_plan import Plan, PlannedRun, make_plan
from usaggr.tasks import Task

if TYPE_CHECKING:
    from usaggr.affinity.probed_training import Ridden

DEFAULT_MEASURES: tuple[Measure, ...] = ("lookahead", "gradient")
OVERHEAD = 0.3
"""Seconds of probes for one of training, by default."""


@dataclass(frozen=True)
class Asked:
    """What is to be estimated."""

    measures: tuple[Measure, ...] = DEFAULT_MEASURES
    overhead: float = OVERHEAD
    scale: float | int | None = None
    """None: the study's first."""

    def __post_init__(self) -> None:
        for measure in self.measures:
            if measure not in MEASURES:
                raise ConfigError(one_of("--measure", measure, MEASURES))
        if not self.measures:
            raise ConfigError(f"--measure: at least one of {', '.join(MEASURES)}")
        if not 0 < self.overhead <= 100:
            raise ConfigError(f"--overhead: a number above 0 and up to 100, not {self.overhead:g}")


@dataclass(frozen=True)
class Affinities:
    """What was estimated, now or before."""

    plan: Plan
    """Of the unified runs alone."""
    head: Head
    found: tuple[SeedAffinity, ...]
    """By measure, then seed."""

    @property
    def folder(self) -> Path:
        return self.plan.directory / FOLDER

    @property
    def tasks(self) -> dict[str, Task]:
        """Facts of the tasks, by id in order."""
        return {task_id: self.plan.manifest.dataset.tasks[task_id] for task_id in self.head.tasks}

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Those that there is something of."""
        return tuple(dict.fromkeys(one.measure for one in self.found))

    def of(self, measure: Measure) -> tuple[SeedAffinity, ...]:
        """A measure's seeds."""
        return tuple(one for one in self.found if one.measure == measure)

    def mean(self, measure: Measure) -> Array:
        """(T, T) mean over seeds; NaN on the diagonal, and where there is no estimate."""
        return mean_over_seeds(self.of(measure))[0]


def estimate(study: StudyConfig, asked: Asked, progress: Progress | None = None) -> Affinities:
    """Estimate what is asked for and not there yet, and write the tables of all that is there.

    Raises:
        ConfigError: a scale or measure that the study has not, fewer than two tasks, a folder of other data, or runs
            too short for a single estimate.
        RunError: a run that cannot go on, or cannot be used.
        RunInterrupted: Ctrl-C or SIGTERM asked it to stop; seeds that are done are kept.
    """
    progress = progress or NoProgress()
    plan = _plan_unified(study, asked, progress)
    if "routing" in asked.measures:
        check_routes(plan.runs[0].study.model)
    folder = plan.directory / FOLDER
    for run in plan.runs:
        missing = [m for m in asked.measures if read_seed(folder, m, run.spec.seed, _identity(run, m, asked)) is None]
        for one in _estimate_seed(plan, run, missing, asked, progress) if missing else ():
            write_seed(folder, one)
    stored = [read_seed(folder, m, run.spec.seed, _identity(run, m, asked)) for m in MEASURES for run in plan.runs]
    kept = [one for one in stored if one is not None]
    head = _head(plan, asked)
    write_tables(folder, head, kept)
    return Affinities(plan, head, tuple(kept))


def _plan_unified(study: StudyConfig, asked: Asked, progress: Progress) -> Plan:
    scale = study.scales[0] if asked.scale is None else asked.scale
    if scale not in study.scales:
        raise ConfigError(one_of("--scale", f"{scale:g}", [f"{known:g}" for known in study.scales]))
    name, changes = next(iter(study.variants.items()))
    chosen = {"groupings": ["unified"], "reference": "unified", "scales": [scale], "variants": {name: changes}}
    plan = make_plan(study.model_copy(update=chosen), progress)
    tasks = plan.runs[0].spec.tasks
    if len(tasks) < 2:
        raise ConfigError(f"affinity: there is one task, {tasks[0]}; affinity is between tasks")
    return plan


def _head(plan: Plan, asked: Asked) -> Head:
    spec, manifest = plan.runs[0].spec, plan.manifest
    return Head(
        study=plan.study.name,
        content_hash=manifest.dataset.content_hash,
        split_hash=manifest.split_hash,
        scale=spec.scale,
        variant=spec.variant,
        tasks=tuple(sorted(spec.tasks)),
        seeds=tuple(run.spec.seed for run in plan.runs),
        overhead=asked.overhead,
    )


def _identity(run: PlannedRun, measure: Measure, asked: Asked) -> str:
    settings: Mapping[str, float | int] = {}
    if measure in DEFAULT_MEASURES:
        settings = {"overhead": asked.overhead, "source": SOURCE_SAMPLES, "target": TARGET_SAMPLES}
    return identity_of(run.spec.fingerprint, measure, **settings)


def _estimate_seed(
    plan: Plan, run: PlannedRun, measures: Sequence[Measure], asked: Asked, progress: Progress
) -> list[SeedAffinity]:
    tasks = tuple(sorted(run.spec.tasks))
    pairs = ~np.eye(len(tasks), dtype=bool)

    def known(measure: Measure, values: Array, estimates: int) -> SeedAffinity:
        identity = _identity(run, measure, asked)
        counts = np.where(pairs, estimates, 0).astype(np.int64)
        return SeedAffinity(measure, run.spec.seed, identity, tasks, without_diagonal(values), counts)

    found = [known("routing", run_similarity(run), 1)] if "routing" in measures else []
    if set(measures) == {"routing"}:
        return found
    data = run_data(plan.manifest, run.spec, build_or_open(plan.manifest.dataset, run.study.data, progress))
    if "features" in measures:
        from usaggr.affinity.feature_similarity import feature_similarity  # torch is for those who estimate

        similarity, images = feature_similarity(run.study, data, run.spec.seed, progress)
        found.append(known("features", similarity, images))
    if probed := [measure for measure in DEFAULT_MEASURES if measure in measures]:
        ridden = _ride(run, data, probed, asked, progress)
        for measure in probed:
            tally = ridden.probe.lookahead if measure == "lookahead" else ridden.probe.gradient
            if not tally.counts.any():
                raise ConfigError(
                    f"affinity: the unified run of seed {run.spec.seed} is too short for one estimate of {measure} "
                    f"at --overhead {asked.overhead:g}; raise it, or training.budget"
                )
            identity = _identity(run, measure, asked)
            matrix = without_diagonal(tally.means()), tally.counts
            times = ridden.seconds, ridden.probe_seconds
            found.append(SeedAffinity(measure, run.spec.seed, identity, tasks, *matrix, *times))
    return found


def _ride(run: PlannedRun, data: RunData, measures: Sequence[Measure], asked: Asked, progress: Progress) -> "Ridden":
    from usaggr.affinity.gradient_probe import Probing
    from usaggr.affinity.probed_training import ride

    probing = Probing("lookahead" in measures, "gradient" in measures, asked.overhead)
    stopping.forget()
    try:
        with interruptible(lambda: None, asked=stopping.ask):
            return ride(run.spec, run.study, data, _placement(run.study), probing, progress)
    except RunInterrupted as stop:
        raise RunInterrupted(
            f"affinity, seed {run.spec.seed}: {stop}; the same command keeps the seeds that are done, and begins this "
            "one anew"
        ) from stop
    finally:
        progress.finish()


def _placement(study: StudyConfig) -> Placement:
    """As a sweep would place a run, so that it computes the same; the device is Lightning's choice."""
    machine = study.executor.machine.model_copy(update={"devices": None})
    return placements(machine, gpus=0, cores=usable_cores())[0]
