"""Verdicts of a family of cells: gain, no loss, loss or undecided, from two tests that are each adjusted by Holm.

A family is the tasks of one grouping, scale and variant. No loss is non-inferiority: a difference that is certainly
above minus the margin.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.holm import holm

VerdictName = Literal["gain", "no_loss", "loss", "undecided"]
VERDICTS: tuple[VerdictName, ...] = ("gain", "no_loss", "loss", "undecided")

ALPHA = 0.05
"""Of the two-sided test that there is a difference, for a family."""
ALPHA_NI = 0.025
"""Of the one-sided test that the difference is not below minus the margin, for a family."""


@dataclass(frozen=True)
class Family:
    """Verdicts of a family's cells, in the order they were given."""

    p_adjusted: NDArray[np.float64]
    p_ni_adjusted: NDArray[np.float64]
    verdicts: tuple[VerdictName | None, ...]
    """None where a cell has no p values."""
    small_loss: NDArray[np.bool_]
    """A certain loss that is certainly within the margin: its verdict is no_loss."""


def judge(delta: ArrayLike, p: ArrayLike, p_ni: ArrayLike) -> Family:
    """Judge the cells of a family together.

    Args:
        delta: (n,) difference from the reference, positive where better.
        p: (n,) two-sided, of no difference; NaN for a cell that is not to be judged.
        p_ni: (n,) one-sided, of a difference of at most minus the margin; NaN likewise.
    """
    value = np.asarray(delta, dtype=float)
    p_adjusted, p_ni_adjusted = holm(p), holm(p_ni)
    certain, harmless = p_adjusted < ALPHA, p_ni_adjusted < ALPHA_NI
    judged = np.isfinite(p_adjusted) & np.isfinite(p_ni_adjusted)
    verdicts: list[VerdictName | None] = []
    for i in range(value.size):
        if not judged[i]:
            verdicts.append(None)
        elif certain[i] and value[i] > 0:
            verdicts.append("gain")
        elif harmless[i]:
            verdicts.append("no_loss")
        elif certain[i] and value[i] < 0:
            verdicts.append("loss")
        else:
            verdicts.append("undecided")
    return Family(p_adjusted, p_ni_adjusted, tuple(verdicts), certain & (value < 0) & harmless)
