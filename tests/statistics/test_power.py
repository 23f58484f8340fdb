import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from usaggr.statistics.power import (
    MOST_SEEDS,
    compute_power,
    count_seeds_needed,
    count_seeds_to_decide,
    find_smallest_difference,
)
from usaggr.statistics.two_way_anova import Estimate, estimate
from usaggr.statistics.verdicts import ALPHA, decide_verdicts

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


def test_pooled_variance_decides_smaller_differences() -> None:
    alone, pooled = find_smallest_difference(0.015, 0.02, 0.0, 3, 100, 0.05 / 8, pooled=[1.0, 3.2])
    assert pooled < alone / 2


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
    seeds = float(count_seeds_to_decide(difference, *where, 200, 0.05 / 8))
    assert compute_power(difference, *where, seeds, 200, 0.05 / 8) >= 0.8
    assert compute_power(difference, *where, seeds - 1, 200, 0.05 / 8) < 0.8


def test_no_number_of_seeds_makes_up_for_too_few_subjects() -> None:
    seeds = count_seeds_to_decide([0.02, 0.2], 0.001, 0.1, 0.0, 30, 0.05)
    assert np.isnan(seeds[0])
    assert seeds[1] == 2


def observed(value: float, seed_variance: float, subject_variance: float, seeds: int, subjects: int) -> Estimate:
    fields = (np.asarray(float(number)) for number in (value, seed_variance, subject_variance, seeds - 1, subjects - 1))
    return Estimate(*fields)


@pytest.mark.parametrize("value", [0.012, -0.03, 0.0, 0.03])
def test_seeds_needed_is_the_first_number_whose_verdict_is_not_undecided(value: float) -> None:
    tasks, seeds, margin = 8, 3, 0.02
    now = observed(value, 0.015**2 / seeds, 0.02**2 / 400, seeds, 400)
    needed = count_seeds_needed(now, seeds, margin, ALPHA / tasks)
    assert needed is not None

    def verdict(count: int) -> str | None:
        later = observed(value, 0.015**2 / count, 0.02**2 / 400, count, 400)
        p, p_ni = float(later.compute_two_sided_p()), float(later.compute_one_sided_p(-margin))
        # The family's other cells have p = 1, so that this one has the smallest p value: Holm's first step.
        unrelated = [1.0] * (tasks - 1)
        return decide_verdicts([value] + [0.0] * (tasks - 1), [p, *unrelated], [p_ni, *unrelated]).verdicts[0]

    assert verdict(needed) in ("gain", "no_loss", "loss")
    assert verdict(needed - 1) == "undecided"


def test_seeds_needed_by_hand_where_seeds_are_all_the_chance() -> None:
    now = observed(0.01, 0.01**2 / 3, 0.0, 3, 100)
    by_hand = next(n for n in range(4, 99) if stats.t.ppf(1 - 0.05 / 2, n - 1) / np.sqrt(n) < 1)
    assert count_seeds_needed(now, 3, 1.0, 0.05) == 4
    assert count_seeds_needed(now, 3, 1e-9, 0.05) == by_hand


def test_seeds_needed_is_none_where_subjects_or_a_second_seed_are_needed() -> None:
    assert count_seeds_needed(observed(0.001, 1e-6, 0.02**2, 3, 20), 3, 0.001, 0.05) is None
    assert count_seeds_needed(observed(0.5, 0.0, 0.1, 1, 20), 1, 0.02, 0.05) is None
    # If the mean of two seeds has a variance of 1, that of a single seed is 2.
    most = 1.97 * np.sqrt(2 / MOST_SEEDS)
    just = count_seeds_needed(observed(0.0, 1.0, 0.0, 2, 20), 2, most, 0.05)
    assert just is not None
    assert MOST_SEEDS - 20 < just <= MOST_SEEDS
    assert count_seeds_needed(observed(0.0, 1.0, 0.0, 2, 20), 2, 0.95 * most, 0.05) is None
