"""Turns a sweep's differences into the quantities of the paper's claims, or says why this sweep has none."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import partial

import numpy as np
import pandas as pd

from usaggr.analysis.weighted_sums import UNKNOWN, Compared, Found, Weights, cells_in, combined, mean_of, scaled
from usaggr.document.display_names import grouping_label, listed, scale_label
from usaggr.report.scale.slopes import CONFOUNDED, group_sizes
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics import claims as rules
from usaggr.statistics.claims import Claim, Quantity
from usaggr.statistics.group_spread import spread_difference

CLAIM_COLUMNS = ("variant", *(field.name for field in fields(Claim)))
_GROUPINGS = ("clinical", "unified")
_REFERENCE = "task_specific"
"""What the paper compares with."""


def make_claims(study: StudyFacts, compared: Compared, slopes: pd.DataFrame, between: pd.DataFrame) -> pd.DataFrame:
    """Claims (a) to (d) for each variant; columns CLAIM_COLUMNS.

    Args:
        study: what was asked for.
        compared: cells that count.
        slopes: from `scale_effects.slopes`.
        between: from `scale_effects.between`.
    """
    rows = []
    for variant in study.variants:
        own = replace(compared, cells=_of(compared.cells, variant), planned=_of(compared.planned, variant))
        sweep = _Sweep(study, own, _of(slopes, variant), _of(between, variant))
        rows += [{"variant": variant, **asdict(claim)} for claim in _claims(sweep)]
    return pd.DataFrame(rows, columns=list(CLAIM_COLUMNS))


@dataclass(frozen=True)
class _Sweep:
    """One variant of a sweep."""

    study: StudyFacts
    compared: Compared
    slopes: pd.DataFrame
    between: pd.DataFrame

    @property
    def largest(self) -> float | int:
        return max(self.study.scales)

    def cells(self, grouping: str, scale: float | int | None = None) -> pd.DataFrame:
        """Cells of a grouping that have a difference of skill; at one scale, or at all."""
        known = self.compared.of("skill")
        known = known[known["grouping"] == grouping]
        return known if scale is None else known[known["scale"] == scale]

    def unasked(self, *groupings: str) -> str:
        """Why the paper's comparison is not that of this sweep; empty: it is."""
        if self.study.reference != _REFERENCE:
            return f"not asked by this sweep: its reference is {self.study.reference}, not {_REFERENCE}"
        missing = [name for name in groupings if name not in self.study.groupings]
        return f"not asked by this sweep: no grouping {' and '.join(missing)}" if missing else ""

    def estimate(self, at: tuple[float | int, str], weigh: Callable[[pd.DataFrame], Weights]) -> Found:
        """A sum over the cells of a scale and grouping, weighed by a function of them.

        The same sums of all other scales and groupings lend it their variance between seeds.
        """
        known = self.compared.of("skill")
        keys = zip(known["scale"], known["grouping"], strict=True)
        sums = {(scale, name): weigh(self.cells(name, scale)) for scale, name in dict.fromkeys(keys)}
        return self.compared.estimate({key: weights for key, weights in sums.items() if weights}, "skill")[at]

    def unsure(self, *means: Found) -> str:
        """Why intervals do not say all that a claim needs; empty: they do."""
        seeds = min(found.seeds for found in means)
        if seeds == 0:
            return "the finished runs have no seed in common"
        if seeds == 1:
            asked = "not asked by this sweep: one seed" if len(self.study.seeds) == 1 else "only one seed is done"
            return f"{asked}, which does not tell how training varies"
        if not all(found.whole for found in means):
            return "some runs have no predictions, so that chance by test subjects is not known"
        if not all(found.mean.known for found in means):
            return "no seed and no test subject differs, so that there is no interval"
        return ""


