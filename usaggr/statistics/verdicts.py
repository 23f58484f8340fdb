"""Verdicts of a family of cells: gain, no loss, loss or undecided, from two tests that are each adjusted by Holm.

A family is a set of cells that are adjusted together: by default the tasks of one grouping, scale and variant. No loss
means non-inferiority: the difference is greater than -margin.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.holm import holm

VerdictName = Literal["gain", "no_loss", "loss", "undecided"]
VERDICTS: tuple[VerdictName, ...] = ("gain", "no_loss", "loss", "undecided")

ALPHA = 0.05
"""Family-wise level of the two-sided test of no difference."""
ALPHA_NI = 0.025
"""Family-wise level of the one-sided test that the difference is at most -margin.

It is half of ALPHA, as is usual for non-inferiority (ICH E9): the two-sided 95 % interval is then above -margin.
"""
PROVISIONAL_SEEDS = 2
"""Largest number of seeds whose verdicts are provisional.

With one seed, the interval covers test subjects only. With two, the variance between seeds has one degree of freedom:
at the far tails that Holm's adjustment uses, the size of the test may be four times its level (docs/families.md).
"""


@dataclass(frozen=True)
class FamilyVerdicts:
    """Verdicts and adjusted p values of a family's cells."""

    p_adjusted: NDArray[np.float64]
    p_ni_adjusted: NDArray[np.float64]
    verdicts: tuple[VerdictName | None, ...]
    """Verdict of each cell; None if it has no p values."""
    small_loss: NDArray[np.bool_]
    """True for a significant loss that is within the margin; its verdict is no_loss."""


def decide_verdicts(delta: ArrayLike, p: ArrayLike, p_ni: ArrayLike) -> FamilyVerdicts:
    """Return the verdicts of the cells of a family, whose tests are adjusted together.

    Args:
        delta: (n,) difference from the reference, positive if better.
        p: (n,) two-sided p value of no difference; NaN for a cell without a verdict.
        p_ni: (n,) one-sided p value of a difference of at most -margin; NaN for a cell without a verdict.
    """
    value = np.asarray(delta, dtype=float)
    p_adjusted, p_ni_adjusted = holm(p), holm(p_ni)
    is_different, is_no_loss = p_adjusted < ALPHA, p_ni_adjusted < ALPHA_NI
    is_judged = np.isfinite(p_adjusted) & np.isfinite(p_ni_adjusted)
    verdicts: list[VerdictName | None] = []
    for i in range(value.size):
        if not is_judged[i]:
            verdicts.append(None)
        elif is_different[i] and value[i] > 0:
            verdicts.append("gain")
        elif is_no_loss[i]:  # checked before `loss`: a significant loss within the margin gets the verdict no_loss
            verdicts.append("no_loss")
        elif is_different[i] and value[i] < 0:
            verdicts.append("loss")
        else:
            verdicts.append("undecided")
    return FamilyVerdicts(p_adjusted, p_ni_adjusted, tuple(verdicts), is_different & (value < 0) & is_no_loss)
