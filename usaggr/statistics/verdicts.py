"""Verdicts of a family of cells: gain, no loss, loss or undecided, from two tests that are each adjusted by Holm.

A family is the tasks of one grouping, scale and variant. No loss means non-inferiority: the difference is above minus
the margin.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.holm import holm

VerdictName = Literal["gain", "no_loss", "loss", "undecided"]
VERDICTS: tuple[VerdictName, ...] = ("gain", "no_loss", "loss", "undecided")

ALPHA = 0.05
"""Level of the two-sided test for a difference, for a family."""
ALPHA_NI = 0.025
"""Level of the one-sided test for a difference above minus the margin, for a family."""


@dataclass(frozen=True)
class Family:
    """Verdicts and adjusted p values of a family's cells."""

    p_adjusted: NDArray[np.float64]
    p_ni_adjusted: NDArray[np.float64]
    verdicts: tuple[VerdictName | None, ...]
    """Verdict of each cell; None if it has no p values."""
    small_loss: NDArray[np.bool_]
    """True for a significant loss that is within the margin; its verdict is no_loss."""


def decide_verdicts(delta: ArrayLike, p: ArrayLike, p_ni: ArrayLike) -> Family:
    """Return the verdicts of the cells of a family, whose tests are adjusted together.

    Args:
        delta: (n,) difference from the reference, positive if better.
        p: (n,) two-sided p value of no difference; NaN for a cell without a verdict.
        p_ni: (n,) one-sided p value of a difference of at most minus the margin; NaN for a cell without a verdict.
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
        elif is_no_loss[i]:  # before a loss: a small loss within the margin is no_loss
            verdicts.append("no_loss")
        elif is_different[i] and value[i] < 0:
            verdicts.append("loss")
        else:
            verdicts.append("undecided")
    return Family(p_adjusted, p_ni_adjusted, tuple(verdicts), is_different & (value < 0) & is_no_loss)
