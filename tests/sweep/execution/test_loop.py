"""The loop handles each way in which a run can end; the executor ends runs as a script says."""

import io
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.sweep import fakes
from tests.sweep.scripted import ScriptedExecutor
from usaggr.io.locks import hold_lock
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State
from usaggr.sweep.execution.jobs import Outcome
from usaggr.sweep.execution.loop import Loop
from usaggr.sweep.execution.signals import Interruption
from usaggr.sweep.execution.status_line import SweepLine
from usaggr.sweep.planning.study_plan import PlannedRun


class Sweep:
    """A loop over planned runs, with the lines that it prints."""

    def __init__(self, folder: Path, count: int, attempts: int = 2, **options: Any) -> None:
        study = fakes.study(folder)
        self.runs = [fakes.planned(study, seed, 1000 - seed) for seed in range(count)]  # started in this order
        self.ids = [run.spec.run_id for run in self.runs]
        self.interruption = Interruption()
        self.attempts, self.options = attempts, options
        self._out = io.StringIO()

    def run(self, executor: ScriptedExecutor, retry_failed: bool = False) -> Loop:
        states = {run.spec.run_id: run.read_state() for run in self.runs}
        states_to_train = ("pending", "failed") if retry_failed else ("pending",)
        todo = [run for run in self.runs if states[run.spec.run_id] in states_to_train]
        loop = Loop(self.runs, todo, states, self.attempts, **self.options)
        line = SweepLine(Console(file=self._out, width=500), count := len(self.runs))
        loop.run(executor, lambda run: None, line, self.interruption)
        assert loop.total == count
        return loop

    @property
    def lines(self) -> list[str]:
        return self._out.getvalue().splitlines()

    def stop(self) -> Outcome:
        """Stop the sweep while this run finishes: a step of a script."""
        self.interruption.is_requested = True
        return "done"

    def states(self, loop: Loop) -> list[State]:
        """Return the state of each run in the loop, which equals the one on disk."""
        states = [loop.get_state(run_id) for run_id in self.ids]
        assert states == [run.read_state() for run in self.runs]
        return states


def names(runs: list[PlannedRun]) -> list[str]:
    return [run.spec.run_id for run in runs]


def test_an_interruption_of_a_run_costs_it_no_attempt(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 1, attempts=2)
    executor = ScriptedExecutor({sweep.ids[0]: ["interrupted", "died", "done"]})
    assert sweep.states(sweep.run(executor)) == ["done"]
    assert [job.attempt for job in executor.submitted] == [1, 2, 3]


def test_an_interrupted_run_continues_even_if_the_limit_of_runs_is_reached(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 2, limit=1)
    executor = ScriptedExecutor({sweep.ids[0]: ["interrupted", "interrupted", "done"]})
    assert sweep.states(sweep.run(executor)) == ["done", "pending"]
    assert executor.order == [sweep.ids[0]] * 3


def test_a_run_that_dies_is_tried_as_often_as_configured_and_fails_once(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 2, attempts=3)
    executor = ScriptedExecutor({sweep.ids[0]: ["died"] * 9})
    loop = sweep.run(executor)
    assert sweep.states(loop) == ["failed", "done"]
    assert executor.order == [sweep.ids[0]] * 3 + [sweep.ids[1]]
    assert loop.failures == {sweep.ids[0]: "it died (tried 3 times)"}
    assert sweep.lines == [
        *[f"{sweep.ids[0]}: it died; it is tried again"] * 2,
        f"failed: {sweep.ids[0]}: it died (tried 3 times)",
    ]


@pytest.mark.parametrize("outcome", ["failed", "timeout", "memory"])
def test_a_run_that_would_fail_again_is_tried_once(tmp_path: Path, outcome: Outcome) -> None:
    sweep = Sweep(tmp_path, 1, attempts=5)
    executor = ScriptedExecutor({sweep.ids[0]: [outcome]})
    assert sweep.states(sweep.run(executor)) == ["failed"]
    assert len(executor.submitted) == 1


