"""Numbers for readers: few digits, a true minus sign, never a NaN."""

import math

import pandas as pd
import pytest

from usaggr.document import numbers


def test_intervals_follow_their_number_and_are_left_out_if_missing() -> None:
    assert numbers.percent(0.0312, -0.01, 0.07) == "+3.1 % [−1.0, +7.0]"
    assert numbers.percent(-0.0312) == "−3.1 %"
    assert numbers.percent(0.0001) == "0.0 %"


def test_counts_have_separators_and_durations_hours_and_minutes() -> None:
    assert numbers.count(1234567) == "1,234,567"
    assert numbers.count(0) == "0"
    assert numbers.duration(3725.4) == "1:02:05"
    assert numbers.duration(0.0) == "0:00:00"


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, pd.NA, pd.NaT])
def test_a_missing_value_is_a_dash(missing: float) -> None:
    shown = [
        numbers.percent(missing),
        numbers.count(missing),
        numbers.duration(missing),
    ]
    assert shown == ["–"] * len(shown)
