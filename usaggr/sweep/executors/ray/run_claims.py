"""Release of claims whose owner on another node is gone, before their heartbeat expires."""

import socket
from dataclasses import replace
from pathlib import Path

from usaggr.io.locks import hold_lock, is_held
from usaggr.results.run_directory import RunDirectory


def has_no_owner(directory: Path) -> bool:
    """Return whether no process of this host holds the run.

    Processes of other hosts count too if the locks of the file system work across hosts.
    """
    return not is_held(directory / ".lock")


def release_claim(directory: Path, attempt: int) -> None:
    """Mark a run whose task or job was lost as pending.

    Args:
        directory: Directory of the run.
        attempt: Attempt that was lost; the claim of any other attempt is left alone.

    No process trains the run any longer: Ray ends the processes of a lost node, and the processes of a node that has
    lost the cluster end themselves.
    """
    run = RunDirectory(directory)
    with hold_lock(directory / ".lock") as locked:
        status = run.read_status()
        if not locked or status is None or status.state != "running" or status.attempt != attempt:
            return
        run.write_status(replace(status, state="pending", host=socket.gethostname()))
