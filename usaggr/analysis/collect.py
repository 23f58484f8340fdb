"""Finds and reads every planned run on disk, in one folder or in several folders of the same study and split.

Runs are identified by the full fingerprint in their run.yaml, never by the name of a folder. Unplanned runs are counted
but not read.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from usaggr.analysis.pseudovalues import TaskPseudovalues, has_sample_scores, read_pseudovalues
from usaggr.analysis.subsets import TestFold, read_folds, read_placements
from usaggr.data.split.leakage import IN_TWO_FOLDS, Proof, prove_disjoint
from usaggr.errors import RunError
from usaggr.progress import NoProgress, Progress
from usaggr.results import contract
from usaggr.results.data_description import DataFacts
from usaggr.results.find_runs import find_runs, is_done, run_directories
from usaggr.results.integrity import check_predictions
from usaggr.results.join import join_sources
from usaggr.results.plan import PlanRow
from usaggr.results.plan_coverage import check_coverage
from usaggr.results.reported_seeds import has_damaged_record, read_reported_seeds
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import RunResult, Scores, State
from usaggr.results.run_settings import read_fingerprint
from usaggr.results.stored_study import StudyFacts, read_source
from usaggr.results.versions import check_yaml

_BEST_FIRST: tuple[State, ...] = ("done", "running", "queued", "failed", "stale", "pending")
"""Precedence of states if folders disagree about a run."""


@dataclass(frozen=True)
class CollectedRun:
    """Planned run with its state and result on disk."""

    row: PlanRow
    state: State
    path: Path | None = None
    """Run directory; None if it does not exist yet."""
    result: RunResult | None = None
    """Result of the run; None unless the run is finished."""
    error: str | None = None
    """Error of a failed run, with the reason in its first line."""
    pseudovalues: dict[str, TaskPseudovalues] | None = None
    """Pseudo-values by task; None if the run is not finished or has no predictions."""


@dataclass(frozen=True)
class Collection:
    """Runs, study and data from which a report is made."""

    directories: tuple[Path, ...]
    study: StudyFacts
    data: DataFacts
    runs: tuple[CollectedRun, ...]
    """Planned runs, sorted by variant, scale, seed and name."""
    unplanned: int
    """Number of finished runs that the study does not plan."""
    folds: dict[str, TestFold] = field(default_factory=dict)
    """Test samples of each task."""
    controls: "Collection | None" = None
    """Runs of the random groupings, of the reference, and of the groupings whose block sizes the random ones copy.

    None if the study has no random groupings. The groupings of `controls.study` are all of these.
    """
    first_stages: tuple[CollectedRun, ...] = ()
    """Runs from whose weights other runs start and that belong to no grouping."""
    planned: tuple[CollectedRun, ...] = ()
    """All planned runs once, as plan.csv and the command line count them: of all groupings, and first stages."""
    weighted: frozenset[str] = frozenset()
    """Tasks whose scores are means over subjects, because subjects have unequal numbers of test samples.

    The scores of other tasks are means over samples, as in result.json.
    """
    proof: Proof | None = None
    """Check of split.csv in all folders: components, images and subjects in more than one subset."""
    reported_seeds: tuple[int, ...] = ()
    """Numbers of seeds at which earlier reports gave verdicts, in ascending order."""
    is_record_damaged: bool = False
    """True if `reported_seeds` may be incomplete, because the file of a folder is or was damaged."""

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Ids of the planned tasks, sorted by clinical group, type and id."""
        planned = {task_id for run in self.runs for task_id in run.row.tasks}
        facts = {task_id: self.data.tasks[task_id].task for task_id in planned}
        return tuple(sorted(planned, key=lambda t: (facts[t].clinical_group, facts[t].type, t)))

    @cached_property
    def fold_counts(self) -> dict[str, int]:
        """Numbers of components, images, files and subjects, and of those in two subsets (`subjects_in_two_folds`).

        The larger number counts: of the check made with the split, and of the check of the current split.csv.
        """
        counts = dict(self.data.disjoint)
        for name, count in (self.proof.list_counts() if self.proof is not None else {}).items():
            counts[name] = max(count, counts.get(name, 0)) if name.endswith(IN_TWO_FOLDS) else count
        return counts

    @cached_property
    def disjoint(self) -> bool:
        """True if no component, image, file or subject is in two subsets."""
        return not any(count for name, count in self.fold_counts.items() if name.endswith(IN_TWO_FOLDS))

    @cached_property
    def _by_short_fingerprint(self) -> dict[str, CollectedRun]:
        """Runs by the first 8 digits of their fingerprint, which are the end of a run's name."""
        return {run.row.fingerprint[:8]: run for run in (*self.first_stages, *self.runs)}

    def list_stages(self, run: CollectedRun) -> tuple[CollectedRun, ...]:
        """Return the run, preceded by the runs from which its weights come, in training order.

        A run without a parent is returned alone. A parent that is not in any plan is left out.
        """
        parent = self._by_short_fingerprint.get(run.row.parent[-8:]) if run.row.parent else None
        return (run,) if parent is None else (*self.list_stages(parent), run)


