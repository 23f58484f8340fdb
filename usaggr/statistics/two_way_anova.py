"""Intervals and tests for a mean over two crossed random factors: seeds (as readers) and subjects (as cases).

A run's score is written as pseudo-values of its test subjects (jackknife.py), a difference of two runs as differences
of pseudo-values. A cell of the study is then a table of seeds x subjects. It is analyzed by two-way variance components
(Dorfman, Berbaum and Metz, Invest Radiol 1992). Hillis, Obuchowski, Schartz and Berbaum (Stat Med 2005) show that the
method of Obuchowski and Rockette gives the same results with jackknife covariances and equal degrees of freedom.
Leading axes of an array hold any number of tables.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.critical_values import make_quantile_function

Array = NDArray[np.float64]

ROUNDING = 1e-12
"""Standard error, relative to 1 + |value|, at or below which nothing varies except by rounding."""
_LEAST_DF = 0.1
"""Lower end of the range that `compute_df` searches; below 1, because the critical value may exceed that of 1 df."""
_MOST_DF = 1e6
"""Finite value used for infinite df, where Student's t is normal within rounding; also the upper end of the search."""
_LEAST_LOG_TAIL = -80.0
"""Logarithm of the smallest one-sided p value that is computed: far below any adjusted level."""
_BISECTIONS = 60
"""Halvings of the searched range: more than a double can distinguish."""


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of tables (..., K seeds, C subjects) with one value per cell; NaN for a factor with one level."""

    seeds: Array
    """(...) mean square between seeds; its expectation is C var(seed) + var(residual)."""
    subjects: Array
    """(...) mean square between subjects; its expectation is K var(subject) + var(residual)."""
    residual: Array
    """(...) residual mean square."""
    n_seeds: int
    n_subjects: int | NDArray[np.int64]
    """Number C of subjects; an array (...) if tables differ, and then above 1 everywhere."""


@dataclass(frozen=True)
class Estimate:
    """A mean with the two components of its variance; arrays of one shape, or numbers.

    The critical value depends on the estimated share of the seeds in the variance. From three seeds on, the size of a
    two-sided test at level .05 is near its level for every true share; critical_values.py states the sizes at smaller
    levels and with two seeds. The usual choice is Satterthwaite's approximation (Hillis, Stat Med 2007). With it,
    nominal 95 % intervals cover as little as 86.5 % with two seeds and 91.3 % with three (docs/coverage.md).

    An interval is never narrower than the Student's t interval over subjects that ignores seeds, because few seeds may
    agree by accident. This floor, and the subjects' component as a difference of two mean squares that is at least 0,
    are not in the equation that the critical values solve. docs/families.md measures the size with both.
    """

    value: Array
    seed_variance: Array
    """Seeds' component of the mean's variance, including the residual: MS_seeds / (K C)."""
    subject_variance: Array
    """Subjects' component, without the residual: max(MS_subjects - MS_residual, 0) / (K C)."""
    seed_df: Array
    subject_df: Array
    subjects_alone: Array
    """MS_subjects / (K C), the variance of the mean over subjects. An interval is at least as wide as with it alone."""
    residual: Array
    """MS_residual / (K C); 0 with one seed or one subject."""

    @property
    def se(self) -> Array:
        """Standard error; NaN if the variance is not estimated."""
        return np.asarray(np.sqrt(self.seed_variance + self.subject_variance))

    def compute_half_width(self, confidence: float | Array) -> Array:
        """Return half the width of an interval; `confidence` is in (0, 1)."""
        return self._make_half_width_function()(np.asarray((1 - confidence) / 2))

    def compute_critical_value(self, confidence: float | Array) -> Array:
        """Return the half width of an interval in standard errors; NaN without a standard error above 0."""
        half_width, se = self.compute_half_width(confidence), self.se
        return np.asarray(np.divide(half_width, se, out=np.full(np.shape(half_width), np.nan), where=se > 0))

    def compute_interval(self, confidence: float) -> tuple[Array, Array]:
        """Return the lower and upper bound; `confidence` is in (0, 1)."""
        half_width = self.compute_half_width(confidence)
        return np.asarray(self.value - half_width), np.asarray(self.value + half_width)

    def compute_df(self, confidence: float) -> Array:
        """Return the degrees of freedom of the Student's t that has this critical value."""
        from scipy import special

        tail, target = (1 - confidence) / 2, self.compute_critical_value(confidence)
        low, high = np.full(np.shape(target), _LEAST_DF), np.full(np.shape(target), _MOST_DF)
        for _ in range(_BISECTIONS):
            # The geometric mean, because the range spans many orders of magnitude.
            middle = np.sqrt(low * high)
            is_wider = -special.stdtrit(middle, tail) > target
            low, high = np.where(is_wider, middle, low), np.where(is_wider, high, middle)
        return np.asarray(np.where(np.isfinite(target), np.sqrt(low * high), np.nan))

    def compute_two_sided_p(self, null: ArrayLike = 0.0) -> Array:
        """Return the p value of the hypothesis that the mean is `null`."""
        return np.asarray(np.minimum(1.0, 2 * self._compute_one_sided_tail(np.abs(self.value - np.asarray(null)))))

    def compute_one_sided_p(self, null: ArrayLike) -> Array:
        """Return the p value of the hypothesis that the mean is at most `null`."""
        distance = self.value - np.asarray(null)
        tail = self._compute_one_sided_tail(np.abs(distance))
        return np.asarray(np.where(distance >= 0, tail, 1 - tail))

    def _make_half_width_function(self) -> Callable[[Array], Array]:
        """Return a function that maps an upper-tail probability to the half width of the interval.

        A bisection needs many half widths, so everything that does not depend on the probability is computed once.
        """
        from scipy import special

        total = np.asarray(self.seed_variance + self.subject_variance)
        share = np.divide(self.seed_variance, total, out=np.full(np.shape(total), 0.5), where=total > 0)
        seed_df, subject_df = np.minimum(self.seed_df, _MOST_DF), np.minimum(self.subject_df, _MOST_DF)
        is_estimated, se, se_alone = np.isfinite(total), np.sqrt(total), np.sqrt(self.subjects_alone)
        compute_critical_value = make_quantile_function(share, seed_df, subject_df)

        def compute_half_width(tail: Array) -> Array:
            # With one subject there are 0 degrees of freedom and the quantile is NaN; this term is then 0.
            alone = np.where(se_alone > 0, -special.stdtrit(subject_df, tail) * se_alone, 0.0)
            half_width = np.maximum(compute_critical_value(tail) * se, alone)
            return np.asarray(np.where(is_estimated, half_width, np.nan))

        return compute_half_width

    def _compute_one_sided_tail(self, distance: Array) -> Array:
        """Return the one-sided p value of a mean at this distance (at least 0) from the null value, by bisection."""
        se = self.se
        shape = np.broadcast_shapes(np.shape(distance), np.shape(se))
        distance, se = np.broadcast_to(distance, shape), np.broadcast_to(se, shape)
        low, high = np.full(shape, _LEAST_LOG_TAIL), np.full(shape, np.log(0.5))
        compute_half_width = self._make_half_width_function()
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            is_wider = compute_half_width(np.exp(middle)) > distance
            low, high = np.where(is_wider, middle, low), np.where(is_wider, high, middle)
        tail = np.exp((low + high) / 2)
        # Without any variance, any difference has p = 0.
        has_no_width = np.broadcast_to((self.se == 0) & (self.subjects_alone == 0), shape)
        tail = np.where(has_no_width, np.where(distance > 0, 0.0, 0.5), tail)
        return np.asarray(np.where(np.isfinite(se) & np.isfinite(distance), tail, np.nan))


