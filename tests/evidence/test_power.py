"""What is told beforehand comes true in simulation; seeds needed are those at which the verdict would fall."""

import numpy as np
import pytest

from usaggr.evidence.crossed import estimate
from usaggr.evidence.power import seeds_needed, smallest_difference


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("seed_sd", [0.0, 0.015, 0.05])
def test_the_smallest_difference_is_found_with_its_power(seeds: int, seed_sd: float) -> None:
    rng = np.random.default_rng(0)
    subject_sd, residual_sd, subjects, level, count = 0.08, 0.05, 60, 0.05, 3000
    size = smallest_difference(seed_sd, subject_sd, residual_sd, seeds, subjects, level, power=0.8)
    table = size + seed_sd * rng.normal(size=(count, seeds, 1)) + subject_sd * rng.normal(size=(count, 1, subjects))
    table += residual_sd * rng.normal(size=(count, seeds, subjects))
    found = estimate(table)
    assert (found.interval(1 - level)[0] > 0).mean() == pytest.approx(0.8, abs=0.03)


def test_one_seed_is_decided_by_subjects_alone() -> None:
    from scipy import stats

    size = smallest_difference(0.02, 0.1, 0.0, 1, 50, 0.05)
    assert size == pytest.approx(0.1 / 50**0.5 * (stats.t.ppf(0.975, 49) + stats.norm.ppf(0.8)), rel=1e-3)


def test_more_seeds_subjects_and_degrees_of_freedom_find_smaller_differences() -> None:
    usual = smallest_difference(0.015, 0.1, 0.05, 3, 60, 0.05)
    assert smallest_difference(0.015, 0.1, 0.05, 5, 60, 0.05) < usual
    assert smallest_difference(0.015, 0.1, 0.05, 3, 120, 0.05) < usual
    assert smallest_difference(0.015, 0.1, 0.05, 3, 60, 0.05, seed_df=6) < usual
    assert smallest_difference(0.015, 0.1, 0.05, 3, 60, 0.01) > usual


def test_nothing_that_varies_finds_everything() -> None:
    assert smallest_difference(0.0, 0.0, 0.0, 3, 60, 0.05) == 0.0


def table_of(delta: float, seeds: int = 3, subjects: int = 50) -> np.ndarray:
    """A table whose parts of the variance are the same whatever the difference."""
    rng = np.random.default_rng(1)
    return delta + 0.02 * np.linspace(-1, 1, seeds)[:, None] + 0.05 * rng.permutation(np.linspace(-1, 1, subjects))


@pytest.mark.parametrize("delta", [0.03, -0.04, 0.0])
def test_at_the_seeds_needed_the_difference_is_decided_and_not_before(delta: float) -> None:
    found, margin, level = estimate(table_of(delta)), 0.02, 0.01
    needed = seeds_needed(found, 3, margin, level)
    assert needed is not None
    assert needed > 3
    for seeds, decided in ((needed, True), (needed - 1, False)):
        later = type(found)(
            found.value,
            found.seed_part * 3 / seeds,
            found.subject_part,
            found.seed_df * (seeds - 1) / 2,
            found.subject_df,
        )
        low, high = later.interval(1 - level)
        assert (low > 0 or high < 0 or low > -margin) == decided


def test_where_subjects_leave_it_open_no_number_of_seeds_does() -> None:
    rng = np.random.default_rng(2)
    table = table_of(-0.02) + 0.5 * rng.normal(size=(1, 50))
    assert seeds_needed(estimate(table - table.mean() - 0.02), 3, 0.02, 0.05) is None


def test_a_single_seed_tells_nothing_of_seeds() -> None:
    assert seeds_needed(estimate(table_of(0.03)[:1]), 1, 0.02, 0.05) is None
