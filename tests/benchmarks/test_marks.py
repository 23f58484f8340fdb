"""Marks of simulated shares, against scipy and cases worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.evidence.marks import (
    ClusteredShare,
    Mark,
    Share,
    compute_mark_probability,
    format_share,
    format_shares,
    is_met,
    make_share,
    mark_correct,
    mark_coverage,
    mark_share,
    measure_clustered_share,
)


@pytest.mark.parametrize(("count", "total"), [(0, 50), (1, 50), (25, 400), (50, 50)])
def test_the_interval_is_the_exact_one_of_scipy(count: int, total: int) -> None:
    expected = stats.binomtest(count, total).proportion_ci(0.95, "exact")
    assert Share(count, total).compute_interval() == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("count", "total", "met"),
    [
        (5, 100, True),
        (6, 100, True),  # the interval starts at 2.2 %, and 6 <= 6.5
        (7, 100, False),  # the interval starts at 2.9 %, but 7 > 6.5: few repetitions excuse nothing
        (130, 2000, False),  # 6.5 %, but the interval starts at 5.5 %
        (117, 2000, True),  # 5.85 %, and the interval starts at 4.9 %
        (0, 10, True),
    ],
)
def test_a_share_meets_its_bound_by_its_interval_and_by_its_estimate(count: int, total: int, met: bool) -> None:
    assert is_met(Share(count, total), 0.05) is met
    assert mark_share(count, total, 0.05) == ("" if met else "misses")
    assert mark_correct(Share(total - count, total), 0.95) == ("" if met else "misses")


@pytest.mark.parametrize(
    ("coverage", "highest", "mark"),
    [
        (0.95, 0.975, ""),
        (0.935, 0.975, ""),
        (0.920, 0.975, "misses"),
        (0.977, 0.975, ""),  # 2.3 % outside: the interval reaches 2.5 %, and 2.3 > 2.5 / 1.3
        (0.985, 0.975, "wide"),
        (0.999, 1.0, ""),
    ],
)
def test_coverage_is_marked_on_both_sides(coverage: float, highest: float, mark: Mark) -> None:
    assert mark_coverage(make_share(coverage, 5000), 0.935, highest) == mark


def test_an_estimate_far_above_the_highest_coverage_is_wide_whatever_its_error() -> None:
    assert mark_coverage(Share(99, 100), 0.935, 0.975) == "wide"


def test_a_share_has_its_error_and_its_mark() -> None:
    assert format_share(Share(4600, 5000), "misses") == "92.0 ± 0.4 **misses**"
    assert format_share(Share(20, 400), unit=" %") == "5.0 ± 1.1 %"
    assert format_share(Share(0, 400), unit=" %") == "0.0 ± 0.2 %"  # the error of one event, not 0
    assert make_share(0.926, 5000).count == 4630
    assert Share(3, 10).complement == Share(7, 10)


def test_several_shares_have_their_marks_and_the_largest_error() -> None:
    marked: list[tuple[Share, Mark]] = [(Share(4750, 5000), ""), (Share(4560, 5000), "misses")]
    assert format_shares(marked) == "95.0, 91.2 **misses** ± 0.4"


def test_the_interval_of_a_clustered_share_is_that_of_as_many_independent_cells() -> None:
    rng = np.random.default_rng(0)
    # Eight cells of a study are all covered or all not: a study is one cell.
    studies = (rng.random(400) < 0.93).astype(np.int64)
    same = measure_clustered_share(8 * studies, 8)
    assert same.estimate == studies.mean()
    assert same.compute_interval() == pytest.approx(Share(int(studies.sum()), 400).compute_interval(), abs=1e-4)
    # Independent cells: nearly the exact interval of all of them.
    cells = rng.random((400, 8)) < 0.93
    independent = measure_clustered_share(cells.sum(axis=1), 8)
    assert independent.compute_interval() == pytest.approx(Share(int(cells.sum()), 3200).compute_interval(), abs=2e-3)
    low, high = independent.complement.compute_interval()
    assert (1 - high, 1 - low) == pytest.approx(independent.compute_interval())


def test_a_clustered_share_without_any_variation_counts_each_study_once() -> None:
    share = measure_clustered_share([3] * 50, 3)
    assert share == ClusteredShare(1.0, 0.0, 50)
    assert share.compute_interval() == Share(50, 50).compute_interval()


@pytest.mark.parametrize(("total", "bound", "most"), [(500, 0.05, 32), (500, 0.025, 16), (2000, 0.05, 120)])
def test_a_perfect_test_is_marked_as_often_as_its_counts_are_too_large(total: int, bound: float, most: int) -> None:
    assert is_met(Share(most, total), bound)
    assert not is_met(Share(most + 1, total), bound)
    single = float(stats.binom.sf(most, total, bound))
    assert compute_mark_probability(bound, total, bound) == pytest.approx(single)
    assert compute_mark_probability(bound, total, bound, 4) == pytest.approx(1 - (1 - single) ** 4)
