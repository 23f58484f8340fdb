"""The stored critical values keep the level for any true share of the two components, and are exact at both ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from usaggr.statistics.critical_values import (
    DF_FIRST,
    DF_SECOND,
    LEVELS,
    SHARES,
    make_quantile_function,
    transform_share,
)

FAR = 0.05 / 27


def compute_size(true_share: float, df: tuple[float, float], level: float) -> float:
    """Return the size of the test by simulation of both mean squares; the mean itself is integrated exactly."""
    rng = np.random.default_rng(0)
    a = true_share * rng.chisquare(df[0], 200_000) / df[0]
    b = (1 - true_share) * rng.chisquare(df[1], 200_000) / df[1]
    share, se = a / (a + b), np.sqrt(a + b)
    critical = make_quantile_function(share, df[0], df[1])(np.asarray(level / 2))
    return float((2 * special.ndtr(-critical * se)).mean())


@pytest.mark.parametrize("true_share", [0.02, 0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("df", [(2, 99), (2, 29), (4, 99), (9, 399), (2.7, 99), (3.4, 43), (5.5, 149)])
@pytest.mark.parametrize("level", [0.05, FAR])
def test_the_size_is_near_the_level(true_share: float, df: tuple[float, float], level: float) -> None:
    ratio = compute_size(true_share, df, level) / level
    low, high = (0.95, 1.05) if level == 0.05 else (0.6, 1.25)
    assert low < ratio < high


def test_the_weighted_mean_of_quantiles_does_not_keep_the_level() -> None:
    """The reason for the table: without its ratios, the size at a far tail is a fifth or twice the level."""
    rng = np.random.default_rng(1)
    sizes = []
    for true_share in (0.2, 0.95):
        a, b = true_share * rng.chisquare(2, 100_000) / 2, (1 - true_share) * rng.chisquare(99, 100_000) / 99
        mixed = (a * stats.t.ppf(1 - FAR / 2, 2) + b * stats.t.ppf(1 - FAR / 2, 99)) / np.sqrt(a + b)
        sizes.append(float((2 * special.ndtr(-mixed)).mean()))
    assert sizes[0] < 0.4 * FAR
    assert sizes[1] > 1.5 * FAR


@given(st.sampled_from([0.0, 1.0]), st.floats(1, 500), st.floats(4, 500), st.floats(1e-7, 0.4))
def test_one_component_alone_has_the_quantile_of_students_t(share: float, f: float, g: float, tail: float) -> None:
    oracle = stats.t.isf(tail, f if share == 1 else g)
    assert float(make_quantile_function(share, f, g)(np.asarray(tail))) == pytest.approx(oracle, rel=1e-3)


@given(st.floats(0, 1), st.floats(1, 500), st.floats(4, 500))
def test_a_smaller_tail_begins_farther_away(share: float, f: float, g: float) -> None:
    tails = np.geomspace(0.25, 1e-8, 200)
    quantiles = make_quantile_function(np.full(200, share), f, g)(tails)
    # Equal ones of neighboring levels are interpolated with an error of rounding.
    assert (np.diff(quantiles) >= -1e-12 * quantiles[1:]).all()


def test_known_variances_have_normal_quantiles() -> None:
    quantiles = make_quantile_function([0.1, 0.5, 0.9], 1e9, 1e9)(np.asarray(0.025))
    assert quantiles == pytest.approx(np.full(3, stats.norm.ppf(0.975)))


def test_shares_of_the_table_are_equally_spaced_after_the_transformation() -> None:
    assert np.diff(transform_share(SHARES)) == pytest.approx(np.full(SHARES.size - 1, 1 / (SHARES.size - 1)))
    assert (np.diff(DF_FIRST) > 0).all()
    assert (np.diff(DF_SECOND) > 0).all()
    assert (np.diff(LEVELS) < 0).all()
