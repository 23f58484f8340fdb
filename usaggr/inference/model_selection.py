"""Selection of the run whose model serves each task: one run, a grouping, or the report's recommendations.

The module does not import torch: it checks that weights exist, and does not read them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.analysis.collect import CollectedRun, collect
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.recommendations import Recommendation, recommend_at_scale
from usaggr.document.display_names import grouping_label, scale_label
from usaggr.errors import ConfigError, RunError, explain_unknown_name
from usaggr.metrics.names import get_main_metric, get_metric
from usaggr.progress import Progress
from usaggr.results import contract
from usaggr.results.find_runs import find_runs, is_done
from usaggr.results.plan import PlanRow
from usaggr.results.stored_study import Source, StudyFacts, read_source
from usaggr.results.trained_model import explain_missing_weights, has_weights, read_stored_run
from usaggr.tasks import Task

Scale = float | int


@dataclass(frozen=True)
class SelectedModel:
    """Run whose model serves a task."""

    task: str
    run: Path
    """Folder of the run."""
    grouping: str
    """Grouping of the run; empty if the run was requested itself."""
    reason: str
    """Reason for the selection, as it is printed."""


@dataclass(frozen=True)
class ModelSelection:
    """Model of each task."""

    models: dict[str, SelectedModel]
    """Models by task id, sorted."""

    @property
    def runs(self) -> dict[Path, tuple[str, ...]]:
        """Tasks that each run serves, by folder of the run."""
        tasks_by_run: dict[Path, list[str]] = {}
        for model in self.models.values():
            tasks_by_run.setdefault(model.run, []).append(model.task)
        return {run: tuple(tasks) for run, tasks in tasks_by_run.items()}


@dataclass(frozen=True)
class RunFilter:
    """Runs of a study to select from. Defaults: the largest scale, the first seed, the first variant."""

    scale: float | None = None
    seed: int | None = None
    variant: str | None = None


def select_models(
    directory: Path,
    grouping: str | None,
    recommended: bool,
    run_filter: RunFilter,
    progress: Progress | None = None,
) -> ModelSelection:
    """Select models from the folder of a run or of a study's results.

    Args:
        directory: Folder of a run or of a study's results.
        grouping: Select the runs of this grouping; only for a study.
        recommended: Select the runs that the report recommends; only for a study, and without a grouping.
        run_filter: Scale, seed and variant; only for a study.
        progress: Receives the progress of reading the study.

    Raises:
        ConfigError: The study does not have what was requested, or the options contradict each other.
        RunError: A run is not finished, or its weights were not kept.
    """
    has_study_options = grouping is not None or recommended or run_filter != RunFilter()
    if (directory / contract.RUN_SETTINGS).is_file():
        if has_study_options:
            raise ConfigError(
                f"{directory} is one run; --grouping, --recommended, --scale, --seed and --variant select among the "
                "runs of a study: give the study's folder"
            )
        return select_run(directory)
    if not (directory / contract.PLAN).is_file():
        raise ConfigError(
            f"{directory}: neither a run (run.yaml) nor a study's results (plan.csv); give outputs/NAME with "
            "--grouping or --recommended, or outputs/NAME/runs/RUN"
        )
    if (grouping is None) != recommended:  # neither of the two options, or both
        raise ConfigError(f"{directory} is a whole study: select its models by --grouping NAME or --recommended")
    if grouping is not None:
        return select_grouping(directory, grouping, run_filter)
    return select_recommended(directory, run_filter, progress)


def select_run(run: Path) -> ModelSelection:
    """Select one run for all of its tasks.

    Raises:
        RunError: The run is not finished, or its weights were not kept.
    """
    stored = read_stored_run(run)
    return ModelSelection(
        {task_id: SelectedModel(task_id, stored.path, "", "requested") for task_id in sorted(stored.tasks)}
    )


def select_grouping(directory: Path, grouping: str, run_filter: RunFilter) -> ModelSelection:
    """Select the runs of a grouping at one scale, seed and variant.

    Args:
        directory: Folder of the study's results.
        grouping: Name of the grouping.
        run_filter: Scale, seed and variant.

    Raises:
        ConfigError: The study has no such grouping, scale, seed or variant.
        RunError: A run is not finished, or its weights were not kept.
    """
    source = read_source(directory)
    study = source.study
    if grouping not in study.groupings:
        raise ConfigError(explain_unknown_name("--grouping", grouping, study.groupings))
    scale, variant = _get_scale(study, run_filter), _get_variant(study, run_filter)
    requested_seed = _get_seed(study, run_filter)
    seed = study.seeds[0] if requested_seed is None else requested_seed
    reason = f"{grouping_label(grouping)}, {scale_label(scale)}, seed {seed}"
    plan_rows = [
        row
        for row in source.plan
        if (row.scale, row.seed, row.variant) == (scale, seed, variant) and grouping in row.groupings
    ]
    paths = _find_finished_runs(source, plan_rows)
    models = {
        task_id: SelectedModel(task_id, paths[row.fingerprint], grouping, reason)
        for row in plan_rows
        for task_id in row.tasks
    }
    return _require_weights(ModelSelection(dict(sorted(models.items()))))


def select_recommended(directory: Path, run_filter: RunFilter, progress: Progress | None = None) -> ModelSelection:
    """Select for each task a run of the grouping that the report recommends at a scale (see `get_recommended`).

    Without a requested seed, the run with the best score of the task on the validation set is selected. The test set is
    not used for a selection, or the scores on it would be too good.

    Args:
        directory: Folder of the study's results.
        run_filter: Scale, seed and variant.
        progress: Receives the progress of reading the study.

    Raises:
        ConfigError: The study has no such scale, seed or variant.
        RunError: No run of the recommended grouping is finished, or its weights were not kept.
    """
    collection = collect([directory], progress)
    study = collection.study
    scale, seed, variant = (
        _get_scale(study, run_filter),
        _get_seed(study, run_filter),
        _get_variant(study, run_filter),
    )
    comparison = compare_study(collection)
    recommendations = {item.task: item for item in recommend_at_scale(comparison, variant, scale)}
    models = {}
    for task_id in sorted(collection.tasks):
        grouping, reason = get_recommended(recommendations.get(task_id), study.reference)
        runs = [
            run
            for run in comparison.list_runs(variant, scale, grouping)
            if task_id in run.row.tasks and (seed is None or run.row.seed == seed)
        ]
        best = find_best_seed(runs, collection.data.tasks[task_id].task)
        if best is None or best.path is None:
            names = ", ".join(run.row.run_id for run in runs) or "none is planned"
            raise RunError(f"{task_id}: no run of {grouping} is done ({names}); `usaggr sweep` trains them")
        models[task_id] = SelectedModel(task_id, best.path, grouping, f"{reason}; seed {best.row.seed}")
    return _require_weights(ModelSelection(models))


def get_recommended(recommendation: Recommendation | None, reference: str) -> tuple[str, str]:
    """Return the grouping whose model serves a task, and the reason.

    This is the recommended grouping, or the reference if there is no recommendation.

    Args:
        recommendation: Recommendation for the task; None if the task is not compared with anything.
        reference: Reference grouping of the study.
    """
    label = grouping_label(reference)
    if recommendation is None:
        return reference, f"{label}: no other grouping to compare with"
    if recommendation.grouping is None:
        return reference, f"{label}, the reference: {recommendation.kind}"
    reasons = {"gain": "gain", "fewer models": "no loss, with fewer models", "reference": "no other grouping gains"}
    reason = reasons[recommendation.kind]
    if recommendation.evidence is not None and recommendation.evidence.rarer_failures:
        reason += f", {recommendation.evidence.rarer_failures}"
    return recommendation.grouping, f"{grouping_label(recommendation.grouping)}: {reason}"


def find_best_seed(runs: Sequence[CollectedRun], task: Task) -> CollectedRun | None:
    """Return the finished run with the best validation score of a task; None if no run is finished.

    If no run has a score, the first one is returned.
    """
    finished = [run for run in runs if run.result is not None]
    name = get_main_metric(task.type).name
    sign = 1 if get_metric(name).higher_is_better else -1

    def get_quality(run: CollectedRun) -> float:
        scores: Mapping[str, float] = run.result.validation.get(task.id, {}) if run.result is not None else {}
        return sign * scores[name] if name in scores else float("-inf")

    return max(finished, key=get_quality, default=None)


def _find_finished_runs(source: Source, plan_rows: Sequence[PlanRow]) -> dict[str, Path]:
    """Return the folder of each run, by fingerprint.

    Raises:
        RunError: A run is not finished.
    """
    paths = find_runs(source.directory)
    missing = [row.run_id for row in plan_rows if row.fingerprint not in paths or not is_done(paths[row.fingerprint])]
    if missing or not plan_rows:
        raise RunError(
            f"{source.directory}: {len(missing)} of {len(plan_rows)} runs are not done ({', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}); `usaggr sweep` trains them"
        )
    return {row.fingerprint: paths[row.fingerprint] for row in plan_rows}


def _require_weights(selection: ModelSelection) -> ModelSelection:
    """Return a selection whose runs all have their weights.

    Raises:
        RunError: The weights of a run were not kept.
    """
    without_weights = [run for run in selection.runs if not has_weights(run)]
    if without_weights:
        raise explain_missing_weights(without_weights)
    return selection


def _get_scale(study: StudyFacts, run_filter: RunFilter) -> Scale:
    """Return the requested scale, or the study's largest."""
    if run_filter.scale is None:
        return max(study.scales)
    for scale in study.scales:
        if scale == run_filter.scale:
            return scale
    raise ConfigError(
        explain_unknown_name("--scale", f"{run_filter.scale:g}", (f"{scale:g}" for scale in study.scales))
    )


def _get_seed(study: StudyFacts, run_filter: RunFilter) -> int | None:
    """Return the requested seed; None if none is requested."""
    if run_filter.seed is not None and run_filter.seed not in study.seeds:
        raise ConfigError(explain_unknown_name("--seed", run_filter.seed, map(str, study.seeds)))
    return run_filter.seed


def _get_variant(study: StudyFacts, run_filter: RunFilter) -> str:
    """Return the requested variant, or the study's first."""
    if run_filter.variant is not None and run_filter.variant not in study.variants:
        raise ConfigError(explain_unknown_name("--variant", run_filter.variant, study.variants))
    return run_filter.variant or next(iter(study.variants))
