"""The schema of `executor`: where and how runs are executed. Nothing here changes a result."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from usaggr.config.section import Section

Gpus = Annotated[int, Field(ge=0)]

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
"""Options of sbatch that have a key of their own."""
SBATCH_OWN = (
    "array", "chdir", "error", "job-name", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output", "parsable",
    "requeue", "signal", "wait", "wrap",
)  # fmt: skip
"""Options of sbatch on which the executor depends."""


class _Limits(Section):
    """What holds for a run wherever it is executed."""

    threads: int | None = Field(ge=1, description="threads of a run; null: cores / workers")
    attempts: int = Field(ge=1, description="how often a run is tried whose worker died")
    timeout: float | None = Field(gt=0, description="seconds after which a run is ended; null: none")
    grace: float = Field(ge=0, description="seconds that a run has for a checkpoint when it is asked to stop")


class MachineConfig(_Limits):
    """How runs share one machine: this one, or what a job of a cluster gets."""

    workers: int | None = Field(ge=1, description="runs at once; null: one a core, or runs_per_device a GPU")
    devices: list[int] | None = Field(description="GPUs to use; null: all that are there")
    runs_per_device: int | None = Field(ge=1, description="runs at once on each GPU; null: one, or as workers asks")
    runs_per_worker: int | None = Field(ge=1, description="runs before a worker process is renewed; null: 16")

    @property
    def machine(self) -> "MachineConfig":
        """How runs share the machine that they are on."""
        return self


class LocalConfig(MachineConfig):
    """Worker processes of this machine."""

    name: Literal["local"]


class SlurmConfig(MachineConfig):
    """Jobs of a Slurm cluster, each of which trains several runs as one machine does; through submitit."""

    name: Literal["slurm"]
    partition: str | None = Field(description="null: the cluster's default")
    account: str | None = Field(description="null: the user's default")
    qos: str | None = Field(description="quality of service; null: the default")
    constraint: str | None = Field(description="features that a node must have; null: any node")
    gpus: Gpus = Field(description="of a job")
    cpus: int = Field(ge=1, description="cores of a job")
    memory: float | None = Field(gt=0, description="GiB of a job; null: the cluster's default")
    time: int = Field(ge=5, description="minutes of a job, at the most")
    setup: list[str] = Field(description="shell lines before a job's Python starts")
    options: dict[str, str | int | bool] = Field(description="further options of sbatch, by their long names")
    runs_per_job: int | None = Field(ge=1, description="null: as many as fit into half of `time`, by estimate")
    jobs: int = Field(ge=1, description="jobs of one submission that run at once, at the most")
    wait: bool = Field(description="whether the sweep stays until its jobs have ended")

    @field_validator("options")
    @classmethod
    def _leaves_ours_alone(cls, options: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
        for name in options:
            plain = name.lstrip("-").replace("_", "-")
            if plain in SBATCH_KEYS:
                raise ValueError(f"{name} has a key of its own: executor.{SBATCH_KEYS[plain]}")
            if plain in SBATCH_OWN:
                raise ValueError(f"{name} is set by the executor and cannot be changed")
            if not all(part.isalnum() for part in name.split("-")):
                raise ValueError(f"{name!r} is no long name of an option: letters, digits and single dashes")
            if "\n" in str(options[name]):
                raise ValueError(f"{name}: a value is one line")
        return options


class RayConfig(_Limits):
    """Tasks of a Ray cluster, one a run."""

    name: Literal["ray"]
    address: str | None = Field(description="of the cluster; null: one is started on this machine")
    workers: int | None = Field(ge=1, description="runs at once; null: as many as the nodes have room for")
    gpus: float = Field(ge=0, le=1, description="of a run; a fraction lets several share one")
    memory: float | None = Field(gt=0, description="GiB that a run is counted with; null: not counted")
    shared: bool = Field(description="whether all nodes see this machine's files under the same paths")

    @field_validator("address")
    @classmethod
    def _is_no_clients(cls, address: str | None) -> str | None:
        if address is not None and "://" in address:
            raise ValueError("Ray's client (ray://) is not supported; sweep on a node of the cluster, with host:port")
        return address

    @property
    def machine(self) -> MachineConfig:
        """How runs share the machine that they are on, where one is trained without the cluster."""
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
"""Told apart by `name`."""
