"""Intervals and tests for a mean over two crossed sources of chance: seeds (as readers) and subjects (as cases).

A score of a run is written as pseudo-values of its test subjects (see jackknife.py), a difference of two runs as the
differences of these; a cell of the study is then a table seeds x subjects, analysed by two-way variance components
(Dorfman, Berbaum and Metz, Invest Radiol 1992; Hillis, Stat Med 2007, shows that it is the analysis of Obuchowski and
Rockette with jackknife covariances). Leading axes of an array are any number of such tables.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Covers = Literal["seeds and subjects", "subjects", "seeds", "nothing"]


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of tables (..., K seeds, C subjects) with one value a cell; NaN where a source has one level."""

    seeds: Array
    """(...,) expectation C var(seed) + var(residual)."""
    subjects: Array
    """(...,) expectation K var(subject) + var(residual)."""
    residual: Array
    n_seeds: int
    n_subjects: int


@dataclass(frozen=True)
class Estimate:
    """A mean with what its variance consists of; arrays of one shape, or numbers.

    Its critical value is the mean of Student's t for either source's degrees of freedom, weighted by the sources' parts
    of the variance (Cochran and Cox, Experimental Designs, 1957, section 4.14). Satterthwaite's approximation, usual
    here (Hillis 2007), leaves coverage of 87 % of a nominal 95 % with two seeds, and 92 % with three, where seeds vary
    somewhat more than subjects; this one keeps 94 to 97.8 % for any ratio of the two (docs/coverage.md).
    """

    value: Array
    seed_part: Array
    """The seeds' part of the variance of the mean."""
    subject_part: Array
    """The subjects' part."""
    seed_df: Array
    subject_df: Array
    covers: Covers = "seeds and subjects"
    """Which sources the variance knows of."""

    @property
    def se(self) -> Array:
        """Standard error; NaN where nothing is known of spread."""
        return np.asarray(np.sqrt(self.seed_part + self.subject_part))

    def critical(self, confidence: float | Array) -> Array:
        """By how many standard errors an interval reaches to either side; `confidence` in (0, 1)."""
        return self._quantiles()(np.asarray((1 - confidence) / 2))

    def interval(self, confidence: float) -> tuple[Array, Array]:
        """Lower and upper bound."""
        half = self.critical(confidence) * self.se
        return np.asarray(self.value - half), np.asarray(self.value + half)

    def df(self, confidence: float) -> Array:
        """Degrees of freedom of the Student's t that has this critical value."""
        from scipy import special

        low, high = np.minimum(self.seed_df, self.subject_df), np.maximum(self.seed_df, self.subject_df)
        tail, target = (1 - confidence) / 2, self.critical(confidence)
        low, high = np.asarray(low, dtype=float), np.minimum(np.asarray(high, dtype=float), _LARGE)
        for _ in range(60):
            middle = (low + high) / 2
            wide = -special.stdtrit(middle, tail) > target
            low, high = np.where(wide, middle, low), np.where(wide, high, middle)
        return np.asarray(np.where(np.isfinite(target), (low + high) / 2, np.nan))

    def p_two_sided(self, null: ArrayLike = 0.0) -> Array:
        """P value of the hypothesis that the mean is `null`."""
        return np.asarray(np.minimum(1.0, 2 * self._tail(np.abs(self.value - np.asarray(null)))))

    def p_greater(self, null: ArrayLike) -> Array:
        """P value of the hypothesis that the mean is at most `null`."""
        distance = self.value - np.asarray(null)
        tail = self._tail(np.abs(distance))
        return np.asarray(np.where(distance >= 0, tail, 1 - tail))

    def _quantiles(self) -> Callable[[Array], Array]:
        """Return the function from a tail's probability to its quantile, in standard errors.

        A bisection asks for 60 quantiles: what does not depend on the tail is computed once.
        """
        from scipy import special

        total = np.asarray(self.seed_part + self.subject_part)
        share = np.divide(self.seed_part, total, out=np.full(np.shape(total), 0.5), where=total > 0)
        seed_df, subject_df = np.minimum(self.seed_df, _LARGE), np.minimum(self.subject_df, _LARGE)
        has_seeds, has_subjects, is_known = share > 0, share < 1, np.isfinite(total)

        def quantile(tail: Array) -> Array:
            seed, subject = -special.stdtrit(seed_df, tail), -special.stdtrit(subject_df, tail)
            # A source without a part may have no degrees of freedom: its quantile must not count, not even as 0 x NaN.
            mixed = np.where(has_seeds, share * seed, 0.0) + np.where(has_subjects, (1 - share) * subject, 0.0)
            return np.asarray(np.where(is_known, mixed, np.nan))

        return quantile

    def _tail(self, distance: Array) -> Array:
        """The tail whose quantile is at this distance: by bisection, as the mean of two quantiles has no inverse."""
        se = self.se
        shape = np.broadcast_shapes(np.shape(distance), np.shape(se))
        distance, se = np.broadcast_to(distance, shape), np.broadcast_to(se, shape)
        low, high = np.full(shape, _SMALLEST), np.full(shape, np.log(0.5))
        quantile = self._quantiles()
        for _ in range(60):
            middle = (low + high) / 2
            far = quantile(np.exp(middle)) * se > distance
            low, high = np.where(far, middle, low), np.where(far, high, middle)
        tail = np.exp((low + high) / 2)
        # Without any spread, a difference is certain and none is none.
        tail = np.where(se == 0, np.where(distance > 0, 0.0, 0.5), tail)
        return np.asarray(np.where(np.isfinite(se) & np.isfinite(distance), tail, np.nan))


