"""Tests of random-effects pooling against published numbers, an independent library and simulated tasks."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize
from statsmodels.stats.meta_analysis import _fit_tau_iterative

from tests.advice.families import covers
from usaggr.advice.meta_analysis import MIN_EFFECTS, Pooled, pool

BCG = np.array([
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
])  # fmt: skip
"""BCG vaccine, 13 trials: ill and well with vaccine, ill and well without (Colditz et al., JAMA 1994)."""


def bcg() -> tuple[np.ndarray, np.ndarray]:
    """Return the logarithms of the relative risks with their standard errors."""
    ill, well, ill_without, well_without = BCG.T.astype(float)
    vaccinated, controls = ill + well, ill_without + well_without
    effects = np.log(ill / vaccinated) - np.log(ill_without / controls)
    return effects, np.sqrt(1 / ill - 1 / vaccinated + 1 / ill_without - 1 / controls)


def pooled(effects: np.ndarray, errors: np.ndarray, together: bool = False) -> Pooled:
    """Pool effects of different sweeps, or of one sweep if `together`."""
    return pool(effects.tolist(), errors.tolist(), 0.95, ["a"] * effects.size if together else range(effects.size))


def test_pooling_agrees_with_the_published_analysis_of_the_bcg_trials() -> None:
    """tau^2 = 0.318 by Paule and Mandel (DerSimonian and Kacker, Contemp Clin Trials 2007), mean -0.715."""
    result = pooled(*bcg())
    assert result.tau**2 == pytest.approx(0.318, abs=5e-4)
    assert result.mean == pytest.approx(-0.715, abs=1e-3)
    # With tau^2 treated as exact, the normal interval is -1.87 to 0.44; the uncertainty of tau^2 makes it wider.
    assert -2.1 < result.low < -1.87
    assert 0.44 < result.high < 0.7


@given(st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(0.005, 0.1)), min_size=MIN_EFFECTS, max_size=12))
def test_pooling_agrees_with_statsmodels(studies: list[tuple[float, float]]) -> None:
    effects, errors = np.array(studies).T
    result = pooled(effects, errors)
    expected_tau2, converged = _fit_tau_iterative(effects, errors**2, atol=1e-9, maxiter=1000)
    assume(converged)
    assert result.tau**2 == pytest.approx(max(float(expected_tau2), 0.0), rel=1e-4, abs=1e-7)
    mean = np.average(effects, weights=1 / (errors**2 + result.tau**2))
    assert result.mean == pytest.approx(float(mean), abs=1e-9)


def test_the_interval_agrees_with_simulated_new_effects() -> None:
    """Draw from the mixture: a chi-square value, the spread at which Q has this value, a mean, a new effect."""
    rng = np.random.default_rng(0)
    effects, errors = np.array([0.05, -0.01, 0.08, 0.02, 0.11]), np.array([0.01, 0.02, 0.015, 0.03, 0.012])
    drawn = []
    for square in rng.chisquare(4, 600):
        free = _excess(effects, errors, 0.0, square) <= 0
        tau2 = 0.0 if free else optimize.brentq(lambda t, q=square: _excess(effects, errors, t, q), 0.0, 1e3)
        weights = 1 / (errors**2 + tau2)
        mean = np.average(effects, weights=weights) + rng.standard_normal(20) / np.sqrt(weights.sum())
        drawn.append(mean + np.sqrt(tau2) * rng.standard_normal(20))
    result = pooled(effects, errors)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.015)


def _excess(effects: np.ndarray, errors: np.ndarray, tau2: float, square: float) -> float:
    weights = 1 / (errors**2 + tau2)
    mean = np.average(effects, weights=weights)
    return float((weights * (effects - mean) ** 2).sum() - square)


@given(
    st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(0.005, 0.1)), min_size=MIN_EFFECTS, max_size=8),
    st.floats(-1, 1),
    st.floats(0.1, 10),
)
def test_the_prediction_is_equivariant_to_shift_and_scale(
    studies: list[tuple[float, float]], shift: float, factor: float
) -> None:
    effects, errors = np.array(studies).T
    original, transformed = pooled(effects, errors), pooled(factor * effects + shift, factor * errors)
    assert transformed.mean == pytest.approx(factor * original.mean + shift, abs=1e-6)
    assert transformed.high - transformed.low == pytest.approx(factor * (original.high - original.low), rel=1e-4)


def test_effects_of_one_sweep_give_a_wider_interval_than_those_of_several() -> None:
    effects, errors = np.full(8, 0.03), np.full(8, 0.01)
    separate, together = pooled(effects, errors), pooled(effects, errors, together=True)
    assert together.high - together.low > 1.3 * (separate.high - separate.low)


def test_fewer_than_three_effects_are_refused() -> None:
    with pytest.raises(ValueError, match="2 effects; a prediction interval needs 3"):
        pooled(np.array([0.1, 0.2]), np.array([0.01, 0.01]))
    with pytest.raises(ValueError, match="standard error above 0"):
        pooled(np.array([0.1, 0.2, 0.3]), np.array([0.01, 0.0, 0.01]))


@pytest.mark.parametrize(("tasks", "tau", "together"), [(4, 0.06, 0.5), (8, 0.02, 0.5)])
def test_prediction_intervals_cover_the_task_that_is_left_out(tasks: int, tau: float, together: float) -> None:
    """Compare the interval from some tasks of a simulated family with the true effect of one more task."""
    covered = covers(tasks, tau, together, families=200)
    assert covered.mean() >= 0.91  # with a true coverage of 95 %, 200 families give less in 1 % of the cases


def test_intervals_are_narrow_enough_to_decide() -> None:
    """With eight identical tasks and errors of .01, the interval lies within a margin of .02."""
    result = pooled(np.full(8, 0.0), np.full(8, 0.01), together=True)
    assert result.high < 0.02
