"""Failures that no test subject shows: the rate that a test set excludes, and the test of no loss against them."""

import numpy as np
import pytest
from scipy import stats

from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS, is_driven_by_few
from usaggr.statistics.two_way_anova import Estimate
from usaggr.statistics.unseen_failures import (
    EXPECTED_FAILURES,
    compute_p_with_failures,
    count_subjects_needed,
    find_excluded_rate,
)

MARGIN, COST = 0.02, 0.9


def share_without_failures_among_the_judged(expected: float) -> float:
    """Return P(0) / (P(0) + P(10 or more)) of a Poisson distribution: studies with 1 to 9 failures are not judged."""
    none, enough = stats.poisson.pmf(0, expected), stats.poisson.sf(FEWEST_SUBJECTS - 1, expected)
    return float(none / (none + enough))


def make_estimate(values: np.ndarray, se: float) -> Estimate:
    """Return normal estimates with a known standard error."""
    df = np.full_like(values, 1e6)
    return Estimate(
        values,
        np.zeros_like(values),
        np.full_like(values, se**2),
        df,
        df,
        np.full_like(values, se**2),
        np.zeros_like(values),
    )


def test_the_expected_failures_are_the_fewest_that_leave_one_in_forty_judged_studies_without_any() -> None:
    assert share_without_failures_among_the_judged(EXPECTED_FAILURES) < 0.025
    assert share_without_failures_among_the_judged(EXPECTED_FAILURES - 0.1) > 0.025
    # The rule of three is not enough: most of the judged studies would show no failure.
    assert share_without_failures_among_the_judged(3.69) > 0.5


@pytest.mark.parametrize(("subjects", "number"), [(10, 2), (30, 4), (60, 9), (150, 24), (400, 65)])
def test_the_excluded_rate_is_one_in_the_subjects_per_expected_failure(subjects: int, number: int) -> None:
    assert find_excluded_rate(subjects) == number


@pytest.mark.parametrize("subjects", [*range(10, 200), 400, 2000])
def test_at_most_one_in_forty_studies_shows_none_of_more_frequent_failures(subjects: int) -> None:
    """Exact binomial probabilities, for failures just as frequent as 1 in N."""
    rate = 1 / find_excluded_rate(subjects)
    none, enough = (1 - rate) ** subjects, stats.binom.sf(FEWEST_SUBJECTS - 1, subjects, rate)
    assert none <= 0.025
    if subjects >= 12:  # of the judged studies, except that ten failures of fewer subjects are hardly possible
        assert none <= 0.025 * (none + enough)


def test_a_moderate_failure_among_varying_subjects_is_judged() -> None:
    """The premise that studies with one to nine failures get no verdict needs outliers with most of the variance."""
    table = 0.2 * np.random.default_rng(0).standard_normal((1, 30)).repeat(3, axis=0)
    table[:, 0] = -0.8
    assert not is_driven_by_few(table)
    assert is_driven_by_few(np.where(np.arange(30) == 0, -0.8, table / 10))


def test_the_subjects_needed_grow_with_the_score_and_fall_with_the_margin() -> None:
    assert count_subjects_needed(0.9, 0.02) == pytest.approx(274.5)
    assert count_subjects_needed(0.9, 0.2) == pytest.approx(27.45)
    assert count_subjects_needed(np.inf, 1.0) == np.inf
    assert count_subjects_needed(0.0, 0.02) == 0


@pytest.mark.parametrize(("value", "se", "subjects"), [(0.0, 0.004, 300), (-0.01, 0.004, 300), (0.005, 0.01, 800)])
def test_the_p_value_is_the_largest_over_all_failure_rates(value: float, se: float, subjects: int) -> None:
    rates = np.linspace(0, 0.2, 200_001)
    expected = (np.exp(-subjects * rates) * stats.norm.sf((value + MARGIN - rates * COST) / se)).max()
    p = compute_p_with_failures(make_estimate(np.array([value]), se), [MARGIN], [COST], [subjects])
    assert p[0] == pytest.approx(expected, rel=0.05)
    assert p[0] >= stats.norm.sf((value + MARGIN) / se) * 0.999


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_no_loss_is_claimed_for_at_most_one_in_forty_losses_of_the_margin(share: float) -> None:
    """A part of the loss is due to failures; studies that show one are left to the estimate and not counted."""
    subjects, se = 280, 0.003
    values = np.linspace(-0.02, 0.02, 81)
    p = compute_p_with_failures(make_estimate(values, se), *([x] * values.size for x in (MARGIN, COST, subjects)))
    assert (np.diff(p) <= 0).all()
    least = values[p >= 0.025].max()  # estimates above it (to the grid) are unqualified
    claimed = stats.norm.sf((least + (1 - share) * MARGIN) / se)
    unseen = (1 - share * MARGIN / COST) ** subjects
    assert claimed * unseen <= 0.03  # .025, and what the grid of values adds
