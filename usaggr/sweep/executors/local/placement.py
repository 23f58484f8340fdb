"""Where runs are placed: how many cores may be used, which GPUs, and what each slot gets of them."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from usaggr.config.executor import MachineConfig
from usaggr.errors import ConfigError
from usaggr.results.spec import Placement


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: of those it is bound to, as many as its container's quota allows."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, _quota(cgroup) or bound))


def _quota(cgroup: Path) -> int | None:
    """Whole cores of a container's quota, rounded up; None where there is none (cgroup version 2, then 1)."""
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if limit == "max" or not limit.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return math.ceil(int(limit) / int(period))


def placements(executor: MachineConfig, gpus: int, cores: int) -> list[Placement]:
    """One placement a slot: as many as workers, GPUs in turn, no more on each than it takes, cores shared out evenly.

    `gpus` is the number of GPUs that may be used (0: runs are on the CPU). Threads depend on the configured number of
    workers and not on how many runs there are, so that a resumed sweep computes as it began.

    Raises:
        ConfigError: executor.devices names a GPU that is not there.
    """
    devices = _devices(executor.devices, gpus)
    most = len(devices) * (executor.runs_per_device or executor.workers or 1)
    workers = min(executor.workers or most, most) if devices else executor.workers or cores
    threads = executor.threads or max(1, cores // workers)
    return [Placement(threads, devices[i % len(devices)] if devices else None) for i in range(workers)]


def _devices(wanted: Sequence[int] | None, gpus: int) -> list[int]:
    if wanted is None:
        return list(range(gpus))
    missing = [device for device in wanted if not 0 <= device < gpus]
    if missing:
        there = f"there are {gpus}, from 0 on" if gpus else "there is none that can be used"
        raise ConfigError(f"executor.devices: no GPU {missing[0]}; {there}")
    return list(dict.fromkeys(wanted))
