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

from usaggr.statistics.critical_values import make_quantile_function

Array = NDArray[np.float64]
Covers = Literal["seeds and subjects", "subjects", "seeds", "nothing"]

_LEAST_DF = 0.1
"""Smallest degrees of freedom that describe a critical value."""
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

    The critical value depends on the estimated share of the seeds in the variance, so that the size of the test is near
    its level for every true share (critical_values.py). The usual choice is Satterthwaite's approximation (Hillis
    2007). With it, a nominal 95 % covers 87 % with two seeds and 92 % with three, if seeds vary somewhat more than
    subjects. An interval is never narrower than the one over subjects alone: few seeds may agree by accident.
    """

    value: Array
    seed_variance: Array
    """Component of the variance of the mean that is due to seeds."""
    subject_variance: Array
    """Component of the variance of the mean that is due to subjects."""
    seed_df: Array
    subject_df: Array
    subjects_alone: Array
    """Variance of the mean if seeds did not vary: the bound below which the interval does not shrink."""
    covers: Covers = "seeds and subjects"
    """Factors whose variance is included."""

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
        return np.asarray(np.minimum(1.0, 2 * self._tail(np.abs(self.value - np.asarray(null)))))

    def compute_one_sided_p(self, null: ArrayLike) -> Array:
        """Return the p value of the hypothesis that the mean is at most `null`."""
        distance = self.value - np.asarray(null)
        tail = self._tail(np.abs(distance))
        return np.asarray(np.where(distance >= 0, tail, 1 - tail))

    def _make_half_width_function(self) -> Callable[[Array], Array]:
        """Return the function from a tail's probability to the distance from the mean at which it begins.

        A bisection needs many distances, so everything that does not depend on the tail is computed once.
        """
        from scipy import special

        total = np.asarray(self.seed_variance + self.subject_variance)
        share = np.divide(self.seed_variance, total, out=np.full(np.shape(total), 0.5), where=total > 0)
        seed_df, subject_df = np.minimum(self.seed_df, _MOST_DF), np.minimum(self.subject_df, _MOST_DF)
        is_known, se, se_alone = np.isfinite(total), np.sqrt(total), np.sqrt(self.subjects_alone)
        compute_critical_value = make_quantile_function(share, seed_df, subject_df)

        def compute_distance(tail: Array) -> Array:
            # Without variance between subjects there may be no degrees of freedom, and no quantile.
            alone = np.where(se_alone > 0, -special.stdtrit(subject_df, tail) * se_alone, 0.0)
            distance = np.maximum(compute_critical_value(tail) * se, alone)
            return np.asarray(np.where(is_known, distance, np.nan))

        return compute_distance

    def _tail(self, distance: Array) -> Array:
        """Return the probability of the tail that begins at this distance from the mean, by bisection."""
        se = self.se
        shape = np.broadcast_shapes(np.shape(distance), np.shape(se))
        distance, se = np.broadcast_to(distance, shape), np.broadcast_to(se, shape)
        low, high = np.full(shape, _LEAST_LOG_TAIL), np.full(shape, np.log(0.5))
        compute_distance = self._make_half_width_function()
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            is_beyond = compute_distance(np.exp(middle)) > distance
            low, high = np.where(is_beyond, middle, low), np.where(is_beyond, high, middle)
        tail = np.exp((low + high) / 2)
        # Without any variance, any difference has p = 0.
        has_no_width = np.broadcast_to((self.se == 0) & (self.subjects_alone == 0), shape)
        tail = np.where(has_no_width, np.where(distance > 0, 0.0, 0.5), tail)
        return np.asarray(np.where(np.isfinite(se) & np.isfinite(distance), tail, np.nan))


def stack_estimates(estimates: Sequence[Estimate]) -> Estimate:
    """Stack the estimates of single tables into one with arrays (n,).

    Bounds and p values of all of them then take about as long as those of one. `covers` is not kept.
    """
    columns = [
        (e.value, e.seed_variance, e.subject_variance, e.seed_df, e.subject_df, e.subjects_alone) for e in estimates
    ]
    return Estimate(*np.array(columns, dtype=float).reshape(-1, 6).T)


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
        seeds: mean square between seeds and its degrees of freedom, moderated (moderated_variances.py).
            Default: the table's own.

    Raises:
        ValueError: there is no seed or no subject.
    """
    values = np.asarray(table, dtype=float)
    return estimate_from_squares(values.mean(axis=(-2, -1)), compute_mean_squares(values), seeds)


def estimate_from_squares(
    mean: Array, squares: MeanSquares, seeds: tuple[ArrayLike, ArrayLike] | None = None
) -> Estimate:
    """Return the estimate of means (...) from the mean squares of their tables; see `estimate`.

    Args:
        mean: means of the tables.
        squares: mean squares of the tables.
        seeds: mean square between seeds and its degrees of freedom, as in `estimate`.
    """
    cells = squares.n_seeds * squares.n_subjects
    zeros = np.zeros_like(mean)
    seeds = seeds or (squares.seeds, np.full_like(mean, squares.n_seeds - 1))
    seed_square, df = (np.asarray(values, dtype=float) for values in seeds)
    seed_df, subject_df = df + zeros, np.full_like(mean, squares.n_subjects - 1)
    alone = squares.subjects / cells
    match squares.n_seeds > 1, squares.n_subjects > 1:
        case True, True:
            # The residual is in both mean squares, and must count once.
            subject_variance = np.maximum(squares.subjects - squares.residual, 0.0) / cells
            return Estimate(mean, seed_square / cells, subject_variance, seed_df, subject_df, alone)
        case False, True:
            return Estimate(mean, zeros, alone, zeros, subject_df, alone, "subjects")
        case True, False:
            return Estimate(mean, seed_square / cells, zeros, seed_df, subject_df, zeros, "seeds")
    return Estimate(mean, np.full_like(mean, np.nan), zeros, zeros, zeros, zeros, "nothing")
