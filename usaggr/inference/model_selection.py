"""Which runs' models are to serve which tasks: one run's, those of a grouping, or those that the report recommends.

No torch here: weights are looked for, not read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.analysis.collect import CollectedRun, collect
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.recommendations import Recommendation, recommendations_at
from usaggr.document.display_names import grouping_label, scale_label
from usaggr.errors import ConfigError, RunError, one_of
from usaggr.metrics.names import main_metric, metric
from usaggr.progress import Progress
from usaggr.results import contract
from usaggr.results.find_runs import find_runs, is_done
from usaggr.results.plan import PlanRow
from usaggr.results.stored_study import Source, StudyFacts, read_source
from usaggr.results.trained_model import has_weights, no_weights, read_stored_run
from usaggr.tasks import Task

Scale = float | int


@dataclass(frozen=True)
class ChosenModel:
    """The run that is to serve a task."""

    task: str
    run: Path
    grouping: str
    """Empty where one run was asked for."""
    because: str


@dataclass(frozen=True)
class Choice:
    """A model for each task."""

    models: dict[str, ChosenModel]
    """By task id, sorted."""

    @property
    def runs(self) -> dict[Path, tuple[str, ...]]:
        """Run: the tasks that it serves."""
        found: dict[Path, list[str]] = {}
        for model in self.models.values():
            found.setdefault(model.run, []).append(model.task)
        return {run: tuple(tasks) for run, tasks in found.items()}


@dataclass(frozen=True)
class Wanted:
    """Which of a study's runs; None: the largest scale, the first seed, the first variant."""

    scale: float | None = None
    seed: int | None = None
    variant: str | None = None


def choose(
    directory: Path, grouping: str | None, recommended: bool, wanted: Wanted, progress: Progress | None = None
) -> Choice:
    """Models from the folder of a run, or of a study's results.

    Raises:
        ConfigError: what is asked for is not in the study, or does not go together.
        RunError: a run is not done, or its weights were not kept.
    """
    asked = grouping is not None or recommended or wanted != Wanted()
    if (directory / contract.RUN_SETTINGS).is_file():
        if asked:
            raise ConfigError(
                f"{directory} is one run; --grouping, --recommended, --scale, --seed and --variant choose among those "
                "of a study: give its folder"
            )
        return choose_run(directory)
    if not (directory / contract.PLAN).is_file():
        raise ConfigError(
            f"{directory}: neither a run (run.yaml) nor a study's results (plan.csv); give outputs/NAME with "
            "--grouping or --recommended, or outputs/NAME/runs/RUN"
        )
    if (grouping is None) != recommended:
        raise ConfigError(f"{directory} is a whole study: choose its models by --grouping NAME or --recommended")
    if grouping is not None:
        return choose_grouping(directory, grouping, wanted)
    return choose_recommended(directory, wanted, progress)


def choose_run(run: Path) -> Choice:
    """One run for its tasks.

    Raises:
        RunError: it is not done, or its weights were not kept.
    """
    stored = read_stored_run(run)
    return Choice({task_id: ChosenModel(task_id, stored.path, "", "asked for") for task_id in sorted(stored.tasks)})


def choose_grouping(directory: Path, grouping: str, wanted: Wanted) -> Choice:
    """The runs of a grouping at one scale, seed and variant.

    Raises:
        ConfigError: the study has no such grouping, scale, seed or variant.
        RunError: a run is not done, or its weights were not kept.
    """
    source = read_source(directory)
    study = source.study
    if grouping not in study.groupings:
        raise ConfigError(one_of("--grouping", grouping, study.groupings))
    scale, variant, seed = _scale(study, wanted), _variant(study, wanted), _seed(study, wanted)
    seed = study.seeds[0] if seed is None else seed
    because = f"{grouping_label(grouping)}, {scale_label(scale)}, seed {seed}"
    rows = [
        row
        for row in source.plan
        if (row.scale, row.seed, row.variant) == (scale, seed, variant) and grouping in row.groupings
    ]
    paths = _paths(source, rows)
    models = {t: ChosenModel(t, paths[row.fingerprint], grouping, because) for row in rows for t in row.tasks}
    return _whole(Choice(dict(sorted(models.items()))))