def stack_estimates(estimates: Sequence[Estimate]) -> Estimate:
    """Stack the estimates of single tables into one with arrays (n,).

    One vectorized call for bounds or p values is about as fast as a call for a single estimate.
    """
    columns = [
        (e.value, e.seed_variance, e.subject_variance, e.seed_df, e.subject_df, e.subjects_alone, e.residual)
        for e in estimates
    ]
    return Estimate(*np.array(columns, dtype=float).reshape(-1, 7).T)


def compute_mean_squares(table: ArrayLike) -> MeanSquares:
    """Return the mean squares of tables (..., K seeds, C subjects) of finite values.

    Raises:
        ValueError: there is no seed or no subject.
    """
    values = np.asarray(table, dtype=float)
    seeds, subjects = values.shape[-2:]
    if not seeds or not subjects:
        raise ValueError("a table needs at least one seed and one subject")
    grand = values.mean(axis=(-2, -1))
    by_seed, by_subject = values.mean(axis=-1), values.mean(axis=-2)
    seed_squares = subjects * ((by_seed - grand[..., None]) ** 2).sum(axis=-1)
    subject_squares = seeds * ((by_subject - grand[..., None]) ** 2).sum(axis=-1)
    total = ((values - grand[..., None, None]) ** 2).sum(axis=(-2, -1))
    residual_squares = np.maximum(total - seed_squares - subject_squares, 0.0)
    nan = np.full_like(grand, np.nan)
    return MeanSquares(
        seed_squares / (seeds - 1) if seeds > 1 else nan,
        subject_squares / (subjects - 1) if subjects > 1 else nan,
        residual_squares / ((seeds - 1) * (subjects - 1)) if min(seeds, subjects) > 1 else nan,
        seeds,
        subjects,
    )


