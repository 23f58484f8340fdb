"""End of the runs of this machine's workers: on request, with time for a checkpoint, or after a time limit."""

import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from usaggr.io.locks import is_held
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.jobs import Job
from usaggr.sweep.executors.local.forkserver import is_own_process
from usaggr.sweep.executors.local.slots import Slot

_CHECK_SECONDS = 0.02
"""Seconds between two checks whether the runs have ended."""
_RELEASE_SECONDS = 10.0
"""Longest wait until a killed process is gone and has released its run."""


def ask_to_stop(slots: Sequence[Slot], grace: float) -> None:
    """Ask the active runs to stop, and wait at most `grace` seconds until they have stopped.

    A run that no process has claimed yet has no progress to save, and is not waited for.
    """
    owners = [(slot, find_local_owner(slot.job)) for slot in slots if slot.job is not None and _is_active(slot)]
    stopping = []
    for slot, pid in owners:
        if pid is not None:
            # Not SIGTERM: if the whole process group got one already, a second one would end the run at once.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR2)
                stopping.append(slot)
    end = time.monotonic() + grace
    while any(_is_active(slot) for slot in stopping) and time.monotonic() < end:
        time.sleep(_CHECK_SECONDS)


def kill_if_overdue(slot: Slot, limit: float) -> None:
    """Kill the worker of a slot whose run has been active for more than `limit` seconds.

    A process that hangs may react only to SIGKILL. pebble has a time limit too, but its clock jumps when the system
    time is set.
    """
    if slot.job is None or slot.future is None or slot.future.done() or not slot.future.running():
        return
    now = time.monotonic()
    if slot.working_since is None:
        slot.working_since = now
    if now - slot.working_since < limit or slot.overdue:
        return
    slot.overdue = True
    pid = find_local_owner(slot.job)
    if pid is None:  # the process hangs before it claims the run; only the pool knows its id
        slot.future.cancel()  # type: ignore[no-untyped-call]
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def end_survivor(job: Job) -> None:
    """Kill a worker that owns its run but counts as dead, because its server was killed; wait until it is gone.

    Until then the run is locked, and would count as a run of another process.
    """
    end = time.monotonic() + _RELEASE_SECONDS
    while is_held(job.directory / ".lock") and time.monotonic() < end:
        owner = find_local_owner(job)
        is_own = None if owner is None else is_own_process(owner)
        if is_own is False:
            return  # another sweep has claimed the run meanwhile
        if is_own and owner is not None:
            with suppress(ProcessLookupError):
                os.kill(owner, signal.SIGKILL)
        time.sleep(_CHECK_SECONDS)


def find_local_owner(job: Job) -> int | None:
    """Return the process id of the owner of a job's run on this machine; None if there is no owner."""
    status = RunDirectory(job.directory).read_status()
    if status is None or status.state != "running" or status.host != socket.gethostname():
        return None
    # While the lock is held, its owner is alive, and no other process can have its id.
    return status.pid if is_held(job.directory / ".lock") else None


def _is_active(slot: Slot) -> bool:
    return slot.future is not None and not slot.future.done()
