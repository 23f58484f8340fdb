"""How the runs of this machine's workers are ended: asked, with time for a checkpoint, or since they take too long."""

import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from usaggr.io.locks import is_held
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.jobs import Job
from usaggr.sweep.executors.local.slots import Slot

_LOOK_SECONDS = 0.02


def ask_to_stop(slots: Sequence[Slot], grace: float) -> None:
    """Ask the runs that are on to stop, and wait until they have, `grace` seconds at the most.

    One that no process has claimed yet has nothing to lose, and is not waited for.
    """
    asked = [slot for slot in slots if slot.job is not None and _is_on(slot)]
    owners = [(slot, owner_here(slot.job)) for slot in asked if slot.job is not None]
    waited = []
    for slot, pid in owners:
        if pid is not None:
            # Not SIGTERM: where a whole group gets that one, this would be the second, which ends a run at once.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR2)
                waited.append(slot)
    end = time.monotonic() + grace
    while any(_is_on(slot) for slot in waited) and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)


def end_if_overdue(slot: Slot, limit: float) -> None:
    """End a slot's run, if it has been on for more than `limit` seconds.

    It is killed, since what hangs need not hear anything else. The clock is one that does not jump, unlike that of the
    pool's own limit.
    """
    if slot.job is None or slot.future is None or slot.future.done() or not slot.future.running():
        return
    now = time.monotonic()
    if slot.working is None:
        slot.working = now
    if now - slot.working < limit or slot.overdue:
        return
    slot.overdue = True
    pid = owner_here(slot.job)
    if pid is None:  # it hangs before its claim: the pool knows its process
        slot.future.cancel()  # type: ignore[no-untyped-call]
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def owner_here(job: Job) -> int | None:
    """The process of this machine that has a job's run; None where none has."""
    status = RunDirectory(job.directory).status()
    if status is None or status.state != "running" or status.host != socket.gethostname():
        return None
    # While its owner lives, the pid is nobody else's.
    return status.pid if is_held(job.directory / ".lock") else None


def _is_on(slot: Slot) -> bool:
    return slot.future is not None and not slot.future.done()