def _of(table: pd.DataFrame, variant: str) -> pd.DataFrame:
    return table[table["variant"] == variant]


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
    chosen = sweep.slopes[(sweep.slopes["grouping"] == grouping) & (sweep.slopes["unit"] == "skill")]
    row = chosen[chosen["level"] == "all"]
    why = sweep.unasked(grouping)
    if not why and len(sweep.study.scales) == 1:
        why = "not asked by this sweep: one scale"
    if not why and row.empty:
        why = "no task is done at two scales that differ enough"
    if why:
        return rules.undecided("a", about, estimand, unit, why)
    slope = Quantity(*(float(row[name].iloc[0]) for name in ("slope", "low", "high", "p")))
    why = sweep.unsure(Found(slope, int(row["seeds"].iloc[0]), bool(row["whole"].iloc[0])))
    if why:
        return rules.undecided("a", about, estimand, unit, why, slope)
    return rules.scale_dependence(about, estimand, slope)


def _scale_between(sweep: _Sweep, grouping: str) -> Claim:
    about = f"{grouping_label(grouping)}, between clinical groups (confounded)"
    estimand = (
        f"Slope over clinical groups of the mean difference in skill between {grouping_label(grouping)} and TS on "
        f"log10 of the group's training samples, {scale_label(sweep.largest)}."
    )
    unit = "skill per tenfold training samples"
    chosen = sweep.between[(sweep.between["grouping"] == grouping) & (sweep.between["unit"] == "skill")]
    row = chosen[chosen["over"] == "clinical groups"]
    why = sweep.unasked(grouping)
    if not why and (row.empty or not np.isfinite(float(row["slope"].iloc[0]))):
        points = 0 if row.empty else int(row["points"].iloc[0])
        why = f"{points} clinical groups of different sizes are compared; 4 are needed"
    if why:
        return rules.undecided("a", about, estimand, unit, why)
    slope = Quantity(*(float(row[name].iloc[0]) for name in ("slope", "low", "high")))
    return rules.scale_dependence(about, estimand, slope, remark=CONFOUNDED)


def _rich_within(sweep: _Sweep) -> Claim:
    about = "CG, within tasks"
    smallest = min(sweep.study.scales)
    estimand = (
        f"Mean difference in skill between CG and TS over the same tasks: rich is {scale_label(sweep.largest)}, scarce "
        f"is {scale_label(smallest)}."
    )
    why = sweep.unasked("clinical")
    if not why and len(sweep.study.scales) == 1:
        why = "not asked by this sweep: one scale"
    rich, scarce = sweep.cells("clinical", sweep.largest), sweep.cells("clinical", smallest)
    both = set(rich["task"]) & set(scarce["task"])
    if not why and not both:
        why = "no task is compared at both the largest and the smallest scale"
    if why:
        return rules.undecided("b", about, estimand, "skill", why)
    weigh = partial(_mean_in, column="task", names=both)
    sums = [sweep.estimate((scale, "clinical"), weigh) for scale in (sweep.largest, smallest)]
    return _rich_and_scarce(sweep, about, estimand, sums[0], sums[1], "")


def _rich_between(sweep: _Sweep) -> Claim:
    about = "CG, between clinical groups (confounded)"
    estimand = (
        "Mean difference in skill between CG and TS over the tasks of a clinical group, "
        f"{scale_label(sweep.largest)}: rich is the group with most training samples, scarce that with fewest."
    )
    why = sweep.unasked("clinical")
    cells = sweep.cells("clinical", sweep.largest)
    sizes = group_sizes(sweep.compared.planned, sweep.largest).reindex(cells["clinical_group"].unique()).sort_index()
    if not why and len(sizes) < 2:
        why = "under two clinical groups are compared"
    if not why and sizes.min() == sizes.max():
        why = "all clinical groups that are compared are of one size"
    if why:
        return rules.undecided("b", about, estimand, "skill", why)
    ends = [sizes.index[sizes == size].map(str).tolist() for size in (sizes.max(), sizes.min())]
    weights = [partial(_mean_in, column="clinical_group", names=names) for names in ends]
    sums = [sweep.estimate((sweep.largest, "clinical"), weigh) for weigh in weights]
    told = [f"{listed(names)} ({sizes[names[0]]:,.0f} training samples)" for names in ends]
    remark = f"rich is {told[0]}, scarce {told[1]}; {CONFOUNDED}"
    return _rich_and_scarce(sweep, about, estimand, sums[0], sums[1], remark)


