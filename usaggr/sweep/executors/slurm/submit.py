"""Hands packs of runs to Slurm, through submitit: one array a submission, of at most as many jobs as Slurm takes."""

import math
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from usaggr.config.executor import MachineConfig, SlurmConfig
from usaggr.errors import ConfigError
from usaggr.sweep.execution.jobs import Job
from usaggr.sweep.executors.slurm.pack import Pack

REQUEUES = 20
"""So many times a job that has used up its time is queued again with what is left."""
_ARRAY = 1000
"""Jobs of an array, at the most: Slurm's own limit (MaxArraySize), unless it is configured, is 1001."""
_NOTICE_SECONDS = 60
"""Beyond the grace of runs: Slurm's signal may come so much later than asked, and the job must queue itself again."""


class Submitter:
    """Submits packs with the options that a configuration asks for."""

    def __init__(self, config: SlurmConfig, accelerator: str, target: str) -> None:
        self._config = config
        self._accelerator = accelerator
        self._target = target

    def check(self) -> None:
        """See that jobs can be submitted.

        Raises:
            ConfigError: submitit or sbatch is missing.
        """
        try:
            import submitit  # noqa: F401
        except ImportError as error:
            raise ConfigError("executor=slurm needs the package submitit: pip install usaggr[slurm]") from error
        for command in ("sbatch", "srun", "squeue", "scancel"):
            if shutil.which(command) is None:
                raise ConfigError(f"executor=slurm: no {command} on the path; submit from a login node of the cluster")

    def send(self, folder: Path, groups: Sequence[Sequence[Job]], machine: MachineConfig) -> list[str]:
        """Submit each group as a job; Slurm's ids. Scripts, logs and submitit's files are under `folder`.

        Raises:
            ConfigError: Slurm refuses them.
        """
        ids: list[str] = []
        for first in range(0, len(groups), _ARRAY):
            part = [Pack(list(group), machine, self._accelerator, self._target) for group in groups[first:][:_ARRAY]]
            ids += self._send_array(folder, part)
        return ids

    def _send_array(self, folder: Path, part: Sequence[Pack]) -> list[str]:
        from submitit import SlurmExecutor as Slurm
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        slurm = Slurm(folder=folder, max_num_timeout=REQUEUES)
        slurm.update_parameters(**self.parameters(part[0].jobs[0].study.name))
        try:
            with _outside_of_a_job():
                jobs = slurm.submit_array(list(part))
        except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
            raise ConfigError(f"executor=slurm: sbatch refuses the jobs: {_last_line(error)}") from error
        return [str(job.job_id) for job in jobs]

    def parameters(self, study: str) -> dict[str, Any]:
        """Of submitit's executor."""
        config = self._config
        more: dict[str, Any] = {"requeue": True}
        for name in ("partition", "account", "qos", "constraint"):
            if (value := getattr(config, name)) is not None:
                more[name] = value
        for name, value in config.options.items():
            if value is not False:
                more[name] = value
        parameters: dict[str, Any] = {
            "job_name": f"usaggr-{study}",
            "time": config.time,
            "cpus_per_task": config.cpus,
            "ntasks_per_node": 1,
            "array_parallelism": config.jobs,
            "signal_delay_s": math.ceil(config.grace) + _NOTICE_SECONDS,
            "setup": list(config.setup),
            "stderr_to_stdout": True,
            # srun does not take the number of cores over from the job.
            "srun_args": [f"--cpus-per-task={config.cpus}"],
            "additional_parameters": more,
        }
        if config.gpus:
            parameters["gpus_per_node"] = config.gpus
        if config.memory is not None:
            parameters["mem"] = f"{math.ceil(config.memory * 1024)}M"
        return parameters


@contextmanager
def _outside_of_a_job() -> Iterator[None]:
    """A sweep that is itself a job of Slurm does not pass its own resources on to those that it submits."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("SLURM_", "SLURMD_")) and name != "SLURM_CONF":
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)


def _last_line(error: Exception) -> str:
    """Of what sbatch said, without its own name."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1].removeprefix("sbatch: error: ")
