"""Quantities of the paper's claims, estimated from a sweep's differences, or the reason why a sweep has none."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
from usaggr.document.display_names import grouping_label, join_names, scale_label
from usaggr.report.scale.sign_changes import GroupingSignChange, estimate_sign_changes
from usaggr.report.scale.slopes import (
    CONFOUNDED,
    TRANSFORMED,
    BetweenTrend,
    Slope,
    estimate_slopes,
    leave_out_floor,
    sum_group_sizes,
)
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics import claims as rules
from usaggr.statistics.claims import Claim, Quantity
from usaggr.statistics.group_sd import estimate_group_sd_difference

_GROUPINGS = ("clinical", "unified")
"""Groupings that the paper compares with its reference: CG and AU."""
_REFERENCE = "task_specific"
"""The paper's reference grouping."""


def make_claims(
    study: StudyFacts, compared: ComparedCells, slopes: Sequence[Slope], between: Sequence[BetweenTrend]
) -> dict[str, tuple[Claim, ...]]:
    """Return claims (a) to (d) for each variant.

    Args:
        study: Settings of the study.
        compared: Cells that have a difference, and all planned cells.
        slopes: Result of `estimate_slopes`.
        between: Result of `estimate_between`.
    """
    claims = {}
    # A difference that appears only as models leave the floor says nothing about sharing.
    above_floor = leave_out_floor(compared)
    at_floor = {cell.key for cell in compared.cells} - {cell.key for cell in above_floor.cells}
    if at_floor:
        slopes = estimate_slopes(above_floor, levels=["all"])
    changes = estimate_sign_changes(compared)
    for variant in study.variants:
        variant_cells = replace(
            compared,
            cells=[cell for cell in compared.cells if cell.variant == variant],
            planned=[cell for cell in compared.planned if cell.variant == variant],
        )
        sweep = _Sweep(
            study,
            variant_cells,
            [row for row in slopes if row.variant == variant],
            [row for row in between if row.variant == variant],
            [row for row in changes if row.variant == variant],
            Counter(grouping for of_variant, _, grouping, *_ in at_floor if of_variant == variant),
        )
        claims[variant] = tuple(_test_claims(sweep))
    return claims


@dataclass(frozen=True)
class _Sweep:
    """One variant of a sweep."""

    study: StudyFacts
    compared: ComparedCells
    slopes: Sequence[Slope]
    """Slopes without the cells at the floor."""
    between: Sequence[BetweenTrend]
    sign_changes: Sequence[GroupingSignChange]
    at_floor: Mapping[str, int]
    """Number of cells at the floor, by grouping."""

    @property
    def largest(self) -> float | int:
        """Largest scale of the study."""
        return max(self.study.scales)

    def select_cells(self, grouping: str, scale: float | int) -> list[CellVerdict]:
        """Return the cells of a grouping at a scale that have a difference in skill."""
        return [row for row in self.compared.select("skill") if (row.grouping, row.scale) == (grouping, scale)]

    def explain_mismatch(self, *groupings: str) -> str:
        """Return why this sweep does not contain the paper's comparison; empty if it does."""
        if self.study.reference != _REFERENCE:
            return f"not tested by this sweep: its reference is {self.study.reference}, not {_REFERENCE}"
        missing = [name for name in groupings if name not in self.study.groupings]
        return f"not tested by this sweep: no grouping {' and '.join(missing)}" if missing else ""

    def estimate(
        self, setting: tuple[float | int, str], weigh: Callable[[Sequence[CellVerdict]], Weights]
    ) -> SumEstimate:
        """Return a weighted sum over the cells of one scale and grouping.

        The variance between seeds is moderated with those of the same sums at all other scales and groupings.

        Args:
            setting: Scale and grouping.
            weigh: Returns the weights of cells.
        """
        settings = group_rows(self.compared.select("skill"), lambda row: (row.scale, row.grouping))
        sums = {key: weigh(cells) for key, cells in settings.items()}
        # A setting without any weighted cell, such as one without tasks of a type, has no sum.
        return self.compared.estimate({key: weights for key, weights in sums.items() if weights}, "skill")[setting]

    def explain_missing_evidence(self, *estimates: SumEstimate) -> str:
        """Return why the intervals do not suffice for a claim; empty if they do."""
        seeds = min(estimate.seeds for estimate in estimates)
        if seeds == 0:
            return "the finished runs have no seed in common"
        if seeds == 1:
            reason = "not tested by this sweep: one seed" if len(self.study.seeds) == 1 else "only one seed is finished"
            return f"{reason}, so the variation between training runs is not available"
        if not all(estimate.has_predictions for estimate in estimates):
            return "some runs have no predictions, so the variation between test patients is not available"
        if not all(estimate.quantity.is_estimated for estimate in estimates):
            return "no seed and no test patient differs, so there is no interval"
        return ""


