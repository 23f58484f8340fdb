"""Intervals and tests for a mean over two crossed random factors: seeds (as readers) and subjects (as cases).

A run's score is written as pseudo-values of its test subjects (jackknife.py), a difference of two runs as differences
of pseudo-values. A cell of the study is then a table of seeds x subjects. It is analyzed by two-way variance components
(Dorfman, Berbaum and Metz, Invest Radiol 1992). Hillis (Stat Med 2007) shows that this is the analysis of Obuchowski
and Rockette with jackknife covariances. Leading axes of an array hold any number of tables.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Covers = Literal["seeds and subjects", "subjects", "seeds", "nothing"]

_MOST_DF = 1e6
"""Degrees of freedom that replace infinite ones; Student's t is normal long before."""
_LEAST_LOG_TAIL = -80.0
"""Logarithm of the smallest tail probability that is computed."""
_BISECTIONS = 60
"""Halvings of a range; more than a double can distinguish."""


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
    n_subjects: int


@dataclass(frozen=True)
class Estimate:
    """A mean with the two components of its variance; arrays of one shape, or numbers.

    The critical value is the mean of Student's t for the degrees of freedom of both factors, weighted by their variance
    components (Cochran and Cox, Experimental Designs, 1957, section 4.14). The usual choice is Satterthwaite's
    approximation (Hillis 2007). With it, a nominal 95 % covers 87 % with two seeds and 92 % with three, if seeds vary
    somewhat more than subjects. The weighted mean covers 94 to 97.8 % for any ratio of the two (docs/coverage.md).
    """

    value: Array
    seed_variance: Array
    """Component of the variance of the mean that is due to seeds."""
    subject_variance: Array
    """Component of the variance of the mean that is due to subjects."""
    seed_df: Array
    subject_df: Array
    covers: Covers = "seeds and subjects"
    """Factors whose variance is included."""

    @property
    def se(self) -> Array:
        """Standard error; NaN if the variance is not estimated."""
        return np.asarray(np.sqrt(self.seed_variance + self.subject_variance))

    def compute_critical_value(self, confidence: float | Array) -> Array:
        """Return the half width of an interval in standard errors; `confidence` is in (0, 1)."""
        return self._make_quantile_function()(np.asarray((1 - confidence) / 2))

    def compute_interval(self, confidence: float) -> tuple[Array, Array]:
        """Return the lower and upper bound; `confidence` is in (0, 1)."""
        half_width = self.compute_critical_value(confidence) * self.se
        return np.asarray(self.value - half_width), np.asarray(self.value + half_width)

    def compute_df(self, confidence: float) -> Array:
        """Return the degrees of freedom of the Student's t that has this critical value."""
        from scipy import special

        low, high = np.minimum(self.seed_df, self.subject_df), np.maximum(self.seed_df, self.subject_df)
        # The weighted mean of two quantiles lies between them, and so do its degrees of freedom.
        tail, target = (1 - confidence) / 2, self.compute_critical_value(confidence)
        low, high = np.asarray(low, dtype=float), np.minimum(np.asarray(high, dtype=float), _MOST_DF)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            is_wider = -special.stdtrit(middle, tail) > target
            low, high = np.where(is_wider, middle, low), np.where(is_wider, high, middle)
        return np.asarray(np.where(np.isfinite(target), (low + high) / 2, np.nan))

    def compute_two_sided_p(self, null: ArrayLike = 0.0) -> Array:
        """Return the p value of the hypothesis that the mean is `null`."""
        return np.asarray(np.minimum(1.0, 2 * self._tail(np.abs(self.value - np.asarray(null)))))

    def compute_one_sided_p(self, null: ArrayLike) -> Array:
        """Return the p value of the hypothesis that the mean is at most `null`."""
        distance = self.value - np.asarray(null)
        tail = self._tail(np.abs(distance))
        return np.asarray(np.where(distance >= 0, tail, 1 - tail))

    def _make_quantile_function(self) -> Callable[[Array], Array]:
        """Return the function from a tail's probability to its quantile, in standard errors.

        A bisection needs many quantiles, so everything that does not depend on the tail is computed once.
        """
        from scipy import special

        total = np.asarray(self.seed_variance + self.subject_variance)
        share = np.divide(self.seed_variance, total, out=np.full(np.shape(total), 0.5), where=total > 0)
        seed_df, subject_df = np.minimum(self.seed_df, _MOST_DF), np.minimum(self.subject_df, _MOST_DF)
        has_seeds, has_subjects, is_known = share > 0, share < 1, np.isfinite(total)

        def quantile(tail: Array) -> Array:
            seed, subject = -special.stdtrit(seed_df, tail), -special.stdtrit(subject_df, tail)
            # A factor with variance 0 may have no degrees of freedom. Its quantile is then NaN, and 0 x NaN is NaN.
            mixed = np.where(has_seeds, share * seed, 0.0) + np.where(has_subjects, (1 - share) * subject, 0.0)
            return np.asarray(np.where(is_known, mixed, np.nan))

        return quantile

    def _tail(self, distance: Array) -> Array:
        """Return the tail probability whose quantile is at this distance.

        The mean of two quantile functions has no closed inverse, so this is a bisection.
        """
        se = self.se
        shape = np.broadcast_shapes(np.shape(distance), np.shape(se))
        distance, se = np.broadcast_to(distance, shape), np.broadcast_to(se, shape)
        low, high = np.full(shape, _LEAST_LOG_TAIL), np.full(shape, np.log(0.5))
        quantile = self._make_quantile_function()
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            is_beyond = quantile(np.exp(middle)) * se > distance
            low, high = np.where(is_beyond, middle, low), np.where(is_beyond, high, middle)
        tail = np.exp((low + high) / 2)
        # With a standard error of 0, any difference has p = 0.
        tail = np.where(se == 0, np.where(distance > 0, 0.0, 0.5), tail)
        return np.asarray(np.where(np.isfinite(se) & np.isfinite(distance), tail, np.nan))


