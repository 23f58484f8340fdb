"""Slots of a machine: choice of the slot for the next job, and the start of jobs that must run alone.

A run that ran out of memory is tried again alone on its device or machine. Its slot waits until the other runs there
have ended. Meanwhile no other slot there takes a job.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pebble

from usaggr.results.spec import Placement
from usaggr.sweep.execution.jobs import ExclusiveScope, Job, Outcome

Future = pebble.ProcessFuture[tuple[Outcome, str]]


@dataclass
class Slot:
    """The place of a worker, with its current job."""

    placement: Placement
    pool: pebble.ProcessPool
    job: Job | None = None
    future: Future | None = None
    """Result of the worker; None while the job waits for other runs to end."""
    started_at: float = 0.0
    """Start time of the job, by time.monotonic(), like all times here."""
    checked_at: float = 0.0
    """Time at which the owner of the run was last checked."""
    unowned_checks: int = 0
    """Number of consecutive checks that found no owner of the run."""
    crowded: bool = False
    """True if another run was on the job's device at some time."""
    working_since: float | None = None
    """Time at which the worker was first seen with the job; None before that, and without a time limit."""
    overdue: bool = False
    """True if the worker is being killed because the job exceeded its time limit."""

    def take(self, job: Job) -> None:
        """Reserve the slot for a job that has not started."""
        self.job, self.future, self.crowded = job, None, False

    def record_start(self, future: Future) -> None:
        """Record that the job was passed to a worker."""
        self.future, self.unowned_checks, self.working_since, self.overdue = future, 0, None, False
        self.started_at = self.checked_at = time.monotonic()

    def clear(self) -> None:
        """Free the slot."""
        self.job = self.future = None


def find_free_slot(slots: Sequence[Slot]) -> Slot | None:
    """Return the free slot whose device has the fewest jobs; None if no slot may take a job."""
    free = [slot for slot in slots if slot.job is None and not _is_reserved(slot, slots)]
    return min(free, key=lambda slot: len(list_neighbors(slot, slots, "device")), default=None)


def can_start(slot: Slot, slots: Sequence[Slot]) -> bool:
    """Return whether a slot has a waiting job that no active run prevents from starting."""
    if slot.job is None or slot.future is not None:
        return False
    # Two jobs that must run alone both wait. The first one that is checked starts, and then excludes the other.
    running = [other for other in list_neighbors(slot, slots, "machine") if other.future is not None]
    return not any(_are_mutually_exclusive(slot, other) for other in running)


def list_neighbors(slot: Slot, slots: Sequence[Slot], where: ExclusiveScope) -> list[Slot]:
    """Return the other slots with a job, on the same device or on the whole machine.

    Args:
        slot: The slot in question.
        slots: All slots of the machine.
        where: `device` for slots with the same device, `machine` for all slots.
    """
    neighbors = [other for other in slots if other is not slot and other.job is not None]
    return neighbors if where == "machine" else [other for other in neighbors if _share_device(slot, other)]


def _share_device(slot: Slot, other: Slot) -> bool:
    return slot.placement.device == other.placement.device


def _are_mutually_exclusive(slot: Slot, other: Slot) -> bool:
    exclusive_scopes = {each.job.exclusive_scope for each in (slot, other) if each.job is not None}
    return "machine" in exclusive_scopes or ("device" in exclusive_scopes and _share_device(slot, other))


def _is_reserved(slot: Slot, slots: Sequence[Slot]) -> bool:
    """Return whether a free slot must stay empty for a job that must run alone, now or later."""
    return any(_are_mutually_exclusive(slot, other) for other in list_neighbors(slot, slots, "machine"))
