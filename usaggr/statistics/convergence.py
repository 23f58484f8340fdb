"""Checks of a run's validity: collapsed, unconverged or diverged, from its scores and its validation curve.

Skill is (score - trivial) / (best - trivial): 0 equals the predictor that ignores the image, 1 is perfect. A check
returns None if the scores or the curve do not allow an answer.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.metrics.names import Metric, compute_improvement

Array = NDArray[np.float64]

QUARTER = 0.25
"""Last fraction of a run, in which skill should no longer rise."""
FEWEST_POINTS = 3
"""Smallest number of points in the second half of a curve that allows an answer about its last quarter."""
PROGRESS_SLACK = 0.05
"""Progress by which a point may come too early: validations happen after complete steps."""
EXPLOSION_RATIO = 10.0
"""Ratio of a validation loss to its minimum above which it has exploded."""


def is_collapsed(
    test_score: float, trivial_test: float, val_score: float, trivial_val: float, metric: Metric
) -> bool | None:
    """Return whether test and validation scores are both no better than the trivial predictor's.

    Args:
        test_score: score on the test set; NaN if not defined, such as an AUC of samples of one class.
        trivial_test: the trivial predictor's score on the test set.
        val_score: score on the validation set; NaN if not defined.
        trivial_val: the trivial predictor's score on the validation set.
        metric: metric of the scores.

    Returns:
        False if either score is better than trivial; None if one is not defined and the other is not better.
    """
    gains = [compute_improvement(test_score, trivial_test, metric), compute_improvement(val_score, trivial_val, metric)]
    # 1e-9 for rounding: a constant prediction has the trivial score.
    if any(gain > 1e-9 for gain in gains):
        return False
    return None if any(np.isnan(gain) for gain in gains) else True


def is_unconverged(progress: ArrayLike, skill: ArrayLike, margin: float) -> bool | None:
    """Return whether the last quarter of the validation curve still rises by more than the margin.

    The rise is that of a least-squares line through the points from progress 0.75 on and the value interpolated there.
    One noisy validation must not decide. Therefore the mean of the last quarter must also exceed that of the quarter
    before by more than the margin. For a straight curve both are the same number; the second one distinguishes a rise
    from the recovery after a dip. Of level curves with a noise of one margin (SD), 4 % count as rising with four
    validations, 2 % with ten. Of curves that truly rise by two margins, 75 % or more do.

    Args:
        progress: (P,) fraction of the run that is done, in (0, 1].
        skill: (P,) skill of one task on the validation set; NaN if not defined.
        margin: in skill, above 0.

    Returns:
        None if fewer than three points are defined in the second half of the run (four even validations are enough), or
        if the curve ends before the run does.
    """
    x, y = _defined_points(progress, skill)
    if (x >= 0.5 - PROGRESS_SLACK).sum() < FEWEST_POINTS or x[-1] < 1 - PROGRESS_SLACK:
        return None
    start = 1 - QUARTER
    late = x > start
    times, values = np.append(start, x[late]), np.append(np.interp(start, x, y), y[late])
    centered = times - times.mean()
    rise = QUARTER * float(centered @ values / (centered @ centered))
    gain = _average_curve(x, y, start, 1.0) - _average_curve(x, y, start - QUARTER, start)
    return bool(min(rise, gain) > margin)


def is_diverged(progress: ArrayLike, skill: ArrayLike, val_loss: ArrayLike, margin: float) -> bool | None:
    """Return whether a run ends far below its own best, or its validation loss has exploded.

    * Far below: the last skill and the mean of the last quarter are both less than half of the best skill, and below it
      by more than the margin; the best skill itself exceeds the margin.
    * Exploded: the last validation loss is not finite, or above ten times its minimum while skill has fallen by more
      than the margin. A loss that grows while skill stays is overconfidence, not divergence.

    Args:
        progress: (P,) fraction of the run that is done, in (0, 1].
        skill: (P,) skill of one task on the validation set; NaN if not defined.
        val_loss: (P,) validation loss of that task; may be NaN or infinite.
        margin: in skill, above 0.

    Returns:
        None if fewer than two points are defined, unless the last loss is not finite.
    """
    loss = np.asarray(val_loss, dtype=float)
    if loss.size and not np.isfinite(loss[-1]):
        return True
    x, y = _defined_points(progress, skill)
    if x.size < 2:
        return None
    best = float(y.max())
    end = max(float(y[-1]), _average_curve(x, y, 1 - QUARTER, 1.0))
    has_fallen = best - end > margin
    has_exploded = loss.size > 0 and loss[-1] > EXPLOSION_RATIO * np.nanmin(loss) > 0
    return bool(has_fallen and ((best > margin and end < best / 2) or has_exploded))


def is_majority(flags: ArrayLike) -> bool | None:
    """Return whether more than half of the defined flags are 1; None if none is defined.

    Args:
        flags: (K,) 1, 0, or NaN for a run without an answer.
    """
    values = np.asarray(flags, dtype=float)
    defined = values[~np.isnan(values)]
    return bool(defined.mean() > 0.5) if defined.size else None


def _defined_points(progress: ArrayLike, skill: ArrayLike) -> tuple[Array, Array]:
    """Return the finite points of a curve in the order of progress."""
    x, y = np.asarray(progress, dtype=float), np.asarray(skill, dtype=float)
    is_finite = np.isfinite(x) & np.isfinite(y)
    order = np.argsort(x[is_finite], kind="stable")
    return x[is_finite][order], y[is_finite][order]


def _average_curve(x: Array, y: Array, start: float, end: float) -> float:
    """Return the mean of a curve between two points of progress; outside its points the curve is level.

    Args:
        x: (P,) progress, sorted.
        y: (P,) values.
        start: first point of progress.
        end: last point of progress.
    """
    inside = (x > start) & (x < end)
    times = np.concatenate([[start], x[inside], [end]])
    values = np.interp(times, x, y)
    return float(((values[1:] + values[:-1]) / 2 * np.diff(times)).sum() / (end - start))