def stack_estimates(estimates: Sequence[Estimate]) -> Estimate:
    """Stack the estimates of single tables into one with arrays (n,).

    Bounds and p values of all of them then take about as long as those of one. `covers` is not kept.
    """
    columns = [(e.value, e.seed_variance, e.subject_variance, e.seed_df, e.subject_df) for e in estimates]
    value, seed_variance, subject_variance, seed_df, subject_df = np.array(columns, dtype=float).reshape(-1, 5).T
    return Estimate(value, seed_variance, subject_variance, seed_df, subject_df)


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


def estimate(table: ArrayLike, seeds: tuple[ArrayLike, ArrayLike] | None = None) -> Estimate:
    """Return the mean of tables (..., K seeds, C subjects) with the two components of its variance.

    With one seed the variance is that of subjects alone, with one subject that of seeds alone. `covers` records this.

    Args:
        table: one value per seed and subject.
        seeds: mean square between seeds and its degrees of freedom, pooled with other tables (variance_pooling.py).
            Default: the table's own.

    Raises:
        ValueError: there is no seed or no subject.
    """
    values = np.asarray(table, dtype=float)
    squares = compute_mean_squares(values)
    mean, cells = values.mean(axis=(-2, -1)), squares.n_seeds * squares.n_subjects
    zeros = np.zeros_like(mean)
    seeds = seeds or (squares.seeds, np.full_like(mean, squares.n_seeds - 1))
    seed_square, df = (np.asarray(values, dtype=float) for values in seeds)
    seed_df, subject_df = df + zeros, np.full_like(mean, squares.n_subjects - 1)
    match squares.n_seeds > 1, squares.n_subjects > 1:
        case True, True:
            # The residual is in both mean squares, and must count once.
            subject_variance = np.maximum(squares.subjects - squares.residual, 0.0) / cells
            return Estimate(mean, seed_square / cells, subject_variance, seed_df, subject_df)
        case False, True:
            return Estimate(mean, zeros, squares.subjects / cells, zeros, subject_df, "subjects")
        case True, False:
            return Estimate(mean, seed_square / cells, zeros, seed_df, subject_df, "seeds")
    return Estimate(mean, np.full_like(mean, np.nan), zeros, zeros, zeros, "nothing")