@pytest.mark.parametrize(
    ("outcome", "crowded", "alone"),
    [("memory", True, "device"), ("killed", True, "machine"), ("killed", False, "machine"), ("died", True, None)],
)
def test_a_run_for_which_memory_may_have_been_short_is_tried_again_alone(
    tmp_path: Path, outcome: Outcome, crowded: bool, alone: str | None
) -> None:
    sweep = Sweep(tmp_path, 2)
    executor = ScriptedExecutor({sweep.ids[0]: [outcome]}, crowded=crowded)
    assert sweep.states(sweep.run(executor)) == ["done", "done"]
    assert [job.exclusive_scope for job in executor.submitted] == [None, alone, None]


def test_a_full_disk_ends_the_sweep_before_another_run_is_started(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 4)
    executor = ScriptedExecutor({sweep.ids[1]: ["unwritable"]}, slots=2)
    loop = sweep.run(executor)
    # The first run ended before the disk was full; the third took its slot, and it finishes.
    assert executor.order == sweep.ids[:3]
    assert sweep.states(loop) == ["done", "pending", "done", "pending"]
    assert (loop.unwritable, loop.interrupted, loop.failures) == (True, False, {})
    assert sweep.lines == [f"{sweep.ids[1]}: it unwritable"]


def test_a_machine_on_which_all_workers_die_ends_the_sweep_and_marks_no_run_as_failed(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 4)
    executor = ScriptedExecutor({sweep.ids[1]: ["unstartable"]}, slots=2)
    loop = sweep.run(executor)
    assert executor.order == sweep.ids[:3]
    assert sweep.states(loop) == ["done", "pending", "done", "pending"]
    assert (loop.unstartable, loop.unwritable, loop.failures, loop.count_unfinished()) == (True, False, {}, 2)
    assert sweep.lines == [f"{sweep.ids[1]}: it unstartable"]


@pytest.mark.parametrize("outcome", ["died", "killed", "memory", "interrupted"])
def test_after_a_full_disk_nothing_is_tried_again(tmp_path: Path, outcome: Outcome) -> None:
    sweep = Sweep(tmp_path, 2)
    executor = ScriptedExecutor({sweep.ids[0]: ["unwritable"], sweep.ids[1]: [outcome]}, slots=2, crowded=True)
    loop = sweep.run(executor)
    assert executor.order == sweep.ids
    assert loop.count("done") == 0
    assert not any("continues" in line or "again" in line for line in sweep.lines)


def test_fail_fast_starts_nothing_after_a_failure_and_lets_current_runs_finish(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 4, fail_fast=True)
    executor = ScriptedExecutor({sweep.ids[0]: ["failed"]}, slots=2)
    assert sweep.states(sweep.run(executor)) == ["failed", "done", "pending", "pending"]
    assert executor.order == sweep.ids[:2]


def test_a_run_that_ends_while_the_sweep_stops_counts_as_trained(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 4)
    executor = ScriptedExecutor({sweep.ids[0]: [sweep.stop]}, slots=3, at_stop={sweep.ids[1]: "done"})
    loop = sweep.run(executor)
    assert sweep.states(loop) == ["done", "done", "pending", "pending"]
    assert names(loop.trained) == sweep.ids[:2]
    assert (loop.interrupted, loop.failures) == (True, {})


def test_a_run_that_fails_while_the_sweep_stops_is_named(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 3)
    executor = ScriptedExecutor({sweep.ids[0]: [sweep.stop]}, slots=2, at_stop={sweep.ids[1]: "failed"})
    loop = sweep.run(executor)
    assert sweep.states(loop) == ["done", "failed", "pending"]
    assert loop.failures == {sweep.ids[1]: "it failed"}
    assert sweep.lines == [f"failed: {sweep.ids[1]}: it failed"]


