"""A dry run names the runs that the sweep would train, with the limit and the choice about failed runs."""

from pathlib import Path

import pytest

from tests.data.factories import tiny_data
from usaggr.config.compose import compose_study
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.inspect.dry_run import describe_dry_run
from usaggr.sweep.planning.study_plan import Plan, make_plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Return the plan of one run for each of four tasks, and one for all."""
    root = tiny_data(tmp_path / "data", n=20)
    words = ["data=fmuia", f"data.root={root}", "scales=[1.0]", "seeds=[0]", f"outputs={tmp_path / 'outputs'}"]
    return make_plan(compose_study("demo", [*words, "groupings=[task_specific,unified]"]))


def name(plan: Plan, block: str) -> str:
    return next(run.directory.name for run in plan.runs if run.spec.block == block)


def test_the_limit_keeps_the_runs_that_the_sweep_starts_first(plan: Plan) -> None:
    unified, cls = name(plan, "unified"), name(plan, "cls")
    assert describe_dry_run(plan, limit=2) == f"this sweep would train 2 of 5 runs now: {unified}, {cls}"
    assert describe_dry_run(plan, limit=9).startswith("this sweep would train 5 of 5 runs now: ")
    assert describe_dry_run(plan) == describe_dry_run(plan, limit=5)


def test_failed_runs_count_if_they_are_trained_again(plan: Plan) -> None:
    for run in plan.runs:
        if run.spec.block != "cls":
            RunDirectory(run.directory).mark_failed("no", 1)
    assert describe_dry_run(plan) == f"this sweep would train 1 of 1 runs now: {name(plan, 'cls')}"
    assert describe_dry_run(plan, retry_failed=True).startswith("this sweep would train 5 of 5 runs now: ")


def test_a_sweep_with_nothing_to_train_says_so(plan: Plan) -> None:
    for run in plan.runs:
        RunDirectory(run.directory).mark_failed("no", 1)
    assert describe_dry_run(plan, limit=3) == "this sweep would train no run"
