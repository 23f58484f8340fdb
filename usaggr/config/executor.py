"""The schema of `executor`: where and how runs are executed. None of its keys changes a result."""

from typing import Literal

from pydantic import Field, field_validator

from usaggr.config.section import Section

SBATCH_KEYS = {
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "constraint": "constraint",
    "gpus": "gpus",
    "gpus-per-node": "gpus",
    "cpus-per-task": "cpus",
    "mem": "memory",
    "time": "time",
}
"""Options of sbatch that have a key of their own, and this key."""
SBATCH_FIXED = (
    "array", "chdir", "error", "job-name", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output", "parsable",
    "requeue", "signal", "wait", "wrap",
)  # fmt: skip
"""Options of sbatch that the executor sets itself."""


class _Limits(Section):
    """Limits of a run, with every executor."""

    threads: int | None = Field(ge=1, description="threads per run; null: cores / workers")
    attempts: int = Field(ge=1, description="maximum number of attempts at a run whose worker died")
    timeout: float | None = Field(gt=0, description="seconds after which a run is ended; null: no limit")
    grace: float = Field(ge=0, description="seconds that a run has to write a checkpoint when it is stopped")


class MachineConfig(_Limits):
    """Division of one machine, or of a cluster job's resources, between runs."""

    workers: int | None = Field(ge=1, description="runs at once; null: one per core, or runs_per_device per GPU")
    devices: list[int] | None = Field(description="numbers of the GPUs to use; null: all")
    runs_per_device: int | None = Field(ge=1, description="runs at once per GPU; null: one, or as `workers` needs")
    runs_per_worker: int | None = Field(ge=1, description="runs after which a worker process is replaced; null: 16")

    @property
    def machine(self) -> "MachineConfig":
        """Division of the machine that runs are on."""
        return self


class LocalConfig(MachineConfig):
    """Worker processes on this machine."""

    name: Literal["local"]


class SlurmConfig(MachineConfig):
    """Jobs of a Slurm cluster, submitted with submitit; each job trains several runs, as one machine does."""

    name: Literal["slurm"]
    partition: str | None = Field(description="partition of the jobs; null: the cluster's default")
    account: str | None = Field(description="account that is charged; null: the user's default")
    qos: str | None = Field(description="quality of service; null: the default")
    constraint: str | None = Field(description="features that a node must have; null: none")
    gpus: int = Field(ge=0, description="GPUs per job")
    cpus: int = Field(ge=1, description="cores per job")
    memory: float | None = Field(gt=0, description="memory per job, in GiB; null: the cluster's default")
    time: int = Field(ge=5, description="time limit of a job, in minutes")
    setup: list[str] = Field(description="shell commands that a job runs before Python")
    options: dict[str, str | int | bool] = Field(description="further options of sbatch, with their long names")
    runs_per_job: int | None = Field(ge=1, description="runs per job; null: as many as fit into half of `time`")
    jobs: int = Field(ge=1, description="maximum number of jobs of one submission that run at the same time")
    wait: bool = Field(description="whether the sweep waits until its jobs have ended")

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
        for name in options:
            plain = name.lstrip("-").replace("_", "-")
            if plain in SBATCH_KEYS:
                raise ValueError(f"options without {name}, which has the key executor.{SBATCH_KEYS[plain]}")
            if plain in SBATCH_FIXED:
                raise ValueError(f"options without {name}, which is set by the executor and cannot be changed")
            if not all(word.isalnum() for word in name.split("-")):
                raise ValueError(f"long names of options: letters, digits and single dashes, not {name!r}")
            # A further line could add directives to the job's script.
            if "\n" in str(options[name]):
                raise ValueError(f"options with values of one line; that of {name} has several")
        return options


class RayConfig(_Limits):
    """Tasks of a Ray cluster, one per run."""

    name: Literal["ray"]
    address: str | None = Field(description="address of the cluster, host:port; null: start one on this machine")
    workers: int | None = Field(ge=1, description="runs at the same time; null: as many as fit on the nodes")
    gpus: float = Field(ge=0, le=1, description="GPUs per run; a fraction lets several runs share one")
    memory: float | None = Field(gt=0, description="memory that Ray reserves per run, in GiB; null: none")
    shared: bool = Field(description="whether all nodes see the files of this machine under the same paths")

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str | None) -> str | None:
        if address is not None and "://" in address:
            raise ValueError(
                "host:port, with the sweep on a node of the cluster; Ray's client (ray://) is not supported"
            )
        return address

    @property
    def machine(self) -> MachineConfig:
        """Division of this machine if a run is trained without the cluster."""
        return MachineConfig(
            threads=self.threads or 1,
            attempts=self.attempts,
            timeout=self.timeout,
            grace=self.grace,
            workers=None,
            devices=None,
            runs_per_device=None,
            runs_per_worker=None,
        )


ExecutorConfig = LocalConfig | SlurmConfig | RayConfig
"""The executor; `name` decides which."""
