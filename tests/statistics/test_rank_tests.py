import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from tests.statistics.oracle_holm import RECORDED, closed_holm
from usaggr.statistics.holm import holm
from usaggr.statistics.rank_tests import (
    estimate_negative_transfer,
    estimate_probability_of_improvement,
    friedman,
    signed_rank,
    wilcoxon_pairs,
    wilson,
)


@pytest.mark.parametrize(("p_values", "adjusted"), RECORDED)
def test_holm_is_that_of_statsmodels(p_values: tuple[float, ...], adjusted: tuple[float, ...]) -> None:
    assert holm(p_values) == pytest.approx(adjusted, abs=1e-12)
    assert closed_holm(p_values) == pytest.approx(adjusted, abs=1e-12)


@given(st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1, max_size=8))
def test_holm_tests_every_intersection_of_the_finite_p_values(p_values: list[float]) -> None:
    p = np.array(p_values)
    finite = np.isfinite(p)
    adjusted = holm(p)
    assert np.isnan(adjusted[~finite]).all()
    assert adjusted[finite] == pytest.approx(closed_holm(p[finite].tolist()), abs=1e-12)


@given(st.integers(6, 27), st.integers(3, 5), st.integers(0, 1000), st.booleans())
def test_friedman_is_that_of_scipy_with_and_without_ties(tasks: int, groupings: int, seed: int, tied: bool) -> None:
    scores = np.random.default_rng(seed).standard_normal((tasks, groupings))
    scores = np.round(scores) if tied else scores
    result, oracle = friedman(scores), stats.friedmanchisquare(*scores.T)
    assert result.statistic == pytest.approx(oracle.statistic, abs=1e-9)
    assert result.p == pytest.approx(oracle.pvalue, abs=1e-9)
    np.testing.assert_allclose(result.ranks, stats.rankdata(-scores, axis=1).mean(axis=0))


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (np.arange(10.0).reshape(5, 2), "fewer than three groupings"),
        (np.arange(15.0).reshape(5, 3), "5 tasks, at least 6 are needed"),
        (np.ones((6, 3)), "all groupings are equal on all tasks"),
        (np.empty((0, 3)), "0 tasks, at least 6 are needed"),
    ],
)
def test_friedman_gives_the_reason_for_not_testing(scores: np.ndarray, reason: str) -> None:
    result = friedman(scores)
    assert np.isnan(result.p)
    assert result.reason == reason


@given(st.integers(6, 27), st.integers(0, 1000))
def test_signed_ranks_are_those_of_scipy_without_ties(tasks: int, seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.3, 1, tasks)
    statistic, p = signed_rank(differences)
    oracle = stats.wilcoxon(differences, method="exact")
    assert min(statistic, tasks * (tasks + 1) / 2 - statistic) == oracle.statistic
    assert p == pytest.approx(oracle.pvalue, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_signed_ranks_with_ties_and_zeros_are_exact_over_all_signs(seed: int) -> None:
    differences = np.random.default_rng(seed).integers(-3, 5, 12).astype(float)
    left = differences[differences != 0]
    signs = 1 - 2 * ((np.arange(2**left.size)[:, None] >> np.arange(left.size)) & 1)
    ranks = stats.rankdata(np.abs(left))
    away = np.abs((signs * ranks).sum(axis=1))
    statistic, p = signed_rank(differences)
    assert statistic == ranks[left > 0].sum()
    assert p == pytest.approx(np.mean(away >= abs((np.sign(left) * ranks).sum()) - 1e-9))


def test_pairs_count_wins_and_ties_and_are_adjusted_together() -> None:
    gains = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, -0.005])
    scores = np.column_stack([np.full(8, 0.5), 0.5 + gains, np.full(8, 0.5)])
    with_second, same, against = wilcoxon_pairs(scores)
    assert (with_second.first, with_second.second) == (0, 1)
    assert (with_second.better, with_second.worse, with_second.ties) == (7, 1, 0)
    assert with_second.p == pytest.approx(stats.wilcoxon(gains, method="exact").pvalue)
    assert with_second.median == pytest.approx(0.035)
    assert (same.better, same.worse, same.ties) == (0, 0, 8)
    assert np.isnan(same.p)
    assert same.reason == "0 tasks differ, at least 6 are needed"
    # Holm counts the two pairs that are tested, not the one that is not.
    assert with_second.p_adjusted == against.p_adjusted == pytest.approx(2 * with_second.p)


def test_five_tasks_that_differ_are_not_tested() -> None:
    assert np.isnan(signed_rank([0.1, 0.2, 0.3, 0.4, 0.5, 0.0, 0.0])[1])
    assert signed_rank([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])[1] == pytest.approx(2 / 64)


