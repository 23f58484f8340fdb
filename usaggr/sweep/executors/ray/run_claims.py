"""Claims of runs whose owner on another node is known to be gone: they need not grow stale first."""

import socket
from dataclasses import replace
from pathlib import Path

from usaggr.io.locks import exclusive, is_held
from usaggr.results.run_directory import RunDirectory


def free_of_its_owner(directory: Path) -> bool:
    """Whether no process of this host holds the run (nor of another, where the file system's locks reach that far)."""
    return not is_held(directory / ".lock")


def set_free(directory: Path, attempt: int) -> None:
    """Say of a run whose task Ray has lost that it waits again.

    Ray ends the processes of a lost node, and those of a node that has lost the cluster end themselves.
    """
    run = RunDirectory(directory)
    with exclusive(directory / ".lock") as locked:
        status = run.status()
        if not locked or status is None or status.state != "running" or status.attempt != attempt:
            return
        run.write_status(replace(status, state="pending", host=socket.gethostname()))