def _test_claims(sweep: _Sweep) -> Iterator[Claim]:
    """Yield the claims in the order of the page: (a) to (d), within tasks before between clinical groups."""
    for grouping in _GROUPINGS:
        yield _test_scale_within(sweep, grouping)
    for grouping in _GROUPINGS:
        yield _test_scale_between(sweep, grouping)
    yield _test_rich_within(sweep)
    yield _test_rich_between(sweep)
    yield _test_consistency(sweep)
    for grouping in _GROUPINGS:
        yield _test_types(sweep, grouping)


def _test_scale_within(sweep: _Sweep, grouping: str) -> Claim:
    """Test claim (a) within tasks: by the slopes of each task over its scales, and by a change of sign."""
    comparison = f"{grouping_label(grouping)}, within tasks"
    estimand = (
        f"Mean over tasks of the slope of the difference in skill between {grouping_label(grouping)} and TS on log10 "
        "of training samples, by least squares over a task's scales; and the same in log error and log skill."
    )
    by_unit = {row.unit: row for row in sweep.slopes if (row.grouping, row.level) == (grouping, "all")}
    row = by_unit.get("skill")
    reason = sweep.explain_mismatch(grouping)
    if not reason and len(sweep.study.scales) == 1:
        reason = "not tested by this sweep: one scale"
    if not reason and row is None:
        reason = "no task has finished runs at two scales that differ enough"
        if sweep.at_floor.get(grouping):
            reason += ", apart from scales at which neither model has learned the task"
    # A missing row always has a reason; the second condition is for the type checker.
    if reason or row is None:
        return rules.make_undecided("a", comparison, estimand, rules.SLOPE_UNIT, reason)
    reason = sweep.explain_missing_evidence(SumEstimate(row.slope, row.seeds, row.has_predictions))
    if reason:
        return rules.make_undecided("a", comparison, estimand, rules.SLOPE_UNIT, reason, row.slope)
    change = next((r.change for r in sweep.sign_changes if r.grouping == grouping), None)
    transformed = {
        name: by_unit[unit].slope if unit in by_unit else NOT_ESTIMATED for unit, name in TRANSFORMED.items()
    }
    n_tasks = by_unit["log_error"].tasks if "log_error" in by_unit else 0
    remarks = [f"log error over {n_tasks} of {row.tasks} tasks, those without a perfect score"]
    remarks = remarks if n_tasks < row.tasks else []
    if sweep.at_floor.get(grouping):
        remarks.append(f"without {sweep.at_floor[grouping]} cells in which neither model has learned the task")
    return rules.decide_scale_dependence(
        comparison, estimand, row.slope, transformed, change, remark="; ".join(remarks)
    )


def _test_scale_between(sweep: _Sweep, grouping: str) -> Claim:
    """Test claim (a) as the paper does: by the slope over clinical groups of different size."""
    comparison = f"{grouping_label(grouping)}, between clinical groups (confounded)"
    estimand = (
        f"Slope over clinical groups of the mean difference in skill between {grouping_label(grouping)} and TS on "
        f"log10 of the group's training samples, {scale_label(sweep.largest)}."
    )
    key = (grouping, "skill", "clinical groups")
    trend = next((row.association for row in sweep.between if (row.grouping, row.unit, row.over) == key), None)
    reason = sweep.explain_mismatch(grouping)
    if not reason and (trend is None or not np.isfinite(trend.slope)):
        points = 0 if trend is None else trend.points
        reason = f"only {points} clinical groups of different sizes are compared; 4 are needed"
    if reason or trend is None:
        return rules.make_undecided("a", comparison, estimand, rules.SLOPE_UNIT, reason)
    # Clinical groups are treated as an independent sample, so neither seeds nor test subjects are needed here.
    slope = Quantity(trend.slope, trend.low, trend.high)
    return rules.describe_confounded_scale_dependence(comparison, estimand, slope, remark=CONFOUNDED)


