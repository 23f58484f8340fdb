"""The seeds needed: the promise holds over studies, and the plausible variances are a posterior."""

import warnings

import numpy as np
import pytest

from usaggr.statistics.power import compute_power, count_seeds_from_sds
from usaggr.statistics.seeds_needed import count_seeds_needed, find_subject_variances, make_lattice
from usaggr.statistics.two_way_anova import Estimate


def draw_estimates(seed_sd: float, subject_sd: float, subjects: int, prior_df: float, studies: int) -> Estimate:
    """Return estimates of three seeds, whose variance other cells inform with `prior_df` degrees of freedom."""
    rng = np.random.default_rng(0)
    df = 2 + prior_df
    by_seed = seed_sd**2 / 3 * rng.chisquare(df, studies) / df
    by_subject = subject_sd**2 / subjects * rng.chisquare(subjects - 1, studies) / (subjects - 1)
    sizes = np.full(studies, df), np.full(studies, subjects - 1.0)
    return Estimate(np.zeros(studies), by_seed, by_subject, *sizes, by_subject, np.zeros(studies))


@pytest.mark.parametrize("prior_df", [0.0, 6.0])
@pytest.mark.parametrize("seed_sd", [0.01, 0.02])
def test_the_seeds_needed_decide_a_difference_of_0_with_the_promised_probability(
    prior_df: float, seed_sd: float
) -> None:
    estimates = draw_estimates(seed_sd, 0.05, 200, prior_df, 200)
    level = 0.05 / 3
    needed = count_seeds_needed(estimates, 3, 0.02, level)
    is_named = np.isfinite(needed)
    assert is_named.mean() > 0.8
    decided = compute_power(0.02, seed_sd, 0.05, 0.0, needed[is_named], 200, level, prior_df)
    assert decided.mean() > 0.75


def test_more_degrees_of_freedom_need_fewer_seeds() -> None:
    needed = [
        np.nanmedian(count_seeds_needed(draw_estimates(0.02, 0.05, 200, df, 60), 3, 0.02, 0.05))
        for df in (0.0, 10.0)
    ]  # fmt: skip
    assert needed[1] < needed[0]


def test_the_seeds_needed_where_the_variance_is_known() -> None:
    """With many degrees of freedom the number is that of a study whose true variance is the estimated one."""
    certain = Estimate(*(np.array([x]) for x in (0.0, 0.02**2 / 3, 0.05**2 / 200, 1e5, 1e5, 0.05**2 / 200, 0.0)))
    needed = count_seeds_needed(certain, 3, 0.02, 0.05)
    oracle = count_seeds_from_sds(0.02, 0.02, 0.05, 0.0, 200, 0.05, prior_df=1e5)
    assert needed[0] == pytest.approx(float(oracle), abs=1)


def test_no_number_of_seeds_is_named_where_subjects_are_too_few() -> None:
    few = Estimate(*(np.array([x]) for x in (0.0, 1e-6, 0.2**2 / 20, 2.0, 19.0, 0.2**2 / 20, 0.0)))
    assert np.isnan(count_seeds_needed(few, 3, 0.02, 0.05)).all()


@pytest.mark.parametrize(("seeds", "subjects"), [(2, 20), (3, 30), (5, 100)])
def test_the_plausible_variances_of_subjects_are_a_posterior(seeds: int, subjects: int) -> None:
    """Over shares that follow the prior, a share q of the true variances lies below the posterior's quantile at q."""
    rng = np.random.default_rng(0)
    share = rng.beta(2, 1, 3000)
    ratio, df = share / (1 - share), subjects - 1
    residual = rng.chisquare(df * (seeds - 1), share.size) / (df * (seeds - 1))
    alone = (1 + seeds * ratio) * rng.chisquare(df, share.size) / df
    columns = [column[:, None] for column in (alone, residual, np.full(share.size, seeds), np.full(share.size, df))]
    by_subject, by_residual = find_subject_variances(*columns, make_lattice(2, 256))
    for true, plausible in ((seeds * ratio, by_subject), (np.ones(share.size), by_residual)):
        ranks = (plausible < true[:, None]).mean(axis=1)
        for probability in (0.1, 0.5, 0.9):
            assert (ranks <= probability).mean() == pytest.approx(probability, abs=0.03)


def test_a_residual_that_is_larger_than_the_subjects_mean_square_counts() -> None:
    """The subjects' component is 0 in both tables; the larger residual leaves less for the subjects."""
    needed = [
        float(
            count_seeds_needed(
                Estimate(*map(np.array, (0.0, 0.001**2, 0.0, 2.0, 29.0, 0.006**2, residual))), 3, 0.02, 0.02
            )
        )
        for residual in (0.006**2, 0.009**2)
    ]
    assert needed[1] != needed[0]


def test_the_points_fill_the_unit_cube_evenly() -> None:
    points = make_lattice(5, 256)
    assert points.shape == (5, 256)
    for coordinates in points:
        np.testing.assert_allclose(np.sort(coordinates), np.linspace(0, 1, coordinates.size), atol=0.015)
    assert np.abs(np.corrcoef(points) - np.eye(5)).max() < 0.1


def test_without_a_residual_more_seeds_cannot_make_up_for_few_subjects() -> None:
    no_residual = Estimate(*(np.array([x]) for x in (0.0, 0.001**2, 0.01**2, 2.0, 29.0, 0.01**2, 0.0)))
    only_residual = Estimate(*(np.array([x]) for x in (0.0, 0.001**2, 0.0, 2.0, 29.0, 0.01**2, 0.01**2)))
    assert np.isnan(count_seeds_needed(no_residual, 3, 0.025, 0.05))
    assert np.isfinite(count_seeds_needed(only_residual, 3, 0.025, 0.05))


@pytest.mark.parametrize(("alone", "residual"), [(0.0, 0.0), (1e-4, 0.0), (0.0, 1e-4), (1e-4, 1e-30), (1e30, 1e-30)])
def test_mean_squares_of_zero_give_no_warning(alone: float, residual: float) -> None:
    columns = (np.array([[value]]) for value in (alone, residual, 3.0, 29.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_subject, by_residual = find_subject_variances(*columns, make_lattice(2, 256))
    assert np.isfinite(by_subject).all()
    assert np.isfinite(by_residual).all()
    if residual <= 1e-30 < alone:
        assert np.median(by_subject) == pytest.approx(alone, rel=0.2)
