"""Peak resident memory of this process, measured per run: a worker process trains several runs."""

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc/self")
_RESET_PEAK = "5"
"""Value that makes Linux reset the peak, if written to clear_refs (proc_pid_clear_refs(5))."""


def reset_peak() -> None:
    """Reset the peak to the current memory, if possible: only on Linux, and some containers forbid it."""
    with suppress(OSError):
        (_PROC / "clear_refs").write_text(_RESET_PEAK, encoding="utf-8")


def read_peak_mib() -> float:
    """Return the peak since `reset_peak` in MiB, or since the process started if it cannot be reset."""
    with suppress(OSError):
        match = re.search(r"^VmHWM:\s*(\d+) kB$", (_PROC / "status").read_text(encoding="utf-8"), re.MULTILINE)
        if match:
            return int(match[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes on macOS, KiB elsewhere
