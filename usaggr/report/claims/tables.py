"""Quantities of the paper's claims, estimated from a sweep's differences, or the reason why a sweep has none."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.row_tables import group_rows
from usaggr.analysis.weighted_sums import (
    NOT_ESTIMATED,
    ComparedCells,
    SumEstimate,
    Weights,
    add_weights,
    list_cells,
    make_mean_weights,
    scale_weights,
)
from usaggr.document.display_names import grouping_label, listed, scale_label
from usaggr.report.scale.slopes import CONFOUNDED, Between, Slope, group_sizes
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics import claims as rules
from usaggr.statistics.claims import Claim, Quantity
from usaggr.statistics.group_spread import spread_difference

_GROUPINGS = ("clinical", "unified")
_REFERENCE = "task_specific"
"""The paper's reference grouping."""


def make_claims(
    study: StudyFacts, compared: ComparedCells, slopes: Sequence[Slope], between: Sequence[Between]
) -> dict[str, tuple[Claim, ...]]:
    """Return claims (a) to (d) for each variant.

    Args:
        study: Settings of the study.
        compared: Cells that have a difference, and all planned cells.
        slopes: Result of `slopes.slopes`.
        between: Result of `slopes.between`.
    """
    claims = {}
    for variant in study.variants:
        cells, planned = (
            [cell for cell in group if cell.variant == variant] for group in (compared.cells, compared.planned)
        )
        sweep = _Sweep(
            study,
            replace(compared, cells=cells, planned=planned),
            [row for row in slopes if row.variant == variant],
            [row for row in between if row.variant == variant],
        )
        claims[variant] = tuple(_claims(sweep))
    return claims


@dataclass(frozen=True)
class _Sweep:
    """One variant of a sweep."""

    study: StudyFacts
    compared: ComparedCells
    slopes: Sequence[Slope]
    between: Sequence[Between]

    @property
    def largest(self) -> float | int:
        return max(self.study.scales)

    def cells(self, grouping: str, scale: float | int) -> list[CellVerdict]:
        """Return the cells of a grouping at a scale that have a difference in skill."""
        return [row for row in self.compared.select("skill") if (row.grouping, row.scale) == (grouping, scale)]

    def mismatch(self, *groupings: str) -> str:
        """Return why this sweep does not contain the paper's comparison; empty if it does."""
        if self.study.reference != _REFERENCE:
            return f"not tested by this sweep: its reference is {self.study.reference}, not {_REFERENCE}"
        missing = [name for name in groupings if name not in self.study.groupings]
        return f"not tested by this sweep: no grouping {' and '.join(missing)}" if missing else ""

    def estimate(
        self, setting: tuple[float | int, str], weigh: Callable[[Sequence[CellVerdict]], Weights]
    ) -> SumEstimate:
        """Return a weighted sum over the cells of one scale and grouping.

        The variance between seeds is pooled with that of the same sums at all other scales and groupings.

        Args:
            setting: Scale and grouping.
            weigh: Returns the weights of cells.
        """
        settings = group_rows(self.compared.select("skill"), lambda row: (row.scale, row.grouping))
        sums = {key: weigh(cells) for key, cells in settings.items()}
        return self.compared.estimate({key: weights for key, weights in sums.items() if weights}, "skill")[setting]

    def missing_evidence(self, *means: SumEstimate) -> str:
        """Return why the intervals do not suffice for a claim; empty if they do."""
        seeds = min(mean.seeds for mean in means)
        if seeds == 0:
            return "the finished runs have no seed in common"
        if seeds == 1:
            reason = "not tested by this sweep: one seed" if len(self.study.seeds) == 1 else "only one seed is finished"
            return f"{reason}, so the variation between training runs is not available"
        if not all(mean.has_predictions for mean in means):
            return "some runs have no predictions, so the variation between test patients is not available"
        if not all(mean.mean.is_estimated for mean in means):
            return "no seed and no test patient differs, so there is no interval"
        return ""


def _claims(sweep: _Sweep) -> Iterator[Claim]:
    for grouping in _GROUPINGS:
        yield _scale_within(sweep, grouping)
    for grouping in _GROUPINGS:
        yield _scale_between(sweep, grouping)
    yield _rich_within(sweep)
    yield _rich_between(sweep)
    yield _consistency(sweep)
    for grouping in _GROUPINGS:
        yield _types(sweep, grouping)


