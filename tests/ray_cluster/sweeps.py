"""`python -m tests.ray_cluster.sweeps DIR JSON [OVERRIDES]` sweeps a plan of fakes on Ray, in a process of its own."""

import json
import sys
from pathlib import Path

from rich.console import Console

from tests.sweep import fakes
from usaggr.config_executor import RayConfig
from usaggr.sweep.executors.ray import RayExecutor
from usaggr.sweep.sweep import run_sweep


def main() -> int:
    """argv as in tests.sweep.fakes."""
    own = fakes.study(Path(sys.argv[1]), "executor=ray", *sys.argv[3:])
    assert isinstance(own.executor, RayConfig)
    runs = [fakes.planned(own, seed, **settings) for seed, settings in enumerate(json.loads(sys.argv[2]))]
    return run_sweep(
        fakes.plan(own, *runs),
        console=Console(stderr=True),
        executor=RayExecutor(own.executor, "cpu", fakes.TARGET),
        prepare=lambda plan, runs, progress: lambda run: None,
        build=lambda directories: directories[0],
    ).exit_status


if __name__ == "__main__":
    sys.exit(main())
