"""The trackers, through Lightning's loggers: how a run begins in each, goes on from a checkpoint, and ends."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

from usaggr.config import logger as config_logger
from usaggr.config.study import StudyConfig
from usaggr.results.contract import LOGS
from usaggr.results.spec import RunSpec
from usaggr.tracking.record import (
    MLFLOW_STATUS,
    End,
    keep_to_itself,
    mlflow_client,
    mlflow_experiment,
    mlflow_location,
    without_password,
)

Params = dict[str, str | int | float | bool]


class Backend(Protocol):
    """A run in a tracker. Whatever goes wrong is raised."""

    location: str | None
    id: str | None

    def log(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Numbers by name, after a training step."""

    def log_scores(self, scores: Mapping[str, float], step: int) -> None:
        """Scores on the test fold by name, after the last step."""

    def save(self) -> None:
        """Bring to disk what was logged."""

    def end(self, end: End) -> None:
        """The run has ended, or waits to go on."""


def open_backend(spec: RunSpec, study: StudyConfig, directory: Path, step: int, earlier: str | None) -> Backend:
    """The tracker that a study asks for, with the run begun in it.

    A run that goes on after `step` steps continues `earlier`, the tracker's id of what an earlier attempt has logged.

    Raises:
        ModuleNotFoundError: a package is not installed here.
        Exception: whatever the tracker raises that cannot be reached or refuses.
    """
    match study.logger:
        case config_logger.CsvLogger():
            return _Csv(directory, step)
        case config_logger.TensorBoardLogger():
            return _TensorBoard(spec, study, directory, step)
        case config_logger.MlflowLogger() as logger:
            return _Mlflow(logger, spec, study, step, earlier)
        case config_logger.WandbLogger() as logger:
            return _Wandb(logger, spec, study, directory, step, earlier)
        case config_logger.NoLogger():
            raise ValueError("logger=none: there is no tracker")


def hyperparameters(spec: RunSpec, study: StudyConfig) -> Params:
    """What tells runs apart, and all of their network's and training's values that change results."""
    params: Params = {
        "study": study.name,
        "run_id": spec.run_id,
        "block": spec.block,
        "groupings": ", ".join(study.tracked.groupings),
        "tasks": ", ".join(spec.tasks),
        "scale": spec.scale,
        "seed": spec.seed,
        "variant": spec.variant,
        "fingerprint": spec.fingerprint,
    }
    data = spec.settings.get("data", {})
    shown = {name: data[name] for name in ("image_size", "channels") if name in data}
    sections = {"data": shown, "model": spec.settings.get("model", {}), "training": spec.settings.get("training", {})}
    return {**params, **_flat(sections, "")}


def _flat(content: Mapping[str, Any], prefix: str) -> Params:
    """Dotted keys with single values; lists as texts."""
    found: Params = {}
    for name, value in content.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found |= _flat(value, f"{key}.")
        elif isinstance(value, str | int | float | bool):
            found[key] = value
        else:
            found[key] = "null" if value is None else ", ".join(map(str, value))
    return found


