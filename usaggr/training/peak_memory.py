"""Resident memory of this process at its highest, run by run: a worker trains several."""

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc/self")
_RESET = "5"
"""What Linux takes for: begin anew with the highest resident memory (proc_pid_clear_refs(5))."""


def forget_peak() -> None:
    """Begin anew, where the system can: on Linux, unless a container forbids it."""
    with suppress(OSError):
        (_PROC / "clear_refs").write_text(_RESET)


def peak_mib() -> float:
    """The highest since `forget_peak`, in MiB; where the system cannot begin anew, since the process did."""
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s*(\d+) kB$", (_PROC / "status").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
