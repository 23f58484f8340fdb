"""Reads cells of finished sweeps as evidence: differences from task-specific models, with unit and uncertainty.

Sweeps are read and compared as in their report. Only the study's first variant counts, and random groupings do not.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.advice.sharing_modes import name_mode
from usaggr.analysis.cell_rows import CellScore, CellVerdict
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.analysis.difference_intervals import Array, Difference, Key, moderate_by_metric
from usaggr.analysis.qualified_verdicts import find_rate_not_excluded
from usaggr.data.batches.streams import NOT_EQUAL
from usaggr.document.display_names import pluralize
from usaggr.errors import ConfigError, RunError
from usaggr.metrics.names import get_metric
from usaggr.progress import Progress
from usaggr.results.join import join_sources
from usaggr.results.stored_study import Source, StudyFacts, read_source
from usaggr.statistics.two_way_anova import Estimate
from usaggr.tasks import Task

ONE_SEED = "one seed"
"""Reason why a cell does not count that more seeds would remove."""
CONFIDENCE = 0.95
"""Confidence level of all intervals in advice."""
MIN_BOUND_OF_REFERENCE = 0.5
"""A relative change counts only if the lower bound of the reference's mean exceeds this fraction of the mean.

Division by a reference that may be near zero would give changes of any size.
"""


@dataclass(frozen=True)
class Effect:
    """Difference from task-specific models in the unit of the task type's margin (see `get_margin_unit`)."""

    value: float
    """Positive if sharing is better."""
    se: float
    """Standard error."""
    low: float
    """Lower bound of the interval."""
    high: float
    """Upper bound of the interval."""
    margin: float
    """Largest loss that counts as no loss, above 0."""


@dataclass(frozen=True)
class EvidenceCell:
    """Finished cell (task x grouping x scale) whose task shares a model with others."""

    sweep: str
    """First folder of the sweep."""
    content: str
    """Hash of the sweep's data."""
    task: Task
    grouping: str
    mode: str
    """Sharing mode for which the cell is evidence (see `sharing_modes.name_mode`)."""
    shares_with: tuple[Task, ...]
    """The other tasks of its block."""
    scale: float | int
    n_train: int
    seeds: int
    metric: str
    delta: float
    """Difference in the metric's own unit, positive if sharing is better; its bounds are NaN if not estimated."""
    delta_low: float
    delta_high: float
    verdict: str
    """Verdict as in comparison.csv, corrected over the tasks of the grouping; empty if there is none."""
    note: str
    seeds_needed: int | None
    effect: Effect | None
    """Effect in the unit of its margin; None if not estimated, with the reason in `unusable`."""
    unusable: str
    """Reason why the cell does not count as evidence; empty if it counts."""
    invalid: bool
    """True if the cell does not count because models collapsed or did not converge."""
    scales: int
    """Number of scales in the sweep."""
    rarer_than: int | None = None
    """N if its test subjects do not exclude failures rarer than 1 in N; None if they exclude enough for no loss."""


@dataclass(frozen=True)
class SweepEvidence:
    """Evidence of one sweep, from one or several folders."""

    folders: tuple[str, ...]
    study: str
    content: str
    outputs: str
    """Folder of all results, as configured in the study."""
    seeds: tuple[int, ...]
    cells: tuple[EvidenceCell, ...]
    phantoms: bool = False
    """True if the sweep's data are synthetic."""
    reported_seeds: tuple[int, ...] = ()
    """Numbers of seeds at which reports of the sweep gave verdicts."""
    is_record_damaged: bool = False
    """True if the record of these numbers was damaged, so that some may be missing."""

    @property
    def name(self) -> str:
        """First folder, which identifies the sweep."""
        return self.folders[0]


def get_margin_unit(metric: str) -> str:
    """Return the unit of a metric's differences: `points` (scores whose best is 1) or `relative` (distances).

    These are the units of the margins `report.margin` and `report.relative_margin`. Evidence is never pooled over task
    types, so that the two units are never mixed.
    """
    return "points" if get_metric(metric).is_score else "relative"