class _Csv:
    """`logs/metrics.csv`."""

    location: str | None = None
    id: str | None = None

    def __init__(self, directory: Path, step: int) -> None:
        rows = _rows_before(step, directory / LOGS / "metrics.csv")
        (directory / LOGS / "metrics.csv").unlink(missing_ok=True)  # Lightning removes it too, with a warning
        self._logger = CSVLogger(directory, name=LOGS, version="")
        for row in rows:
            self._logger.experiment.log_metrics(row, int(row["step"]))

    def log(self, metrics: Mapping[str, float], step: int | None) -> None:
        self._logger.log_metrics(dict(metrics), step)

    def log_scores(self, scores: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(dict(scores), step)

    def save(self) -> None:
        self._logger.save()

    def end(self, end: End) -> None:
        self._logger.save()


def _rows_before(step: int, path: Path) -> list[dict[str, float]]:
    """What an earlier attempt has logged up to the checkpoint."""
    if not step or not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [row for row in rows if row["step"] < step]


class _TensorBoard:
    """`logs/`, with the scores beside the hyperparameters at the end."""

    location: str | None = None
    id: str | None = None

    def __init__(self, spec: RunSpec, study: StudyConfig, directory: Path, step: int) -> None:
        # What an earlier attempt has logged after its checkpoint is not shown.
        purged: dict[str, Any] = {"purge_step": step} if step else {}
        self._logger = TensorBoardLogger(directory, name=LOGS, version="", default_hp_metric=False, **purged)
        self._params = hyperparameters(spec, study)
        _ = self._logger.experiment

    def log(self, metrics: Mapping[str, float], step: int | None) -> None:
        self._logger.log_metrics(metrics, step)

    def log_scores(self, scores: Mapping[str, float], step: int) -> None:
        self._logger.log_hyperparams(self._params, dict(scores), step)

    def save(self) -> None:
        self._logger.experiment.flush()

    def end(self, end: End) -> None:
        self._logger.experiment.close()


class _Mlflow:
    """A child of the sweep's run."""

    def __init__(
        self, logger: config_logger.MlflowLogger, spec: RunSpec, study: StudyConfig, step: int, earlier: str | None
    ) -> None:
        location = study.tracked.location or mlflow_location(study)
        self._client = mlflow_client(location)
        mlflow_experiment(self._client, logger.experiment)
        continued = earlier is not None and self._continues(earlier, step)
        tags = {"usaggr.study": study.name, "usaggr.run_id": spec.run_id, "usaggr.fingerprint": spec.fingerprint}
        if study.tracked.parent is not None:
            tags["mlflow.parentRunId"] = study.tracked.parent
        self._logger = MLFlowLogger(
            logger.experiment, spec.run_id, location, tags, run_id=earlier if continued else None
        )
        self.location: str | None = without_password(location)
        self.id: str | None = self._logger.run_id
        if not continued:  # they cannot be changed later
            self._logger.log_hyperparams(dict(hyperparameters(spec, study)))

    def _continues(self, earlier: str, step: int) -> bool:
        """Whether an earlier attempt's run is there and goes on; one that was given up is marked as ended."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.update_run(earlier, "RUNNING" if step else MLFLOW_STATUS["stopped"])
        except MlflowException:  # it was deleted
            return False
        return step > 0

    def log(self, metrics: Mapping[str, float], step: int | None) -> None:
        self._logger.log_metrics(metrics, step)

    def log_scores(self, scores: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(scores, step)

    def save(self) -> None:
        pass

    def end(self, end: End) -> None:
        self._client.set_terminated(str(self.id), MLFLOW_STATUS[end])


class _Wandb:
    """A run in the sweep's group; its files are in `logs/wandb/`."""

    def __init__(
        self,
        logger: config_logger.WandbLogger,
        spec: RunSpec,
        study: StudyConfig,
        directory: Path,
        step: int,
        earlier: str | None,
    ) -> None:
        keep_to_itself()
        import wandb

        folder = directory / LOGS
        folder.mkdir(exist_ok=True)
        # Apart from any run that this process had before; Lightning's own way would go on with that one.
        run = wandb.init(
            project=logger.project,
            entity=logger.entity,
            group=study.name,
            job_type="run",
            name=spec.run_id,
            id=earlier if step else None,
            resume="allow" if earlier and step else None,
            dir=folder,
            config=dict(hyperparameters(spec, study)),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", init_timeout=20, disable_git=True, save_code=False),
        )
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        self._run = run
        self._logger = WandbLogger(experiment=run, project=logger.project)
        self.location: str | None = f"{run.entity}/{logger.project}" if run.entity else logger.project
        self.id: str | None = run.id

    def log(self, metrics: Mapping[str, float], step: int | None) -> None:
        self._logger.log_metrics(metrics, step)

    def log_scores(self, scores: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(scores, step)

    def save(self) -> None:
        pass

    def end(self, end: End) -> None:
        if end == "stopped":
            self._run.mark_preempting()
        self._run.finish(exit_code=0 if end == "done" else 1)