def estimate(table: ArrayLike, seed_mean_square: tuple[ArrayLike, ArrayLike] | None = None) -> Estimate:
    """Return the mean of tables (..., K seeds, C subjects) with the two components of its variance.

    With one seed the variance is that of subjects alone, with one subject that of seeds alone.

    Args:
        table: one value per seed and subject.
        seed_mean_square: mean square between seeds and its degrees of freedom, moderated (moderated_variances.py).
            Default: the table's own.

    Raises:
        ValueError: there is no seed or no subject.
    """
    values = np.asarray(table, dtype=float)
    return estimate_from_squares(values.mean(axis=(-2, -1)), compute_mean_squares(values), seed_mean_square)


def estimate_from_squares(
    mean: Array, squares: MeanSquares, seed_mean_square: tuple[ArrayLike, ArrayLike] | None = None
) -> Estimate:
    """Return the estimate of means (...) from the mean squares of their tables; see `estimate`.

    Args:
        mean: means of the tables.
        squares: mean squares of the tables.
        seed_mean_square: mean square between seeds and its degrees of freedom, as in `estimate`.
    """
    cells = squares.n_seeds * squares.n_subjects
    zeros = np.zeros_like(mean)
    seed_mean_square = seed_mean_square or (squares.seeds, np.full_like(mean, squares.n_seeds - 1))
    seed_square, df = (np.asarray(values, dtype=float) for values in seed_mean_square)
    seed_df, subject_df = df + zeros, squares.n_subjects - 1 + zeros
    alone = squares.subjects / cells
    match squares.n_seeds > 1, bool(np.all(np.asarray(squares.n_subjects) > 1)):
        case True, True:
            # The residual is in both mean squares, and must count once.
            subject_variance = np.maximum(squares.subjects - squares.residual, 0.0) / cells
            residual = squares.residual / cells
            return Estimate(mean, seed_square / cells, subject_variance, seed_df, subject_df, alone, residual)
        case False, True:
            return Estimate(mean, zeros, alone, zeros, subject_df, alone, zeros)
        case True, False:
            return Estimate(mean, seed_square / cells, zeros, seed_df, subject_df, zeros, zeros)
    return Estimate(mean, np.full_like(mean, np.nan), zeros, zeros, zeros, zeros, zeros)
