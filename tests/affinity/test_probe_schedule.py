"""Probes keep their limit on time at any cost, and every pair of tasks is probed equally often."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.affinity.probe_schedule import PairMeans, ProbeBudget, SourceRotation


class Clock:
    """Clock that a test advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def simulate(
    overhead: float, steps: int, step: float, fixed: float, each: float, tasks: int, expected: tuple[float, float]
) -> tuple[list[tuple[int, int]], float]:
    """Simulate a run; return step and number of sources of each probe, and the seconds of all probes."""
    clock = Clock()
    budget = ProbeBudget(overhead, steps, expected, clock)
    probes = []
    for steps_done in range(1, steps + 1):
        clock.now += step
        count = budget.count_sources(steps_done, tasks)
        if count:
            clock.now += fixed + each * count
            budget.record(fixed, each * count, count)
            probes.append((steps_done, count))
    return probes, budget.probe_seconds


@given(
    st.floats(0.05, 2.0),
    st.integers(20, 600),
    st.floats(0.01, 1.0),
    st.floats(0.0, 3.0),
    st.floats(0.001, 2.0),
    st.integers(2, 40),
)
def test_probes_keep_their_limit_if_their_cost_is_as_estimated(
    overhead: float, steps: int, step: float, fixed: float, each: float, tasks: int
) -> None:
    probes, spent = simulate(overhead, steps, step, fixed, each, tasks, (fixed / step, each / step))
    assert spent <= overhead * steps * step * (1 + 1e-9)
    assert all(2 <= count <= tasks for _, count in probes)


def test_a_first_probe_that_costs_more_than_estimated_is_compensated() -> None:
    """The first probe costs ten times the estimate; the next ones wait until the limit holds again."""
    probes, spent = simulate(0.4, 1000, 0.1, 0.5, 0.5, 8, (0.5, 0.5))
    assert len(probes) > 4
    assert spent <= 0.4 * 100


def test_probes_are_spread_over_the_run_with_all_tasks_if_affordable() -> None:
    probes, spent = simulate(0.4, 500, 0.1, 0.1, 0.1, 8, (1.0, 1.0))
    assert {count for _, count in probes} == {8}
    assert spent > 0.9 * 0.4 * 50
    gaps = np.diff([steps_done for steps_done, _ in probes])
    assert gaps.max() - gaps.min() <= 1  # 0.9 s each, paid by 22.5 steps


def test_a_probe_has_fewer_sources_if_all_cost_too_much() -> None:
    probes, spent = simulate(0.4, 500, 0.1, 0.5, 1.0, 27, (5.0, 10.0))
    assert {count for _, count in probes} == {4}  # a quarter of 20 s is 5 s, minus 0.5 s of fixed cost
    assert len(probes) == 4
    assert spent <= 20


def test_a_run_that_is_too_short_for_a_probe_has_none() -> None:
    assert simulate(0.4, 20, 0.1, 5.0, 5.0, 8, (50.0, 50.0)) == ([], 0.0)


@pytest.mark.parametrize(("tasks", "count"), [(6, 2), (9, 4), (27, 5)])
def test_every_task_and_every_pair_is_chosen_equally_often(tasks: int, count: int) -> None:
    rotation = SourceRotation(tasks, 0)
    together = np.zeros((tasks, tasks), dtype=int)
    for _ in range(4 * tasks * tasks // count // count):
        chosen = rotation.choose(count)
        assert len(set(chosen)) == count
        together[np.ix_(chosen, chosen)] += 1
    often = np.diag(together)
    pairs = together[np.triu_indices(tasks, 1)]
    assert often.max() - often.min() <= 3
    assert pairs.min() > 0
    assert pairs.max() - pairs.min() <= 4


def test_means_ignore_values_that_are_not_finite() -> None:
    means = PairMeans(2)
    for value in (1.0, 2.0, float("nan"), float("inf")):
        means.add(0, 1, value)
    assert means.compute_means()[0, 1] == 1.5
    assert means.counts.tolist() == [[0, 2], [0, 0]]
    assert np.isnan(means.compute_means()[1, 0])
