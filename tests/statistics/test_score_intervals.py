"""Intervals of scores stay within the range of the metric."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from usaggr.statistics.score_intervals import score_intervals


def test_within_its_range_an_interval_is_that_of_students_t() -> None:
    values = np.array([0.4, 0.5, 0.55, 0.6, 0.45])
    (bounds,) = score_intervals({"dsc": values}, 0.95).values()
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert bounds == pytest.approx((interval.low, interval.high))


def test_an_interval_is_cut_off_at_the_best_and_the_worst_value() -> None:
    values = {"dsc": np.array([0.0, 1.0]), "mcc": np.array([-1.0, 1.0]), "hd": np.array([1.0, 400.0])}
    intervals = score_intervals(values, 0.95)
    assert intervals["dsc"] == (0.0, 1.0)
    assert intervals["mcc"] == (-1.0, 1.0)
    assert intervals["hd"][0] == 0.0
    assert 400 < intervals["hd"][1] < np.inf


def test_constant_values_and_single_subjects_have_no_interval() -> None:
    values = {"dsc": np.array([0.5, 0.5]), "iou": np.array([0.3]), "nsd": np.array([0.0, 1e-200])}
    assert score_intervals(values, 0.95) == {}


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_no_interval_leaves_the_metrics_range_or_its_own_mean(values: list[float]) -> None:
    intervals = score_intervals({"dsc": np.array(values)}, 0.95)
    assert "dsc" in intervals or np.std(values) < 1e-6  # equal values have no interval
    for low, high in intervals.values():
        assert 0 <= low <= np.mean(values) + 1e-12
        assert np.mean(values) - 1e-12 <= high <= 1
