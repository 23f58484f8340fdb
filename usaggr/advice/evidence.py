"""Cells of finished sweeps as evidence: differences from task-specific models, with what they are told by and how sure.

Sweeps are read as their report reads them. Only the study's first variant counts, and no grouping drawn by lot.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.advice.sharing_modes import way_of
from usaggr.analysis.cell_rows import CellScore, CellVerdict
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.analysis.difference_intervals import Array, Difference, Key, pooled_estimates
from usaggr.analysis.row_tables import group_rows
from usaggr.data.batches.streams import NOT_EQUAL
from usaggr.document.display_names import grouping_label
from usaggr.errors import ConfigError, RunError
from usaggr.metrics.names import metric as metric_of
from usaggr.progress import Progress
from usaggr.results.join import join_sources
from usaggr.results.stored_study import Source, StudyFacts, read_source
from usaggr.statistics.two_way_anova import Estimate
from usaggr.tasks import Task

ONE_SEED = "one seed"
"""Why a cell does not count, though more seeds would make it count."""
CONFIDENCE = 0.95
"""Of all intervals that advice rests on."""
NEAREST_ZERO = 0.5
"""A change relative to a reference's mean counts only where the lower bound of that mean is above this part of it."""


@dataclass(frozen=True)
class Effect:
    """A difference from task-specific models in the unit of the task type's margin: see `unit_of`."""

    value: float
    se: float
    low: float
    high: float
    margin: float


@dataclass(frozen=True)
class EvidenceCell:
    """A finished cell (task x grouping x scale) whose task shares a model with others."""

    sweep: str
    """Its folder."""
    content: str
    """Hash of the sweep's data."""
    task: Task
    grouping: str
    way: str
    """See `ways.way_of`."""
    shares_with: tuple[Task, ...]
    """The other tasks of its block."""
    scale: float | int
    n_train: int
    seeds: int
    metric: str
    delta: float
    """Positive where sharing is better, in the metric's own unit; its bounds are NaN where they are not known."""
    delta_low: float
    delta_high: float
    verdict: str
    """As in comparison.csv, adjusted over the tasks of the grouping; empty where there is none."""
    note: str
    seeds_needed: int | None
    effect: Effect | None
    """None where it cannot be told; `unusable` says why then."""
    unusable: str
    """Why it does not count as evidence; empty: it does."""
    invalid: bool
    """Whether it does not count because models are collapsed or have not converged."""
    scales: int
    """Of its sweep."""


@dataclass(frozen=True)
class SweepEvidence:
    """What one sweep, in one folder or several, has to say."""

    folders: tuple[str, ...]
    study: str
    content: str
    outputs: str
    """Folder of all results, as the study has it."""
    seeds: tuple[int, ...]
    cells: tuple[EvidenceCell, ...]
    phantoms: bool = False
    """Whether its data are synthetic."""

    @property
    def name(self) -> str:
        return self.folders[0]


def unit_of(metric: str) -> str:
    """What differences of a metric are told in: `points` (scores whose best is 1) or `relative` (distances).

    These are the units of the margins `report.margin` and `report.relative_margin`. Evidence is never pooled over task
    types, so that one unit is never mixed with another.
    """
    return "points" if metric_of(metric).best == 1.0 else "relative"


def read_sweeps(directories: Sequence[Path], progress: Progress) -> list[SweepEvidence]:
    """The evidence of each sweep; folders of one study and split are joined, as `usaggr report` does.

    Raises:
        RunError: a folder is no folder of results, a newer version wrote it, or it has no finished comparison.
        ConfigError: a sweep does not compare with task-specific models.
    """
    return [read_sweep(sources, progress) for sources in find_sweeps(directories)]


def find_sweeps(directories: Sequence[Path]) -> list[list[Source]]:
    """The folders of each sweep, quickly: no run is read.

    Raises:
        RunError: a folder is no folder of results, or a newer version wrote it.
    """
    joined: list[list[Source]] = []
    once: dict[Path, Path] = {}
    for directory in directories:
        once.setdefault(directory.resolve(), directory)
    for directory in once.values():
        source = read_source(directory)
        home = next((group for group in joined if _joins([*group, source])), None)
        if home is None:
            joined.append([source])
        else:
            home.append(source)
    return joined


def _joins(sources: Sequence[Source]) -> bool:
    try:
        join_sources(sources)
    except RunError:
        return False
    return True


def read_sweep(sources: Sequence[Source], progress: Progress) -> SweepEvidence:
    """The evidence of one sweep, from all its folders.

    Raises:
        RunError: a file of it cannot be read, or it has no finished comparison.
        ConfigError: it does not compare with task-specific models.
    """
    collection = collect([source.directory for source in sources], progress)
    where, study = str(collection.directories[0]), collection.study
    if not any(run.result is not None for run in collection.runs):
        raise RunError(f"{where}: no run is finished, so there is no evidence in it; `usaggr sweep` trains them")
    shared = [run.row for run in collection.runs if study.reference in run.row.groupings and len(run.row.tasks) > 1]
    if shared:
        raise ConfigError(
            f"{where}: its reference is {study.reference}, whose models serve several tasks; advice on sharing needs a "
            "sweep with reference=task_specific"
        )
    cells = tuple(_cells(compare_study(collection)))
    if not cells:
        raise RunError(
            f"{where}: no task has finished runs with a shared model and without one, of a seed in common; "
            "`usaggr sweep` trains what is missing"
        )
    return SweepEvidence(
        tuple(map(str, collection.directories)),
        study.name,
        collection.data.content_hash,
        str(study.setting("outputs") or "outputs"),
        study.seeds,
        cells,
        study.setting("data.name") == "synthetic",
    )


