"""The longest run comes first, and no run comes before its parent."""

from functools import cache
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.sweep import fakes
from usaggr.config.study import StudyConfig
from usaggr.sweep.execution.run_order import sort_longest_first
from usaggr.sweep.planning.study_plan import PlannedRun


@cache
def study() -> StudyConfig:
    return fakes.study(Path("/nowhere"))


def run(seed: int, examples: int, parent: PlannedRun | None = None) -> PlannedRun:
    return fakes.planned(study(), seed, examples, parent.spec.run_id if parent else None)


def test_the_longest_run_is_started_first() -> None:
    runs = [run(seed, examples) for seed, examples in enumerate([100, 800, 300])]
    assert [r.examples for r in sort_longest_first(runs)] == [800, 300, 100]


def test_runs_of_one_length_keep_the_order_of_the_plan() -> None:
    runs = [run(seed, 100) for seed in range(5)]
    assert sort_longest_first(runs) == runs


def test_a_short_run_that_long_ones_wait_for_comes_before_longer_ones() -> None:
    parent, other = run(0, 10), run(1, 500)
    child = run(2, 600, parent)
    assert sort_longest_first([other, child, parent]) == [parent, child, other]


def test_a_run_whose_parent_is_done_is_ordered_by_its_own_length() -> None:
    finished_parent = run(0, 1000)
    child, other = run(1, 100, finished_parent), run(2, 200)
    assert sort_longest_first([child, other]) == [other, child]


@given(st.data())
def test_parents_come_before_their_children(data: st.DataObject) -> None:
    runs: list[PlannedRun] = []
    for seed in range(data.draw(st.integers(1, 12))):
        parent = data.draw(st.sampled_from([None, *runs]))
        runs.append(run(seed, data.draw(st.integers(1, 1000)), parent))
    ordered = sort_longest_first(data.draw(st.permutations(runs)))
    assert sorted(r.spec.seed for r in ordered) == list(range(len(runs)))
    positions = {r.spec.run_id: i for i, r in enumerate(ordered)}
    assert all(positions[r.spec.parent] < positions[r.spec.run_id] for r in runs if r.spec.parent is not None)
