import pytest

from usaggr.training.schedule import compute_learning_rate_factor


def test_the_rate_rises_then_falls_to_nothing() -> None:
    rising = [compute_learning_rate_factor(p, 0.2) for p in (0.05, 0.1, 0.2)]
    falling = [compute_learning_rate_factor(p, 0.2) for p in (0.2, 0.5, 0.8, 1.0)]
    assert rising == pytest.approx([0.25, 0.5, 1.0])
    assert falling == sorted(falling, reverse=True)
    assert compute_learning_rate_factor(0.6, 0.2) == pytest.approx(0.5)
    assert falling[-1] == pytest.approx(0)


def test_without_warm_up_it_starts_at_the_top() -> None:
    assert compute_learning_rate_factor(0.0, 0.0) == 1.0