def _test_rich_within(sweep: _Sweep) -> Claim:
    """Test claim (b) within tasks: by the same tasks at the largest and at the smallest scale."""
    comparison = "CG, within tasks"
    smallest = min(sweep.study.scales)
    estimand = (
        f"Mean difference in skill between CG and TS over the same tasks: rich is {scale_label(sweep.largest)}, scarce "
        f"is {scale_label(smallest)}."
    )
    reason = sweep.explain_mismatch("clinical")
    if not reason and len(sweep.study.scales) == 1:
        reason = "not tested by this sweep: one scale"
    rich, scarce = sweep.select_cells("clinical", sweep.largest), sweep.select_cells("clinical", smallest)
    tasks = {cell.task for cell in rich} & {cell.task for cell in scarce}
    if not reason and not tasks:
        reason = "no task is compared at both the largest and the smallest scale"
    if reason:
        return rules.make_undecided("b", comparison, estimand, "skill", reason)
    weigh = partial(_average_groups, get_group=_get_task, names=tasks)
    rich_mean, scarce_mean = (sweep.estimate((scale, "clinical"), weigh) for scale in (sweep.largest, smallest))
    return _compare_rich_and_scarce(sweep, comparison, estimand, rich_mean, scarce_mean)


def _test_rich_between(sweep: _Sweep) -> Claim:
    """Test claim (b) as the paper does: by the largest and the smallest clinical group."""
    comparison = "CG, between clinical groups (confounded)"
    estimand = (
        "Mean difference in skill between CG and TS over the tasks of a clinical group, "
        f"{scale_label(sweep.largest)}: rich is the group with most training samples, scarce that with fewest."
    )
    reason = sweep.explain_mismatch("clinical")
    cells = sweep.select_cells("clinical", sweep.largest)
    compared = {cell.clinical_group for cell in cells}
    # A group's size counts all its tasks, also those without a comparison, as in the paper.
    all_sizes = sum_group_sizes(sweep.compared.planned, sweep.largest)
    sizes = {group: size for group, size in all_sizes.items() if group in compared}
    if not reason and len(compared) < 2:
        reason = "fewer than two clinical groups are compared"
    if not reason and len(set(sizes.values())) < 2:
        reason = "all compared clinical groups have the same size"
    if reason:
        return rules.make_undecided("b", comparison, estimand, "skill", reason)
    # Several groups may have the same size.
    richest = [group for group, size in sizes.items() if size == max(sizes.values())]
    scarcest = [group for group, size in sizes.items() if size == min(sizes.values())]
    estimates, descriptions = [], []
    for names in (richest, scarcest):
        weigh = partial(_average_groups, get_group=_get_clinical_group, names=names)
        estimates.append(sweep.estimate((sweep.largest, "clinical"), weigh))
        descriptions.append(f"{join_names(names)} ({sizes[names[0]]:,.0f} training samples)")
    confounding = f"rich is {descriptions[0]}, scarce is {descriptions[1]}; {CONFOUNDED}"
    return _compare_rich_and_scarce(sweep, comparison, estimand, estimates[0], estimates[1], confounding)


def _compare_rich_and_scarce(
    sweep: _Sweep, comparison: str, estimand: str, rich: SumEstimate, scarce: SumEstimate, confounding: str = ""
) -> Claim:
    """Decide claim (b), if there is enough evidence.

    Args:
        sweep: The sweep.
        comparison: Grouping and estimation method.
        estimand: Estimated quantity.
        rich: Mean difference for rich training data.
        scarce: Mean difference for scarce training data.
        confounding: What rich and scarce are, if they differ in more than the amount of data.
    """
    reason = sweep.explain_missing_evidence(rich, scarce)
    if reason:
        return rules.make_undecided("b", comparison, estimand, "skill", reason, scarce.quantity)
    return rules.decide_rich_and_scarce(
        comparison,
        estimand,
        rich.quantity,
        scarce.quantity,
        sweep.study.margin,
        confounding,
        is_confounded=bool(confounding),
    )


