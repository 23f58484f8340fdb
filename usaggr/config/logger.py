"""The schema of `logger`: where the course of runs is shown, beside their own files. Nothing here changes a result."""

from typing import Literal

from pydantic import Field

from usaggr.config.section import Section


class NoLogger(Section):
    """A run's own curve.csv and log.txt, and nothing else."""

    name: Literal["none"]


class _Logger(Section):
    """What all loggers have."""

    every: int = Field(ge=1, description="training steps between two entries")


class CsvLogger(_Logger):
    """Lightning's CSV logger: a table in the run's directory."""

    name: Literal["csv"]


class TensorBoardLogger(_Logger):
    """TensorBoard: a folder in the run's directory."""

    name: Literal["tensorboard"]


class MlflowLogger(_Logger):
    """MLflow: a parent a sweep, and under it a child a run."""

    name: Literal["mlflow"]
    location: str | None = Field(
        min_length=1, description="MLflow's tracking URI; null: MLFLOW_TRACKING_URI, else a SQLite file in `outputs`"
    )
    experiment: str = Field(min_length=1, description="of MLflow, which holds the sweeps")


class WandbLogger(_Logger):
    """Weights & Biases: a group a sweep, and in it a run each."""

    name: Literal["wandb"]
    project: str = Field(min_length=1, description="of W&B, which holds the sweeps")
    entity: str | None = Field(min_length=1, description="user or team; null: W&B's default")


LoggerConfig = NoLogger | CsvLogger | TensorBoardLogger | MlflowLogger | WandbLogger
"""Told apart by `name`."""