def test_an_earlier_failure_is_not_named_by_a_sweep_that_stops_before_it_is_tried_again(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 2)
    RunDirectory(sweep.runs[1].directory).record_end("failed", 1, "earlier")
    executor = ScriptedExecutor({sweep.ids[0]: [sweep.stop]}, slots=2, at_stop={sweep.ids[1]: "cancelled"})
    loop = sweep.run(executor, retry_failed=True)
    assert sweep.states(loop) == ["done", "failed"]
    assert (loop.failures, sweep.lines) == ({}, [])


def test_a_run_that_another_sweep_saw_fail_is_not_tried_again(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 3)

    def other_sweep() -> Outcome:
        RunDirectory(sweep.runs[1].directory).record_end("failed", 1, "elsewhere")
        return "done"

    executor = ScriptedExecutor({sweep.ids[0]: [other_sweep]})
    loop = sweep.run(executor)
    assert executor.order == [sweep.ids[0], sweep.ids[2]]
    assert sweep.states(loop) == ["done", "failed", "done"]
    assert loop.failures == {}  # the failure belongs to the other sweep


def test_a_run_that_another_sweep_has_finished_is_not_trained_twice(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 2)

    def other_sweep() -> Outcome:
        with RunDirectory(sweep.runs[1].directory).claim(1):
            RunDirectory(sweep.runs[1].directory).write_result(fakes.RESULT)
        return "done"

    executor = ScriptedExecutor({sweep.ids[0]: [other_sweep]})
    loop = sweep.run(executor)
    assert sweep.states(loop) == ["done", "done"]
    assert names(loop.trained) == executor.order == [sweep.ids[0]]


def test_failed_runs_are_tried_again_on_request_and_count_their_attempts(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 2)
    RunDirectory(sweep.runs[0].directory).record_end("failed", 4, "earlier")
    executor = ScriptedExecutor()
    assert sweep.states(sweep.run(executor, retry_failed=True)) == ["done", "done"]
    assert [job.attempt for job in executor.submitted] == [5, 1]


@pytest.mark.parametrize(("outcome", "state"), [("cancelled", "pending"), ("queued", "queued")])
def test_a_run_that_another_process_has_or_removed_is_left_alone(
    tmp_path: Path, outcome: Outcome, state: State
) -> None:
    sweep = Sweep(tmp_path, 2)
    executor = ScriptedExecutor({sweep.ids[0]: [outcome]})
    loop = sweep.run(executor)
    assert executor.order == sweep.ids
    assert loop.get_state(sweep.ids[0]) == state
    assert names(loop.trained) == [sweep.ids[1]]


def test_a_run_that_another_living_process_has_is_left_to_it(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 2)
    with ExitStack() as other_process:

        def claimed_elsewhere() -> Outcome:
            other_process.enter_context(RunDirectory(sweep.runs[0].directory).claim(1))
            return "elsewhere"

        executor = ScriptedExecutor({sweep.ids[0]: [claimed_elsewhere]})
        loop = sweep.run(executor)
        assert sweep.states(loop) == ["running", "done"]
    assert executor.order == sweep.ids
    assert loop.count_unfinished() == 1


def test_a_run_whose_other_process_has_died_is_trained_here_before_the_sweep_ends(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 2)
    other_process = ExitStack()

    def claimed_elsewhere() -> Outcome:
        other_process.enter_context(RunDirectory(sweep.runs[0].directory).claim(1))
        return "elsewhere"

    def killed_elsewhere() -> Outcome:
        other_process.close()
        return "done"

    executor = ScriptedExecutor({sweep.ids[0]: [claimed_elsewhere, "done"], sweep.ids[1]: [killed_elsewhere]})
    loop = sweep.run(executor)
    assert executor.order == [*sweep.ids, sweep.ids[0]]
    assert sweep.states(loop) == ["done", "done"]
    assert [job.attempt for job in executor.submitted] == [1, 1, 2]
    assert loop.count_unfinished() == 0