def _cells(comparison: StudyComparison) -> Iterator[EvidenceCell]:
    collection = comparison.collection
    study, facts = collection.study, collection.data.tasks
    tasks = {task_id: known.task for task_id, known in facts.items()}
    blocks: dict[str, set[tuple[str, ...]]] = {}
    for run in collection.runs:
        for grouping in run.row.groupings:
            blocks.setdefault(grouping, set()).add(run.row.tasks)
    ways = {grouping: way_of(grouping, of, tasks) for grouping, of in blocks.items()}
    relative = _relative_effects(comparison)
    means = {row.key: row for row in comparison.cells}
    scales = len({run.row.scale for run in collection.runs})
    for row in _main_verdicts(comparison):
        if math.isnan(row.delta):
            continue
        block = next(of for of in blocks[row.grouping] if row.task in of)
        if len(block) < 2:
            continue  # a model of its own shares nothing, however it was trained
        reference = means.get((row.variant, row.scale, study.reference, row.task, row.metric))
        effect, unknown = _effect(row, comparison.differences.get(row.key), relative.get(row.key), reference, study)
        yield EvidenceCell(
            sweep=str(collection.directories[0]),
            content=collection.data.content_hash,
            task=tasks[row.task],
            grouping=row.grouping,
            way=ways[row.grouping],
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
            unusable=_unusable(row, study) or unknown,
            invalid=not row.valid,
            scales=scales,
        )


def _unusable(row: CellVerdict, study: StudyFacts) -> str:
    """Why a cell of the comparison proves nothing about another task."""
    faults = (
        ("collapsed", row.collapsed, row.collapsed_reference),
        ("unconverged", row.unconverged, row.unconverged_reference),
    )
    for name, own, of_reference in faults:
        if own:
            return f"{grouping_label(row.grouping)} {name}"
        if of_reference:
            return f"reference {name}"
    if row.seeds == 1:
        return ONE_SEED
    if NOT_EQUAL in row.note:
        return NOT_EQUAL
    staged = study.staged.get(row.grouping)
    if staged is not None and staged.budget == "extra":
        return "trained on more examples (budget: extra)"
    return "" if row.verdict else f"no verdict ({row.note})"


def _effect(
    row: CellVerdict,
    own: Difference | None,
    relative: Estimate | None,
    reference: CellScore | None,
    study: StudyFacts,
) -> tuple[Effect | None, str]:
    """The difference in the unit of its margin; None with the reason where it cannot be told."""
    points = unit_of(row.metric) == "points"
    margin = study.margin if points else study.relative_margin
    if not points and not _far_from_zero(reference):
        return None, "the reference's mean is too near 0 for a relative change"
    estimate = (own.estimate if own is not None else None) if points else relative
    if estimate is None or not float(estimate.se) > 1e-12 * (1 + abs(float(estimate.value))):
        return None, "no interval: nothing varies"
    low, high = (float(bound) for bound in estimate.interval(CONFIDENCE))
    if not math.isfinite(low) or not math.isfinite(high):
        return None, "no interval"
    return Effect(float(estimate.value), float(estimate.se), low, high, float(margin)), ""


def _far_from_zero(reference: CellScore | None) -> bool:
    """Whether a change relative to this mean is trusted."""
    if reference is None:
        return False
    return reference.mean > 0 and (math.isnan(reference.low) or reference.low > NEAREST_ZERO * reference.mean)


def _relative_effects(comparison: StudyComparison) -> dict[Key, Estimate]:
    """Return the relative changes of the tasks whose metric is a distance, by the keys of their cells."""
    wanted = (
        row for row in _main_verdicts(comparison) if unit_of(row.metric) == "relative" and not math.isnan(row.relative)
    )
    found: dict[Key, Estimate] = {}
    for rows in group_rows(wanted, lambda row: row.task).values():
        tables: dict[Key, Array] = {}
        scales: dict[Key, float | int] = {}
        for row in rows:
            joint = comparison.weighted_sums.of_differences([{row.cell: 1.0}], "relative")
            if joint is not None:
                tables[row.key], scales[row.key] = joint[0].table, row.scale
        if tables:
            # Groupings of one scale share the reference's runs.
            pooled = pooled_estimates(tables, scales)
            found |= {key: difference.estimate for key, difference in pooled.items()}
    return found


def _main_verdicts(comparison: StudyComparison) -> list[CellVerdict]:
    """Return the verdicts on main metrics of the study's first variant."""
    first = next(iter(comparison.study.variants))
    return [row for row in comparison.verdicts if row.main and row.variant == first]
