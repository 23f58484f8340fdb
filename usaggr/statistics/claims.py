"""The published claims on task aggregation (arXiv:2603.18123), each as a quantity that a sweep can estimate.

A claim is supported or contradicted only if confidence intervals, or tests where the docstring names them, decide it.
Otherwise it is undecided, with a reason. A confounded comparison decides no claim: other differences may cause an
effect, and may hide one. Every quantity is in skill, the unit that all task types share: 0 equals a predictor that
ignores the image, 1 is perfect. Intervals are assumed to have a confidence of 95 %, so that each of their ends is
wrong with a probability of 2.5 %. There is no multiplicity correction across claims.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from usaggr.statistics.holm import holm
from usaggr.statistics.scale_trend import SignChange
from usaggr.statistics.verdicts import ALPHA

Letter = Literal["a", "b", "c", "d"]
ClaimVerdict = Literal["supported", "contradicted", "undecided"]

STATEMENTS: dict[Letter, str] = {
    "a": "The effect of aggregation depends strongly on the amount of training data.",
    "b": "Clinically-grouped training can help where data are rich and induces substantial negative transfer where "
    "they are scarce.",
    "c": "All-task unified training is more consistent across clinical groups than clinically-grouped training.",
    "d": "Sensitivity to aggregation differs by task type: segmentation drops most.",
}
"""Statements of the paper, in one sentence each."""
BOUND = 0.02
"""Slope in skill per tenfold increase in training samples that counts as negligible.