def stacked(estimates: Sequence[Estimate]) -> Estimate:
    """Return estimates of single tables as one with arrays (n,).

    Bounds and p values of all of them then take about as long as those of one. `covers` is not kept.
    """
    parts = [(one.value, one.seed_part, one.subject_part, one.seed_df, one.subject_df) for one in estimates]
    value, seed_part, subject_part, seed_df, subject_df = np.array(parts, dtype=float).reshape(-1, 5).T
    return Estimate(value, seed_part, subject_part, seed_df, subject_df)


_LARGE = 1e6
"""Degrees of freedom that are as good as infinite."""
_SMALLEST = -80.0
"""Logarithm of the smallest tail that is told apart."""


def mean_squares(table: ArrayLike) -> MeanSquares:
    """Mean squares of tables (..., K, C) of finite values.

    Raises:
        ValueError: no seed or no subject.
    """
    values = np.asarray(table, dtype=float)
    seeds, subjects = values.shape[-2:]
    if not seeds or not subjects:
        raise ValueError("a table needs at least one seed and one subject")
    grand = values.mean(axis=(-2, -1))
    by_seed, by_subject = values.mean(axis=-1), values.mean(axis=-2)
    of_seeds = subjects * ((by_seed - grand[..., None]) ** 2).sum(axis=-1)
    of_subjects = seeds * ((by_subject - grand[..., None]) ** 2).sum(axis=-1)
    total = ((values - grand[..., None, None]) ** 2).sum(axis=(-2, -1))
    rest = np.maximum(total - of_seeds - of_subjects, 0.0)
    none = np.full_like(grand, np.nan)
    return MeanSquares(
        of_seeds / (seeds - 1) if seeds > 1 else none,
        of_subjects / (subjects - 1) if subjects > 1 else none,
        rest / ((seeds - 1) * (subjects - 1)) if min(seeds, subjects) > 1 else none,
        seeds,
        subjects,
    )


def estimate(table: ArrayLike, seeds: tuple[ArrayLike, ArrayLike] | None = None) -> Estimate:
    """Mean of tables (..., K, C) with the two parts of its variance.

    With one seed the variance is that of subjects alone, with one subject that of seeds alone, and `covers` says so.

    Args:
        table: one value a seed and subject.
        seeds: mean square between seeds and its degrees of freedom where they are pooled with those of other tables
            (see pooling.py); otherwise the table's own.

    Raises:
        ValueError: no seed or no subject.
    """
    values = np.asarray(table, dtype=float)
    squares = mean_squares(values)
    mean, cells = values.mean(axis=(-2, -1)), squares.n_seeds * squares.n_subjects
    nothing = np.zeros_like(mean)
    own = (squares.seeds, np.full_like(mean, squares.n_seeds - 1))
    square, df = (np.asarray(part, dtype=float) for part in (seeds or own))
    of_subjects = np.full_like(mean, squares.n_subjects - 1)
    match squares.n_seeds > 1, squares.n_subjects > 1:
        case True, True:
            part = np.maximum(squares.subjects - squares.residual, 0.0) / cells
            return Estimate(mean, square / cells, part, df + nothing, of_subjects)
        case False, True:
            return Estimate(mean, nothing, squares.subjects / cells, nothing, of_subjects, "subjects")
        case True, False:
            return Estimate(mean, square / cells, nothing, df + nothing, of_subjects, "seeds")
    return Estimate(mean, np.full_like(mean, np.nan), nothing, nothing, nothing, "nothing")
