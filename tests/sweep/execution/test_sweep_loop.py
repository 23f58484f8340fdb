"""A sweep of a plan: the runs that it starts, their order, the runs that it leaves alone, and its messages."""

import csv
import errno
import io
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tests.sweep import fakes
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.inspect.clean import list_removable, remove
from usaggr.sweep.inspect.status import describe_status, read_sweep_status
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.sweep.sweep import SweepOutcome, run_sweep

pytestmark = pytest.mark.usefixtures("kept_server")


def sweep(plan: Plan, out: io.StringIO | None = None, **options: object) -> SweepOutcome:
    usual: dict[str, object] = {
        "console": Console(file=out or io.StringIO(), width=200),
        "executor": fakes.executor(plan.study),
        "prepare": lambda plan, runs, progress: lambda run: None,
        "build_report": lambda directories: directories[0] / "report",
    }
    return run_sweep(plan, **{**usual, **options})  # type: ignore[arg-type]


def runs_of(tmp_path: Path, *settings: dict[str, object]) -> tuple[Plan, list[PlannedRun]]:
    study = fakes.study(tmp_path)
    runs = [fakes.planned(study, seed, **chosen) for seed, chosen in enumerate(settings)]
    return fakes.plan(study, *runs), runs


def test_finished_runs_are_not_trained_again(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {}, {})
    first, second = sweep(plan), sweep(plan)
    assert (first.done, first.skipped, first.exit_status) == (2, 0, 0)
    assert (second.done, second.skipped, second.exit_status) == (2, 2, 0)
    assert len(fakes.executions(plan.study)) == 2


def test_a_sweep_removes_the_checkpoint_of_a_run_that_was_killed_right_after_its_result(tmp_path: Path) -> None:
    plan, (finished, unfinished) = runs_of(tmp_path, {}, {"raises": "no"})
    sweep(plan)
    for run in (finished, unfinished):
        (run.directory / "checkpoint").mkdir()
    sweep(plan)
    assert not (finished.directory / "checkpoint").exists()
    assert (unfinished.directory / "checkpoint").exists()


def test_a_failed_run_is_left_alone_unless_a_retry_is_requested(tmp_path: Path) -> None:
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


def test_a_limit_is_the_largest_number_of_runs_to_start(tmp_path: Path) -> None:
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
    status = RunDirectory(orphan.directory).read_status()
    assert status is not None
    assert "parent" in str(status.error)


def test_the_status_gives_states_reasons_and_unplanned_runs(tmp_path: Path) -> None:
    plan, runs = runs_of(tmp_path, {}, {"raises": "out of luck"}, {"n": 1})
    sweep(plan)
    smaller = fakes.plan(plan.study, *runs[:2], fakes.planned(plan.study, 9))
    sweep(smaller, limit=1)
    status = read_sweep_status(plan.directory)
    assert [status.count(state) for state in ("done", "failed")] == [2, 1]
    assert [path.name for path in status.unplanned] == [runs[2].directory.name]
    assert any("out of luck" in line for line in describe_status(plan.directory, status))


def test_clean_removes_unplanned_runs_and_weights_and_no_result(tmp_path: Path) -> None:
    plan, runs = runs_of(tmp_path, {}, {"n": 1})
    sweep(plan)
    weights = runs[0].directory / "weights"
    weights.mkdir()
    (weights / "scored.safetensors").write_bytes(b"0" * 1000)
    sweep(fakes.plan(plan.study, runs[0]))
    # The made-up plan has fewer runs than the study; with study.yaml it would count as cut off.
    (plan.directory / "study.yaml").unlink()
    assert [item.kind for item in list_removable(plan.directory)] == ["unplanned run"]
    items = list_removable(plan.directory, weights=True)
    kinds_and_paths = sorted((item.kind, item.path) for item in items)
    assert kinds_and_paths == [("unplanned run", runs[1].directory), ("weights", weights)]
    assert remove(items) >= 1000
    assert RunDirectory(runs[0].directory).read_state() == "done"
    assert not weights.exists()
    assert not runs[1].directory.exists()


@pytest.mark.parametrize("broken", ["", "{", '{"schema_version": 99}'])
def test_a_result_that_cannot_be_read_is_an_error_of_its_reader_not_of_the_sweep(tmp_path: Path, broken: str) -> None:
    plan, runs = runs_of(tmp_path, {})
    sweep(plan)
    runs[0].directory.joinpath("result.json").write_text(broken)
    with pytest.raises(Exception, match=r"result\.json"):
        RunDirectory(runs[0].directory).read_result()


def test_if_all_runs_are_done_a_message_says_so_and_no_worker_is_started(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {}, {"n": 1})
    sweep(plan)

    def never(*_: object) -> None:
        raise AssertionError("nothing is to be prepared or started")

    class Never:
        __enter__ = never

    out = io.StringIO()
    outcome = sweep(plan, out, executor=Never(), prepare=never)
    assert outcome.report == plan.directory / "report"
    assert out.getvalue().splitlines()[0] == "nothing to train: 2 of 2 runs are done"


