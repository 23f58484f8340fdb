"""Placement of runs: the usable cores and GPUs of this machine, and the share of each slot."""

import math
from collections.abc import Sequence
from pathlib import Path

from usaggr.config.executor import MachineConfig
from usaggr.errors import ConfigError
from usaggr.io.cores import count_bound_cores
from usaggr.results.spec import Placement


def count_usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of cores that this process may use: its CPU affinity, limited by its container's quota."""
    bound = count_bound_cores()
    return max(1, min(bound, _read_quota(cgroup) or bound))


def _read_quota(cgroup: Path) -> int | None:
    """Return the container's quota in whole cores, rounded up; None without a quota (cgroup version 2, then 1)."""
    try:
        limit, period = (cgroup / "cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        try:
            limit = (cgroup / "cpu/cpu.cfs_quota_us").read_text(encoding="utf-8").strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text(encoding="utf-8").strip()
        except OSError:
            return None
    if limit == "max" or not limit.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return math.ceil(int(limit) / int(period))


def make_placements(executor: MachineConfig, gpus: int, cores: int) -> list[Placement]:
    """Return one placement per worker; workers get the GPUs in turn, and an equal number of cores.

    The number of threads depends on the configured workers and not on the number of runs. So a resumed sweep computes
    the same numbers as before.

    Args:
        executor: Workers, devices, runs per device and threads.
        gpus: Number of GPUs that may be used; 0 places runs on the CPU.
        cores: Number of cores that may be used.

    Raises:
        ConfigError: executor.devices names a GPU that does not exist.
    """
    devices = _select_devices(executor.devices, gpus)
    capacity = len(devices) * (executor.runs_per_device or executor.workers or 1)
    workers = min(executor.workers or capacity, capacity) if devices else executor.workers or cores
    # Cores that are left over stay idle: runs with different numbers of threads would not give the same results.
    threads = executor.threads or max(1, cores // workers)
    return [Placement(threads, devices[i % len(devices)] if devices else None) for i in range(workers)]


def _select_devices(requested: Sequence[int] | None, gpus: int) -> list[int]:
    if requested is None:
        return list(range(gpus))
    missing = [device for device in requested if not 0 <= device < gpus]
    if missing:
        available = f"this machine has {gpus}, numbered from 0" if gpus else "this machine has no usable GPU"
        raise ConfigError(f"executor.devices: no GPU {missing[0]}; {available}")
    return list(dict.fromkeys(requested))  # without duplicates, in the given order
