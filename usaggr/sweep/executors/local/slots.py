"""Slots of a machine: which one takes the next job, and when a job that is to be alone may begin.

Where memory was out for a run, it is tried again alone on its device or machine: its slot waits until the others there
have ended, and meanwhile no other slot there takes a job.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pebble

from usaggr.results.spec import Placement
from usaggr.sweep.execution.jobs import Alone, Job, Outcome

Future = pebble.ProcessFuture[tuple[Outcome, str]]


@dataclass
class Slot:
    """A worker's place, with the job that it has at present."""

    placement: Placement
    pool: pebble.ProcessPool
    job: Job | None = None
    future: Future | None = None
    """None while the job waits to be alone."""
    started: float = 0.0
    looked: float = 0.0
    unowned: int = 0
    """How often in a row nobody held the job's run when looked at."""
    crowded: bool = False
    """Whether others were on the job's device at some time."""
    working: float | None = None
    """When its worker was first seen to have the job; None before, and while there is no limit to look after."""
    overdue: bool = False
    """Whether its worker is being ended for having had the job too long."""

    def take(self, job: Job) -> None:
        """Keep a job until it begins."""
        self.job, self.future, self.crowded = job, None, False

    def begin(self, future: Future) -> None:
        """The job is on its way."""
        self.future, self.unowned, self.working, self.overdue = future, 0, None, False
        self.started = self.looked = time.monotonic()

    def clear(self) -> None:
        """Be free again."""
        self.job = self.future = None


def next_free(slots: Sequence[Slot]) -> Slot | None:
    """The free slot whose device has the fewest jobs; None where none may take a job."""
    free = [slot for slot in slots if slot.job is None and not _is_kept_for_another(slot, slots)]
    return min(free, key=lambda slot: len(beside(slot, slots, "device")), default=None)


def may_begin(slot: Slot, slots: Sequence[Slot]) -> bool:
    """Whether a slot has a job that waits, and nothing runs that keeps it from beginning."""
    if slot.job is None or slot.future is not None:
        return False
    running = [other for other in beside(slot, slots, "machine") if other.future is not None]
    return not any(_exclude_each_other(slot, other) for other in running)


def beside(slot: Slot, slots: Sequence[Slot], where: Alone) -> list[Slot]:
    """Other slots with a job, on the same device or all of this machine."""
    return [
        other
        for other in slots
        if other is not slot and other.job is not None and (where == "machine" or _share_device(slot, other))
    ]


def _share_device(slot: Slot, other: Slot) -> bool:
    return slot.placement.device == other.placement.device


def _exclude_each_other(slot: Slot, other: Slot) -> bool:
    wishes = {of.job.alone for of in (slot, other) if of.job is not None}
    return "machine" in wishes or ("device" in wishes and _share_device(slot, other))


def _is_kept_for_another(slot: Slot, slots: Sequence[Slot]) -> bool:
    """Whether a job that is or waits to be alone keeps a free slot empty."""
    return any(_exclude_each_other(slot, other) for other in beside(slot, slots, "machine"))