def test_without_a_terminal_a_sweep_prints_failures_at_once_and_totals_at_its_end(
    tmp_path: Path,
) -> None:
    plan, runs = runs_of(tmp_path, {}, {"raises": "no [luck]\nat all"}, {"n": 1})
    out = io.StringIO()
    sweep(plan, out)
    lines = out.getvalue().splitlines()
    assert lines[0] == "fake: 3 runs, 3 to train, 2 workers"
    assert lines[1] == f"failed: {runs[1].spec.run_id}: ValueError: no [luck]"
    assert lines[2].startswith("2 of 3 runs are done, after ")
    status = f"`usaggr status {plan.directory}` gives the reasons"
    assert lines[3] == f"1 failed: {runs[1].spec.run_id}; {status}"
    assert lines[4:] == [f"report: {plan.directory / 'report'}"]


def test_the_plan_on_disk_ends_with_the_states_that_the_sweep_has_reached(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {}, {"raises": "no"}, {"n": 1})
    sweep(plan)
    with (plan.directory / "plan.csv").open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["done", "failed", "done"]


def test_a_failing_disk_ends_the_sweep_and_marks_no_run_as_failed(tmp_path: Path) -> None:
    plan, runs = runs_of(tmp_path, {"errno": errno.EIO}, {"n": 1}, {"n": 2}, {"n": 3})
    out = io.StringIO()
    outcome = sweep(plan, out)
    assert (outcome.failed, outcome.unwritable, outcome.exit_status) == (0, True, 1)
    reason = "cannot be written or read (Input/output error); check the disk or its connection"
    assert f"{runs[0].spec.run_id}: {runs[0].directory / 'data'}: {reason}" in out.getvalue()
    assert "stopped: a disk cannot be used, see above; once that is fixed, run the same command" in out.getvalue()
    assert sweep(plan).done == 4


def test_a_report_that_fails_hides_no_run_and_is_reported(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {})

    def build(directories: object) -> Path:
        raise ZeroDivisionError("no figures")

    out = io.StringIO()
    outcome = sweep(plan, out, build_report=build)
    assert (outcome.done, outcome.report, outcome.exit_status) == (1, None, 1)
    assert "the report could not be built" in out.getvalue()
    assert "ZeroDivisionError: no figures" in out.getvalue()


def test_a_report_says_so_if_all_runs_failed(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {"raises": "no"})
    built: list[object] = []
    sweep(plan, build_report=built.append)
    assert built == [[plan.directory]]


def test_without_a_run_that_ended_there_is_no_report(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {"raises": "no"})
    built: list[object] = []
    assert sweep(plan, build_report=built.append, limit=0).report is None
    assert built == []


def test_a_run_of_another_living_process_is_left_to_it_and_counted(tmp_path: Path) -> None:
    plan, runs = runs_of(tmp_path, {}, {"n": 1})
    out = io.StringIO()
    with RunDirectory(runs[0].directory).claim(1):
        outcome = sweep(plan, out)
    assert (outcome.done, outcome.elsewhere, outcome.remaining, outcome.exit_status) == (1, 1, 1, 1)
    assert "1 left to another process" in out.getvalue()
    assert fakes.executions(plan.study) == [runs[1].spec.run_id]


def test_a_run_of_a_dead_process_is_taken_up_at_once(tmp_path: Path) -> None:
    plan, runs = runs_of(tmp_path, {})
    with RunDirectory(runs[0].directory).claim(1):
        pass
    assert sweep(plan).done == 1
    status = RunDirectory(runs[0].directory).read_status()
    assert status is not None
    assert status.attempt == 2


def test_a_dead_worker_s_run_is_tried_again_as_often_as_configured(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor.attempts=3")
    runs = [fakes.planned(study, 0, dies=2), fakes.planned(study, 1, dies=3)]
    out = io.StringIO()
    outcome = sweep(fakes.plan(study, *runs), out)
    assert (outcome.done, outcome.failed, outcome.exit_status) == (1, 1, 1)
    assert sorted(fakes.executions(study)) == sorted(run.spec.run_id for run in runs for _ in range(3))
    assert "worker died (signal 9); out of memory? (tried 3 times)" in out.getvalue()
    status = RunDirectory(runs[1].directory).read_status()
    assert status is not None
    assert status.error == "worker died (signal 9); out of memory? (tried 3 times)"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("torch", "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB; it is tried again, alone"),
        ("kernel", "worker died (signal 9); out of memory?; it is tried again, alone"),
    ],
)
def test_a_run_that_runs_out_of_memory_next_to_others_is_tried_again_alone(
    tmp_path: Path, kind: str, message: str
) -> None:
    study = fakes.study(tmp_path, "executor.workers=3")
    greedy = fakes.planned(study, 0, greedy=kind)
    unrelated = [fakes.planned(study, seed, sleeps=0.3, n=seed) for seed in range(1, 7)]
    out = io.StringIO()
    outcome = sweep(
        fakes.plan(study, greedy, *unrelated), out, console=Console(file=out, width=200, force_terminal=True)
    )
    assert (outcome.done, outcome.failed, outcome.exit_status) == (7, 0, 0)
    assert fakes.executions(study).count(greedy.spec.run_id) == 2
    assert f"{greedy.spec.run_id}: {message}" in out.getvalue()


