"""Number of cores that this process may use."""

import os


def count_bound_cores() -> int:
    """Return the number of cores that this process is bound to; without such a binding, all cores of the machine.

    macOS has no `os.sched_getaffinity`.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