def choose_recommended(directory: Path, wanted: Wanted, progress: Progress | None = None) -> Choice:
    """For each task the run of the grouping that the report recommends at a scale (see `grouping_for`).

    Of its seeds, the one whose score of that task on the validation fold is best (never on the test fold), unless one
    is asked for.

    Raises:
        ConfigError: the study has no such scale, seed or variant.
        RunError: no run of the recommended grouping is done, or its weights were not kept.
    """
    collection = collect([directory], progress)
    study = collection.study
    scale, seed, variant = _scale(study, wanted), _seed(study, wanted), _variant(study, wanted)
    comparison = compare_study(collection)
    found = {one.task: one for one in recommendations_at(comparison, variant, scale)}
    models = {}
    for task_id in sorted(collection.tasks):
        grouping, because = grouping_for(found.get(task_id), study.reference)
        runs = [
            run
            for run in comparison.runs(variant, scale, grouping)
            if task_id in run.row.tasks and (seed is None or run.row.seed == seed)
        ]
        best = best_seed(runs, collection.data.tasks[task_id].task)
        if best is None or best.path is None:
            names = ", ".join(run.row.run_id for run in runs) or "none is planned"
            raise RunError(f"{task_id}: no run of {grouping} is done ({names}); `usaggr sweep` trains them")
        models[task_id] = ChosenModel(task_id, best.path, grouping, f"{because}; seed {best.row.seed}")
    return _whole(Choice(models))


def grouping_for(recommendation: Recommendation | None, reference: str) -> tuple[str, str]:
    """The grouping whose model serves a task, and why: the recommended one; the reference, where it is not known.

    None stands for a task that is compared with nothing.
    """
    label = grouping_label(reference)
    if recommendation is None:
        return reference, f"{label}: nothing to compare it with"
    if recommendation.grouping is None:
        return reference, f"{label}, the reference: {recommendation.kind}"
    reasons = {"gain": "gain", "good enough": "no loss, with fewer models", "keep": "the others gain nothing"}
    return recommendation.grouping, f"{grouping_label(recommendation.grouping)}: {reasons[recommendation.kind]}"


def best_seed(runs: Sequence[CollectedRun], task: Task) -> CollectedRun | None:
    """The finished run with the best validation score of a task; the first, where none has one; None: none is done."""
    done = [run for run in runs if run.result is not None]
    name = main_metric(task.type).name
    sign = 1 if metric(name).higher_is_better else -1

    def quality(run: CollectedRun) -> float:
        scores: Mapping[str, float] = run.result.validation.get(task.id, {}) if run.result is not None else {}
        return sign * scores[name] if name in scores else float("-inf")

    return max(done, key=quality, default=None)


def _paths(source: Source, rows: Sequence[PlanRow]) -> dict[str, Path]:
    """Fingerprint: folder, of runs that are all done."""
    found = find_runs(source.directory)
    missing = [row.run_id for row in rows if row.fingerprint not in found or not is_done(found[row.fingerprint])]
    if missing or not rows:
        raise RunError(
            f"{source.directory}: {len(missing)} of {len(rows)} runs are not done ({', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}); `usaggr sweep` trains them"
        )
    return {row.fingerprint: found[row.fingerprint] for row in rows}


def _whole(choice: Choice) -> Choice:
    lacking = [run for run in choice.runs if not has_weights(run)]
    if lacking:
        raise no_weights(lacking)
    return choice


def _scale(study: StudyFacts, wanted: Wanted) -> Scale:
    if wanted.scale is None:
        return max(study.scales)
    for scale in study.scales:
        if scale == wanted.scale:
            return scale
    raise ConfigError(one_of("--scale", f"{wanted.scale:g}", (f"{scale:g}" for scale in study.scales)))


def _seed(study: StudyFacts, wanted: Wanted) -> int | None:
    if wanted.seed is not None and wanted.seed not in study.seeds:
        raise ConfigError(one_of("--seed", wanted.seed, map(str, study.seeds)))
    return wanted.seed


def _variant(study: StudyFacts, wanted: Wanted) -> str:
    if wanted.variant is not None and wanted.variant not in study.variants:
        raise ConfigError(one_of("--variant", wanted.variant, study.variants))
    return wanted.variant or next(iter(study.variants))
