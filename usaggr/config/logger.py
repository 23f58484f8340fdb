"""The schema of `logger`: where training is logged beside the runs' own files. None of its keys changes a result."""

from typing import Literal

from pydantic import Field

from usaggr.config.section import Section


class NoLogger(Section):
    """No logger: each run has its curve.csv and log.txt only."""

    name: Literal["none"]


class _Logger(Section):
    """Keys of all loggers."""

    every: int = Field(ge=1, description="training steps between two entries")


class CsvLogger(_Logger):
    """Lightning's CSV logger: one table in each run's folder."""

    name: Literal["csv"]


class TensorBoardLogger(_Logger):
    """TensorBoard: event files in each run's folder."""

    name: Literal["tensorboard"]


class MlflowLogger(_Logger):
    """MLflow: one parent run per sweep, with one child run per run."""

    name: Literal["mlflow"]
    location: str | None = Field(
        min_length=1, description="tracking URI; null: that of MLFLOW_TRACKING_URI, else a SQLite file in `outputs`"
    )
    experiment: str = Field(min_length=1, description="MLflow experiment that contains the sweeps")


class WandbLogger(_Logger):
    """Weights & Biases: one group per sweep, with one W&B run per run."""

    name: Literal["wandb"]
    project: str = Field(min_length=1, description="W&B project that contains the sweeps")
    entity: str | None = Field(min_length=1, description="user or team; null: W&B's default")


LoggerConfig = NoLogger | CsvLogger | TensorBoardLogger | MlflowLogger | WandbLogger
"""The logger; `name` decides which."""
