from pathlib import Path

import pytest
from rich.console import Console

from tests.sweep import fakes
from usaggr.runs import RunDirectory
from usaggr.sweep.clean import removable, remove
from usaggr.sweep.plan import Plan, PlannedRun
from usaggr.sweep.status import describe, status_of
from usaggr.sweep.sweep import SweepOutcome, run_sweep


def sweep(plan: Plan, **options: object) -> SweepOutcome:
    return run_sweep(
        plan,
        console=Console(quiet=True),
        executor=fakes.executor(plan.study),
        prepare=lambda plan, runs, progress: lambda run: None,
        build=lambda directories: directories[0] / "report",
        **options,  # type: ignore[arg-type]
    )


def runs_of(tmp_path: Path, *settings: dict[str, object]) -> tuple[Plan, list[PlannedRun]]:
    study = fakes.study(tmp_path)
    runs = [fakes.planned(study, seed, **chosen) for seed, chosen in enumerate(settings)]
    return fakes.plan(study, *runs), runs


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {}, {})
    first, second = sweep(plan), sweep(plan)
    assert (first.done, first.skipped, first.exit_status) == (2, 0, 0)
    assert (second.done, second.skipped, second.exit_status) == (2, 2, 0)
    assert len(fakes.executions(plan.study)) == 2


def test_a_failed_run_is_left_alone_unless_it_is_to_be_tried_again(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {"raises": "no", "times": 1}, {})
    assert sweep(plan).exit_status == 1
    assert sweep(plan).failed == 1
    assert len(fakes.executions(plan.study)) == 2
    assert sweep(plan, retry_failed=True).exit_status == 0
    assert len(fakes.executions(plan.study)) == 3


def test_fail_fast_starts_nothing_after_a_failure(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {"raises": "no"}, *({"sleeps": 0.5, "n": i} for i in range(6)))
    outcome = sweep(plan, fail_fast=True)
    assert outcome.failed == 1
    assert outcome.remaining >= 3


def test_a_limit_is_the_most_runs_to_start(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, *({"n": i} for i in range(5)))
    outcome = sweep(plan, limit=2)
    assert (outcome.done, outcome.remaining, outcome.exit_status) == (2, 3, 0)


def test_children_wait_for_their_parent_and_fail_with_it(tmp_path: Path) -> None:
    study = fakes.study(tmp_path)
    parent, broken = fakes.planned(study, 0, sleeps=0.3), fakes.planned(study, 1, raises="no")
    child = fakes.planned(study, 2, examples=9000, parent=parent.spec.run_id)
    orphan = fakes.planned(study, 3, examples=9000, parent=broken.spec.run_id)
    plan = fakes.plan(study, child, orphan, parent, broken)
    outcome = sweep(plan)
    assert (outcome.done, outcome.failed) == (2, 2)
    order = fakes.executions(study)
    assert order.index(parent.spec.run_id) < order.index(child.spec.run_id)
    assert orphan.spec.run_id not in order
    status = RunDirectory(orphan.directory).status()
    assert status is not None
    assert "parent" in str(status.error)


def test_the_status_tells_states_reasons_and_what_is_unplanned(tmp_path: Path) -> None:
    plan, runs = runs_of(tmp_path, {}, {"raises": "out of luck"}, {"n": 1})
    sweep(plan)
    smaller = fakes.plan(plan.study, *runs[:2], fakes.planned(plan.study, 9))
    sweep(smaller, limit=1)
    status = status_of(plan.directory)
    assert [status.count(state) for state in ("done", "failed")] == [2, 1]
    assert [path.name for path in status.unplanned] == [runs[2].directory.name]
    assert any("out of luck" in line for line in describe(plan.directory, status))


def test_clean_offers_the_unplanned_and_weights_and_touches_no_result(tmp_path: Path) -> None:
    plan, runs = runs_of(tmp_path, {}, {"n": 1})
    sweep(plan)
    weights = runs[0].directory / "weights"
    weights.mkdir()
    (weights / "scored.safetensors").write_bytes(b"0" * 1000)
    sweep(fakes.plan(plan.study, runs[0]))
    items = removable(plan.directory)
    assert {(item.kind, item.path) for item in items} == {("weights", weights), ("unplanned run", runs[1].directory)}
    assert remove(items) >= 1000
    assert RunDirectory(runs[0].directory).state() == "done"
    assert not weights.exists()
    assert not runs[1].directory.exists()


@pytest.mark.parametrize("broken", ["", "{", '{"schema_version": 99}'])
def test_a_result_that_cannot_be_read_is_seen_by_who_reads_it_not_by_the_sweep(tmp_path: Path, broken: str) -> None:
    plan, runs = runs_of(tmp_path, {})
    sweep(plan)
    runs[0].directory.joinpath("result.json").write_text(broken)
    with pytest.raises(Exception, match=r"result\.json"):
        RunDirectory(runs[0].directory).result()
