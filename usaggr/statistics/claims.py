"""The published claims on task aggregation (arXiv:2603.18123), each turned into a quantity that a sweep can estimate.

Numbers in, claims out: supported or contradicted only where intervals say so, else undecided, with the reason. Every
quantity is in skill (0 as good as a predictor that ignores the image, 1 perfect), the unit that all task types share.
Intervals are those of each claim alone, not adjusted for there being several.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from usaggr.statistics.holm import holm

Letter = Literal["a", "b", "c", "d"]
ClaimVerdict = Literal["supported", "contradicted", "undecided"]

STATEMENTS: dict[Letter, str] = {
    "a": "What aggregation does depends strongly on the scale of training data.",
    "b": "Clinically-grouped training can help where data are rich and induces substantial negative transfer where "
    "they are scarce.",
    "c": "All-task unified training is more consistent across clinical groups than clinically-grouped training.",
    "d": "Sensitivity to aggregation differs by task type: segmentation drops most.",
}
"""What the paper says, in one sentence each."""
BOUND = 0.02
"""Skill per tenfold training samples: a certainly smaller slope contradicts claim (a)."""
ALPHA = 0.05
"""Of two-sided tests, adjusted by Holm, where a claim needs several."""


@dataclass(frozen=True)
class Quantity:
    """An estimate with the bounds of its interval; NaN where there is none."""

    value: float
    low: float
    high: float
    p: float = float("nan")
    """Two-sided, of the value 0."""

    @property
    def known(self) -> bool:
        return bool(np.isfinite([self.value, self.low, self.high]).all())


@dataclass(frozen=True)
class Claim:
    """One claim, as far as this sweep tells."""

    letter: Letter
    about: str
    """Which grouping, and by which way."""
    statement: str
    """The paper's, in one sentence."""
    estimand: str
    """What is estimated, in one sentence."""
    estimate: float | None
    low: float | None
    high: float | None
    unit: str
    verdict: ClaimVerdict
    why: str
    """The rule, applied to the numbers; or why there is no answer."""


def undecided(letter: Letter, about: str, estimand: str, unit: str, why: str, found: Quantity | None = None) -> Claim:
    """A claim that this sweep cannot decide, for a reason other than its numbers."""
    return _claim(letter, about, estimand, found, unit, "undecided", why)


def scale_dependence(about: str, estimand: str, slope: Quantity, bound: float = BOUND, remark: str = "") -> Claim:
    """Claim (a): supported where the slope's interval excludes 0, contradicted where it lies within +-bound.

    A slope that is certainly not 0, and certainly within the bound, is neither: undecided.

    Args:
        about: grouping and way.
        estimand: in one sentence.
        slope: of the difference in skill from the reference per tenfold training samples.
        bound: of what would be as good as no dependence, in the same unit.
        remark: what else a reader must know, as that the way is confounded.
    """
    verdict: ClaimVerdict
    certain = slope.low > 0 or slope.high < 0
    small = slope.low > -bound and slope.high < bound
    within = f"within ±{bound:g}"
    if certain and small:
        verdict, why = "undecided", f"the interval excludes 0 but lies {within}: a dependence too small to matter"
    elif certain:
        verdict, why = "supported", f"the interval excludes 0: more data {'help' if slope.low > 0 else 'hurt'} it"
    elif small:
        verdict, why = "contradicted", f"the interval lies {within}: no dependence that matters"
    else:
        verdict, why = "undecided", f"the interval includes 0 and does not lie {within}"
    return _claim("a", about, estimand, slope, "skill per tenfold training samples", verdict, _said(why, remark))


