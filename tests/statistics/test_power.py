import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from usaggr.statistics.power import (
    compute_power,
    count_seeds_from_sds,
    find_smallest_difference,
)
from usaggr.statistics.two_way_anova import estimate

REPETITIONS = 1500
ERROR = 3.3 * np.sqrt(0.8 * 0.2 / REPETITIONS)
"""Monte-Carlo error of a power of 0.8; 3.3 standard errors are exceeded once in a thousand draws."""
CASES = [
    # seed_sd, subject_sd, residual_sd, seeds, subjects, level
    (0.015, 0.10, 0.05, 3, 30, 0.05),
    (0.015, 0.05, 0.05, 3, 100, 0.05 / 8),
    (0.02, 0.10, 0.10, 5, 100, 0.05 / 8),
    (0.015, 0.10, 0.10, 10, 60, 0.05 / 27),
    (0.01, 0.10, 0.10, 2, 50, 0.05),
    (0.0, 0.10, 0.10, 1, 50, 0.05),
]


def tables(
    rng: np.random.Generator,
    mean: float,
    seed_sd: float,
    subject_sd: float,
    residual_sd: float,
    seeds: int,
    subjects: int,
) -> np.ndarray:
    size = REPETITIONS
    of_seeds = seed_sd * rng.standard_normal((size, seeds, 1))
    of_subjects = subject_sd * rng.standard_normal((size, 1, subjects))
    return mean + of_seeds + of_subjects + residual_sd * rng.standard_normal((size, seeds, subjects))


@pytest.mark.parametrize("case", CASES)
def test_the_smallest_difference_is_detected_in_four_of_five_sweeps(case: tuple[float, ...]) -> None:
    *settings, level = case
    difference = float(find_smallest_difference(*case))
    is_detected = estimate(tables(np.random.default_rng(1), difference, *settings)).compute_interval(1 - level)[0] > 0
    assert is_detected.mean() == pytest.approx(0.8, abs=ERROR)
    assert float(compute_power(difference, *case)) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_a_margin_of_that_size_is_decided_in_four_of_five_sweeps_without_a_difference(case: tuple[float, ...]) -> None:
    *settings, level = case
    margin = float(find_smallest_difference(*case))
    p = estimate(tables(np.random.default_rng(2), 0.0, *settings)).compute_one_sided_p(-margin)
    assert (p < level / 2).mean() == pytest.approx(0.8, abs=ERROR)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_with_seeds_alone_it_is_the_power_of_a_paired_t_test(seeds: int) -> None:
    oracle = TTestPower().solve_power(effect_size=None, nobs=seeds, alpha=0.05, power=0.8, alternative="two-sided")
    assert float(find_smallest_difference(1.0, 0.0, 0.0, seeds, 50, 0.05)) == pytest.approx(oracle, rel=0.01)


def test_with_one_seed_it_is_the_power_of_a_t_test_over_subjects() -> None:
    oracle = TTestPower().solve_power(effect_size=None, nobs=40, alpha=0.05, power=0.9, alternative="two-sided")
    assert float(find_smallest_difference(0.0, 0.0, 1.0, 1, 40, 0.05, 0.9)) == pytest.approx(oracle, rel=0.01)


def test_other_cells_variances_decide_smaller_differences() -> None:
    alone, moderated = find_smallest_difference(0.015, 0.02, 0.0, 3, 100, 0.05 / 8, prior_df=[0.0, 6.0])
    assert moderated < alone / 2


@given(st.floats(0.001, 0.05), st.floats(0.01, 0.3), st.integers(2, 12), st.integers(10, 300), st.integers(1, 27))
def test_more_seeds_and_fewer_tasks_never_need_a_larger_difference(
    seed_sd: float, subject_sd: float, seeds: int, subjects: int, tasks: int
) -> None:
    now = find_smallest_difference(seed_sd, subject_sd, 0.05, seeds, subjects, 0.05 / tasks)
    slack = 1 + 1e-6
    assert find_smallest_difference(seed_sd, subject_sd, 0.05, seeds + 1, subjects, 0.05 / tasks) <= now * slack
    assert find_smallest_difference(seed_sd, subject_sd, 0.05, seeds, subjects, 0.05 / (tasks + 1)) >= now / slack


def test_more_subjects_decide_smaller_differences() -> None:
    differences = find_smallest_difference(0.015, 0.1, 0.05, 5, [20, 50, 100, 400], 0.05)
    assert (np.diff(differences) < 0).all()


@pytest.mark.parametrize("difference", [0.02, 0.03, 0.05])
def test_seeds_to_decide_is_the_first_number_that_does(difference: float) -> None:
    where = (0.015, 0.05, 0.05)
    seeds = float(count_seeds_from_sds(difference, *where, 200, 0.05 / 8))
    assert compute_power(difference, *where, seeds, 200, 0.05 / 8) >= 0.8
    assert compute_power(difference, *where, seeds - 1, 200, 0.05 / 8) < 0.8


def test_no_number_of_seeds_makes_up_for_too_few_subjects() -> None:
    seeds = count_seeds_from_sds([0.02, 0.2], 0.001, 0.1, 0.0, 30, 0.05)
    assert np.isnan(seeds[0])
    assert seeds[1] == 2