def read_sweeps(directories: Sequence[Path], progress: Progress) -> list[SweepEvidence]:
    """Return the evidence of each sweep; folders of one study and split are joined, as in `usaggr report`.

    Raises:
        RunError: A folder holds no results, was written by a newer version, or has no finished comparison.
        ConfigError: A sweep's reference is not task-specific models.
    """
    return [read_sweep(sources, progress) for sources in find_sweeps(directories)]


def find_sweeps(directories: Sequence[Path]) -> list[list[Source]]:
    """Return the folders of each sweep, without reading any run.

    Raises:
        RunError: A folder holds no results, or was written by a newer version.
    """
    sweeps: list[list[Source]] = []
    # A folder that is given twice counts once, under the name that was given first.
    by_resolved_path: dict[Path, Path] = {}
    for directory in directories:
        by_resolved_path.setdefault(directory.resolve(), directory)
    for directory in by_resolved_path.values():
        source = read_source(directory)
        sweep = next((sweep for sweep in sweeps if _can_join([*sweep, source])), None)
        if sweep is None:
            sweeps.append([source])
        else:
            sweep.append(source)
    return sweeps


def _can_join(sources: Sequence[Source]) -> bool:
    try:
        join_sources(sources)
    except RunError:
        return False
    return True


def read_sweep(sources: Sequence[Source], progress: Progress) -> SweepEvidence:
    """Return the evidence of one sweep, from all its folders.

    Raises:
        RunError: A file cannot be read, or no comparison is finished.
        ConfigError: The sweep's reference is not task-specific models.
    """
    collection = collect([source.directory for source in sources], progress)
    folder, study = str(collection.directories[0]), collection.study
    if not any(run.result is not None for run in collection.runs):
        raise RunError(f"{folder}: no run is finished, so there is no evidence; train the runs with `usaggr sweep`")
    # With shared models in the reference, a difference would be between two sharing modes.
    shared = [run.row for run in collection.runs if study.reference in run.row.groupings and len(run.row.tasks) > 1]
    if shared:
        raise ConfigError(
            f"{folder}: the reference is {study.reference}, whose models serve several tasks; advice on sharing needs "
            "a sweep with reference=task_specific"
        )
    cells = tuple(_make_cells(compare_study(collection)))
    if not cells:
        raise RunError(
            f"{folder}: no task has finished runs of one seed both with and without a shared model; "
            "train the missing runs with `usaggr sweep`"
        )
    return SweepEvidence(
        tuple(map(str, collection.directories)),
        study.name,
        collection.data.content_hash,
        str(study.get_setting("outputs") or "outputs"),
        study.seeds,
        cells,
        study.get_setting("data.name") == "synthetic",
        collection.reported_seeds,
        collection.is_record_damaged,
    )


def _make_cells(comparison: StudyComparison) -> Iterator[EvidenceCell]:
    collection = comparison.collection
    study, facts = collection.study, collection.data.tasks
    tasks = {task_id: task_facts.task for task_id, task_facts in facts.items()}
    blocks: dict[str, set[tuple[str, ...]]] = {}
    for run in collection.runs:
        for grouping in run.row.groupings:
            blocks.setdefault(grouping, set()).add(run.row.tasks)
    modes = {grouping: name_mode(grouping, members, tasks) for grouping, members in blocks.items()}
    relative = _collect_relative_effects(comparison)
    means = {row.key: row for row in comparison.cells}
    scales = len({run.row.scale for run in collection.runs})
    for row in _select_main_verdicts(comparison):
        if math.isnan(row.delta):
            continue  # unfinished, or the same run as the reference
        block = next(block for block in blocks[row.grouping] if row.task in block)
        if len(block) < 2:
            continue  # a task with its own model shares nothing, even if the model started from shared weights
        reference = means.get((row.variant, row.scale, study.reference, row.task, row.metric))
        effect, why_no_effect = _estimate_effect(
            row, comparison.differences.get(row.key), relative.get(row.key), reference, study
        )
        yield EvidenceCell(
            sweep=str(collection.directories[0]),
            content=collection.data.content_hash,
            task=tasks[row.task],
            grouping=row.grouping,
            mode=modes[row.grouping],
            shares_with=tuple(tasks[task_id] for task_id in block if task_id != row.task),
            scale=row.scale,
            n_train=row.n_train or 0,
            seeds=row.seeds,
            metric=row.metric,
            delta=row.delta,
            delta_low=row.delta_low,
            delta_high=row.delta_high,
            verdict=row.verdict,
            note=row.note,
            seeds_needed=row.seeds_needed,
            effect=effect,
            unusable=_explain_unusable(row, study) or why_no_effect,
            invalid=not row.valid,
            scales=scales,
            rarer_than=find_rate_not_excluded(row),
        )