def rich_and_scarce(
    about: str, estimand: str, rich: Quantity, scarce: Quantity, margin: float, remark: str = ""
) -> Claim:
    """Claim (b), which says two things: supported where both are certain, contradicted where either is refuted.

    Supported: rich is certainly above 0, and scarce certainly below -margin. Contradicted: rich is certainly below 0
    (sharing does not help there), or scarce certainly above -margin (it does no substantial harm there). The estimate
    that the claim shows is the scarce one.

    Args:
        about: grouping and way.
        estimand: in one sentence.
        rich: difference in skill from the reference where training data are rich.
        scarce: the same where they are scarce.
        margin: above 0, in skill; a larger loss is substantial.
        remark: what else a reader must know.
    """
    verdict: ClaimVerdict
    numbers = f"rich {_shown(rich)}, scarce {_shown(scarce)}, margin {margin:g}"
    if rich.low > 0 and scarce.high < -margin:
        verdict, why = "supported", "a certain gain where data are rich, a certain loss beyond the margin where scarce"
    elif scarce.low > -margin and rich.high < 0:
        verdict, why = "contradicted", "no loss beyond the margin where data are scarce, and a certain loss where rich"
    elif scarce.low > -margin:
        verdict, why = "contradicted", "certainly no loss beyond the margin where data are scarce"
    elif rich.high < 0:
        verdict, why = "contradicted", "a certain loss where data are rich"
    else:
        open_ = [] if rich.low > 0 else ["a gain where data are rich"]
        open_ += [] if scarce.high < -margin else ["a loss beyond the margin where they are scarce"]
        verdict, why = "undecided", f"not certain: {' and '.join(open_)}"
    return _claim("b", about, estimand, scarce, "skill", verdict, _said(f"{why} ({numbers})", remark))


def consistency(about: str, estimand: str, difference: Quantity, remark: str = "") -> Claim:
    """Claim (c): supported where the clinical grouping's spread is certainly larger, contradicted where smaller.

    Args:
        about: groupings and way.
        estimand: in one sentence.
        difference: spread under clinical grouping minus spread under unified training, in skill.
        remark: what else a reader must know.
    """
    verdict: ClaimVerdict
    if difference.low > 0:
        verdict, why = "supported", "the clinical grouping's spread is certainly the larger"
    elif difference.high < 0:
        verdict, why = "contradicted", "the clinical grouping's spread is certainly the smaller"
    else:
        verdict, why = "undecided", "the interval of the difference includes 0"
    return _claim("c", about, estimand, difference, "skill", verdict, _said(why, remark))


def type_sensitivity(
    about: str, estimand: str, segmentation: Quantity, gaps: Mapping[str, Quantity], remark: str = ""
) -> Claim:
    """Claim (d): supported where segmentation is certainly lower than every other type and certainly drops.

    Contradicted where some other type is certainly lower than segmentation. Certainty is that of two-sided tests of
    the gaps, adjusted by Holm; that segmentation drops at all is a certainty of its own interval. The estimate that the
    claim shows is the gap to the type that is nearest, or below.

    Args:
        about: grouping and way.
        estimand: in one sentence.
        segmentation: mean difference in skill from the reference over segmentation tasks.
        gaps: that of segmentation minus that of each other type; at least one.
        remark: what else a reader must know.
    """
    verdict: ClaimVerdict
    names = list(gaps)
    adjusted = dict(zip(names, holm([gaps[name].p for name in names]), strict=True))
    lower = [name for name in names if adjusted[name] < ALPHA and gaps[name].value < 0]
    higher = [name for name in names if adjusted[name] < ALPHA and gaps[name].value > 0]
    nearest = max(names, key=lambda name: gaps[name].value)
    if higher:
        verdict, why = "contradicted", f"{_listed(higher)} certainly lower than segmentation"
    elif len(lower) == len(names) and segmentation.high < 0:
        verdict, why = "supported", "segmentation drops, and is certainly lower than every other type"
    elif len(lower) == len(names):
        verdict, why = "undecided", "segmentation is certainly lower than every other type, but not certain to drop"
    else:
        verdict, why = "undecided", f"not certainly apart from {_listed([n for n in names if n not in lower])}"
    numbers = "; ".join(f"{name} {_shown(gaps[name])}" for name in names)
    why = f"{why} (segmentation {_shown(segmentation)}; segmentation minus {numbers})"
    return _claim("d", about, estimand, gaps[nearest], "skill", verdict, _said(why, remark))


def _claim(
    letter: Letter, about: str, estimand: str, found: Quantity | None, unit: str, verdict: ClaimVerdict, why: str
) -> Claim:
    value, low, high = (None,) * 3 if found is None else map(_number, (found.value, found.low, found.high))
    return Claim(letter, about, STATEMENTS[letter], estimand, value, low, high, unit, verdict, why)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _said(why: str, remark: str) -> str:
    return f"{why}; {remark}" if remark else why


def _shown(found: Quantity) -> str:
    if not np.isfinite(found.value):
        return "not known"
    value = f"{found.value:+.3f}"
    text = f"{value} [{found.low:+.3f}, {found.high:+.3f}]" if found.known else f"{value}, no interval"
    return text.replace("-", "−")


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
