"""Scores and differences for readers: the decimals of their metric, a true minus sign, never a NaN."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.metrics import score_texts


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [(0.71349, "dsc", "0.713"), (12.345, "mre", "12.3"), (0.01234, "mre_relative", "0.0123"), (-0.25, "mcc", "−0.250")],
)
def test_scores_have_the_decimals_of_their_metric(value: float, metric: str, text: str) -> None:
    assert score_texts.format_score(value, metric) == text


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.05, "dsc", "+0.050"),
        (-3.21, "hd", "−3.2"),
        (0.0, "dsc", "0.000"),
        (-0.0001, "dsc", "0.000"),
        (0.04, "hd", "0.0"),
    ],
)
def test_differences_have_a_sign_unless_they_round_to_zero(value: float, metric: str, text: str) -> None:
    assert score_texts.format_signed(value, metric) == text


def test_intervals_follow_their_number_and_are_left_out_if_missing() -> None:
    assert score_texts.format_mean(0.5, 0.4, 0.6, "dsc") == "0.500 ± 0.100"
    assert score_texts.format_mean(0.5, math.nan, math.nan, "dsc") == "0.500"
    assert score_texts.format_difference(-2.0, -5.0, 1.0, "mre") == "−2.0 [−5.0, +1.0]"
    assert score_texts.format_difference(-2.0, None, None, "mre") == "−2.0"


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, pd.NA, pd.NaT])
def test_a_missing_value_is_a_dash(missing: float) -> None:
    shown = [
        score_texts.format_score(missing, "dsc"),
        score_texts.format_signed(missing, "dsc"),
        score_texts.format_mean(missing, 0.0, 1.0, "dsc"),
        score_texts.format_difference(missing, 0.0, 1.0, "dsc"),
    ]
    assert shown == ["–"] * 4


def test_skill_has_as_many_decimals_as_scores_in_the_unit_interval() -> None:
    assert score_texts.format_score(0.71349, "skill") == "0.713"


@given(st.floats(-1e4, 1e4), st.sampled_from(["dsc", "hd", "mre", "mre_relative", "auc"]))
def test_a_shown_difference_is_correct_to_its_last_digit(value: float, metric: str) -> None:
    shown = score_texts.format_signed(value, metric).replace("−", "-")
    digits = len(shown.split(".")[1])
    assert float(shown) == pytest.approx(value, abs=0.5000001 * 10**-digits)
