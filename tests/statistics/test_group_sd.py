"""The spread over groups is exact in simple cases; its intervals cover in simulation, for equal and unequal noise."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from usaggr.statistics.group_sd import estimate_group_sd, estimate_group_sd_difference
from usaggr.statistics.joint_tables import WeightedTable, make_joint_table

Tables = np.ndarray


def tables(means: np.ndarray, rng: np.random.Generator, seeds: int, by_seed: float, by_subject: float,
           noisy: float = 1.0) -> Tables:  # fmt: skip
    """(G, K, C) tables of groups with 30 components each; the last varies `noisy` times as much as the others."""
    pairs = []
    for g, mean in enumerate(means):
        size = noisy if g == len(means) - 1 else 1.0
        by = by_subject * (rng.normal(size=(seeds, 30)) + rng.normal(size=30))
        values = mean + size * (by_seed * rng.normal(size=(seeds, 1)) + by)
        pairs.append((values, np.arange(30, dtype=np.int64) + 30 * g))
    weights = np.eye(len(means))
    return np.stack([
        make_joint_table([WeightedTable(*pair, weight) for pair, weight in zip(pairs, row, strict=True)])
        for row in weights
    ])  # fmt: skip


def means_of(spread_: float, groups: int, rng: np.random.Generator) -> np.ndarray:
    means = rng.normal(size=groups)
    means -= means.mean()
    return np.asarray(spread_ * means / means.std(ddof=1))


def test_with_little_noise_the_spread_is_the_standard_deviation_of_the_means() -> None:
    means = np.array([0.0, 0.1, 0.4, -0.2])
    result = estimate_group_sd(tables(means, np.random.default_rng(0), 5, 1e-5, 1e-5), 0.95)
    assert result.value == pytest.approx(means.std(ddof=1), rel=1e-3)
    assert result.low == pytest.approx(result.value, rel=1e-2)
    assert result.high == pytest.approx(result.value, rel=1e-2)


def test_the_estimate_of_the_squared_spread_has_no_bias() -> None:
    rng, true = np.random.default_rng(1), 0.05
    raw, corrected = [], []
    for _ in range(300):
        sample = tables(means_of(true, 6, rng), rng, 5, 0.03, 0.05)
        raw.append(sample.mean(axis=(1, 2)).var(ddof=1))
        corrected.append(estimate_group_sd(sample, 0.95).value ** 2)
    assert np.mean(raw) > 1.05 * true**2
    assert np.mean(corrected) == pytest.approx(true**2, rel=0.05)


def test_two_groups_that_vary_by_seed_alone_follow_the_noncentral_t_distribution() -> None:
    """A spread of two means is |difference| / sqrt(2): far from 0, its bounds are those of Student's t."""
    rng = np.random.default_rng(2)
    by_seed = np.array([0.9, 1.0, 1.2, 1.05])
    values = np.stack([np.repeat(by_seed[:, None], 8, axis=1), np.zeros((4, 8))]) + 0 * rng.normal()
    result = estimate_group_sd(values, 0.95)
    half = special.stdtrit(3, 0.975) * by_seed.std(ddof=1) / 2
    assert result.high == pytest.approx((by_seed.mean() + half) / np.sqrt(2), rel=0.02)
    assert result.low == pytest.approx((by_seed.mean() - half) / np.sqrt(2), rel=0.02)


QUICK = {(0.0, (2, 3), 4.0), (0.02, (3, 3), 1.0), (0.1, (2, 3), 1.0), (0.1, (8, 5), 4.0)}
"""Cases of the fast suite: no spread, one as large as the noise, and a large one; equal and unequal noise."""


@pytest.mark.parametrize(
    ("true", "size", "noisy"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in product((0.0, 0.02, 0.1), ((2, 3), (3, 3), (8, 3), (8, 5)), (1.0, 4.0))
    ],
)
def test_intervals_cover_the_true_spread(true: float, size: tuple[int, int], noisy: float) -> None:
    """150 repetitions: a true coverage of 95 % falls below .9 in under one case of 100."""
    groups, seeds = size
    rng = np.random.default_rng([int(noisy), groups, seeds, round(1000 * true)])
    means = means_of(true, groups, rng)
    results = [estimate_group_sd(tables(means, rng, seeds, 0.02, 0.04, noisy), 0.95) for _ in range(150)]
    assert np.mean([result.low <= true <= result.high for result in results]) >= 0.9


def test_an_interval_of_the_difference_covers_where_both_share_a_reference() -> None:
    rng = np.random.default_rng(3)
    wide, narrow = means_of(0.12, 6, rng), means_of(0.04, 6, rng)
    covered = []
    for _ in range(150):
        reference = tables(np.zeros(6), rng, 3, 0.02, 0.04)
        sides = [tables(means, rng, 3, 0.02, 0.04) - reference for means in (wide, narrow)]
        _, low, high = estimate_group_sd_difference(sides[0], sides[1], 0.95)
        covered.append(low <= 0.08 <= high)
    assert np.mean(covered) >= 0.9


def test_a_difference_of_spreads_changes_its_sign_with_its_order() -> None:
    rng = np.random.default_rng(4)
    first, second = tables(means_of(0.1, 4, rng), rng, 3, 0.02, 0.04), tables(np.zeros(4), rng, 3, 0.02, 0.04)
    forward, backward = (
        estimate_group_sd_difference(first, second, 0.95),
        estimate_group_sd_difference(second, first, 0.95),
    )
    assert forward == pytest.approx((-backward[0], -backward[2], -backward[1]))


@given(st.integers(2, 6), st.integers(2, 4), st.floats(0.0, 0.3), st.floats(-1.0, 1.0), st.integers(0, 10**6))
def test_a_spread_lies_in_its_bounds_and_does_not_depend_on_the_groups_order_or_level(
    groups: int, seeds: int, true: float, shift: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sample = tables(means_of(true, groups, rng), rng, seeds, 0.02, 0.04)
    original, moved = estimate_group_sd(sample, 0.95), estimate_group_sd(sample[::-1] + shift, 0.95)
    assert 0 <= original.low <= original.value <= original.high
    assert (moved.value, moved.low, moved.high) == pytest.approx(
        (original.value, original.low, original.high), abs=1e-6
    )


def test_without_any_random_variation_there_is_no_interval() -> None:
    result = estimate_group_sd(np.stack([np.full((3, 4), 0.1), np.full((3, 4), 0.3)]), 0.95)
    assert result.value == pytest.approx(np.sqrt(0.02))
    assert np.isnan([result.low, result.high]).all()


def test_one_group_has_no_spread() -> None:
    with pytest.raises(ValueError, match="two groups"):
        estimate_group_sd(np.zeros((1, 3, 4)), 0.95)
