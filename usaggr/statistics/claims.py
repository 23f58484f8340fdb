"""The published claims on task aggregation (arXiv:2603.18123), each as a quantity that a sweep can estimate.

A claim is supported or contradicted only if confidence intervals decide it. Otherwise it is undecided, with a reason.
Every quantity is in skill, the unit that all task types share: 0 equals a predictor that ignores the image, 1 is
perfect. There is no multiplicity correction across claims. "Certain" means that a confidence interval, or a test where
the docstring names one, decides it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from usaggr.statistics.holm import holm
from usaggr.statistics.scale_trend import SignChange

Letter = Literal["a", "b", "c", "d"]
ClaimVerdict = Literal["supported", "contradicted", "undecided"]

STATEMENTS: dict[Letter, str] = {
    "a": "What aggregation does depends strongly on the scale of training data.",
    "b": "Clinically-grouped training can help where data are rich and induces substantial negative transfer where "
    "they are scarce.",
    "c": "All-task unified training is more consistent across clinical groups than clinically-grouped training.",
    "d": "Sensitivity to aggregation differs by task type: segmentation drops most.",
}
"""Statements of the paper, in one sentence each."""
BOUND = 0.02
"""Slope in skill per tenfold training samples; an interval within +-BOUND contradicts claim (a)."""
SLOPE_UNIT = "skill per tenfold training samples"
"""Unit of the estimate of claim (a)."""
NO_SUPPORT = "a confounded comparison supports no claim"
"""Part of the reason where a confounded comparison agrees with a claim."""
ALPHA = 0.05
"""Level of two-sided tests, adjusted by Holm, for a claim that needs several."""


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
        """1 or -1 if the whole interval is above or below 0, otherwise 0; also 0 without an interval."""
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
    """Return a claim that this sweep cannot decide, for a reason other than its numbers.

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
    """Decide claim (a): supported only by a dependence that does not come from the scale of measurement.

    A constant ratio of errors gives a difference in skill that shrinks towards a ceiling, a constant ratio of skills
    one that grows from a floor, and a constant difference in skill a ratio of errors that grows. Such an interaction is
    removable: a monotone transformation of the score removes it (Loftus, Mem Cognit 1978; Wagenmakers et al., Mem
    Cognit 2012). Supported: the slopes in skill and under each transformation exclude 0 with one sign, or the
    difference changes its sign. Contradicted: the slope in skill lies within +-bound, and no other excludes 0. A
    dependence within +-bound is too small to matter, and the claim is then undecided.

    Args:
        comparison: grouping and estimation method.
        estimand: estimated quantity, in one sentence.
        slope: slope of the difference in skill from the reference, per tenfold training samples.
        transformed: slopes of the differences under transformations of the score, by name; positive if better.
        sign_change: scales at which the difference certainly has opposite signs; None if there are none.
        bound: largest slope in skill that is as good as no dependence.
        remark: further information for the reader.
    """
    verdict: ClaimVerdict
    opposed = [name for name, quantity in transformed.items() if quantity.sign != slope.sign]
    certain = [name for name, quantity in transformed.items() if quantity.sign]
    agrees = slope.sign != 0 and not opposed
    is_small = slope.low > -bound and slope.high < bound
    within = f"within ±{bound:g}"
    if is_small and (sign_change or agrees):
        verdict, reason = "undecided", f"there is a dependence, but its slope lies {within}: too small to matter"
    elif sign_change:
        ends = f"certainly better at scale {sign_change.better:g} and certainly worse at scale {sign_change.worse:g}"
        verdict, reason = "supported", f"the difference changes its sign: {ends}"
    elif agrees:
        effect = "help" if slope.sign > 0 else "hurt"
        verdict, reason = "supported", f"all slopes exclude 0 with one sign: more data {effect} it"
    elif is_small and certain:
        verdict, reason = "undecided", f"in skill the interval lies {within}, but in {_join_names(certain)} excludes 0"
    elif is_small:
        verdict, reason = "contradicted", f"the interval lies {within}: no dependence that matters"
    elif slope.sign:
        verdict = "undecided"
        reason = (
            f"the interval excludes 0 in skill, but not in {_join_names(opposed)} with the same sign: the dependence "
            "may come from the scale of measurement, as at a ceiling or a floor"
        )
    else:
        verdict, reason = "undecided", f"the interval includes 0 and does not lie {within}"
    numbers = ", ".join(f"{name} {_format_quantity(q)}" for name, q in {"skill": slope, **transformed}.items())
    return _make_claim(
        "a", comparison, estimand, slope, SLOPE_UNIT, verdict, _with_remark(f"{reason} ({numbers})", remark)
    )


def decide_confounded_scale_dependence(
    comparison: str, estimand: str, slope: Quantity, bound: float = BOUND, remark: str = ""
) -> Claim:
    """Decide claim (a) from a confounded comparison: contradicted if the slope lies within +-bound, else undecided.

    A slope over clinical groups may come from any other difference between them, so it never supports the claim. A
    slope near 0 shows that the paper's own comparison does not find a dependence here.

    Args:
        comparison: grouping and estimation method.
        estimand: estimated quantity, in one sentence.
        slope: slope of the difference in skill from the reference, per tenfold training samples.
        bound: largest slope that is as good as no dependence, in the same unit.
        remark: further information for the reader.
    """
    verdict: ClaimVerdict
    within = f"within ±{bound:g}"
    if slope.low > -bound and slope.high < bound:
        verdict, reason = "contradicted", f"the interval lies {within}: no dependence that matters"
    elif slope.sign:
        verdict, reason = "undecided", f"the interval excludes 0, but {NO_SUPPORT}"
    else:
        verdict, reason = "undecided", f"the interval includes 0 and does not lie {within}"
    return _make_claim("a", comparison, estimand, slope, SLOPE_UNIT, verdict, _with_remark(reason, remark))