def _explain_unusable(row: CellVerdict, study: StudyFacts) -> str:
    """Return why a cell is no evidence for another task; empty if it is."""
    failures = (
        ("collapsed", row.collapsed, row.collapsed_reference),
        ("did not converge", row.unconverged, row.unconverged_reference),
    )
    for name, is_shared_model, is_reference in failures:
        if is_shared_model:
            return f"the shared model {name}"
        if is_reference:
            return f"the task-specific model {name}"
    for number, model in ((row.collapsed_seeds, "shared"), (row.collapsed_seeds_reference, "task-specific")):
        if number:
            return f"the {model} model collapsed in {number} of {pluralize(row.seeds, 'seed')}"
    # After the failures, because more seeds do not repair a collapsed model (see undecided.py).
    if row.seeds == 1:
        return ONE_SEED
    if NOT_EQUAL in row.note:
        return NOT_EQUAL
    staged = study.staged.get(row.grouping)
    if staged is not None and staged.budget == "extra":
        return "trained on more examples (budget: extra)"
    return "" if row.verdict else f"no verdict ({row.note})"


def _estimate_effect(
    row: CellVerdict,
    difference: Difference | None,
    relative: Estimate | None,
    reference: CellScore | None,
    study: StudyFacts,
) -> tuple[Effect | None, str]:
    """Return a cell's effect in the unit of its margin; None with the reason if it cannot be estimated.

    Args:
        row: The cell.
        difference: Its difference in the metric's own unit.
        relative: Its relative change, for distances.
        reference: Score of the reference.
        study: Study, for its margins.
    """
    points = get_margin_unit(row.metric) == "points"
    margin = study.margin if points else study.relative_margin
    if not points and not _is_far_from_zero(reference):
        return None, "the reference's mean is too close to 0 for a relative change"
    estimate = (difference.estimate if difference is not None else None) if points else relative
    # A standard error at the level of rounding means that neither seeds nor subjects vary.
    if estimate is None or not float(estimate.se) > 1e-12 * (1 + abs(float(estimate.value))):
        return None, "no interval: seeds and subjects do not vary"
    low, high = (float(bound) for bound in estimate.compute_interval(CONFIDENCE))
    if not math.isfinite(low) or not math.isfinite(high):
        return None, "no interval"
    return Effect(float(estimate.value), float(estimate.se), low, high, float(margin)), ""


def _is_far_from_zero(reference: CellScore | None) -> bool:
    """Return whether the mean is far enough from 0 for a change relative to it."""
    if reference is None:
        return False
    return reference.mean > 0 and (math.isnan(reference.low) or reference.low > MIN_BOUND_OF_REFERENCE * reference.mean)


def _collect_relative_effects(comparison: StudyComparison) -> dict[Key, Estimate]:
    """Return the relative changes of the tasks whose metric is a distance, by the keys of their cells."""
    distances = (
        row
        for row in _select_main_verdicts(comparison)
        if get_margin_unit(row.metric) == "relative" and not math.isnan(row.relative)
    )
    tables: dict[Key, Array] = {}
    for row in distances:
        joint = comparison.weighted_sums.sum_differences([{row.cell: 1.0}], "relative")
        if joint is not None:
            tables[row.key] = joint[0].table
    return {key: difference.estimate for key, difference in moderate_by_metric(tables).items()}


def _select_main_verdicts(comparison: StudyComparison) -> list[CellVerdict]:
    """Return the verdicts on main metrics of the study's first variant."""
    first = next(iter(comparison.study.variants))
    return [row for row in comparison.verdicts if row.main and row.variant == first]
