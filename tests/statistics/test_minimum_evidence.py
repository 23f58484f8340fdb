"""Too little evidence: rare classes, and differences that depend on a few subjects."""

import numpy as np
import pytest

from usaggr.statistics.minimum_evidence import count_rarer_class, has_few_differing, is_driven_by_few


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