def collect(
    directories: Sequence[Path], progress: Progress | None = None, settings: Mapping[str, Any] | None = None
) -> Collection:
    """Read the results in one or several folders of the same study and split.

    Args:
        directories: Folders of results.
        progress: Receives the progress of reading.
        settings: Settings of the report in place of the study's, such as {"margin": 0.05}.

    Raises:
        RunError: A folder holds no results, or the folders differ in study or split.
    """
    progress = progress or NoProgress()
    sources = [read_source(directory) for directory in dict.fromkeys(map(Path, directories))]
    study, data, plan = join_sources(sources)
    if settings:
        study = study.override_report(dict(settings))
    for source in sources:
        check_coverage(source)
    runs_by_folder = [find_runs(source.directory) for source in sources]
    folders = [source.directory for source in sources]
    variants = list(study.variants)
    folds = read_folds(folders[0] / contract.SPLIT)  # `join_sources` has refused folders with another split
    runs = []
    progress.start("reading runs", len(plan))
    unread = [_collect_run(row, list(_list_candidates(row, folders, runs_by_folder))) for row in plan]
    weighted = frozenset() if study.aggregate == "sample" else _find_weighted_tasks(unread, folds)
    for run in unread:
        runs.append(_add_pseudovalues(run, data, folds, weighted))
        progress.advance()
    progress.finish()
    # The order of folders and of the lines of plan.csv must not change any table.
    runs.sort(key=lambda run: (variants.index(run.row.variant), run.row.scale, run.row.seed, run.row.run_id))
    planned = {row.fingerprint for row in plan}
    unplanned = {
        fingerprint for found_runs in runs_by_folder for fingerprint, path in found_runs.items() if is_done(path)
    } - planned
    unidentified = sum(_is_unidentified(path, plan) for folder in folders for path in run_directories(folder))
    grouped_runs = tuple(run for run in runs if run.row.groupings)
    first_stages = tuple(run for run in runs if not run.row.groupings)
    collection = Collection(tuple(folders), study, data, grouped_runs, len(unplanned) + unidentified, folds)
    proof = prove_disjoint(placed for folder in folders for placed in read_placements(folder / contract.SPLIT))
    reported_seeds = tuple(sorted({number for folder in folders for number in read_reported_seeds(folder)}))
    return _separate_controls(
        replace(
            collection,
            first_stages=first_stages,
            planned=tuple(runs),
            weighted=weighted,
            proof=proof,
            reported_seeds=reported_seeds,
            is_record_damaged=any(map(has_damaged_record, folders)),
        )
    )


def _find_weighted_tasks(runs: Iterable[CollectedRun], folds: Mapping[str, TestFold]) -> frozenset[str]:
    """Return the tasks whose subjects have unequal numbers of samples, and whose runs all have scores of samples.

    A run without predictions has only its means over samples. Its tasks are therefore compared by these means, because
    a difference between a mean over subjects and a mean over samples has no meaning.
    """
    weighted = {task_id for task_id, fold in folds.items() if fold.weights is not None}
    for run in runs:
        if run.result is None or run.path is None:
            continue
        for task_id in weighted.intersection(run.row.tasks):
            try:
                is_complete = has_sample_scores(run.path / contract.PREDICTIONS, run.result.scores[task_id])
            except RunError:  # the run counts as failed, and has no score at all
                is_complete = True
            if not is_complete:
                weighted.remove(task_id)
    return frozenset(weighted)


def _separate_controls(collection: Collection) -> Collection:
    """Return the collection with its controls in a collection of their own, because they are compared separately."""
    study = collection.study
    if not study.controls:
        return collection
    compared = dict.fromkeys((study.reference, *study.controls.values()))
    control_study = replace(study, groupings=(*compared, *study.controls))
    control_runs = _select_groupings(collection.runs, control_study.groupings)
    controls = replace(collection, study=control_study, runs=control_runs, unplanned=0)
    return replace(collection, runs=_select_groupings(collection.runs, study.groupings), controls=controls)


