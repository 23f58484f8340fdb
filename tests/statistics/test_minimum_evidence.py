"""Too little evidence: rare classes, and differences that depend on a few subjects."""

import numpy as np
import pytest

from usaggr.statistics.minimum_evidence import (
    compare_errors,
    count_rarer_class,
    has_few_differing,
    is_driven_by_few,
)


def test_subjects_of_the_rarer_class_are_counted_not_samples() -> None:
    labels, subjects = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 3, 3, 3])
    assert count_rarer_class(labels, subjects, 2) == 1


def test_a_class_that_nearly_all_have_is_as_rare_as_its_absence() -> None:
    assert count_rarer_class(np.array([0, 0, 0, 1]), np.arange(4), 2) == 1


def test_a_class_that_no_sample_has_is_not_counted() -> None:
    assert count_rarer_class(np.repeat([0, 1], 6), np.arange(12), 3) == 6
    assert count_rarer_class(np.zeros(4, dtype=int), np.arange(4), 2) == 0


@pytest.mark.parametrize(("failures", "few"), [(0, False), (1, True), (9, True), (10, False)])
def test_under_ten_failures_are_too_few(failures: int, few: bool) -> None:
    rng = np.random.default_rng(0)
    table = 0.02 * rng.normal(size=(3, 100))
    table[:, :failures] -= 0.8
    assert bool(is_driven_by_few(table)) is few
    assert not has_few_differing(table)


def test_an_ordinary_skewed_difference_is_not_too_few() -> None:
    rng = np.random.default_rng(1)
    flagged = is_driven_by_few(rng.gumbel(size=(500, 3, 30)))
    assert flagged.mean() < 0.02


@pytest.mark.parametrize(("changed", "few"), [(0, True), (9, True), (10, False)])
def test_nearly_the_same_answers_are_too_few(changed: int, few: bool) -> None:
    table = np.full((2, 60), 1 / 3)
    table[:, :changed] += 1
    assert bool(has_few_differing(table)) is few


def test_rounding_is_no_difference() -> None:
    table = np.full((2, 60), 1 / 3) + 1e-13 * np.random.default_rng(2).normal(size=(2, 60))
    assert has_few_differing(table)


def draw_errors(studies: int, subjects: int, gross: float = 0.0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw log-normal errors of both groupings (3 seeds), correlated at .9; a share `gross` is 20 times as large."""
    rng = np.random.default_rng(3)
    drawn = []
    for _ in range(studies):
        common = np.sqrt(0.9) * rng.standard_normal((1, subjects))
        log_errors = [common + np.sqrt(0.1) * rng.standard_normal((1, subjects)) for _ in range(2)]
        errors = [10 * np.exp(values + 0.2 * rng.standard_normal((3, subjects))) for values in log_errors]
        drawn.append((errors[0] * np.where(rng.random((1, subjects)) < gross, 20, 1), errors[1]))
    return drawn


@pytest.mark.parametrize("subjects", [30, 60])
def test_log_normal_errors_are_not_driven_by_few(subjects: int) -> None:
    studies = draw_errors(100, subjects)
    in_pixels = np.mean([is_driven_by_few(reference - errors) for errors, reference in studies])
    assert in_pixels > 0.25
    assert np.mean([is_driven_by_few(compare_errors(*study)) for study in studies]) < 0.05


def test_gross_errors_of_a_few_subjects_are_noticed() -> None:
    studies = draw_errors(200, 60, gross=0.03)
    with_failures = [study for study in studies if (study[0] / study[1]).mean(axis=0).max() > 8]
    assert len(with_failures) > 100
    assert np.mean([is_driven_by_few(compare_errors(*study)) for study in with_failures]) > 0.7


def test_errors_are_compared_by_their_ratio_and_may_be_zero() -> None:
    reference = np.full((2, 12), 8.0)
    assert (compare_errors(reference / 2, reference) > 0).all()
    large = compare_errors(np.full((1, 3), 1e4), np.array([[1e4, 1e5, 1e3]]))
    assert large[0] == pytest.approx(np.log([1, 11 / 2, 1.1 / 2]))
    assert np.isfinite(compare_errors(np.zeros((1, 4)), np.array([[0.0, 0.0, 0.0, 5.0]]))).all()
