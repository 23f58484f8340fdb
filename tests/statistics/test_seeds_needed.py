"""The seeds needed: the promise holds over studies, and the plausible variances are a posterior."""

import numpy as np
import pytest

from usaggr.statistics import seeds_needed
from usaggr.statistics.power import compute_power, count_seeds_from_sds
from usaggr.statistics.seeds_needed import count_seeds_needed, draw_subject_variances, make_lattice
from usaggr.statistics.two_way_anova import Estimate


def draw_estimates(seed_sd: float, subject_sd: float, subjects: int, prior_df: float, studies: int) -> Estimate:
    """Return estimates of three seeds, whose variance other cells inform with `prior_df` degrees of freedom."""
    rng = np.random.default_rng(0)
    df = 2 + prior_df
    by_seed = seed_sd**2 / 3 * rng.chisquare(df, studies) / df
    by_subject = subject_sd**2 / subjects * rng.chisquare(subjects - 1, studies) / (subjects - 1)
    sizes = np.full(studies, df), np.full(studies, subjects - 1.0)
    return Estimate(np.zeros(studies), by_seed, by_subject, *sizes, by_subject)


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
    certain = Estimate(*(np.array([x]) for x in (0.0, 0.02**2 / 3, 0.05**2 / 200, 1e5, 1e5, 0.05**2 / 200)))
    needed = count_seeds_needed(certain, 3, 0.02, 0.05)
    oracle = count_seeds_from_sds(0.02, 0.02, 0.05, 0.0, 200, 0.05, prior_df=1e5)
    assert needed[0] == pytest.approx(float(oracle), abs=1)


def test_no_number_of_seeds_is_named_where_subjects_are_too_few() -> None:
    few = Estimate(*(np.array([x]) for x in (0.0, 1e-6, 0.2**2 / 20, 2.0, 19.0, 0.2**2 / 20)))
    assert np.isnan(count_seeds_needed(few, 3, 0.02, 0.05)).all()


@pytest.mark.parametrize(("seeds", "subjects"), [(2, 20), (3, 30), (5, 100)])
def test_the_plausible_variances_of_subjects_are_a_posterior(seeds: int, subjects: int) -> None:
    """Over ratios that follow the prior, a share q of the true variances lies below the posterior's quantile at q."""
    rng = np.random.default_rng(0)
    ratio = rng.choice(seeds_needed._RATIOS, 3000, p=seeds_needed._RATIO_WEIGHTS / seeds_needed._RATIO_WEIGHTS.sum())
    df = subjects - 1
    residual = rng.chisquare(df * (seeds - 1), ratio.size) / (df * (seeds - 1))
    alone = (1 + seeds * ratio) * rng.chisquare(df, ratio.size) / df
    columns = [column[:, None] for column in (alone, residual, np.full(ratio.size, seeds), np.full(ratio.size, df))]
    by_subject, by_residual = draw_subject_variances(*columns, make_lattice(2, 256))
    for true, plausible in ((seeds * ratio, by_subject), (np.ones(ratio.size), by_residual)):
        ranks = (plausible < true[:, None]).mean(axis=1)
        for probability in (0.1, 0.5, 0.9):
            assert (ranks <= probability).mean() == pytest.approx(probability, abs=0.03)


def test_the_points_fill_the_unit_cube_evenly() -> None:
    points = make_lattice(5, 256)
    assert points.shape == (5, 256)
    for coordinates in points:
        np.testing.assert_allclose(np.sort(coordinates), np.linspace(0, 1, coordinates.size), atol=0.015)
    assert np.abs(np.corrcoef(points) - np.eye(5)).max() < 0.1


def test_subjects_that_all_runs_score_alike_leave_the_subjects_component() -> None:
    """Without a residual the whole variance is the subjects'; more seeds cannot make up for it."""
    no_residual = Estimate(*(np.array([x]) for x in (0.0, 0.001**2, 0.01**2, 2.0, 29.0, 0.01**2)))
    only_residual = Estimate(*(np.array([x]) for x in (0.0, 0.001**2, 0.0, 2.0, 29.0, 0.01**2)))
    assert np.isnan(count_seeds_needed(no_residual, 3, 0.02, 0.05))
    assert np.isfinite(count_seeds_needed(only_residual, 3, 0.04, 0.05))
