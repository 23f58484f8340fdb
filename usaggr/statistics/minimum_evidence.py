"""Where test data are too few for any interval to be trusted: rare classes, and differences that hang on few subjects.

No interval built on a normal distribution covers rare failures: where 3 % of the subjects lose .8, a nominal 95 % is
60 % with 30 subjects (docs/coverage.md). So a cell whose evidence rests on under ten subjects gets no verdict.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

FEWEST = 10
"""Subjects in the rarer class, or subjects that fail: under so many there is no verdict."""
FAR = 5.0
"""Robust standard deviations from the median, from which on a subject's difference is a failure (or a rescue)."""
MOST = 0.75
"""Share of the variance between subjects."""


def rarer_class(labels: NDArray[np.int64], subjects: NDArray[np.int64], classes: int) -> int:
    """Subjects that have a sample within, or without, the class of which there are fewest: the smallest such count.

    Args:
        labels: (N,) classes in [0, K).
        subjects: (N,) index of the sample's subject.
        classes: K. Classes that no sample has, or all have, are not counted: they have no AUC.
    """
    counts = []
    for label in range(classes):
        inside = labels == label
        if inside.any() and not inside.all():
            counts += [np.unique(subjects[inside]).size, np.unique(subjects[~inside]).size]
    return min(counts, default=0)


def differs_in_few(table: ArrayLike) -> NDArray[np.bool_]:
    """Whether under ten subjects differ from the most common difference at all; of tables (..., K, C).

    So it is where both groupings are right, or perfectly ranked, on nearly all subjects: there is nothing to judge by.
    """
    away, least, _ = _distances(table)
    return np.asarray((away > least).sum(axis=-1) < FEWEST)


def hangs_on_few(table: ArrayLike) -> NDArray[np.bool_]:
    """Whether some, but under ten, subjects make up most of the variance between subjects; of tables (..., K, C).

    Counted are those whose difference, averaged over seeds, is more than FAR robust standard deviations (1.4826 times
    the median absolute deviation) from the median of all. For scores that are means over samples: in those of a whole
    fold (AUC, F1) the subjects of a rarer class weigh more by nature.
    """
    away, least, squares = _distances(table)
    robust = 1.4826 * np.median(away, axis=-1, keepdims=True)
    far = away > np.maximum(FAR * robust, least)
    share, number = (squares * far).sum(axis=-1), far.sum(axis=-1)
    return np.asarray((number > 0) & (number < FEWEST) & (share > MOST * squares.sum(axis=-1)))


def _distances(table: ArrayLike) -> tuple[Array, Array, Array]:
    """Of each subject's difference from the median, what counts as none, and squares about the mean."""
    values = np.asarray(table, dtype=float).mean(axis=-2)
    centre = np.median(values, axis=-1, keepdims=True)
    # Equal but for rounding is equal: pseudo-values come from divisions.
    return np.abs(values - centre), 1e-9 * (1 + np.abs(centre)), (values - values.mean(axis=-1, keepdims=True)) ** 2
