"""Moderated variances: predictions equal those of the other tasks' cells by hand, and help where tasks vary alike."""

import numpy as np
import pytest
from scipy import special, stats

from usaggr.statistics import moderated_variances
from usaggr.statistics.moderated_variances import moderate_variances, plan_prior_df, predict_priors


def label_columns(tasks: int, columns: int) -> np.ndarray:
    return np.tile(np.arange(columns), tasks)


def integrate_by_hand(variances: np.ndarray, df: np.ndarray, log_scale: np.ndarray, prior_df: float) -> np.ndarray:
    """Return the likelihood at each log scale by scipy's F distribution."""
    scale = np.exp(log_scale)[:, None]
    return np.prod(variances / scale * stats.f.pdf(variances / scale, df, prior_df), axis=1)


@pytest.mark.parametrize(("tasks", "share"), [(3, 1.0), (5, 6 / 8)])
def test_a_cell_is_predicted_by_the_other_tasks_in_its_column(
    tasks: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fine and wide grid of scales, as the one by hand.
    monkeypatch.setattr(moderated_variances, "_SCALES", np.linspace(-1, 1, 1001))
    monkeypatch.setattr(moderated_variances, "_LEAST_RANGE", 9.0)
    columns, rng = label_columns(tasks, 3), np.random.default_rng(0)
    df = rng.integers(1, 6, columns.size).astype(float)
    variances = rng.chisquare(df) / df * np.where(columns == 2, 4.0, 1.0)
    prior, prior_df = predict_priors(variances[None], df, columns)
    grid, before = moderated_variances._PRIOR_DFS, moderated_variances._PRIOR_WEIGHTS
    log_scale = np.linspace(-20, 20, 4001)

    def list_likelihoods(cells: np.ndarray) -> np.ndarray:
        return np.array([integrate_by_hand(variances[cells], df[cells], log_scale, d) for d in grid])

    for cell in range(columns.size):
        in_column = columns == columns[cell]
        weights = list_likelihoods(in_column & (np.arange(columns.size) != cell)) * before[:, None]
        for column in set(columns.tolist()) - {columns[cell]}:
            weights *= (list_likelihoods(columns == column).sum(axis=1) ** share)[:, None]
        weights /= weights.sum()
        # Moments of the logarithm of a scaled inverse chi-square, at each point of the grid.
        means = log_scale + (np.log(grid / 2) - special.digamma(grid / 2))[:, None]
        mean = (weights * means).sum()
        variance = (weights * (special.polygamma(1, grid / 2)[:, None] + (means - mean) ** 2)).sum()
        half = prior_df[0, cell] / 2
        assert special.polygamma(1, half) == pytest.approx(variance, rel=1e-3)
        assert np.log(prior[0, cell]) + np.log(half) - special.digamma(half) == pytest.approx(mean, abs=1e-3)


def test_few_points_of_scales_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    variances, columns = np.random.default_rng(7).chisquare(2, (40, 24)) / 2, label_columns(8, 3)
    prior, df = predict_priors(variances, np.full(24, 2.0), columns)
    monkeypatch.setattr(moderated_variances, "_SCALES", np.linspace(-1, 1, 501))
    fine_prior, fine_df = predict_priors(variances, np.full(24, 2.0), columns)
    assert prior == pytest.approx(fine_prior, rel=0.02)
    assert df == pytest.approx(fine_df, rel=0.02)


def test_the_prior_is_near_the_true_variance_where_all_cells_vary_alike() -> None:
    rng = np.random.default_rng(1)
    variances = 0.04 * rng.chisquare(2, (20, 108)) / 2
    prior, df = predict_priors(variances, np.full(108, 2.0), label_columns(27, 4))
    assert np.median(prior) == pytest.approx(0.04, rel=0.2)
    assert np.median(df) > 6


def test_a_column_that_varies_more_has_a_larger_prior() -> None:
    columns = label_columns(27, 2)
    sd = np.where(columns == 1, 3.0, 1.0)
    variances = sd**2 * np.random.default_rng(2).chisquare(2, (20, 54)) / 2
    prior, _ = predict_priors(variances, np.full(54, 2.0), columns)
    assert np.median(prior[:, columns == 0]) == pytest.approx(1, rel=0.25)
    assert np.median(prior[:, columns == 1]) == pytest.approx(9, rel=0.25)


def test_cells_that_vary_unlike_get_fewer_degrees_of_freedom() -> None:
    rng = np.random.default_rng(3)
    similar = rng.chisquare(2, (10, 54)) / 2
    different = similar * np.exp(2 * rng.normal(size=(10, 54)))
    df = [
        np.median(predict_priors(variances, np.full(54, 2.0), label_columns(27, 2))[1])
        for variances in (similar, different)
    ]
    assert df[1] < df[0] / 2


def test_a_column_whose_tasks_vary_unlike_gets_fewer_degrees_of_freedom_than_the_others() -> None:
    columns, rng = label_columns(27, 8), np.random.default_rng(5)
    variances = rng.chisquare(2, (10, 216)) / 2 * np.exp(2 * rng.normal(size=(10, 216)) * (columns == 3))
    df = predict_priors(variances, np.full(216, 2.0), columns)[1]
    assert np.median(df[:, columns == 3]) < 4
    assert np.median(df[:, columns != 3]) > 6


def test_the_same_seeds_at_all_scales_add_no_degrees_of_freedom() -> None:
    variances = np.random.default_rng(6).chisquare(2, (200, 8)) / 2
    once = predict_priors(variances, np.full(8, 2.0), label_columns(8, 1))[1]
    # The same runs under four labels: what agrees is not evidence. Only how much tasks differ seems more certain.
    repeated = predict_priors(np.repeat(variances, 4, axis=1), np.full(32, 2.0), label_columns(8, 4))[1]
    assert np.median(repeated) < 2 * np.median(once)


@pytest.mark.parametrize("columns", [1, 4])
def test_one_task_alone_keeps_its_own_variances(columns: int) -> None:
    variances = np.linspace(1, 2, columns)
    result = moderate_variances(variances, np.full(columns, 2), np.arange(columns))
    assert result.values == pytest.approx(variances)
    assert result.df == pytest.approx(np.full(columns, 2))


def test_the_moderated_variance_is_the_mean_weighted_by_degrees_of_freedom() -> None:
    variances, df = np.array([1.0, 2.0, 0.5, 1.5]), np.array([2.0, 2.0, 3.0, 2.0])
    columns = label_columns(2, 2)
    result = moderate_variances(variances, df, columns)
    prior, prior_df = predict_priors(variances[None], df, columns)
    assert (result.prior_df > 0).all()
    assert result.prior_df == pytest.approx(prior_df[0])
    assert result.df == pytest.approx(df + prior_df[0])
    assert result.values == pytest.approx((df * variances + prior_df[0] * prior[0]) / (df + prior_df[0]))


def test_a_cell_of_one_seed_has_no_variance_and_informs_no_other() -> None:
    columns = label_columns(3, 2)
    variances, df = np.array([1.0, 2.0, np.nan, 3.0, 4.0, 2.0]), np.array([2, 2, 0, 2, 2, 2])
    result = moderate_variances(variances, df, columns)
    assert np.isnan(result.values[2])
    assert result.df[2] == 0
    is_known = np.isfinite(variances)
    remaining = moderate_variances(variances[is_known], df[is_known], columns[is_known])
    assert result.values[is_known] == pytest.approx(remaining.values)


def test_seeds_that_agree_by_accident_get_the_variance_of_the_others() -> None:
    columns = label_columns(8, 2)
    variances = np.random.default_rng(4).chisquare(2, 16) / 2
    variances[5] = 0.0
    result = moderate_variances(variances, np.full(16, 2), columns)
    assert result.values[5] > 0.1
    without = np.arange(16) != 5
    remaining = moderate_variances(variances[without], np.full(15, 2), columns[without])
    assert result.values[without] == pytest.approx(remaining.values)


def test_no_cell_is_predicted_by_cells_without_variance() -> None:
    result = moderate_variances(np.array([0.0, 0.0, 1.0]), np.full(3, 2), np.zeros(3))
    assert result.prior_df[2] == 0.0
    assert result.values[2] == 1.0
    assert (result.prior_df[:2] > 0).all()


def test_trigamma_is_inverted() -> None:
    x = np.array([0.01, 0.3, 1.0, 7.0, 200.0])
    assert moderated_variances._invert_trigamma(special.polygamma(1, x)) == pytest.approx(x)


def test_more_tasks_are_expected_to_add_degrees_of_freedom() -> None:
    df = [float(plan_prior_df(np.full(2 * t, 2.0), label_columns(t, 2))[0]) for t in (1, 2, 8, 27)]
    assert df[0] == 0
    assert (np.diff(df) > 0).all()


def test_a_block_of_two_groupings_informs_both_columns_and_counts_once() -> None:
    variances = np.array([1.0, 2.0, 4.0, 1.0, 30.0, 2.0, 4.0])
    columns, df = np.array([0, 0, 0, 1, 1, 2, 2]), np.full(7, 2.0)
    runs = np.array([0, 1, 2, 0, 3, 1, 2])
    moderated = moderate_variances(variances, df, columns, runs)
    # The second column's other cell is predicted by the block that it shares with the first one.
    alone = moderate_variances(variances[3:5], df[3:5], columns[3:5])
    assert moderated.prior_df[4] > 0
    assert moderated.values[4] == pytest.approx(alone.values[1], rel=0.2)
    # The third column adds no cell to the first one.
    first_two = moderate_variances(variances[:5], df[:5], columns[:5], runs[:5])
    np.testing.assert_allclose(moderated.values[:3], first_two.values[:3])
    as_others = moderate_variances(variances, df, columns)
    assert not np.allclose(moderated.values[:3], as_others.values[:3], rtol=1e-3)


def test_a_shared_block_does_not_weight_its_own_prior() -> None:
    """Its variance is in two columns, and changes its prior in neither, apart from the range of the grid."""
    columns, df = np.array([0, 0, 0, 1, 1, 1]), np.full(6, 2.0)

    def predict_df(shared: float, runs: np.ndarray | None) -> float:
        variances = np.array([shared, 2.0, 0.5, shared, 1.5, 0.7])
        return float(predict_priors(variances[None], df, columns, runs)[1][0, 0])

    runs = np.array([0, 1, 2, 0, 3, 4])
    assert predict_df(100.0, runs) == pytest.approx(predict_df(1.0, runs), rel=0.06)
    assert predict_df(100.0, None) < 0.7 * predict_df(1.0, None)


@pytest.mark.parametrize("runs", [None, np.arange(9)])
def test_labels_of_distinct_runs_change_nothing(runs: np.ndarray | None) -> None:
    variances = np.random.default_rng(0).chisquare(2, 9)
    columns = np.repeat([0, 1, 2], 3)
    moderated = moderate_variances(variances, np.full(9, 2.0), columns, runs)
    np.testing.assert_allclose(moderated.values, moderate_variances(variances, np.full(9, 2.0), columns).values)