def _scale_within(sweep: _Sweep, grouping: str) -> Claim:
    about = f"{grouping_label(grouping)}, within tasks"
    estimand = (
        f"Mean over tasks of the slope of the difference in skill between {grouping_label(grouping)} and TS on log10 "
        "of training samples, by least squares over a task's scales."
    )
    unit = "skill per tenfold training samples"
    row = next((r for r in sweep.slopes if (r.grouping, r.unit, r.level) == (grouping, "skill", "all")), None)
    why = sweep.mismatch(grouping)
    if not why and len(sweep.study.scales) == 1:
        why = "not tested by this sweep: one scale"
    if not why and row is None:
        why = "no task has finished runs at two scales that differ enough"
    if why or row is None:
        return rules.make_undecided("a", about, estimand, unit, why)
    why = sweep.missing_evidence(SumEstimate(row.slope, row.seeds, row.has_predictions))
    if why:
        return rules.make_undecided("a", about, estimand, unit, why, row.slope)
    return rules.decide_scale_dependence(about, estimand, row.slope)


def _scale_between(sweep: _Sweep, grouping: str) -> Claim:
    about = f"{grouping_label(grouping)}, between clinical groups (confounded)"
    estimand = (
        f"Slope over clinical groups of the mean difference in skill between {grouping_label(grouping)} and TS on "
        f"log10 of the group's training samples, {scale_label(sweep.largest)}."
    )
    unit = "skill per tenfold training samples"
    key = (grouping, "skill", "clinical groups")
    trend = next((row.association for row in sweep.between if (row.grouping, row.unit, row.over) == key), None)
    why = sweep.mismatch(grouping)
    if not why and (trend is None or not np.isfinite(trend.slope)):
        points = 0 if trend is None else trend.points
        why = f"only {points} clinical groups of different sizes are compared; 4 are needed"
    if why or trend is None:
        return rules.make_undecided("a", about, estimand, unit, why)
    slope = Quantity(trend.slope, trend.low, trend.high)
    return rules.decide_scale_dependence(about, estimand, slope, remark=CONFOUNDED)


def _rich_within(sweep: _Sweep) -> Claim:
    about = "CG, within tasks"
    smallest = min(sweep.study.scales)
    estimand = (
        f"Mean difference in skill between CG and TS over the same tasks: rich is {scale_label(sweep.largest)}, scarce "
        f"is {scale_label(smallest)}."
    )
    why = sweep.mismatch("clinical")
    if not why and len(sweep.study.scales) == 1:
        why = "not tested by this sweep: one scale"
    rich, scarce = sweep.cells("clinical", sweep.largest), sweep.cells("clinical", smallest)
    tasks = {cell.task for cell in rich} & {cell.task for cell in scarce}
    if not why and not tasks:
        why = "no task is compared at both the largest and the smallest scale"
    if why:
        return rules.make_undecided("b", about, estimand, "skill", why)
    weigh = partial(_mean_in, group_of=_task, names=tasks)
    sums = [sweep.estimate((scale, "clinical"), weigh) for scale in (sweep.largest, smallest)]
    return _rich_and_scarce(sweep, about, estimand, sums[0], sums[1], "")


def _rich_between(sweep: _Sweep) -> Claim:
    about = "CG, between clinical groups (confounded)"
    estimand = (
        "Mean difference in skill between CG and TS over the tasks of a clinical group, "
        f"{scale_label(sweep.largest)}: rich is the group with most training samples, scarce that with fewest."
    )
    why = sweep.mismatch("clinical")
    cells = sweep.cells("clinical", sweep.largest)
    compared = {cell.clinical_group for cell in cells}
    # A group's size counts all its tasks, also those without a comparison, as in the paper.
    all_sizes = group_sizes(sweep.compared.planned, sweep.largest)
    sizes = {group: size for group, size in all_sizes.items() if group in compared}
    if not why and len(compared) < 2:
        why = "fewer than two clinical groups are compared"
    if not why and len(set(sizes.values())) < 2:
        why = "all compared clinical groups have the same size"
    if why:
        return rules.make_undecided("b", about, estimand, "skill", why)
    ends = [[group for group, size in sizes.items() if size == end(sizes.values())] for end in (max, min)]
    weights = [partial(_mean_in, group_of=_clinical_group, names=names) for names in ends]
    sums = [sweep.estimate((sweep.largest, "clinical"), weigh) for weigh in weights]
    groups = [f"{listed(names)} ({sizes[names[0]]:,.0f} training samples)" for names in ends]
    remark = f"rich is {groups[0]}, scarce is {groups[1]}; {CONFOUNDED}"
    return _rich_and_scarce(sweep, about, estimand, sums[0], sums[1], remark)