def test_a_run_that_runs_out_of_memory_alone_fails_and_the_others_finish(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor.attempts=5")
    large, other = fakes.planned(study, 0, memory="python"), fakes.planned(study, 1, sleeps=1)
    later = fakes.planned(study, 2)
    outcome = sweep(fakes.plan(study, large, other, later))
    assert (outcome.done, outcome.failed) == (2, 1)
    assert fakes.executions(study).count(large.spec.run_id) == 2
    status = RunDirectory(large.directory).read_status()
    assert status is not None
    assert (status.state, status.attempt) == ("failed", 2)
    assert "MemoryError: all is taken" in str(status.error)


def test_a_run_that_runs_out_of_memory_as_the_only_one_fails_at_once(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor.workers=1", "executor.attempts=5")
    outcome = sweep(fakes.plan(study, fakes.planned(study, 0, memory="python"), fakes.planned(study, 1)))
    assert (outcome.done, outcome.failed) == (1, 1)
    assert len(fakes.executions(study)) == 2


def test_each_sweep_that_trains_records_the_seconds_of_its_phases(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {"sleeps": 0.3}, {"raises": "no"}, {"n": 1})
    sweep(plan, limit=2, planning_seconds=0.5)
    sweep(plan, planning_seconds=0.25)
    sweep(plan)
    with (plan.directory / "sweeps.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["trained"] for row in table] == ["1", "1"]
    assert [row["run_seconds"] for row in table] == ["1.000", "1.000"]
    assert [(row["workers"], row["threads"]) for row in table] == [("2", "1")] * 2
    phases = ("planning", "networks", "caches", "start", "runs", "report")
    for row in table:
        assert sum(float(row[phase]) for phase in phases) <= float(row["seconds"]) + 0.01
        assert float(row["start"]) > 0
    assert float(table[0]["planning"]) >= 0.5
    assert float(table[0]["slot_seconds"]) >= 0.3
    assert float(table[0]["runs"]) >= 0.3


def test_a_retried_run_does_not_count_twice_against_the_limit(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {"dies": 1}, {"n": 1}, {"n": 2})
    outcome = sweep(plan, limit=2)
    assert (outcome.done, outcome.remaining) == (2, 1)


def test_the_longest_runs_are_started_first(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor.workers=1")
    runs = [fakes.planned(study, seed, examples) for seed, examples in enumerate([10, 1000, 100])]
    sweep(fakes.plan(study, *runs))
    assert fakes.executions(study) == [runs[i].spec.run_id for i in (1, 2, 0)]


def test_an_interruption_while_data_are_prepared_changes_no_run(tmp_path: Path) -> None:
    plan, runs = runs_of(tmp_path, {})

    def prepare(*_: object) -> None:
        raise KeyboardInterrupt

    outcome = sweep(plan, prepare=prepare)
    assert (outcome.interrupted, outcome.exit_status) == (True, 130)
    assert RunDirectory(runs[0].directory).read_state() == "pending"


def interrupted_after(count: int, plan: Plan, out: io.StringIO) -> SweepOutcome:
    """Run a sweep that gets a Ctrl-C once `count` runs have started."""
    over = threading.Event()

    def interrupt() -> None:
        while len(fakes.executions(plan.study)) < count and not over.wait(0.02):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        return sweep(plan, out)
    finally:
        over.set()
        thread.join()


def test_an_interrupted_sweep_releases_its_claims_and_says_how_to_continue(tmp_path: Path) -> None:
    plan, runs = runs_of(tmp_path, {"sleeps": 60}, {"sleeps": 61}, {})
    before: Callable[..., object] | int | None = signal.getsignal(signal.SIGINT)
    out = io.StringIO()
    outcome = interrupted_after(2, plan, out)
    assert (outcome.interrupted, outcome.exit_status, outcome.remaining, outcome.report) == (True, 130, 3, None)
    assert [RunDirectory(run.directory).read_state() for run in runs] == ["pending"] * 3
    assert out.getvalue().splitlines()[-1] == "0 of 3 runs are done; stopped; run the same command to continue"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_sweep_runs_in_a_thread_that_cannot_handle_signals(tmp_path: Path) -> None:
    plan, _ = runs_of(tmp_path, {})
    outcomes: list[SweepOutcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(sweep(plan)))
    thread.start()
    thread.join()
    assert outcomes[0].done == 1
