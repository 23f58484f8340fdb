"""Seeds depend only on their purpose."""

import numpy as np
import pytest

from usaggr.data.seeds import derive_seed, make_generator


@pytest.mark.parametrize(
    ("first", "second"),
    [(("a", 1), ("a", "1")), (("a", "bc"), ("ab", "c")), (("a", "b"), ("b", "a")), (("a", 0), ("a", 0, 0))],
    ids=["type", "boundary", "order", "length"],
)
def test_different_purposes_give_different_seeds(first: tuple[str | int, ...], second: tuple[str | int, ...]) -> None:
    assert derive_seed(*first) != derive_seed(*second)


def test_seeds_do_not_change_between_versions() -> None:
    """Other seeds would change the ranking, the order of samples and the initial weights of every run."""
    assert [derive_seed("ranking", "lung", 0), derive_seed("stream", "lung", 3, 1)] == [
        1299722599988827954,
        1364170343712988781,
    ]
    assert make_generator("stream", "lung", 3, 1).permutation(8).tolist() == [5, 4, 3, 2, 6, 7, 1, 0]


def test_seeds_use_the_63_bits_that_torch_and_numpy_accept() -> None:
    seeds = np.array([derive_seed("x", i) for i in range(2000)], dtype=object)
    assert seeds.min() >= 0
    assert 2**62 < seeds.max() < 2**63