def test_probability_of_improvement_is_the_mann_whitney_share_of_each_task() -> None:
    rng = np.random.default_rng(0)
    scores, reference = np.round(rng.normal(0.2, 0.3, (4, 5)), 1), np.round(rng.normal(0, 0.3, (4, 5)), 1)
    shares = [stats.mannwhitneyu(x, y).statistic / 25 for x, y in zip(scores, reference, strict=True)]
    result = estimate_probability_of_improvement(scores, reference, 0.95)
    assert result.value == pytest.approx(np.mean(shares))
    assert result.low < result.value < result.high
    assert (result.tasks, result.seeds) == (4, 5)


def test_probability_of_improvement_by_hand() -> None:
    # Seeds of the grouping win against 0, 1.5 and 3 of the reference's three seeds; a tie counts 0.5.
    result = estimate_probability_of_improvement([[0.0, 2.0, 9.0]], [[1.0, 2.0, 3.0]], 0.95)
    assert result.value == pytest.approx(4.5 / 9)
    # Seeds of the reference lose against 2, 1.5 and 1 of the grouping's three.
    placements = np.array([0, 1.5, 3]) / 3 + np.array([2, 1.5, 1]) / 3 - 0.5
    half = stats.t.ppf(0.975, 2) * placements.std(ddof=1) / np.sqrt(3) / (0.5 * 0.5)
    assert (result.low, result.high) == pytest.approx((1 / (1 + np.exp(half)), 1 / (1 + np.exp(-half))))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 100))
def test_swapping_scores_and_reference_gives_the_complement(tasks: int, seeds: int, draw: int) -> None:
    scores, reference = np.random.default_rng(draw).integers(0, 4, (2, tasks, seeds))
    forward, backward = (
        estimate_probability_of_improvement(*pair, 0.9) for pair in ((scores, reference), (reference, scores))
    )
    assert forward.value == pytest.approx(1 - backward.value)
    if not np.isnan(forward.low):
        assert (forward.low, forward.high) == pytest.approx((1 - backward.high, 1 - backward.low))


def test_one_seed_or_seeds_that_all_win_give_no_interval() -> None:
    assert np.isnan(estimate_probability_of_improvement([[1.0]], [[0.0]], 0.95).low)
    sure = estimate_probability_of_improvement([[1.0, 2.0]], [[0.0, 0.5]], 0.95)
    assert sure.value == 1
    assert np.isnan(sure.high)
    with pytest.raises(ValueError, match="at least one"):
        estimate_probability_of_improvement(np.empty((0, 3)), np.empty((0, 3)), 0.95)


@pytest.mark.parametrize(("tasks", "seeds", "shared"), [(8, 3, 0.0), (8, 3, 0.7), (8, 5, 0.7), (27, 10, 0.7)])
def test_the_interval_covers_the_truth_where_one_run_serves_all_tasks(tasks: int, seeds: int, shared: float) -> None:
    rng = np.random.default_rng(tasks + seeds)
    effects = rng.normal(0.5, 1, tasks)
    truth = stats.norm.cdf(effects / np.sqrt(2)).mean()
    covered, total = 0, 800
    for _ in range(total):
        common = np.sqrt(shared) * rng.standard_normal((1, seeds))
        scores = effects[:, None] + common + np.sqrt(1 - shared) * rng.standard_normal((tasks, seeds))
        result = estimate_probability_of_improvement(scores, rng.standard_normal((tasks, seeds)), 0.95)
        covered += not result.low > truth and not result.high < truth
    # The bound is 2.5 Monte-Carlo standard errors below 93.5 %.
    assert covered / total > 0.935 - 2.5 * np.sqrt(0.05 * 0.95 / total)


@given(st.integers(0, 30), st.integers(1, 30), st.floats(0.8, 0.99))
def test_wilson_is_that_of_statsmodels(successes: int, more: int, confidence: float) -> None:
    trials = successes + more
    result = wilson(successes, trials, confidence)
    low, high = proportion_confint(successes, trials, 1 - confidence, method="wilson")
    assert (result.low, result.high) == pytest.approx((low, high), abs=1e-9)


def test_negative_transfer_is_the_share_of_losses_among_verdicts() -> None:
    result = estimate_negative_transfer(["loss", "gain", "", "undecided", "no_loss", ""], 0.95)
    assert result.value == 1 / 4
    assert result.low < 1 / 4 < result.high
    assert np.isnan(estimate_negative_transfer(["", ""], 0.95).value)
