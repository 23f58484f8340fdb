import pytest

from usaggr.training.stopwatch import Stopwatch


def test_a_part_that_comes_again_adds_up() -> None:
    watch = Stopwatch()
    watch.add("train", 2.0)
    watch.add("train", 3.0)
    watch.add("test", 1.0)
    assert watch.timings == {"train": 5.0, "test": 1.0}


def test_phases_are_counted_after_an_error_too_and_sum_to_less_than_the_total() -> None:
    watch = Stopwatch()
    with watch.measure("outer"), pytest.raises(ValueError, match="no"), watch.measure("inner"):
        raise ValueError("no")
    assert 0 < watch.timings["inner"] <= watch.timings["outer"] <= watch.seconds
