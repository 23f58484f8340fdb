"""Whether a run can speak for its grouping: collapsed, not converged or diverged, from its scores and its curve.

Skill is (score - trivial) / (best - trivial): 0 as good as the predictor that ignores the image, 1 perfect. Answers are
None where scores or curve do not tell.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.metrics.names import Metric, improvement

Array = NDArray[np.float64]

QUARTER = 0.25
"""Of the run: its last part, in which skill should rise no more."""
FEWEST = 3
"""Points in the second half of a curve, under which nothing is said of its last quarter."""
SLACK = 0.05
"""By which the first of these points may come before the half: validations fall on whole steps."""
EXPLODED = 10.0
"""Times its lowest, from which on a validation loss has exploded."""


def collapsed(
    test_score: float, trivial_test: float, val_score: float, trivial_val: float, metric: Metric
) -> bool | None:
    """Whether test and validation scores are both no better than the trivial predictor's.

    NaN is a score that is not known (such as an AUC of a fold with one class): one fold that is better than trivial
    still says no; otherwise the answer is None.
    """
    gains = [improvement(test_score, trivial_test, metric), improvement(val_score, trivial_val, metric)]
    # A constant answer scores as the trivial one does but for rounding.
    if any(gain > 1e-9 for gain in gains):
        return False
    return None if any(np.isnan(gain) for gain in gains) else True


def unconverged(progress: ArrayLike, skill: ArrayLike, margin: float) -> bool | None:
    """Whether the last quarter of the validation curve still rises by more than the margin.

    The rise is that of a least-squares line through the points from progress 0.75 on and the value interpolated there.
    One noisy validation must not decide: the mean of the last quarter must be above that of the quarter before by more
    than the margin too, which is the same number where the curve is a line, and tells a rise from a dip that is made
    good. Of level curves with a noise of one margin (SD) 4 % are said to rise with four validations, 2 % with ten; of
    those that truly rise by two margins, 75 % or more.

    Args:
        progress: (P,) part of the run that is done, in (0, 1].
        skill: (P,) of one task on the validation fold; NaN where it is not known.
        margin: in skill, above 0.

    Returns:
        None where under three points are known from the middle of the run on (four even validations are enough), or
        the curve ends before the run does.
    """
    x, y = _known(progress, skill)
    if (x >= 0.5 - SLACK).sum() < FEWEST or x[-1] < 1 - SLACK:
        return None
    start = 1 - QUARTER
    late = x > start
    times, values = np.append(start, x[late]), np.append(np.interp(start, x, y), y[late])
    centred = times - times.mean()
    rise = QUARTER * float(centred @ values / (centred @ centred))
    gained = _mean(x, y, start, 1.0) - _mean(x, y, start - QUARTER, start)
    return bool(min(rise, gained) > margin)


def diverged(progress: ArrayLike, skill: ArrayLike, val_loss: ArrayLike, margin: float) -> bool | None:
    """Whether a run ends far below its own best, or its validation loss has exploded.

    Far below: the last skill and the mean of the last quarter are both under half of the best, which is above the
    margin, and by more than the margin under it. Exploded: the last validation loss is no number, or above ten times
    its lowest while skill has fallen by more than the margin; a loss that grows while skill stays is overconfidence,
    not divergence.

    Args:
        progress: (P,) part of the run that is done, in (0, 1].
        skill: (P,) of one task on the validation fold; NaN where it is not known.
        val_loss: (P,) of that task; NaN or infinite where it was so.
        margin: in skill, above 0.

    Returns:
        None where under two points are known, unless the last loss is no number.
    """
    loss = np.asarray(val_loss, dtype=float)
    if loss.size and not np.isfinite(loss[-1]):
        return True
    x, y = _known(progress, skill)
    if x.size < 2:
        return None
    best = float(y.max())
    end = max(float(y[-1]), _mean(x, y, 1 - QUARTER, 1.0))
    fallen = best - end > margin
    exploded = loss.size > 0 and loss[-1] > EXPLODED * np.nanmin(loss) > 0
    return bool(fallen and ((best > margin and end < best / 2) or exploded))


def most(flags: ArrayLike) -> bool | None:
    """Whether more than half of the runs that tell say yes; None where no run tells.

    Args:
        flags: (K,) 1, 0, or NaN for a run that does not tell.
    """
    values = np.asarray(flags, dtype=float)
    known = values[~np.isnan(values)]
    return bool(known.mean() > 0.5) if known.size else None


def _known(progress: ArrayLike, skill: ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(progress, dtype=float), np.asarray(skill, dtype=float)
    known = np.isfinite(x) & np.isfinite(y)
    order = np.argsort(x[known], kind="stable")
    return x[known][order], y[known][order]


def _mean(x: Array, y: Array, start: float, end: float) -> float:
    """Of the curve between two points of progress; before its first and after its last value it stays level."""
    inside = (x > start) & (x < end)
    times = np.concatenate([[start], x[inside], [end]])
    values = np.interp(times, x, y)
    return float(((values[1:] + values[:-1]) / 2 * np.diff(times)).sum() / (end - start))
