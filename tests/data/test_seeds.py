"""Seeds are functions of their parts alone."""

import numpy as np
import pytest

from usaggr.data.seeds import derived_seed, generator


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", 1), ("a", "1")), (("a", "bc"), ("ab", "c")), (("a", "b"), ("b", "a")), (("a", 0), ("a", 0, 0))],
    ids=["kind", "end_of_a_part", "place", "number"],
)
def test_different_parts_give_different_seeds(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> None:
    assert derived_seed(*one) != derived_seed(*other)


def test_a_seed_stays_what_it_was() -> None:
    """Another one would change the ranking, the order of samples and the initial weights of every run."""
    assert [derived_seed("ranking", "lung", 0), derived_seed("stream", "lung", 3, 1)] == [
        1299722599988827954,
        1364170343712988781,
    ]
    assert generator("stream", "lung", 3, 1).permutation(8).tolist() == [5, 4, 3, 2, 6, 7, 1, 0]


def test_seeds_use_the_63_bits_that_torch_and_numpy_accept() -> None:
    seeds = np.array([derived_seed("x", i) for i in range(2000)], dtype=object)
    assert seeds.min() >= 0
    assert 2**62 < seeds.max() < 2**63
