"""Tests of first stages of staged groupings: they are no cells, but count in the cost of the runs that follow."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.staged_sweeps import sweep_of
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.errors import RunError


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> StudyComparison:
    """A comparison of a sweep with two staged groupings and all runs finished."""
    return compare_study(collect([sweep_of(tmp_path_factory.mktemp("staged") / "whole").written().directory]))


def test_first_stages_are_no_cells_and_are_found_from_their_second_stage(comparison: StudyComparison) -> None:
    collected = comparison.collection
    assert len(collected.first_stages) == 3
    assert all(run.row.groupings for run in collected.runs)
    assert {row.block for row in comparison.observations}.isdisjoint({"unified.first"})
    child = next(run for run in collected.runs if run.row.groupings == ("staged_task",))
    assert [stage.row.block for stage in collected.list_stages(child)] == ["unified.first", child.row.block]
    extra = next(run for run in collected.runs if run.row.groupings == ("staged_task_extra",))
    assert collected.list_stages(extra)[0].row.groupings == ("unified",)
    assert collected.unplanned == 0


def test_training_time_of_a_grouping_is_that_of_all_its_stages(comparison: StudyComparison) -> None:
    summary = comparison.summary_table.set_index("grouping")["train_seconds"]
    assert summary.to_dict() == {
        "task_specific": 90.0,
        "unified": 90.0,
        "staged_task": 180.0,
        "staged_task_extra": 180.0,
    }


def test_folders_with_other_seeds_are_joined_with_their_first_stages(tmp_path: Path) -> None:
    first, second = sweep_of(tmp_path / "one"), replace(sweep_of(tmp_path / "two"), seeds=(3, 4))
    collection = collect([first.written().directory, second.written().directory])
    assert len(collection.first_stages) == 5
    assert all(len(collection.list_stages(r)) == 2 for r in collection.runs if r.row.groupings[0].startswith("staged"))


def test_a_run_without_a_grouping_that_nothing_starts_from_is_refused(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "wrong").written()
    path = sweep.directory / "plan.csv"
    lines = [line for line in path.read_text().splitlines() if "staged_task." not in line]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RunError, match=r"unified\.first.* has a grouping or variant that is not in study\.yaml"):
        collect([sweep.directory])
