"""Slots: the slot of the next job, and jobs that run alone on their device or machine."""

import time
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sweep import fakes
from usaggr.results.spec import Placement
from usaggr.sweep.execution.jobs import ExclusiveScope, Job
from usaggr.sweep.executors.local.shutdown import kill_if_overdue
from usaggr.sweep.executors.local.slots import Future, Slot, can_start, find_free_slot, list_neighbors

STUDY = fakes.study(Path("outputs"))


def job(alone: ExclusiveScope | None = None) -> Job:
    run = fakes.planned(STUDY, 0)
    return Job(run.spec, run.directory, run.study, None, 1, {}, alone)


def slots_on(*devices: int | None) -> list[Slot]:
    return [Slot(Placement(1, device), cast(Any, None)) for device in devices]


def give(slot: Slot, alone: ExclusiveScope | None = None, has_started: bool = True) -> Slot:
    slot.take(job(alone))
    if has_started:
        slot.record_start(cast(Future, object()))
    return slot


def test_a_job_goes_to_the_device_with_the_fewest_jobs() -> None:
    slots = slots_on(0, 0, 1, 1)
    give(slots[0])
    assert find_free_slot(slots) is slots[2]
    give(slots[2])
    give(slots[3])
    assert find_free_slot(slots) is slots[1]
    give(slots[1])
    assert find_free_slot(slots) is None


def test_a_job_alone_on_its_device_waits_for_its_runs_and_blocks_only_that_device() -> None:
    slots = slots_on(0, 0, 1)
    give(slots[0])
    lone = give(slots[1], "device", has_started=False)
    assert not can_start(lone, slots)
    assert find_free_slot(slots) is slots[2]
    slots[0].clear()
    assert can_start(lone, slots)
    give(lone, "device")
    assert find_free_slot(slots) is slots[2]
    give(slots[2])
    assert find_free_slot(slots) is None


def test_a_job_alone_on_the_machine_waits_for_all_runs_and_blocks_all_slots() -> None:
    slots = slots_on(0, 1, 2)
    give(slots[0])
    lone = give(slots[1], "machine", has_started=False)
    assert find_free_slot(slots) is None
    assert not can_start(lone, slots)
    slots[0].clear()
    assert can_start(lone, slots)


def test_two_jobs_that_must_run_alone_do_not_block_each_other() -> None:
    slots = slots_on(None, None)
    first, second = (give(slot, "machine", has_started=False) for slot in slots)
    assert can_start(first, slots)
    first.record_start(cast(Future, object()))
    assert not can_start(second, slots)
    first.clear()
    assert can_start(second, slots)


@given(st.data())
def test_a_job_alone_never_has_neighbors_and_every_job_is_run(data: st.DataObject) -> None:
    slots = slots_on(*data.draw(st.lists(st.sampled_from([None, 0, 1]), min_size=1, max_size=5)))
    waiting = data.draw(st.lists(st.sampled_from([None, "device", "machine"]), max_size=12))
    while waiting or any(slot.job for slot in slots):
        while waiting and (slot := find_free_slot(slots)) is not None:
            slot.take(job(waiting.pop()))
        for slot in slots:
            if can_start(slot, slots):
                slot.record_start(cast(Future, object()))
        running = [slot for slot in slots if slot.future is not None]
        assert running, "all jobs wait for each other"
        for slot in running:
            assert slot.job is not None
            if slot.job.exclusive_scope is not None:
                assert not [
                    other for other in list_neighbors(slot, slots, slot.job.exclusive_scope) if other.future is not None
                ]
        data.draw(st.sampled_from(running)).clear()


class Waiting:
    """A future whose job has a worker or still waits for one."""

    def __init__(self) -> None:
        self.works = self.cancelled = False

    def done(self) -> bool:
        return False

    def running(self) -> bool:
        return self.works

    def cancel(self) -> None:
        self.cancelled = True


def test_the_time_limit_starts_when_a_worker_has_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    future, (slot,) = Waiting(), slots_on(None)
    slot.take(job())
    slot.record_start(cast(Future, future))
    ends = []
    for works, seconds in ((False, 500.0), (True, 500.0), (True, 9.0), (True, 1.0)):
        future.works = works
        now[0] += seconds
        kill_if_overdue(slot, limit=10.0)
        ends.append(slot.overdue)
    assert ends == [False, False, False, True]  # the job waited for 1000 seconds, and was active for 10
    assert future.cancelled  # no process has claimed the run, so only the pool knows its process
