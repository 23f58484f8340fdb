"""The means of pseudo-values are relative change and skill; their spread is that of the delta method."""

import numpy as np
import pytest

from usaggr.metrics.names import compute_skill, get_metric
from usaggr.statistics.effect_units import compute_relative_pseudovalues, compute_skill_pseudovalues

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
