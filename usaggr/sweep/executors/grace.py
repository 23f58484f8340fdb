"""How the runs of this machine's workers are asked to stop, and given time for a checkpoint."""

import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from usaggr.locks import is_held
from usaggr.runs import RunDirectory
from usaggr.sweep.executors.base import Job
from usaggr.sweep.executors.slots import Slot

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


def owner_here(job: Job) -> int | None:
    """The process of this machine that has a job's run; None where none has."""
    status = RunDirectory(job.directory).status()
    if status is None or status.state != "running" or status.host != socket.gethostname():
        return None
    # While its owner lives, the pid is nobody else's.
    return status.pid if is_held(job.directory / ".lock") else None


def _is_on(slot: Slot) -> bool:
    return slot.future is not None and not slot.future.done()
