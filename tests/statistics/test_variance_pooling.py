"""Pooling of the variance between seeds depends on Bartlett's test, which equals SciPy's."""

import numpy as np
import pytest
from scipy import stats

from usaggr.statistics.variance_pooling import bartlett, pool


def test_the_test_of_homogeneity_is_scipys() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.normal(scale=s, size=n) for s, n in ((1, 4), (2, 5), (1.5, 9))]
    squares, df = np.array([s.var(ddof=1) for s in samples]), np.array([s.size - 1.0 for s in samples])
    assert bartlett(squares, df) == pytest.approx(stats.bartlett(*samples).pvalue)


def test_cells_of_similar_variance_share_it_and_their_degrees_of_freedom() -> None:
    result = pool([1.0, 1.1, 0.9], [2, 2, 4], [0, 1, 2])
    assert result.pooled
    mean = (2 * 1.0 + 2 * 1.1 + 4 * 0.9) / 8
    assert result.squares == pytest.approx([1.0, 1.1, mean])
    assert result.df == pytest.approx([8, 8, 8])


def test_cells_of_one_reference_have_fewer_degrees_of_freedom() -> None:
    # Two differences from the same reference: correlation 1/2, its square 1/4.
    assert pool([1.0, 1.0], [4, 4], [0, 0]).df == pytest.approx([8 / 1.25, 8 / 1.25])


def test_cells_whose_variances_differ_are_not_pooled() -> None:
    result = pool([1.0, 100.0], [4, 4], [0, 1])
    assert not result.pooled
    assert result.p < 0.25
    assert result.squares == pytest.approx([1.0, 100.0])
    assert result.df == pytest.approx([4, 4])


def test_a_cell_that_varies_more_keeps_its_larger_variance() -> None:
    result = pool([1.0, 1.5], [4, 4], [0, 1])
    assert result.pooled
    assert result.squares == pytest.approx([1.25, 1.5])


def test_a_cell_of_one_seed_is_left_out_of_pooling() -> None:
    result = pool([np.nan, 1.0, 1.0], [0, 3, 3], [0, 1, 2])
    assert np.isnan(result.squares[0])
    assert result.df == pytest.approx([0, 6, 6])


@pytest.mark.parametrize("squares", [[2.0], [np.nan, 2.0]])
def test_one_cell_alone_is_not_pooled(squares: list[float]) -> None:
    assert not pool(squares, [3] * len(squares), range(len(squares))).pooled


def test_a_variance_of_zero_differs_from_a_positive_one() -> None:
    assert bartlett(np.array([0.0, 1.0]), np.array([3.0, 3.0])) == 0.0
    assert bartlett(np.array([0.0, 0.0]), np.array([3.0, 3.0])) == 1.0
