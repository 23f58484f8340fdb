"""Numbers for readers: few digits, a true minus sign, never a NaN."""

import math

import pandas as pd
import pytest

from usaggr.document import numbers


def test_intervals_follow_their_number_and_are_left_out_if_missing() -> None:
    assert numbers.format_percent(0.0312, -0.01, 0.07) == "+3.1 % [−1.0, +7.0]"
    assert numbers.format_percent(-0.0312) == "−3.1 %"
    assert numbers.format_percent(0.0001) == "0.0 %"


def test_counts_have_separators_and_durations_hours_and_minutes() -> None:
    assert numbers.format_count(1234567) == "1,234,567"
    assert numbers.format_count(0) == "0"
    assert numbers.format_duration(3725.4) == "1:02:05"
    assert numbers.format_duration(0.0) == "0:00:00"


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, pd.NA, pd.NaT])
def test_a_missing_value_is_a_dash(missing: float) -> None:
    shown = [
        numbers.format_percent(missing),
        numbers.format_count(missing),
        numbers.format_duration(missing),
    ]
    assert shown == ["–"] * len(shown)
