"""The means of pseudo-values are relative change and skill; their spread is that of the delta method."""

import numpy as np
import pytest

from usaggr.metrics.names import compute_skill, get_metric
from usaggr.statistics.effect_units import (
    LEAST_SKILL,
    compute_log_error_pseudovalues,
    compute_log_error_ratio,
    compute_log_skill_pseudovalues,
    compute_log_skill_ratio,
    compute_relative_pseudovalues,
    compute_skill_pseudovalues,
)

RNG = np.random.default_rng(0)
DSC, MRE = get_metric("dsc"), get_metric("mre")


@pytest.mark.parametrize(("score_metric", "sign"), [(DSC, 1), (MRE, -1)])
def test_the_mean_is_the_signed_relative_change(score_metric: object, sign: int) -> None:
    scores, reference = 5 + RNG.normal(size=(3, 8)), 4 + RNG.normal(size=(3, 8))
    values = compute_relative_pseudovalues(scores, reference, score_metric)  # type: ignore[arg-type]
    assert values.mean() == pytest.approx(sign * (scores.mean() - reference.mean()) / reference.mean())


def test_the_variance_is_the_ratios() -> None:
    """The oracle is the bootstrap of a ratio of means."""
    scores, reference = 2 + RNG.normal(size=(1, 400)) * 0.3, 1 + RNG.normal(size=(1, 400)) * 0.2
    standard_error = compute_relative_pseudovalues(scores, reference, DSC).std(ddof=1) / 20
    draws = RNG.integers(0, 400, (4000, 400))
    ratios = scores[0][draws].mean(axis=1) / reference[0][draws].mean(axis=1)
    assert standard_error == pytest.approx(ratios.std(), rel=0.06)


def test_a_relative_change_from_zero_is_refused() -> None:
    with pytest.raises(ZeroDivisionError):
        compute_relative_pseudovalues(np.ones((1, 2)), np.zeros((1, 2)), DSC)


@pytest.mark.parametrize("score_metric", [DSC, MRE])
def test_the_mean_by_seed_is_the_seeds_skill(score_metric: object) -> None:
    values = np.abs(0.6 + 0.1 * RNG.normal(size=(3, 9)))
    trivial = np.array([0.5, 0.45, 0.9]) if score_metric is DSC else np.array([0.8, 0.9, 0.1])
    pseudovalues = compute_skill_pseudovalues(values, trivial, score_metric)  # type: ignore[arg-type]
    expected = [
        compute_skill(float(row.mean()), float(t), score_metric) for row, t in zip(values, trivial, strict=True)
    ]  # type: ignore[arg-type]
    assert pseudovalues.mean(axis=1) == pytest.approx(expected)


def test_a_clipped_skill_is_the_same_for_all_subjects() -> None:
    values = compute_skill_pseudovalues(np.array([[0.0, 0.2]]), np.array([0.9]), DSC)
    assert values == pytest.approx(np.full((1, 2), -1.0))


def test_a_perfect_trivial_predictor_leaves_no_room() -> None:
    values = compute_skill_pseudovalues(np.array([[1.0, 1.0], [1.0, 0.5]]), np.array([1.0, 1.0]), DSC)
    assert values == pytest.approx(np.array([[0.0, 0.0], [-1.0, -1.0]]))


@pytest.mark.parametrize("score_metric", [DSC, MRE])
def test_the_mean_in_log_error_is_the_log_of_the_ratio_of_mean_errors(score_metric: object) -> None:
    errors, reference_errors = 0.2 + 0.02 * RNG.normal(size=(3, 9)), 0.3 + 0.02 * RNG.normal(size=(3, 9))
    pair = (errors, reference_errors) if score_metric is MRE else (1 - errors, 1 - reference_errors)
    values = compute_log_error_pseudovalues(*pair, score_metric)  # type: ignore[arg-type]
    assert values.mean() == pytest.approx(np.log(reference_errors.mean() / errors.mean()))
    ratio = compute_log_error_ratio(float(pair[0].mean()), float(pair[1].mean()), score_metric)  # type: ignore[arg-type]
    assert values.mean() == pytest.approx(ratio)