def _rich_and_scarce(sweep: _Sweep, about: str, estimand: str, rich: Found, scarce: Found, remark: str) -> Claim:
    why = sweep.unsure(rich, scarce)
    if why:
        return rules.undecided("b", about, estimand, "skill", why, scarce.mean)
    return rules.rich_and_scarce(about, estimand, rich.mean, scarce.mean, sweep.study.margin, remark)


def _consistency(sweep: _Sweep) -> Claim:
    about = "CG against AU"
    estimand = (
        "Standard deviation over clinical groups of the true mean difference in skill from TS, under CG minus under "
        f"AU, over the same tasks, {scale_label(sweep.largest)}."
    )
    why = sweep.unasked(*_GROUPINGS)
    sides = [sweep.cells(grouping, sweep.largest) for grouping in _GROUPINGS]
    both = set(sides[0]["task"]) & set(sides[1]["task"])
    sides = [rows[rows["task"].isin(both)] for rows in sides]
    if not why and sides[0]["clinical_group"].nunique() < 2:
        few = sweep.compared.planned["clinical_group"].nunique() < 2
        why = "not asked by this sweep: one clinical group" if few else "under two clinical groups are compared"
    if why:
        return rules.undecided("c", about, estimand, "skill", why)
    sums = [mean_of(cells_in(rows)) for side in sides for _, rows in side.groupby("clinical_group")]
    joint = sweep.compared.sums.of_differences(sums, "skill")
    found = Found(UNKNOWN, 0, False)
    if joint is not None:
        values = np.stack([group.table for group in joint])
        first, second = values[: len(sums) // 2], values[len(sums) // 2 :]
        difference = Quantity(*spread_difference(first, second, sweep.compared.confidence))
        found = Found(difference, len(joint[0].seeds), joint[0].whole)
    why = sweep.unsure(found)
    if why:
        return rules.undecided("c", about, estimand, "skill", why, found.mean)
    return rules.consistency(about, estimand, found.mean, f"{len(sums) // 2} clinical groups, {len(both)} tasks")


def _types(sweep: _Sweep, grouping: str) -> Claim:
    about = grouping_label(grouping)
    estimand = (
        f"Mean difference in skill between {about} and TS over segmentation tasks minus that over the tasks of each "
        f"other type, {scale_label(sweep.largest)}."
    )
    cells = sweep.cells(grouping, sweep.largest)
    means = list(dict.fromkeys(map(str, cells["task_type"])))
    why = sweep.unasked(grouping)
    planned = set(sweep.compared.planned["task_type"])
    if not why and (len(means) < 2 or "segmentation" not in means):
        asked = "segmentation" in planned and len(planned) > 1
        found = "one task type" if len(planned) == 1 else "no segmentation"
        why = "segmentation and another type are not both compared" if asked else f"not asked by this sweep: {found}"
    if why:
        return rules.undecided("d", about, estimand, "skill", why)
    at = (sweep.largest, grouping)
    segmentation = sweep.estimate(at, partial(_gap, other=None))
    others = [name for name in means if name != "segmentation"]
    gaps = {name: sweep.estimate(at, partial(_gap, other=name)) for name in others}
    why = sweep.unsure(segmentation, *gaps.values())
    if why:
        known = [gap.mean for gap in gaps.values() if np.isfinite(gap.mean.value)]
        nearest = max(known, key=lambda gap: gap.value, default=None)
        return rules.undecided("d", about, estimand, "skill", why, nearest)
    return rules.type_sensitivity(about, estimand, segmentation.mean, {name: gap.mean for name, gap in gaps.items()})


def _gap(cells: pd.DataFrame, other: str | None) -> Weights:
    """Mean over segmentation tasks, less that over another type's; nothing where either has none."""
    sides = [_mean_in(cells, "task_type", [name]) for name in ("segmentation", other) if name is not None]
    return combined(sides[0], *(scaled(side, -1) for side in sides[1:])) if all(sides) else {}


def _mean_in(cells: pd.DataFrame, column: str, names: Collection[str]) -> Weights:
    """Mean over the cells that have one of the names in a column."""
    return mean_of(cells_in(cells[cells[column].isin(names)]))