def _rich_and_scarce(
    sweep: _Sweep, about: str, estimand: str, rich: SumEstimate, scarce: SumEstimate, remark: str
) -> Claim:
    why = sweep.missing_evidence(rich, scarce)
    if why:
        return rules.make_undecided("b", about, estimand, "skill", why, scarce.mean)
    return rules.decide_rich_and_scarce(about, estimand, rich.mean, scarce.mean, sweep.study.margin, remark)


def _consistency(sweep: _Sweep) -> Claim:
    about = "CG against AU"
    estimand = (
        "Standard deviation over clinical groups of the true mean difference in skill from TS, under CG minus under "
        f"AU, over the same tasks, {scale_label(sweep.largest)}."
    )
    why = sweep.mismatch(*_GROUPINGS)
    sides = [sweep.cells(grouping, sweep.largest) for grouping in _GROUPINGS]
    tasks = {cell.task for cell in sides[0]} & {cell.task for cell in sides[1]}
    sides = [[cell for cell in side if cell.task in tasks] for side in sides]
    if not why and len({cell.clinical_group for cell in sides[0]}) < 2:
        few = len({cell.clinical_group for cell in sweep.compared.planned}) < 2
        why = "not tested by this sweep: one clinical group" if few else "fewer than two clinical groups are compared"
    if why:
        return rules.make_undecided("c", about, estimand, "skill", why)
    groups = [members for side in sides for _, members in sorted(group_rows(side, _clinical_group).items())]
    sums = [make_mean_weights(list_cells(members)) for members in groups]
    joint = sweep.compared.sums.sum_differences(sums, "skill")
    estimate = SumEstimate(NOT_ESTIMATED, 0, False)
    if joint is not None:
        values = np.stack([group.table for group in joint])
        first, second = values[: len(sums) // 2], values[len(sums) // 2 :]
        difference = Quantity(*spread_difference(first, second, sweep.compared.confidence))
        estimate = SumEstimate(difference, len(joint[0].seeds), joint[0].has_predictions)
    why = sweep.missing_evidence(estimate)
    if why:
        return rules.make_undecided("c", about, estimand, "skill", why, estimate.mean)
    return rules.decide_consistency(
        about, estimand, estimate.mean, f"{len(sums) // 2} clinical groups, {len(tasks)} tasks"
    )


def _types(sweep: _Sweep, grouping: str) -> Claim:
    about = grouping_label(grouping)
    estimand = (
        f"Mean difference in skill between {about} and TS over segmentation tasks minus that over the tasks of each "
        f"other type, {scale_label(sweep.largest)}."
    )
    cells = sweep.cells(grouping, sweep.largest)
    means = list(group_rows(cells, _task_type))
    why = sweep.mismatch(grouping)
    planned = {cell.task_type for cell in sweep.compared.planned}
    if not why and (len(means) < 2 or "segmentation" not in means):
        missing = "one task type" if len(planned) == 1 else "no segmentation"
        is_planned = "segmentation" in planned and len(planned) > 1
        why = (
            "segmentation and another type are not both compared"
            if is_planned
            else f"not tested by this sweep: {missing}"
        )
    if why:
        return rules.make_undecided("d", about, estimand, "skill", why)
    setting = (sweep.largest, grouping)
    segmentation = sweep.estimate(setting, partial(_gap, other=None))
    types = [name for name in means if name != "segmentation"]
    gaps = {name: sweep.estimate(setting, partial(_gap, other=name)) for name in types}
    why = sweep.missing_evidence(segmentation, *gaps.values())
    if why:
        available = [gap.mean for gap in gaps.values() if np.isfinite(gap.mean.value)]
        nearest = max(available, key=lambda gap: gap.value, default=None)
        return rules.make_undecided("d", about, estimand, "skill", why, nearest)
    return rules.decide_type_sensitivity(
        about, estimand, segmentation.mean, {name: gap.mean for name, gap in gaps.items()}
    )


def _gap(cells: Sequence[CellVerdict], other: str | None) -> Weights:
    """Return the mean over segmentation tasks minus that over another type's; empty if either type has no task."""
    sides = [_mean_in(cells, _task_type, [name]) for name in ("segmentation", other) if name is not None]
    return add_weights(sides[0], *(scale_weights(side, -1) for side in sides[1:])) if all(sides) else {}


def _mean_in(cells: Sequence[CellVerdict], group_of: Callable[[CellVerdict], str], names: Collection[str]) -> Weights:
    """Return the mean over the cells of these groups."""
    return make_mean_weights(list_cells(cell for cell in cells if group_of(cell) in names))


def _task(cell: CellVerdict) -> str:
    return cell.task


def _task_type(cell: CellVerdict) -> str:
    return cell.task_type


def _clinical_group(cell: CellVerdict) -> str:
    return cell.clinical_group