As large as the default margin of *no loss* (report.margin): ten times the data then change the difference by less than
a loss that counts. An interval within +-BOUND contradicts claim (a), unless the difference changes its sign."""
SLOPE_UNIT = "skill per tenfold increase in training samples"
"""Unit of the estimate of claim (a)."""
CONFOUNDED_REASON = "a confounded comparison decides no claim"
"""Clause in the reason if a confounded comparison agrees or disagrees with a claim."""


@dataclass(frozen=True)
class Quantity:
    """An estimate with the bounds of its interval; NaN if not estimated."""

    value: float
    low: float
    high: float
    p: float = float("nan")
    """Two-sided p value of the hypothesis that the value is 0."""

    @property
    def is_estimated(self) -> bool:
        """True if the value and both bounds are finite."""
        return bool(np.isfinite([self.value, self.low, self.high]).all())

    @property
    def sign(self) -> int:
        """1 or -1 if the whole interval is above or below 0; 0 if the interval contains 0 or is missing."""
        # Comparisons with NaN are false.
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Claim:
    """One claim with its estimate and verdict in a sweep."""

    letter: Letter
    comparison: str
    """Grouping and estimation method."""
    statement: str
    """Statement of the paper, in one sentence."""
    estimand: str
    """Estimated quantity, in one sentence."""
    estimate: float | None
    low: float | None
    high: float | None
    unit: str
    verdict: ClaimVerdict
    reason: str
    """Rule applied to the numbers, or the reason why there is no answer."""


def make_undecided(
    letter: Letter, comparison: str, estimand: str, unit: str, reason: str, estimate: Quantity | None = None
) -> Claim:
    """Return a claim that this sweep cannot decide, because data or comparisons are missing.

    Args:
        letter: which claim.
        comparison: grouping and estimation method.
        estimand: estimated quantity, in one sentence.
        unit: unit of the estimate.
        reason: the reason.
        estimate: the estimate, if there is one.
    """
    return _make_claim(letter, comparison, estimand, estimate, unit, "undecided", reason)


def decide_scale_dependence(
    comparison: str,
    estimand: str,
    slope: Quantity,
    transformed: Mapping[str, Quantity],
    sign_change: SignChange | None = None,
    bound: float = BOUND,
    remark: str = "",
) -> Claim:
    """Decide claim (a): supported only if the dependence on training data is not removed by transforming the score.

    If the ratio of errors is constant, the difference in skill shrinks near 1; if the ratio of skills is, it grows from
    0. If the difference in skill is constant, the ratio of errors grows. Such an interaction is removable by a monotone
    transformation of the score (Loftus, Mem Cognit 1978; Wagenmakers et al., Mem Cognit 2012).

    - Supported: the slopes in skill and under each transformation exclude 0 with one sign, or the difference changes
      its sign; and the slope in skill does not lie within +-bound.
    - Contradicted: the slope in skill lies within +-bound, and the difference does not change its sign. A dependence
      within the bound is not strong, also if it exists; "strong" refers to skill.
    - Undecided otherwise. A slope within +-bound does not contradict a change of sign, which a line may miss.

    If the true difference is constant, the slopes support the claim with a probability of at most 5 %, a change of sign
    with at most 2.5 %. If the true slope is not within the bound, a contradiction has a probability of at most 2.5 %.

    Args:
        comparison: grouping and estimation method.
        estimand: estimated quantity, in one sentence.
        slope: slope of the difference in skill from the reference, per tenfold increase in training samples.
        transformed: slopes of the differences under transformations of the score, by name; positive if better.
        sign_change: scales at which the difference has opposite significant signs; None if there are none.
        bound: largest slope in skill that counts as negligible.
        remark: further information for the reader.
    """
    verdict: ClaimVerdict
    disagreeing = [name for name, quantity in transformed.items() if quantity.sign != slope.sign]
    nonzero = [name for name, quantity in transformed.items() if quantity.sign]
    is_negligible, within_text = slope.low > -bound and slope.high < bound, f"within ±{bound:g}"
    if sign_change:
        ends = f"significantly better at scale {sign_change.better:g}, significantly worse at {sign_change.worse:g}"
        verdict, reason = "supported", f"the difference changes its sign: {ends}"
        if is_negligible:
            verdict, reason = "undecided", f"{reason}; but the slope lies {within_text}: no trend in one direction"
    elif is_negligible:
        verdict, reason = "contradicted", f"the slope in skill lies {within_text}: no strong dependence"
        reason += f", although the slope in {_join_names(nonzero)} excludes 0" if nonzero else ""
    elif slope.sign and not disagreeing:
        direction = "rises" if slope.sign > 0 else "falls"
        verdict, reason = "supported", f"all slopes exclude 0 with one sign: the difference {direction} with more data"
    elif slope.sign:
        verdict = "undecided"
        reason = (
            f"the interval excludes 0 in skill, but not in {_join_names(disagreeing)} with the same sign: the "
            "dependence may come from the scale of measurement, as at a ceiling or a floor"
        )
    else:
        verdict, reason = "undecided", f"the interval includes 0 and does not lie {within_text}"
    numbers = ", ".join(f"{name} {_format_quantity(q)}" for name, q in {"skill": slope, **transformed}.items())
    reason = _with_remark(f"{reason} ({numbers})", remark)
    return _make_claim("a", comparison, estimand, slope, SLOPE_UNIT, verdict, reason)


def describe_confounded_scale_dependence(
    comparison: str, estimand: str, slope: Quantity, bound: float = BOUND, remark: str = ""
) -> Claim:
    """Return claim (a) from a confounded comparison, which is always undecided.

    Other differences between clinical groups may cause a slope over them, and may hide one. The reason states what the
    paper's own comparison shows in this sweep.

    Args:
        comparison: grouping and estimation method.
        estimand: estimated quantity, in one sentence.
        slope: slope of the difference in skill from the reference, per tenfold increase in training samples.
        bound: largest slope in skill that counts as negligible.
        remark: further information for the reader.
    """
    within_text = f"within ±{bound:g}"
    if slope.low > -bound and slope.high < bound:
        reason = f"the slope lies {within_text}, but {CONFOUNDED_REASON}"
    elif slope.sign:
        reason = f"the interval excludes 0, but {CONFOUNDED_REASON}"
    else:
        reason = f"the interval includes 0 and does not lie {within_text}"
    return _make_claim("a", comparison, estimand, slope, SLOPE_UNIT, "undecided", _with_remark(reason, remark))


def decide_rich_and_scarce(
    comparison: str,
    estimand: str,
    rich: Quantity,
    scarce: Quantity,
    margin: float,
    remark: str = "",
    is_confounded: bool = False,
) -> Claim:
    """Decide claim (b), which has two parts: supported if both are significant, contradicted if either is refuted.

    Supported: the interval of `rich` is above 0, and that of `scarce` below -margin. Contradicted: the interval of
    `rich` is below 0 (sharing does not help there), or that of `scarce` above -margin (it does no substantial harm
    there). A false support has a probability of at most 2.5 %, because both tests must reject. A false contradiction
    has one of at most 5 %, because either suffices and they are not adjusted. The claim's estimate is `scarce`. A
    confounded comparison leaves the claim undecided.

    Args:
        comparison: grouping and estimation method.
        estimand: estimated quantity, in one sentence.
        rich: difference in skill from the reference for rich training data.
        scarce: difference in skill from the reference for scarce training data.
        margin: smallest substantial loss in skill, above 0.
        remark: further information for the reader.
        is_confounded: True if rich and scarce differ in more than the amount of data.
    """
    verdict: ClaimVerdict
    numbers = f"rich {_format_quantity(rich)}, scarce {_format_quantity(scarce)}, margin {margin:g}"
    if rich.low > 0 and scarce.high < -margin:
        verdict = "supported"
        reason = "a significant gain where data are rich, a significant loss beyond the margin where scarce"
    # Either refutation alone contradicts the claim; this branch names both.
    elif scarce.low > -margin and rich.high < 0:
        verdict = "contradicted"
        reason = "no loss beyond the margin where data are scarce, and a significant loss where rich"
    elif scarce.low > -margin:
        verdict, reason = "contradicted", "no loss beyond the margin where data are scarce"
    elif rich.high < 0:
        verdict, reason = "contradicted", "a significant loss where data are rich"
    else:
        missing = [] if rich.low > 0 else ["a gain where data are rich"]
        missing += [] if scarce.high < -margin else ["a loss beyond the margin where they are scarce"]
        verdict, reason = "undecided", f"not significant: {' and '.join(missing)}"
    if is_confounded and verdict != "undecided":
        verdict, reason = "undecided", f"{reason}, but {CONFOUNDED_REASON}"
    return _make_claim(
        "b", comparison, estimand, scarce, "skill", verdict, _with_remark(f"{reason} ({numbers})", remark)
    )


def decide_consistency(comparison: str, estimand: str, difference: Quantity, remark: str = "") -> Claim:
    """Decide claim (c) by the SD between clinical groups under the clinical grouping and under unified training.

    The claim is supported if that of the clinical grouping is significantly larger, and contradicted if it is
    significantly smaller. Each has a probability of at most 2.5 % if both are equal.

    Args:
        comparison: groupings and estimation method.
        estimand: estimated quantity, in one sentence.
        difference: SD between clinical groups under clinical grouping minus that under unified training, in skill.
        remark: further information for the reader.
    """
    verdict: ClaimVerdict
    if difference.low > 0:
        verdict, reason = "supported", "the SD between groups is significantly larger under the clinical grouping"
    elif difference.high < 0:
        verdict, reason = "contradicted", "the SD between groups is significantly smaller under the clinical grouping"
    else:
        verdict, reason = "undecided", "the interval of the difference includes 0"
    return _make_claim("c", comparison, estimand, difference, "skill", verdict, _with_remark(reason, remark))


def decide_type_sensitivity(
    comparison: str, estimand: str, segmentation: Quantity, gaps: Mapping[str, Quantity], remark: str = ""
) -> Claim:
    """Decide claim (d): supported if segmentation drops, and significantly more than every other task type.

    The claim is contradicted if another type is significantly lower than segmentation. The gaps are tested two-sided at
    level ALPHA, adjusted by Holm over the types; a gap without a p value prevents support. Segmentation drops if its
    interval is below 0. The reported estimate is the largest gap: that of the type with the lowest difference.

    Args:
        comparison: grouping and estimation method.
        estimand: estimated quantity, in one sentence.
        segmentation: mean difference in skill from the reference over segmentation tasks.
        gaps: difference of segmentation minus difference of each other type, by type; at least one.
        remark: further information for the reader.
    """
    verdict: ClaimVerdict
    names = list(gaps)
    # A gap without a p value stays NaN, so it is in neither list.
    adjusted = dict(zip(names, holm([gaps[name].p for name in names]), strict=True))
    lower = [name for name in names if adjusted[name] < ALPHA and gaps[name].value < 0]
    higher = [name for name in names if adjusted[name] < ALPHA and gaps[name].value > 0]
    # A missing gap is never the largest, whatever the order of the types.
    lowest = max(names, key=lambda name: np.nan_to_num(gaps[name].value, nan=-np.inf))
    if higher:
        verdict, reason = "contradicted", f"{_join_names(higher)} significantly lower than segmentation"
    elif len(lower) == len(names) and segmentation.high < 0:
        verdict, reason = "supported", "segmentation drops, and is significantly lower than every other type"
    elif len(lower) == len(names):
        verdict = "undecided"
        reason = "segmentation is significantly lower than every other type, but does not drop significantly"
    else:
        remaining = _join_names([name for name in names if name not in lower])
        verdict, reason = "undecided", f"segmentation is not significantly lower than {remaining}"
    numbers = "; ".join(f"{name} {_format_quantity(gaps[name])}" for name in names)
    reason = f"{reason} (segmentation {_format_quantity(segmentation)}; segmentation minus {numbers})"
    return _make_claim("d", comparison, estimand, gaps[lowest], "skill", verdict, _with_remark(reason, remark))


def _make_claim(
    letter: Letter,
    comparison: str,
    estimand: str,
    estimate: Quantity | None,
    unit: str,
    verdict: ClaimVerdict,
    reason: str,
) -> Claim:
    """Return a claim with the paper's statement.

    Args:
        letter: which claim.
        comparison: grouping and estimation method.
        estimand: estimated quantity, in one sentence.
        estimate: the estimate, if there is one.
        unit: unit of the estimate.
        verdict: whether the estimate supports the claim.
        reason: rule applied to the numbers.
    """
    if estimate is None:
        value, low, high = None, None, None
    else:
        value, low, high = (_convert_nan(number) for number in (estimate.value, estimate.low, estimate.high))
    return Claim(letter, comparison, STATEMENTS[letter], estimand, value, low, high, unit, verdict, reason)


def _convert_nan(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _with_remark(reason: str, remark: str) -> str:
    return f"{reason}; {remark}" if remark else reason


def _format_quantity(quantity: Quantity) -> str:
    if not np.isfinite(quantity.value):
        return "not estimated"
    value = f"{quantity.value:+.3f}"
    text = f"{value} [{quantity.low:+.3f}, {quantity.high:+.3f}]" if quantity.is_estimated else f"{value}, no interval"
    return text.replace("-", "−")  # a minus sign, not a hyphen: the text is for the report


def _join_names(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