def test_a_difference_in_log_error_is_one_in_the_log_of_one_minus_skill() -> None:
    trivial = 0.4
    ratio = compute_log_error_ratio(0.8, 0.7, DSC)
    skill, reference = (compute_skill(score, trivial, DSC) for score in (0.8, 0.7))
    assert ratio == pytest.approx(np.log(1 - reference) - np.log(1 - skill))


def test_the_variance_in_log_error_is_that_of_leaving_out_each_subject() -> None:
    """The oracle leaves out each subject in turn and computes the logarithm again."""
    scores, references = 0.8 + 0.1 * RNG.normal(size=(2, 60)), 0.7 + 0.15 * RNG.normal(size=(2, 60))
    values = compute_log_error_pseudovalues(scores, references, DSC).mean(axis=0)
    without = np.array(
        [
            np.log((1 - np.delete(references, i, axis=1)).mean() / (1 - np.delete(scores, i, axis=1)).mean())
            for i in range(60)
        ]
    )
    jackknife = np.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    assert values.std(ddof=1) / np.sqrt(60) == pytest.approx(jackknife, rel=0.02)


def test_the_variance_in_log_error_between_seeds_is_that_of_drawn_seeds() -> None:
    """The oracle draws seeds with replacement from many."""
    seeds = 200
    scores, references = 0.8 + 0.02 * RNG.normal(size=(seeds, 1)), 0.7 + 0.03 * RNG.normal(size=(seeds, 1))
    values = compute_log_error_pseudovalues(scores, references, DSC)
    draws = RNG.integers(0, seeds, (4000, seeds))
    ratios = np.log((1 - references[draws, 0]).mean(axis=1) / (1 - scores[draws, 0]).mean(axis=1))
    assert values.std(ddof=1) / np.sqrt(seeds) == pytest.approx(ratios.std(), rel=0.06)


@pytest.mark.parametrize(("score", "reference"), [(1.0, 0.5), (0.5, 1.0), (1.1, 0.5), (np.nan, 0.5)])
def test_without_an_error_there_is_no_log_error(score: float, reference: float) -> None:
    assert np.isnan(compute_log_error_ratio(score, reference, DSC))
    values = compute_log_error_pseudovalues(np.full((2, 3), score), np.full((2, 3), reference), DSC)
    assert values.shape == (2, 3)
    assert np.isnan(values).all()


def test_the_mean_and_the_variance_in_log_skill_are_those_of_leaving_out_each_subject() -> None:
    """The oracle leaves out each subject in turn and computes the logarithm again."""
    skills, references = 0.6 + 0.1 * RNG.normal(size=(2, 60)), 0.5 + 0.15 * RNG.normal(size=(2, 60))
    values = compute_log_skill_pseudovalues(skills, references)
    assert values.mean() == pytest.approx(np.log(skills.mean() / references.mean()))
    without = np.array(
        [np.log(np.delete(skills, i, axis=1).mean() / np.delete(references, i, axis=1).mean()) for i in range(60)]
    )
    jackknife = np.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    assert values.mean(axis=0).std(ddof=1) / np.sqrt(60) == pytest.approx(jackknife, rel=0.02)


def test_log_skill_is_constant_where_nothing_is_learned() -> None:
    nothing = np.array([[-0.2, 0.1, 0.05]])
    assert compute_log_skill_pseudovalues(nothing, nothing) == pytest.approx(np.zeros((1, 3)))
    assert compute_log_skill_ratio(-0.3, 0.02) == 0
    assert compute_log_skill_ratio(0.5, -0.3) == pytest.approx(np.log(0.5 / LEAST_SKILL))
    assert np.isnan(compute_log_skill_ratio(np.nan, 0.5))
    learned = compute_log_skill_pseudovalues(np.array([[0.4, 0.6]]), nothing[:, :2])
    assert learned == pytest.approx(np.log(0.5 / LEAST_SKILL) + np.array([[-0.2, 0.2]]))
