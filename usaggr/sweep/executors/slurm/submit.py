"""Submission of packs of runs to Slurm through submitit, as one array of jobs, or several above Slurm's limit."""

import math
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from usaggr.config.executor import MachineConfig, SlurmConfig
from usaggr.errors import ConfigError
from usaggr.sweep.execution.jobs import Job
from usaggr.sweep.executors.slurm.pack import Pack

REQUEUES = 20
"""Number of times that a job that has used up its time is queued again with its unfinished runs."""
_MAX_ARRAY_JOBS = 1000
"""Largest number of jobs in an array. Slurm's own limit (MaxArraySize) is 1001 unless it is configured."""
_NOTICE_SECONDS = 60
"""Seconds, in addition to the grace of runs: Slurm may send the signal this much later than requested, and the job
needs time to queue itself again."""


class Submitter:
    """Submits packs of runs with the options of a configuration.

    Args:
        config: Resources and options of the jobs.
        accelerator: training.accelerator.
        target: Function that trains a run, as `module:function`.
    """

    def __init__(self, config: SlurmConfig, accelerator: str, target: str) -> None:
        self._config = config
        self._accelerator = accelerator
        self._target = target

    def check(self) -> None:
        """Check that jobs can be submitted.

        Raises:
            ConfigError: submitit, or a command of Slurm, is missing.
        """
        try:
            import submitit  # noqa: F401
        except ImportError as error:
            raise ConfigError("executor=slurm needs the package submitit: pip install usaggr[slurm]") from error
        for command in ("sbatch", "srun", "squeue", "scancel"):
            if shutil.which(command) is None:
                raise ConfigError(
                    f"executor=slurm: the command {command} is not on the path; submit from a login node of the cluster"
                )

    def send(self, folder: Path, groups: Sequence[Sequence[Job]], machine: MachineConfig) -> list[str]:
        """Submit each group of runs as a job, and return Slurm's ids of the jobs.

        Args:
            folder: Folder for scripts, logs and submitit's files.
            groups: Runs of each job.
            machine: A job's resources.

        Raises:
            ConfigError: Slurm refuses the jobs.
        """
        ids: list[str] = []
        for first in range(0, len(groups), _MAX_ARRAY_JOBS):
            array = groups[first : first + _MAX_ARRAY_JOBS]
            packs = [Pack(list(group), machine, self._accelerator, self._target) for group in array]
            ids += self._submit_array(folder, packs)
        return ids

    def _submit_array(self, folder: Path, packs: Sequence[Pack]) -> list[str]:
        from submitit import SlurmExecutor as Slurm
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        # -P: `-m` would search the folder of the submission for modules first. A job starts in this folder.
        python = f"{shlex.quote(sys.executable)} -P"
        slurm = Slurm(folder=folder, max_num_timeout=REQUEUES, python=python)
        slurm.update_parameters(**self.make_parameters(packs[0].jobs[0].study.name))
        try:
            with _hide_job_variables():
                jobs = slurm.submit_array(list(packs))
        except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
            raise ConfigError(f"executor=slurm: sbatch refuses the jobs: {_read_last_line(error)}") from error
        return [str(job.job_id) for job in jobs]

    def make_parameters(self, study: str) -> dict[str, Any]:
        """Return the parameters of submitit's executor."""
        config = self._config
        # Without requeue a preempted job, or one whose node is lost, would end instead of being queued again.
        additional: dict[str, Any] = {"requeue": True}
        for name in ("partition", "account", "qos", "constraint"):
            if (value := getattr(config, name)) is not None:
                additional[name] = value
        for name, value in config.options.items():
            if value is not False:
                additional[name] = value
        parameters: dict[str, Any] = {
            "job_name": f"usaggr-{study}",
            "time": config.time,
            "cpus_per_task": config.cpus,
            "ntasks_per_node": 1,
            "array_parallelism": config.jobs,
            "signal_delay_s": math.ceil(config.grace) + _NOTICE_SECONDS,
            "setup": list(config.setup),
            "stderr_to_stdout": True,
            # srun does not inherit the number of cores from the job.
            "srun_args": [f"--cpus-per-task={config.cpus}"],
            "additional_parameters": additional,
        }
        if config.gpus:
            parameters["gpus_per_node"] = config.gpus
        if config.memory is not None:
            parameters["mem"] = f"{math.ceil(config.memory * 1024)}M"
        return parameters


@contextmanager
def _hide_job_variables() -> Iterator[None]:
    """Hide the variables of a Slurm job around this process, so that submitted jobs do not inherit its resources."""
    previous = dict(os.environ)
    for name in previous:
        # SLURM_CONF stays, because it says where the cluster is.
        if name.startswith(("SLURM_", "SLURMD_")) and name != "SLURM_CONF":
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(previous)


def _read_last_line(error: Exception) -> str:
    """Return the last line of sbatch's message, without the name of sbatch."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1].removeprefix("sbatch: error: ")
