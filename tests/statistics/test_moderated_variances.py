"""Moderated variances: leave-one-out predictions equal generalized least squares, and help where cells vary alike."""

import numpy as np
import pytest
from scipy import special

from usaggr.statistics import moderated_variances
from usaggr.statistics.moderated_variances import moderate_variances, plan_prior_df, predict_priors


def number_cells(tasks: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(tasks), columns), np.tile(np.arange(columns), tasks)


def test_a_left_out_cell_is_predicted_as_by_generalized_least_squares() -> None:
    rng = np.random.default_rng(0)
    tasks, columns = number_cells(3, 4)
    logs, diagonal, task_variance = rng.normal(size=12), rng.uniform(0.5, 2, 12), 0.7
    model = moderated_variances._VarianceModel(diagonal, task_variance, tasks, columns)
    predicted, variance, likelihood = model.predict_left_out(logs[None])
    covariance = np.diag(diagonal) + task_variance * (tasks[:, None] == tasks)
    design = (columns[:, None] == np.arange(4)).astype(float)
    for i in range(12):
        remaining = np.arange(12) != i
        inverse = np.linalg.inv(covariance[np.ix_(remaining, remaining)])
        of_effects = np.linalg.inv(design[remaining].T @ inverse @ design[remaining])
        effects = of_effects @ design[remaining].T @ inverse @ logs[remaining]
        weights = covariance[i, remaining] @ inverse
        assert predicted[0, i] == pytest.approx(
            design[i] @ effects + weights @ (logs[remaining] - design[remaining] @ effects)
        )
        error = design[i] - weights @ design[remaining]
        by_hand = covariance[i, i] - weights @ covariance[remaining, i] + error @ of_effects @ error
        assert variance[i] == pytest.approx(by_hand)
    inverse = np.linalg.inv(covariance)
    normal = design.T @ inverse @ design
    residual = logs - design @ np.linalg.solve(normal, design.T @ inverse @ logs)
    terms = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(normal)[1] + residual @ inverse @ residual
    assert likelihood[0] == pytest.approx(-terms / 2)


def test_the_prior_is_near_the_true_variance_where_all_cells_vary_alike() -> None:
    tasks, columns = number_cells(27, 4)
    rng = np.random.default_rng(1)
    variances = 0.04 * rng.chisquare(2, (20, 108)) / 2
    prior, df = predict_priors(variances, np.full(108, 2.0), tasks, columns)
    assert np.median(prior) == pytest.approx(0.04, rel=0.15)
    assert np.median(df) > 6


def test_a_column_that_varies_more_has_a_larger_prior() -> None:
    tasks, columns = number_cells(27, 2)
    sd = np.where(columns == 1, 3.0, 1.0)
    variances = sd**2 * np.random.default_rng(2).chisquare(2, (20, 54)) / 2
    prior, _ = predict_priors(variances, np.full(54, 2.0), tasks, columns)
    assert np.median(prior[:, columns == 0]) == pytest.approx(1, rel=0.25)
    assert np.median(prior[:, columns == 1]) == pytest.approx(9, rel=0.25)


def test_cells_that_vary_unlike_get_fewer_degrees_of_freedom() -> None:
    tasks, columns = number_cells(27, 2)
    rng = np.random.default_rng(3)
    similar = rng.chisquare(2, (10, 54)) / 2
    different = similar * np.exp(2 * rng.normal(size=(10, 54)))
    df = [
        np.median(predict_priors(variances, np.full(54, 2.0), tasks, columns)[1]) for variances in (similar, different)
    ]
    assert df[1] < df[0] / 2


def test_the_moderated_variance_is_the_mean_weighted_by_degrees_of_freedom() -> None:
    variances, df = np.array([1.0, 2.0, 0.5, 1.5]), np.array([2.0, 2.0, 3.0, 2.0])
    tasks, columns = number_cells(2, 2)
    result = moderate_variances(variances, df, tasks, columns)
    prior, prior_df = predict_priors(variances[None], df, tasks, columns)
    assert (result.prior_df > 0).all()
    assert result.prior_df == pytest.approx(prior_df[0])
    assert result.df == pytest.approx(df + prior_df[0])
    assert result.values == pytest.approx((df * variances + prior_df[0] * prior[0]) / (df + prior_df[0]))


@pytest.mark.parametrize("columns", [1, 4])
def test_one_task_alone_keeps_its_own_variances(columns: int) -> None:
    variances = np.linspace(1, 2, columns)
    result = moderate_variances(variances, np.full(columns, 2), *number_cells(1, columns))
    assert result.values == pytest.approx(variances)
    assert result.df == pytest.approx(np.full(columns, 2))


def test_a_cell_of_one_seed_has_no_variance_and_informs_no_other() -> None:
    tasks, columns = number_cells(3, 2)
    variances, df = np.array([1.0, 2.0, np.nan, 3.0, 4.0, 2.0]), np.array([2, 2, 0, 2, 2, 2])
    result = moderate_variances(variances, df, tasks, columns)
    assert np.isnan(result.values[2])
    assert result.df[2] == 0
    is_known = np.isfinite(variances)
    remaining = moderate_variances(variances[is_known], df[is_known], tasks[is_known], columns[is_known])
    assert result.values[is_known] == pytest.approx(remaining.values)


def test_seeds_that_agree_by_accident_get_the_variance_of_the_others() -> None:
    tasks, columns = number_cells(8, 2)
    variances = np.random.default_rng(4).chisquare(2, 16) / 2
    variances[5] = 0.0
    result = moderate_variances(variances, np.full(16, 2), tasks, columns)
    assert result.values[5] > 0.1
    without = np.arange(16) != 5
    remaining = moderate_variances(variances[without], np.full(15, 2), tasks[without], columns[without])
    assert result.values[without] == pytest.approx(remaining.values, rel=1e-3)


def test_trigamma_is_inverted() -> None:
    x = np.array([0.01, 0.3, 1.0, 7.0, 200.0])
    assert moderated_variances._invert_trigamma(special.polygamma(1, x)) == pytest.approx(x)


def test_more_tasks_are_expected_to_add_degrees_of_freedom() -> None:
    df = [float(plan_prior_df(np.full(2 * t, 2.0), *number_cells(t, 2))[0]) for t in (1, 2, 8, 27)]
    assert df[0] == 0
    assert (np.diff(df) > 0).all()
