from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.metrics.names import get_metric
from usaggr.statistics.convergence import is_collapsed, is_diverged, is_majority, is_unconverged

DSC, HD = get_metric("dsc"), get_metric("hd")
NAN = float("nan")
FOUR = [0.25, 0.508, 0.746, 1.0]
"""Four validations of a run of 63 steps."""


@pytest.mark.parametrize(
    ("test", "val", "expected"),
    [(0.4, 0.4, True), (0.3, 0.2, True), (0.41, 0.3, False), (0.3, 0.41, False), (0.3, NAN, None), (0.41, NAN, False)],
)
def test_a_run_is_collapsed_if_neither_subset_scores_better_than_the_trivial_predictor(
    test: float, val: float, expected: bool | None
) -> None:
    assert is_collapsed(test, 0.4, val, 0.4, DSC) is expected


def test_a_distance_collapses_upwards() -> None:
    assert is_collapsed(101.0, 100.0, 100.0, 100.0, HD) is True
    assert is_collapsed(99.0, 100.0, 120.0, 100.0, HD) is False


def test_a_score_that_is_equal_up_to_rounding_is_not_better() -> None:
    assert is_collapsed(0.1 + 0.2, 0.3, 0.3, 0.3, DSC) is True


@pytest.mark.parametrize(
    ("skill", "expected"),
    [
        ([0.2, 0.4, 0.6, 0.8], True),
        ([0.2, 0.6, 0.79, 0.80], False),
        ([0.2, 0.6, 0.6, 0.6], False),
        ([0.9, 0.8, 0.7, 0.6], False),
    ],
)
def test_a_curve_that_still_rises_is_not_converged(skill: list[float], expected: bool) -> None:
    assert is_unconverged(FOUR, skill, 0.02) is expected


def test_a_recovery_from_a_dip_is_not_a_rise() -> None:
    assert is_unconverged(FOUR, [0.5, 0.7, 0.6, 0.7], 0.02) is False


@pytest.mark.parametrize(("rise", "expected"), [(0.019, False), (0.021, True)])
@pytest.mark.parametrize("points", [4, 5, 10, 37])
def test_a_line_is_judged_by_its_rise_over_the_last_quarter(points: int, rise: float, expected: bool) -> None:
    progress = np.arange(1, points + 1) / points
    assert is_unconverged(progress, 4 * rise * progress, 0.02) is expected


@pytest.mark.parametrize(
    ("progress", "skill"),
    [
        ([0.5, 1.0], [0.1, 0.9]),
        ([1 / 3, 2 / 3, 1.0], [0.1, 0.5, 0.9]),
        (FOUR, [0.1, NAN, 0.5, 0.9]),
        ([0.1, 0.5, 0.6, 0.8], [0.1, 0.5, 0.6, 0.8]),
        ([], []),
    ],
)
def test_too_few_points_or_a_curve_that_stops_early_are_not_judged(progress: list[float], skill: list[float]) -> None:
    assert is_unconverged(progress, skill, 0.02) is None


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=20), st.floats(-0.5, 0.5), st.randoms())
def test_neither_level_nor_order_of_the_points_matters(skill: list[float], shift: float, random: Random) -> None:
    values = np.round(skill, 3)
    progress = np.arange(1, len(values) + 1) / len(values)
    order = list(range(len(values)))
    random.shuffle(order)
    unchanged = is_unconverged(progress, values, 0.0205)
    assert is_unconverged(progress[order], values[order] + round(shift, 3), 0.0205) is unchanged


@pytest.mark.parametrize(("points", "most_false"), [(4, 0.07), (10, 0.04)])
def test_noise_as_large_as_the_margin_is_rarely_taken_for_a_rise(points: int, most_false: float) -> None:
    rng = np.random.default_rng(0)
    progress = np.arange(1, points + 1) / points
    noise = 0.02 * rng.standard_normal((1000, points))
    false = np.mean([is_unconverged(progress, 0.6 + row, 0.02) for row in noise])
    true = np.mean([is_unconverged(progress, 0.16 * progress + row, 0.02) for row in noise])
    assert false <= most_false
    assert true >= 0.7


@pytest.mark.parametrize(
    ("skill", "loss", "expected"),
    [
        ([0.2, 0.6, 0.2, 0.1], [1, 1, 1, 1], True),
        ([0.2, 0.6, 0.6, 0.1], [1, 1, 1, 1], False),
        ([0.2, 0.6, 0.1, 0.6], [1, 1, 1, 1], False),
        ([0.2, 0.6, 0.5, 0.5], [1, 1, 1, 20], True),
        ([0.2, 0.6, 0.6, 0.6], [1, 0.1, 1, 20], False),
        ([0.2, 0.6, 0.6, 0.6], [1, 1, 1, NAN], True),
        ([0.2, 0.6, 0.6, 0.6], [1, 1, 1, float("inf")], True),
        ([0.01, 0.0, -0.4, -0.4], [1, 1, 1, 1], False),
        ([NAN, NAN, NAN, 0.5], [1, 1, 1, 1], None),
        ([0.2, 0.6, 0.6, 0.1], [], False),
    ],
)
def test_a_run_whose_skill_collapses_at_its_end_has_diverged(
    skill: list[float], loss: list[float], expected: bool | None
) -> None:
    assert is_diverged(FOUR, skill, loss, 0.02) is expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([1, 1, 0], True), ([1, 0], False), ([1, 0, 0], False), ([1, NAN, NAN], True), ([NAN], None), ([], None)],
)
def test_a_cell_is_flagged_if_most_of_its_judged_runs_are(flags: list[float], expected: bool | None) -> None:
    assert is_majority(flags) is expected
