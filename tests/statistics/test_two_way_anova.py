"""Two crossed sources: the published example, statsmodels, values computed by hand and coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.statistics.van_dyke import diseased, ratings
from usaggr.metrics.jackknife import compute_auc_pseudovalues
from usaggr.statistics.critical_values import make_quantile_function
from usaggr.statistics.two_way_anova import Estimate, compute_mean_squares, estimate


def van_dyke() -> np.ndarray:
    """(5 readers, 114 patients) differences of pseudo-values, second modality minus first."""
    labels, patients = diseased(), np.arange(114)
    scores = ratings()
    pseudo = np.array(
        [
            [compute_auc_pseudovalues(labels, np.stack([-r, r], axis=1), patients) for r in modality]
            for modality in scores
        ]
    )
    return np.asarray(pseudo[1] - pseudo[0])


def test_the_worked_example_of_van_dyke_gives_the_published_analysis() -> None:
    """Numbers of the Obuchowski-Rockette-Hillis analysis with jackknife covariances, as published for these data."""
    table = van_dyke()
    squares, result = compute_mean_squares(table), estimate(table)
    readers, cases = table.shape
    # As in the model of Obuchowski and Rockette: mean squares over 2 modalities, covariances between readers.
    ms_t = readers * float(table.mean()) ** 2 / 2
    ms_tr = float(squares.seeds) / cases / 2
    cov2_minus_cov3 = float(squares.subjects - squares.residual) / (2 * readers * cases)
    assert ms_t == pytest.approx(0.0047961705, rel=1e-6)
    assert ms_tr == pytest.approx(0.0005510306, rel=1e-6)
    assert cov2_minus_cov3 == pytest.approx(0.0003440748 - 0.0002390284, rel=1e-5)
    assert float(result.value) == pytest.approx(0.0438003, abs=1e-6)
    assert float(result.se) == pytest.approx(0.0207486, abs=1e-6)
    # F and Hillis's degrees of freedom follow from the two components of the variance.
    assert float(result.value / result.se) ** 2 == pytest.approx(4.456319, rel=1e-5)
    hillis = float((result.seed_variance + result.subject_variance) ** 2 / (result.seed_variance**2 / (readers - 1)))
    assert hillis == pytest.approx(15.259675, rel=1e-4)
    assert 2 * stats.t.sf(float(result.value / result.se), hillis) == pytest.approx(0.05166569, rel=1e-4)


def test_the_published_areas_of_the_readers_are_reproduced() -> None:
    labels, patients = diseased(), np.arange(114)
    areas = [
        [compute_auc_pseudovalues(labels, np.stack([-r, r], axis=1), patients).mean() for r in modality]
        for modality in ratings()
    ]
    assert np.mean(areas, axis=1) == pytest.approx([0.8970370, 0.9408374], abs=2e-6)


def test_mean_squares_are_those_of_a_two_way_analysis_of_variance() -> None:
    pandas = pytest.importorskip("pandas")
    formula = pytest.importorskip("statsmodels.formula.api")
    anova = pytest.importorskip("statsmodels.stats.anova")
    rng = np.random.default_rng(0)
    table = rng.normal(size=(4, 9)) + rng.normal(size=(4, 1)) + rng.normal(size=(1, 9))
    long = pandas.DataFrame(
        [(k, c, table[k, c]) for k in range(4) for c in range(9)], columns=["seed", "subject", "value"]
    )
    oracle = anova.anova_lm(formula.ols("value ~ C(seed) + C(subject)", long).fit())["mean_sq"]
    squares = compute_mean_squares(table)
    computed = [float(squares.seeds), float(squares.subjects), float(squares.residual)]
    assert computed == pytest.approx([oracle["C(seed)"], oracle["C(subject)"], oracle["Residual"]])


def test_a_hand_computed_case() -> None:
    result = estimate([[0.0, 2.0, 4.0], [2.0, 4.0, 6.0]])
    # Seeds differ by 2 for every subject, subjects by 2 for every seed, nothing is left.
    assert float(result.value) == 3.0
    assert float(result.seed_variance) == pytest.approx(3 * 2.0 / 6)
    assert float(result.subject_variance) == pytest.approx(2 * 4.0 / 6)
    share = 1.0 / (1.0 + 4 / 3)
    critical = float(make_quantile_function(share, 1, 2)(np.asarray(0.025)))
    low, high = result.compute_interval(0.95)
    assert float(high - low) / 2 == pytest.approx(critical * np.sqrt(1 + 4 / 3))


def test_without_variance_by_subject_the_interval_is_students_over_seeds() -> None:
    means = np.array([0.1, 0.3, 0.2, 0.5])
    low, high = estimate(np.repeat(means[:, None], 7, axis=1)).compute_interval(0.9)
    oracle = stats.t.interval(0.9, 3, loc=means.mean(), scale=stats.sem(means))
    assert (float(low), float(high)) == pytest.approx(oracle)


@pytest.mark.parametrize("shape", [(1, 12), (12, 1)])
def test_with_one_level_of_a_source_the_other_alone_is_covered(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).normal(size=12)
    result = estimate(values.reshape(shape))
    oracle = stats.ttest_1samp(values, 0.3)
    assert float(result.compute_two_sided_p(0.3)) == pytest.approx(oracle.pvalue)
    assert float(result.compute_one_sided_p(0.3)) == pytest.approx(
        stats.ttest_1samp(values, 0.3, alternative="greater").pvalue
    )
    assert [float(b) for b in result.compute_interval(0.95)] == pytest.approx(
        list(stats.ttest_1samp(values, 0).confidence_interval())
    )
    assert float(result.compute_df(0.95)) == pytest.approx(11)


def test_a_single_value_has_no_interval() -> None:
    result = estimate([[0.4]])
    assert np.isnan(
        [result.se, *result.compute_interval(0.95), result.compute_two_sided_p(), result.compute_df(0.95)]
    ).all()


def test_no_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one seed and one subject"):
        compute_mean_squares(np.empty((0, 3)))


def test_without_any_spread_p_values_are_0_or_1() -> None:
    result = estimate(np.full((3, 4), 0.25))
    assert float(result.compute_two_sided_p()) == 0.0
    assert float(result.compute_two_sided_p(0.25)) == 1.0


@given(
    st.floats(1e-6, 10), st.floats(1e-6, 10), st.integers(1, 30), st.integers(1, 400), st.floats(0.001, 0.5),
)  # fmt: skip
def test_p_values_and_bounds_agree(seed: float, subject: float, f: int, g: int, level: float) -> None:
    result = Estimate(*(np.asarray(x, dtype=float) for x in (0.0, seed, subject, f, g, 0.0, 0.0)))
    low, high = result.compute_interval(1 - level)
    assert float(result.compute_two_sided_p(high)) == pytest.approx(level, rel=1e-4)
    assert float(result.compute_one_sided_p(low)) == pytest.approx(level / 2, rel=1e-4)
    assert float(result.compute_one_sided_p(high)) == pytest.approx(1 - level / 2, rel=1e-4)


@given(st.floats(0, 10), st.floats(1e-6, 10), st.integers(1, 30), st.integers(1, 400))
def test_the_degrees_of_freedom_describe_the_critical_value(seed: float, subject: float, f: int, g: int) -> None:
    result = Estimate(*(np.asarray(x, dtype=float) for x in (0.0, seed, subject, f, g, 0.0, 0.0)))
    # The quantile of the normal distribution is the smallest that degrees of freedom can describe.
    oracle = max(float(result.compute_critical_value(0.95)), stats.norm.ppf(0.975))
    assert stats.t.ppf(0.975, float(result.compute_df(0.95))) == pytest.approx(oracle, rel=1e-4)


def test_an_interval_is_never_narrower_than_that_over_subjects_alone() -> None:
    """Three seeds agree exactly on the mean, so that their mean square is 0 and the residual exceeds the rest."""
    rng = np.random.default_rng(5)
    table = rng.normal(size=(3, 12))
    table += 0.3 - table.mean(axis=1, keepdims=True)
    result = estimate(table)
    alone = float(np.sqrt(compute_mean_squares(table).subjects / table.size))
    low, high = result.compute_interval(0.95)
    assert float(result.se) < alone
    assert float(high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 11) * alone)
    assert float(result.compute_two_sided_p()) == pytest.approx(2 * stats.t.sf(0.3 / alone, 11), rel=1e-6)


def test_several_tables_at_once_give_the_same_estimates_as_each_alone() -> None:
    tables = np.random.default_rng(2).normal(size=(5, 3, 8))
    together = estimate(tables)
    for i, table in enumerate(tables):
        alone = estimate(table)
        assert float(together.se[i]) == pytest.approx(float(alone.se))
        assert float(together.compute_two_sided_p()[i]) == pytest.approx(float(alone.compute_two_sided_p()))


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 9.0])
def test_intervals_cover_where_seeds_are_few(seeds: int, ratio: float) -> None:
    """This is a small copy of benchmarks/evidence/coverage.py; the plain two-way interval fails it with two seeds."""
    rng = np.random.default_rng(3)
    shape = (3000, seeds, 60)
    table = 0.1 * rng.normal(size=(3000, 1, 60)) + 0.05 * rng.normal(size=shape)
    table += 0.1 * np.sqrt(ratio * seeds / 60) * rng.normal(size=(3000, seeds, 1))
    low, high = estimate(table).compute_interval(0.95)
    coverage = ((low <= 0) & (high >= 0)).mean()
    assert 0.93 <= coverage <= 0.99


def test_a_pooled_mean_square_replaces_that_of_the_table() -> None:
    table = np.random.default_rng(4).normal(size=(3, 10))
    pooled = estimate(table, (5.0, 12.0))
    assert float(pooled.seed_variance) == pytest.approx(5.0 / 30)
    assert float(pooled.seed_df) == 12
    assert float(pooled.subject_variance) == pytest.approx(float(estimate(table).subject_variance))