def decide_rich_and_scarce(
    comparison: str,
    estimand: str,
    rich: Quantity,
    scarce: Quantity,
    margin: float,
    remark: str = "",
    is_confounded: bool = False,
) -> Claim:
    """Decide claim (b), which has two parts: supported if both are certain, contradicted if either is refuted.

    Supported: the interval of `rich` is above 0, and that of `scarce` below -margin. Contradicted: the interval of
    `rich` is below 0 (sharing does not help there), or that of `scarce` above -margin (it does no substantial harm
    there). The claim's estimate is `scarce`. A confounded comparison never supports the claim.

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
        verdict, reason = (
            "supported",
            "a certain gain where data are rich, a certain loss beyond the margin where scarce",
        )
        if is_confounded:
            verdict, reason = "undecided", f"{reason}, but {NO_SUPPORT}"
    # Either refutation alone contradicts the claim; this branch names both.
    elif scarce.low > -margin and rich.high < 0:
        verdict, reason = (
            "contradicted",
            "no loss beyond the margin where data are scarce, and a certain loss where rich",
        )
    elif scarce.low > -margin:
        verdict, reason = "contradicted", "certainly no loss beyond the margin where data are scarce"
    elif rich.high < 0:
        verdict, reason = "contradicted", "a certain loss where data are rich"
    else:
        uncertain = [] if rich.low > 0 else ["a gain where data are rich"]
        uncertain += [] if scarce.high < -margin else ["a loss beyond the margin where they are scarce"]
        verdict, reason = "undecided", f"not certain: {' and '.join(uncertain)}"
    return _make_claim(
        "b", comparison, estimand, scarce, "skill", verdict, _with_remark(f"{reason} ({numbers})", remark)
    )


def decide_consistency(comparison: str, estimand: str, difference: Quantity, remark: str = "") -> Claim:
    """Decide claim (c): supported if the SD between clinical groups is certainly larger under the clinical grouping.

    Args:
        comparison: groupings and estimation method.
        estimand: estimated quantity, in one sentence.
        difference: SD between clinical groups under clinical grouping minus that under unified training, in skill.
        remark: further information for the reader.
    """
    verdict: ClaimVerdict
    if difference.low > 0:
        verdict, reason = "supported", "the clinical grouping's spread is certainly the larger"
    elif difference.high < 0:
        verdict, reason = "contradicted", "the clinical grouping's spread is certainly the smaller"
    else:
        verdict, reason = "undecided", "the interval of the difference includes 0"
    return _make_claim("c", comparison, estimand, difference, "skill", verdict, _with_remark(reason, remark))


def decide_type_sensitivity(
    comparison: str, estimand: str, segmentation: Quantity, gaps: Mapping[str, Quantity], remark: str = ""
) -> Claim:
    """Decide claim (d): supported if segmentation drops, and certainly more than every other task type.

    The claim is contradicted if another type is certainly lower than segmentation. The gaps are tested two-sided and
    adjusted by Holm. Segmentation drops if its interval is below 0. The claim's estimate is the largest gap, to the
    type that is nearest to segmentation or below it.

    Args:
        comparison: grouping and estimation method.
        estimand: estimated quantity, in one sentence.
        segmentation: mean difference in skill from the reference over segmentation tasks.
        gaps: difference of segmentation minus difference of each other type, by type; at least one.
        remark: further information for the reader.
    """
    verdict: ClaimVerdict
    names = list(gaps)
    # A gap without a p value stays NaN, which is in neither list and prevents support.
    adjusted = dict(zip(names, holm([gaps[name].p for name in names]), strict=True))
    lower = [name for name in names if adjusted[name] < ALPHA and gaps[name].value < 0]
    higher = [name for name in names if adjusted[name] < ALPHA and gaps[name].value > 0]
    nearest = max(names, key=lambda name: gaps[name].value)
    if higher:
        verdict, reason = "contradicted", f"{_join_names(higher)} certainly lower than segmentation"
    elif len(lower) == len(names) and segmentation.high < 0:
        verdict, reason = "supported", "segmentation drops, and is certainly lower than every other type"
    elif len(lower) == len(names):
        verdict, reason = "undecided", "segmentation is certainly lower than every other type, but not certain to drop"
    else:
        verdict, reason = "undecided", f"not certainly apart from {_join_names([n for n in names if n not in lower])}"
    numbers = "; ".join(f"{name} {_format_quantity(gaps[name])}" for name in names)
    reason = f"{reason} (segmentation {_format_quantity(segmentation)}; segmentation minus {numbers})"
    return _make_claim("d", comparison, estimand, gaps[nearest], "skill", verdict, _with_remark(reason, remark))


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
