"""Slopes equal those of statsmodels and numpy; the interval of a crossing is that of Fieller, and covers it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from usaggr.statistics.scale_trend import (
    NEAR,
    SignChange,
    compute_level_weights,
    compute_slope_weights,
    estimate_association,
    estimate_crossing,
    find_sign_change,
    has_enough_span,
)
from usaggr.statistics.two_way_anova import estimate

SIZES = [50.0, 170.0, 900.0]
Table = np.ndarray


def line(zero: float, slope: float, rng: np.random.Generator, center: float = 200.0) -> tuple[Table, Table]:
    """Return (5 seeds, 60 subjects) tables of height at `center` and slope of a line that crosses 0 at `zero`."""
    heights = [slope * np.log10(size / zero) for size in SIZES]
    noisy = [value + 0.01 * rng.normal(size=(5, 1)) + 0.05 * rng.normal(size=(5, 60)) for value in heights]
    height, rise = compute_level_weights(SIZES, center), compute_slope_weights(SIZES)
    tables = [sum(weight * table for weight, table in zip(weights, noisy, strict=True)) for weights in (height, rise)]
    return np.asarray(tables[0]), np.asarray(tables[1])


@given(st.lists(st.integers(5, 40_000), min_size=2, max_size=6, unique=True), st.integers(0, 10**6))
def test_weights_give_the_least_squares_line(sizes: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=len(sizes))
    slope, height = np.polyfit(np.log10(sizes), values, 1)
    assert compute_slope_weights(sizes) @ values == pytest.approx(slope, abs=1e-6 * (1 + abs(slope)))
    predicted = compute_level_weights(sizes, 1000.0) @ values
    assert predicted == pytest.approx(height + 3 * slope, abs=1e-6 * (1 + abs(height) + abs(slope)))


def test_a_slope_is_that_of_statsmodels() -> None:
    api = pytest.importorskip("statsmodels.api")
    values = np.array([0.02, -0.01, 0.05])
    oracle = api.OLS(values, api.add_constant(np.log10(SIZES))).fit().params
    assert compute_slope_weights(SIZES) @ values == pytest.approx(oracle[1])


@pytest.mark.parametrize(("sizes", "bears"), [([100], False), ([100, 149], False), ([100, 150], True), ([], False)])
def test_a_slope_needs_sizes_that_differ(sizes: list[int], bears: bool) -> None:
    assert has_enough_span(sizes) is bears


def test_a_crossing_is_estimated_if_the_data_allow_it() -> None:
    result = estimate_crossing(*line(200.0, 0.2, np.random.default_rng(0)), 200.0, [(50.0, 900.0)], 0.95)
    assert result.size is not None
    assert result.low is not None
    assert result.high is not None
    assert result.size == pytest.approx(200.0, rel=0.3)
    assert result.low < result.size < result.high
    assert not result.reason


def test_the_interval_of_a_crossing_covers_it() -> None:
    rng = np.random.default_rng(1)
    crossings = [estimate_crossing(*line(200.0, 0.2, rng), 200.0, [(50.0, 900.0)], 0.95) for _ in range(250)]
    estimated = [result for result in crossings if result.low is not None and result.high is not None]
    assert len(estimated) > 243
    covered = np.mean(
        [
            result.low <= 200.0 <= result.high
            for result in estimated
            if result.low is not None and result.high is not None
        ]
    )
    assert 0.92 <= covered <= 0.995


def test_the_interval_of_a_crossing_is_fiellers_with_the_covariance_of_height_and_slope() -> None:
    """With one seed, the variances and the covariance are those of means over subjects."""
    rng = np.random.default_rng(4)
    slope = 0.3 + 0.4 * rng.normal(size=(1, 80))
    height = 0.05 + 0.5 * (slope - 0.3) + 0.1 * rng.normal(size=(1, 80))
    result = estimate_crossing(height, slope, 200.0, [(20.0, 2000.0)], 0.95)
    (var_height, covariance), (_, var_slope) = np.cov(height[0], slope[0]) / 80
    estimates = (float(height.mean()), float(slope.mean()))
    # The zeros of (height + slope x)^2 - t^2 var(height + slope x), which is quadratic in x.
    square = float(stats.t.ppf(0.975, 79)) ** 2
    ends = np.sort(
        np.roots([
            estimates[1] ** 2 - square * var_slope,
            2 * (estimates[0] * estimates[1] - square * covariance),
            estimates[0] ** 2 - square * var_height,
        ])
    )  # fmt: skip
    assert (result.low, result.high) == pytest.approx((200 * 10 ** ends[0], 200 * 10 ** ends[1]))


@pytest.mark.parametrize("seed", range(6))
def test_at_the_ends_of_a_crossings_interval_the_interval_of_the_height_ends_at_zero(seed: int) -> None:
    """Two seeds that often agree, so that critical value, truncation and floor change along the line."""
    rng = np.random.default_rng(seed)
    slope = 0.3 + 0.004 * rng.normal(size=(2, 1)) + 0.2 * rng.normal(size=(1, 40)) + 0.2 * rng.normal(size=(2, 40))
    height = 0.02 * rng.normal(size=(2, 1)) + 0.5 * rng.normal(size=(1, 40)) + 0.2 * rng.normal(size=(2, 40))
    result = estimate_crossing(height, slope, 200.0, [(2.0, 20000.0)], 0.9)
    assert result.size is not None
    assert result.low is not None
    assert result.high is not None
    for end, sign in ((result.low, 1), (result.high, -1)):
        bounds = estimate(height + np.log10(end / 200) * slope).compute_interval(0.9)
        assert float(bounds[int(sign > 0)]) == pytest.approx(0, abs=1e-9)
        outside = estimate(height + (np.log10(end / 200) - sign * 1e-3) * slope).compute_interval(0.9)
        assert float(outside[0]) > 0 or float(outside[1]) < 0


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 30))
def test_a_crossing_whose_slope_excludes_zero_has_bounds_on_both_sides(seed: int, seeds: int, subjects: int) -> None:
    rng = np.random.default_rng(seed)
    height, slope = (rng.normal(mean, 1, size=(seeds, subjects)) for mean in rng.normal(size=2))
    result = estimate_crossing(height, slope, 1e6, [(1.0, 1e12)], 0.9)
    low, high = estimate(slope).compute_interval(0.9)
    # Sizes from 1 to 1e12 are six decades on both sides of the center; a little beyond is near, too.
    is_near = abs(height.mean() / slope.mean()) <= 6 + np.log10(NEAR)
    assert (result.size is not None) == (is_near and bool(low > 0 or high < 0))
    if result.size is not None:
        assert result.low is not None
        assert result.high is not None
        assert result.low <= result.size * (1 + 1e-9)
        assert result.high >= result.size * (1 - 1e-9)


def test_a_task_counts_for_a_crossing_between_its_sizes_however_far_apart() -> None:
    tables = line(200.0, 0.2, np.random.default_rng(0))
    assert estimate_crossing(*tables, 200.0, [(5.0, 20_000.0)], 0.95).size is not None
    assert estimate_crossing(*tables, 200.0, [(5.0, 90.0), (900.0, 20_000.0)], 0.95).size is None


@pytest.mark.parametrize(
    ("zero", "slope", "ranges", "why"),
    [
        (200.0, 0.0, [(50.0, 900.0)], "the interval of the slope includes 0"),
        (5.0, 0.2, [(50.0, 900.0)], "far below the sizes that were trained (50 to 900 samples)"),
        (9000.0, 0.2, [(50.0, 900.0)], "far above"),
        (200.0, 0.2, [(50.0, 900.0), (2000.0, 9000.0), (3000.0, 8000.0)], "only 1 of 3 tasks were trained"),
    ],
)
def test_a_crossing_that_the_data_do_not_support_is_none_with_the_reason(
    zero: float, slope: float, ranges: list[tuple[float, float]], why: str
) -> None:
    result = estimate_crossing(*line(zero, slope, np.random.default_rng(2)), 200.0, ranges, 0.95)
    assert (result.size, result.low, result.high) == (None, None, None)
    assert why in result.reason


def test_a_line_without_residual_variation_has_no_crossing() -> None:
    result = estimate_crossing(np.full((3, 4), 0.1), np.full((3, 4), 0.2), 100.0, [(50.0, 900.0)], 0.95)
    assert "the slope does not vary between seeds or test subjects" in result.reason


def test_an_association_equals_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=9), rng.normal(size=9)
    result, line_ = estimate_association(x, y, 0.9), stats.linregress(x, y)
    assert (result.rho, result.p) == pytest.approx(tuple(stats.spearmanr(x, y)))
    half = stats.t.ppf(0.95, 7) * line_.stderr
    assert (result.slope, result.low, result.high) == pytest.approx(
        (line_.slope, line_.slope - half, line_.slope + half)
    )


@pytest.mark.parametrize("x", [[1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]])
def test_too_few_or_equal_points_have_no_association(x: list[float]) -> None:
    result = estimate_association(x, np.arange(len(x)), 0.95)
    assert np.isnan([result.rho, result.slope, result.low]).all()


@pytest.mark.parametrize(
    ("intervals", "change"),
    [
        ({0.1: [(0.1, 0.2)], 1.0: [(-0.2, -0.1)]}, SignChange(0.1, 1.0)),
        ({0.1: [(-0.2, -0.1)], 1.0: [(0.1, 0.2)]}, SignChange(1.0, 0.1)),
        ({0.1: [(0.1, 0.2)], 1.0: [(-0.2, 0.1)]}, None),
        ({0.1: [(0.1, 0.2)], 1.0: [(0.1, 0.2)]}, None),
        ({0.1: [(0.1, 0.2), (0.1, 0.2)], 1.0: [(-0.2, -0.1), (-0.2, 0.1)]}, None),
        ({0.1: [(0.1, 0.2)], 0.5: [(-0.2, -0.1)], 1.0: [(-0.2, -0.1)]}, SignChange(0.1, 1.0)),
        ({0.1: [(float("nan"), float("nan"))], 1.0: [(-0.2, -0.1)]}, None),
        ({}, None),
    ],
)
def test_a_change_of_sign_needs_intervals_on_both_sides_in_all_units(
    intervals: dict[float | int, list[tuple[float, float]]], change: SignChange | None
) -> None:
    assert find_sign_change(intervals) == change


def test_a_false_change_of_sign_is_rare_in_the_least_favorable_case() -> None:
    """One scale has a large difference, and all others none: the other sign can only appear by chance."""
    scales, draws, level = 4, 20_000, 0.05
    critical = stats.norm.ppf(1 - level / 2 / (scales - 1))
    values = np.random.default_rng(3).normal(size=(draws, scales))
    values[:, 0] += 100
    intervals = [{float(i): [(x - critical, x + critical)] for i, x in enumerate(row)} for row in values]
    share = np.mean([find_sign_change(row) is not None for row in intervals])
    expected = 1 - (1 - level / 2 / (scales - 1)) ** (scales - 1)
    assert share == pytest.approx(expected, abs=0.003)
    assert expected < level / 2