def _test_consistency(sweep: _Sweep) -> Claim:
    """Test claim (c): by the standard deviation between clinical groups under CG, minus that under AU."""
    comparison = "CG against AU"
    estimand = (
        "Standard deviation over clinical groups of the true mean difference in skill from TS, under CG minus under "
        f"AU, over the same tasks, {scale_label(sweep.largest)}."
    )
    reason = sweep.explain_mismatch(*_GROUPINGS)
    cells = [sweep.select_cells(grouping, sweep.largest) for grouping in _GROUPINGS]
    tasks = {cell.task for cell in cells[0]} & {cell.task for cell in cells[1]}
    common_cells = [[cell for cell in grouping_cells if cell.task in tasks] for grouping_cells in cells]
    n_groups = len({cell.clinical_group for cell in common_cells[0]})
    if not reason and n_groups < 2:
        reason = "fewer than two clinical groups are compared"
        if len({cell.clinical_group for cell in sweep.compared.planned}) < 2:
            reason = "not tested by this sweep: one clinical group"
    if reason:
        return rules.make_undecided("c", comparison, estimand, "skill", reason)
    # First the clinical groups under CG, then the same groups under AU.
    sums = [
        make_mean_weights(list_cells(members))
        for grouping_cells in common_cells
        for _, members in sorted(group_rows(grouping_cells, _get_clinical_group).items())
    ]
    joint = sweep.compared.sums.sum_differences(sums, "skill")
    estimate = SumEstimate(NOT_ESTIMATED, 0, False)
    if joint is not None:
        values = np.stack([group.table for group in joint])
        sd_difference = estimate_group_sd_difference(values[:n_groups], values[n_groups:], sweep.compared.confidence)
        estimate = SumEstimate(Quantity(*sd_difference), len(joint[0].seeds), joint[0].has_predictions)
    reason = sweep.explain_missing_evidence(estimate)
    if reason:
        return rules.make_undecided("c", comparison, estimand, "skill", reason, estimate.quantity)
    return rules.decide_consistency(
        comparison, estimand, estimate.quantity, f"{n_groups} clinical groups, {len(tasks)} tasks"
    )


def _test_types(sweep: _Sweep, grouping: str) -> Claim:
    """Test claim (d): by the mean over segmentation tasks, minus that over each other type."""
    comparison = grouping_label(grouping)
    estimand = (
        f"Mean difference in skill between {comparison} and TS over segmentation tasks minus that over the tasks of "
        f"each other type, {scale_label(sweep.largest)}."
    )
    cells = sweep.select_cells(grouping, sweep.largest)
    type_names = list(group_rows(cells, _get_task_type))
    reason = sweep.explain_mismatch(grouping)
    planned = {cell.task_type for cell in sweep.compared.planned}
    if not reason and (len(type_names) < 2 or "segmentation" not in type_names):
        if "segmentation" in planned and len(planned) > 1:
            reason = "segmentation and another type are not both compared"
        else:
            reason = f"not tested by this sweep: {'one task type' if len(planned) == 1 else 'no segmentation'}"
    if reason:
        return rules.make_undecided("d", comparison, estimand, "skill", reason)
    setting = (sweep.largest, grouping)
    segmentation = sweep.estimate(setting, partial(_compare_types, other=None))
    other_types = [name for name in type_names if name != "segmentation"]
    gaps = {name: sweep.estimate(setting, partial(_compare_types, other=name)) for name in other_types}
    reason = sweep.explain_missing_evidence(segmentation, *gaps.values())
    if reason:
        available = [gap.quantity for gap in gaps.values() if np.isfinite(gap.quantity.value)]
        # The claim needs every difference below zero, so the largest one is shown.
        nearest = max(available, key=lambda gap: gap.value, default=None)
        return rules.make_undecided("d", comparison, estimand, "skill", reason, nearest)
    return rules.decide_type_sensitivity(
        comparison, estimand, segmentation.quantity, {name: gap.quantity for name, gap in gaps.items()}
    )


def _compare_types(cells: Sequence[CellVerdict], other: str | None) -> Weights:
    """Return the weights of the mean over segmentation tasks, minus that over the tasks of another type.

    Args:
        cells: Cells of one grouping and scale.
        other: The other type; None for the mean over segmentation tasks alone.

    Returns:
        Weight of each cell; empty if one of the types has no task.
    """
    segmentation = _average_groups(cells, _get_task_type, ["segmentation"])
    if other is None:
        return segmentation
    subtracted = _average_groups(cells, _get_task_type, [other])
    return add_weights(segmentation, scale_weights(subtracted, -1)) if segmentation and subtracted else {}


def _average_groups(
    cells: Sequence[CellVerdict], get_group: Callable[[CellVerdict], str], names: Collection[str]
) -> Weights:
    """Return the weights of the mean over the cells of these groups."""
    return make_mean_weights(list_cells(cell for cell in cells if get_group(cell) in names))


def _get_task(cell: CellVerdict) -> str:
    return cell.task


def _get_task_type(cell: CellVerdict) -> str:
    return cell.task_type


def _get_clinical_group(cell: CellVerdict) -> str:
    return cell.clinical_group