def _select_groupings(runs: Sequence[CollectedRun], groupings: Sequence[str]) -> tuple[CollectedRun, ...]:
    """Return the runs that belong to any of these groupings, without their other groupings."""
    selected = []
    for run in runs:
        # A run may belong to a random grouping and to an ordinary one at once.
        names = tuple(name for name in run.row.groupings if name in groupings)
        if names:
            selected.append(replace(run, row=replace(run.row, groupings=names)))
    return tuple(selected)


def _list_candidates(
    row: PlanRow, folders: Sequence[Path], runs_by_folder: Sequence[dict[str, Path]]
) -> Iterator[Path]:
    """Yield the directories that may hold a run, at most one per folder.

    A directory matches by fingerprint. A run that failed before it wrote its run.yaml matches by its planned name.
    """
    for folder, runs in zip(folders, runs_by_folder, strict=True):
        path = runs.get(row.fingerprint)
        if path is not None:
            yield path
            continue
        path = folder / "runs" / row.run_id
        if path.is_dir() and read_fingerprint(path) is None:
            yield path


def _is_unidentified(path: Path, plan: Sequence[PlanRow]) -> bool:
    """Return whether a directory holds a result, but has neither a fingerprint nor the name of a planned run."""
    if not is_done(path) or read_fingerprint(path) is not None:
        return False
    return path.name not in {row.run_id for row in plan}


def _collect_run(row: PlanRow, paths: Sequence[Path]) -> CollectedRun:
    """Return the copy of a run with the best state; of equal states, the first."""
    runs = [_read_run(row, path) for path in paths]
    return min(runs, key=lambda run: _BEST_FIRST.index(run.state), default=CollectedRun(row, "pending"))


def _read_run(row: PlanRow, path: Path) -> CollectedRun:
    directory = RunDirectory(path)
    state = directory.read_state()
    if state != "done":
        status = directory.read_status()
        return CollectedRun(row, state, path, error=status.error if status is not None else None)
    if read_fingerprint(path) is None:
        error = f"{path}: no run.yaml with the settings of this result; remove the run to train it again"
        return CollectedRun(row, "failed", path, error=error)
    try:
        check_yaml(path / contract.RUN_SETTINGS)
        result = directory.read_result()
        _check_result(result, row, directory.result_path)
    except RunError as error:
        return CollectedRun(row, "failed", path, error=str(error))
    return CollectedRun(row, "done", path, result)


def _add_pseudovalues(
    run: CollectedRun, data: DataFacts, folds: Mapping[str, TestFold], weighted: frozenset[str]
) -> CollectedRun:
    """Return a finished run with its pseudo-values, or as a failed run if its predictions are damaged.

    Args:
        run: The run.
        data: Tasks of the study.
        folds: Test samples of each task.
        weighted: Tasks whose scores are means over subjects.
    """
    if run.result is None or run.path is None:
        return run
    tasks = {task_id: data.tasks[task_id].task for task_id in run.row.tasks}
    try:
        check_predictions(run.path / contract.RESULT, run.path / contract.PREDICTIONS)
        return replace(run, pseudovalues=read_pseudovalues(run.path / contract.PREDICTIONS, tasks, folds, weighted))
    except RunError as error:
        return CollectedRun(run.row, "failed", run.path, error=str(error))


def _check_result(result: RunResult, row: PlanRow, path: Path) -> None:
    """Check that a result has all tasks and only finite numbers; types are checked when it is read.

    Raises:
        RunError: A task is missing, or a number is not finite; the message names it.
    """
    remedy = "remove the run to train it again"
    for name in ("scores", "trivial", "trivial_by_subject"):
        scores: Scores = getattr(result, name)
        missing = [task for task in row.tasks if task not in scores]
        if missing and name != "trivial_by_subject":
            raise RunError(f"{path}: no {name} of {', '.join(missing)}; {remedy}")
        for task in row.tasks:
            for metric, value in scores.get(task, {}).items():
                if not math.isfinite(value):
                    raise RunError(f"{path}: {name}, {metric} of {task} is {value}, not a finite number; {remedy}")
    counts = (result.n_train, result.n_test, result.n_subjects)
    if not all(set(row.tasks) <= set(count) for count in counts):
        raise RunError(f"{path}: the counts of samples do not cover every task; {remedy}")
    if not all(math.isfinite(value) for value in (result.cost.train_seconds, result.cost.peak_mib)):
        raise RunError(f"{path}: the cost is not given in finite numbers; {remedy}")
