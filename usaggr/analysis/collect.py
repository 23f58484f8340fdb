"""Finds every planned run on disk, in one folder or in several of the same study and split, and reads its result.

Runs are known by the full fingerprint in their run.yaml, never by a folder's name. What the plan does not ask for is
counted and left alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from usaggr.analysis.pseudovalues import TaskPseudovalues, read_pseudovalues
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
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import RunResult, Scores, State
from usaggr.results.run_settings import stored_fingerprint
from usaggr.results.stored_study import StudyFacts, read_source
from usaggr.results.versions import check_yaml

_BEST_FIRST: tuple[State, ...] = ("done", "running", "queued", "failed", "stale", "pending")
"""What counts where folders differ about a run."""


@dataclass(frozen=True)
class CollectedRun:
    """A planned run as it is on disk."""

    row: PlanRow
    state: State
    path: Path | None = None
    """Its run directory; None where there is none yet."""
    result: RunResult | None = None
    """There if, and only if, the run is done."""
    error: str | None = None
    """Why it failed: the reason in the first line."""
    pseudovalues: dict[str, TaskPseudovalues] | None = None
    """By task; None where the run is not done, or its predictions are gone."""


@dataclass(frozen=True)
class Collection:
    """Everything that a report is made of."""

    directories: tuple[Path, ...]
    study: StudyFacts
    data: DataFacts
    runs: tuple[CollectedRun, ...]
    """Planned ones, by variant, scale, seed and name."""
    unplanned: int
    """Finished runs that the study does not ask for."""
    folds: dict[str, TestFold] = field(default_factory=dict)
    """By task."""
    controls: "Collection | None" = None
    """The runs of groupings drawn by lot, with those of the reference and of the groupings that they are like; None
    where the study has no such groupings. Its study's groupings are all of these."""
    first_stages: tuple[CollectedRun, ...] = ()
    """Runs that others start from and that are no cell of any grouping."""
    proof: Proof | None = None
    """What is in more than one fold, by the split.csv of all folders together."""

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Ids of the tasks that are planned: by clinical group, then type, then id."""
        planned = {task_id for run in self.runs for task_id in run.row.tasks}
        facts = {task_id: self.data.tasks[task_id].task for task_id in planned}
        return tuple(sorted(planned, key=lambda t: (facts[t].clinical_group, facts[t].type, t)))

    @cached_property
    def fold_counts(self) -> dict[str, int]:
        """Components, images, files and subjects, and how many of each are in two folds (`subjects_in_two_folds`).

        Both the proof that was made with the split and that of split.csv as it is now count.
        """
        counts = dict(self.data.disjoint)
        for name, count in (self.proof.counts() if self.proof is not None else {}).items():
            counts[name] = max(count, counts.get(name, 0)) if name.endswith(IN_TWO_FOLDS) else count
        return counts

    @cached_property
    def disjoint(self) -> bool:
        """Whether nothing is in two folds."""
        return not any(count for name, count in self.fold_counts.items() if name.endswith(IN_TWO_FOLDS))

    @cached_property
    def _by_digits(self) -> dict[str, CollectedRun]:
        """All runs by the first 8 digits of their fingerprint, in which names of runs end."""
        return {run.row.fingerprint[:8]: run for run in (*self.first_stages, *self.runs)}

    def stages(self, run: CollectedRun) -> tuple[CollectedRun, ...]:
        """The run behind those that its weights come from, the first one first; itself alone where it has no parent.

        A parent that no folder plans is left out.
        """
        parent = self._by_digits.get(run.row.parent[-8:]) if run.row.parent else None
        return (run,) if parent is None else (*self.stages(parent), run)


def collect(directories: Sequence[Path], progress: Progress | None = None) -> Collection:
    """Read the results of one or several folders of the same study and split.

    Raises:
        RunError: a folder is no folder of results, or the folders are not of the same study and split.
    """
    progress = progress or NoProgress()
    sources = [read_source(directory) for directory in dict.fromkeys(map(Path, directories))]
    study, data, plan = join_sources(sources)
    found = [find_runs(source.directory) for source in sources]
    folders = [source.directory for source in sources]
    variants = list(study.variants)
    folds = read_folds(folders[0] / contract.SPLIT)
    runs = []
    progress.start("reading runs", len(plan))
    for row in plan:
        run = _collect_run(row, list(_candidates(row, folders, found)))
        runs.append(_with_pseudovalues(run, data, folds))
        progress.advance()
    progress.finish()
    runs.sort(key=lambda run: (variants.index(run.row.variant), run.row.scale, run.row.seed, run.row.run_id))
    planned = {row.fingerprint for row in plan}
    unplanned = {fingerprint for runs_of in found for fingerprint, path in runs_of.items() if is_done(path)} - planned
    nameless = sum(_is_nameless(path, plan) for folder in folders for path in run_directories(folder))
    cells = tuple(run for run in runs if run.row.groupings)
    first_stages = tuple(run for run in runs if not run.row.groupings)
    found_all = Collection(tuple(folders), study, data, cells, len(unplanned) + nameless, folds)
    proof = prove_disjoint(placed for folder in folders for placed in read_placements(folder / contract.SPLIT))
    return _apart(replace(found_all, first_stages=first_stages, proof=proof))


def _apart(collection: Collection) -> Collection:
    """The collection with its controls apart, which are compared by themselves."""
    study = collection.study
    if not study.controls:
        return collection
    compared = dict.fromkeys((study.reference, *study.controls.values()))
    within = replace(study, groupings=(*compared, *study.controls))
    controls = replace(collection, study=within, runs=_held(collection.runs, within.groupings), unplanned=0)
    return replace(collection, runs=_held(collection.runs, study.groupings), controls=controls)


def _held(runs: Sequence[CollectedRun], groupings: Sequence[str]) -> tuple[CollectedRun, ...]:
    """The runs that some of these groupings hold, with these alone."""
    found = []
    for run in runs:
        own = tuple(name for name in run.row.groupings if name in groupings)
        if own:
            found.append(replace(run, row=replace(run.row, groupings=own)))
    return tuple(found)


def _candidates(row: PlanRow, folders: Sequence[Path], found: Sequence[dict[str, Path]]) -> Iterator[Path]:
    """Where the run may be: by its fingerprint, or under its planned name if it died before it could say what it is."""
    for folder, runs in zip(folders, found, strict=True):
        path = runs.get(row.fingerprint)
        if path is not None:
            yield path
            continue
        path = folder / "runs" / row.run_id
        if path.is_dir() and stored_fingerprint(path) is None:
            yield path


def _is_nameless(path: Path, plan: Sequence[PlanRow]) -> bool:
    """Whether a folder holds a result but neither says what it is nor has the name of a planned run."""
    if not is_done(path) or stored_fingerprint(path) is not None:
        return False
    return path.name not in {row.run_id for row in plan}


def _collect_run(row: PlanRow, paths: Sequence[Path]) -> CollectedRun:
    """The best of what is found; the first of equals."""
    runs = [_read_run(row, path) for path in paths]
    return min(runs, key=lambda run: _BEST_FIRST.index(run.state), default=CollectedRun(row, "pending"))


def _read_run(row: PlanRow, path: Path) -> CollectedRun:
    directory = RunDirectory(path)
    state = directory.state()
    if state != "done":
        status = directory.status()
        return CollectedRun(row, state, path, error=status.error if status is not None else None)
    if stored_fingerprint(path) is None:
        error = f"{path}: no run.yaml that says what the result is of; remove the run to train it again"
        return CollectedRun(row, "failed", path, error=error)
    try:
        check_yaml(path / contract.RUN_SETTINGS)
        result = directory.result()
        _check(result, row, directory.result_path)
    except RunError as error:
        return CollectedRun(row, "failed", path, error=str(error))
    return CollectedRun(row, "done", path, result)


def _with_pseudovalues(run: CollectedRun, data: DataFacts, folds: dict[str, TestFold]) -> CollectedRun:
    """A done run with what its predictions say; failed, if they are damaged."""
    if run.result is None or run.path is None:
        return run
    tasks = {task_id: data.tasks[task_id].task for task_id in run.row.tasks}
    try:
        check_predictions(run.path / contract.RESULT, run.path / contract.PREDICTIONS)
        return replace(run, pseudovalues=read_pseudovalues(run.path / contract.PREDICTIONS, tasks, folds))
    except RunError as error:
        return CollectedRun(run.row, "failed", run.path, error=str(error))


def _check(result: RunResult, row: PlanRow, path: Path) -> None:
    """Refuse a result that lacks a task, or holds a number that is not finite; its types are checked where it is read.

    Raises:
        RunError: what is wrong with it.
    """
    again = "remove the run to train it again"
    for what in ("scores", "trivial"):
        scores: Scores = getattr(result, what)
        if missing := [task for task in row.tasks if task not in scores]:
            raise RunError(f"{path}: no {what} of {', '.join(missing)}; {again}")
        for task in row.tasks:
            for metric, value in scores[task].items():
                if not math.isfinite(value):
                    raise RunError(f"{path}: {what}, {metric} of {task} is {value}, not a number; {again}")
    counts = (result.n_train, result.n_test, result.n_subjects)
    if not all(set(row.tasks) <= set(count) for count in counts):
        raise RunError(f"{path}: no counts of samples for each task; {again}")
    if not all(math.isfinite(value) for value in (result.cost.train_seconds, result.cost.peak_mib)):
        raise RunError(f"{path}: cost is not in finite numbers; {again}")
