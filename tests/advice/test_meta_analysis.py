"""Random-effects pooling against published numbers, an independent library, and simulated families of tasks."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize
from statsmodels.stats.meta_analysis import _fit_tau_iterative

from tests.advice.families import covers
from usaggr.advice.meta_analysis import FEWEST, Pooled, pool

BCG = np.array([
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
])  # fmt: skip
"""Vaccine against tuberculosis, 13 trials: ill and well with it, ill and well without (Colditz et al., JAMA 1994)."""


def bcg() -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the relative risks with their standard errors."""
    ill, well, ill_without, well_without = BCG.T.astype(float)
    with_it, without = ill + well, ill_without + well_without
    effects = np.log(ill / with_it) - np.log(ill_without / without)
    return effects, np.sqrt(1 / ill - 1 / with_it + 1 / ill_without - 1 / without)


def pooled(effects: np.ndarray, errors: np.ndarray, together: bool = False) -> Pooled:
    """Of effects from different sweeps, unless they are together in one."""
    return pool(effects.tolist(), errors.tolist(), 0.95, ["a"] * effects.size if together else range(effects.size))


def test_it_agrees_with_the_published_analysis_of_the_bcg_trials() -> None:
    """tau^2 = 0.318 by Paule and Mandel (DerSimonian and Kacker, Contemp Clin Trials 2007), mean -0.715."""
    found = pooled(*bcg())
    assert found.tau**2 == pytest.approx(0.318, abs=5e-4)
    assert found.mean == pytest.approx(-0.715, abs=1e-3)
    # With tau^2 as known, the usual normal interval is -1.87 to 0.44; with its doubt it is wider.
    assert -2.1 < found.low < -1.87
    assert 0.44 < found.high < 0.7


@given(st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(0.005, 0.1)), min_size=FEWEST, max_size=12))
def test_it_agrees_with_statsmodels(studies: list[tuple[float, float]]) -> None:
    effects, errors = np.array(studies).T
    found = pooled(effects, errors)
    theirs, converged = _fit_tau_iterative(effects, errors**2, atol=1e-9, maxiter=1000)
    assume(converged)
    assert found.tau**2 == pytest.approx(max(float(theirs), 0.0), rel=1e-4, abs=1e-7)
    mean = np.average(effects, weights=1 / (errors**2 + found.tau**2))
    assert found.mean == pytest.approx(float(mean), abs=1e-9)


def test_the_interval_is_that_of_simulated_new_effects() -> None:
    """The same mixture by drawing from it: a chi-square, the spread at which Q is that, a mean, a new effect."""
    rng = np.random.default_rng(0)
    effects, errors = np.array([0.05, -0.01, 0.08, 0.02, 0.11]), np.array([0.01, 0.02, 0.015, 0.03, 0.012])
    drawn = []
    for square in rng.chisquare(4, 600):
        free = _excess(effects, errors, 0.0, square) <= 0
        tau2 = 0.0 if free else optimize.brentq(lambda t, q=square: _excess(effects, errors, t, q), 0.0, 1e3)
        weights = 1 / (errors**2 + tau2)
        mean = np.average(effects, weights=weights) + rng.standard_normal(20) / np.sqrt(weights.sum())
        drawn.append(mean + np.sqrt(tau2) * rng.standard_normal(20))
    found = pooled(effects, errors)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.015)


def _excess(effects: np.ndarray, errors: np.ndarray, tau2: float, square: float) -> float:
    weights = 1 / (errors**2 + tau2)
    mean = np.average(effects, weights=weights)
    return float((weights * (effects - mean) ** 2).sum() - square)


@given(
    st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(0.005, 0.1)), min_size=FEWEST, max_size=8),
    st.floats(-1, 1),
    st.floats(0.1, 10),
)
def test_the_prediction_moves_and_stretches_with_the_effects(
    studies: list[tuple[float, float]], shift: float, factor: float
) -> None:
    effects, errors = np.array(studies).T
    one, other = pooled(effects, errors), pooled(factor * effects + shift, factor * errors)
    assert other.mean == pytest.approx(factor * one.mean + shift, abs=1e-6)
    assert other.high - other.low == pytest.approx(factor * (one.high - one.low), rel=1e-4)


def test_effects_of_one_sweep_are_less_sure_than_those_of_several() -> None:
    effects, errors = np.full(8, 0.03), np.full(8, 0.01)
    apart, together = pooled(effects, errors), pooled(effects, errors, together=True)
    assert together.high - together.low > 1.3 * (apart.high - apart.low)


def test_under_three_effects_nothing_is_predicted() -> None:
    with pytest.raises(ValueError, match="2 effects; a prediction interval needs 3"):
        pooled(np.array([0.1, 0.2]), np.array([0.01, 0.01]))
    with pytest.raises(ValueError, match="standard error above 0"):
        pooled(np.array([0.1, 0.2, 0.3]), np.array([0.01, 0.0, 0.01]))


@pytest.mark.parametrize(("tasks", "tau", "together"), [(4, 0.06, 0.5), (8, 0.02, 0.5)])
def test_prediction_intervals_cover_the_task_that_is_left_out(tasks: int, tau: float, together: float) -> None:
    """The interval of some tasks of a simulated family is held against the true effect of one more."""
    covered = covers(tasks, tau, together, families=200)
    assert covered.mean() >= 0.91  # of a true 95 %, 200 families show less in one of 100 cases


def test_intervals_are_not_so_wide_that_they_say_nothing() -> None:
    """With eight tasks that are all alike and have errors of .01, the interval fits into a margin of .02 or so."""
    found = pooled(np.full(8, 0.0), np.full(8, 0.01), together=True)
    assert found.high < 0.02
