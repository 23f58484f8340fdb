"""The t-interval agrees with scipy's tests, pair by pair and all at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from usaggr.report.statistics import half_width, paired_difference, t_interval

numbers = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))
pairs = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12)


@given(pairs, st.sampled_from([0.8, 0.95, 0.99]))
def test_a_paired_difference_is_that_of_the_paired_t_test(values: list[tuple[float, float]], confidence: float) -> None:
    ours, theirs = zip(*values, strict=True)
    found = paired_difference(ours, theirs, True, confidence)
    difference = np.subtract(ours, theirs)
    assert found.mean == pytest.approx(difference.mean(), abs=1e-9)
    assert found.df == len(values) - 1
    if np.ptp(difference) < 1e-9:
        return
    expected = stats.ttest_rel(ours, theirs).confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-9)


@given(pairs)
def test_where_lower_is_better_the_difference_changes_its_sign(values: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*values, strict=True)
    up, down = paired_difference(ours, theirs, True, 0.95), paired_difference(ours, theirs, False, 0.95)
    assert down.mean == pytest.approx(-up.mean)
    assert down.low == pytest.approx(-(up.high or 0.0))
    assert down.high == pytest.approx(-(up.low or 0.0))


def test_three_values_by_hand() -> None:
    """Mean 2, standard deviation 1, t(0.975; 2) = 4.30265."""
    found = t_interval([1.0, 2.0, 3.0], 0.95)
    half = 4.302652729911275 / 3**0.5
    assert (found.mean, found.low, found.high, found.df) == pytest.approx((2.0, 2.0 - half, 2.0 + half, 2))


def test_one_value_has_no_interval() -> None:
    found = t_interval([0.5], 0.95)
    assert (found.mean, found.low, found.high, found.df) == (0.5, None, None, None)


def test_no_values_and_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        t_interval([], 0.95)
    with pytest.raises(ValueError, match="2 values and 1 references"):
        paired_difference([1.0, 2.0], [1.0], True, 0.95)


@given(st.lists(st.lists(numbers, min_size=1, max_size=6), min_size=1, max_size=5))
def test_many_half_widths_at_once_are_those_one_by_one(groups: list[list[float]]) -> None:
    spreads = [np.std(group, ddof=1) if len(group) > 1 else np.nan for group in groups]
    found = half_width(spreads, [len(group) for group in groups], 0.95)
    for half, group in zip(found, groups, strict=True):
        one = t_interval(group, 0.95)
        if one.high is None:
            assert np.isnan(half)
        else:
            assert half == pytest.approx(one.high - one.mean, abs=1e-9)