def test_runs_beyond_the_limit_and_in_a_queue_are_left_as_requested_and_canceled_ones_are_not(tmp_path: Path) -> None:
    ends: list[tuple[Outcome, int | None, int]] = [("done", 1, 0), ("queued", None, 0), ("cancelled", 1, 1)]
    for outcome, limit, left in ends:
        sweep = Sweep(tmp_path / outcome, 2, limit=limit)
        loop = sweep.run(ScriptedExecutor({run_id: [outcome] for run_id in sweep.ids}))
        assert loop.count("done") == (outcome == "done")
        assert loop.count_unfinished() == left


def test_a_run_that_dies_here_and_that_another_process_has_taken_up_meanwhile_is_no_failure(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 1, attempts=1)
    with ExitStack() as other_process:

        def taken_up() -> Outcome:
            other_process.enter_context(RunDirectory(sweep.runs[0].directory).claim(2))
            return "died"

        loop = sweep.run(ScriptedExecutor({sweep.ids[0]: [taken_up]}))
        assert sweep.states(loop) == ["running"]
    assert (loop.failures, sweep.lines) == ({}, [])


def test_a_run_that_dies_here_while_another_process_is_just_claiming_it_is_no_failure(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 1, attempts=1)
    with ExitStack() as other_process:

        def being_claimed() -> Outcome:
            other_process.enter_context(
                hold_lock(sweep.runs[0].directory / ".lock")
            )  # the status is written after the lock is taken
            return "died"

        loop = sweep.run(ScriptedExecutor({sweep.ids[0]: [being_claimed]}))
        assert sweep.states(loop) == ["pending"]
    assert (loop.failures, sweep.lines) == ({}, [])


def test_children_of_a_failed_run_fail_with_it_and_each_is_named_once(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 1)
    study = sweep.runs[0].study
    for seed in (1, 2):
        sweep.runs.append(fakes.planned(study, seed, parent=sweep.ids[-1]))
        sweep.ids.append(sweep.runs[-1].spec.run_id)
    executor = ScriptedExecutor({sweep.ids[0]: ["failed"]})
    loop = sweep.run(executor)
    assert sweep.states(loop) == ["failed"] * 3
    assert executor.order == sweep.ids[:1]
    reasons = ["it failed", f"its parent {sweep.ids[0]} failed", f"its parent {sweep.ids[1]} failed"]
    assert sweep.lines == [f"failed: {run_id}: {reason}" for run_id, reason in zip(sweep.ids, reasons, strict=True)]
    assert list(loop.failures.values()) == reasons


def test_a_child_waits_for_its_parent_and_the_runs_behind_it_do_not(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 1)
    study = sweep.runs[0].study
    children = [fakes.planned(study, seed, 900 - seed, parent=sweep.ids[0]) for seed in (1, 2)]
    unrelated = [fakes.planned(study, seed, 100 - seed) for seed in (3, 4)]
    sweep.runs += [*children, *unrelated]
    sweep.ids += names([*children, *unrelated])
    executor = ScriptedExecutor(slots=2)
    assert sweep.states(sweep.run(executor)) == ["done"] * 5
    assert executor.order == [sweep.ids[i] for i in (0, 3, 1, 2, 4)]  # those that waited keep their order


def test_a_run_whose_parent_is_not_in_the_plan_is_never_started(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 0)
    sweep.runs.append(fakes.planned(fakes.study(tmp_path), 1, parent="gone"))
    sweep.ids.append(sweep.runs[0].spec.run_id)
    executor = ScriptedExecutor()
    loop = sweep.run(executor)
    assert (executor.order, loop.failures) == ([], {sweep.ids[0]: "its parent gone failed"})


def test_the_time_in_slots_counts_all_jobs_including_failed_ones(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, 3)
    loop = sweep.run(ScriptedExecutor({sweep.ids[0]: ["died"], sweep.ids[1]: ["failed"]}))
    assert loop.slot_seconds == 4.0
