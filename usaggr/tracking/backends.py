"""Functions that open a run in a tracker, one per tracker, for a new run or one that continues."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.loggers.logger import Logger

from usaggr.config import logger as config_logger
from usaggr.config.study import StudyConfig
from usaggr.io.bounded_content import parse_csv_table
from usaggr.io.bounded_files import read_bounded_text
from usaggr.results.contract import LOGS
from usaggr.results.spec import RunSpec
from usaggr.tracking.record import (
    MLFLOW_STATUS,
    End,
    disable_usage_statistics,
    find_mlflow_location,
    find_or_create_experiment,
    make_mlflow_client,
    remove_passwords,
)

Params = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class OpenRun:
    """A run that is open in a tracker. Every error of the tracker is raised to the caller."""

    logger: Logger
    """Lightning's logger of the tracker."""
    end: Callable[[End], None]
    """Reports to the tracker how the run ended, and closes the run there."""
    location: str | None = None
    """MLflow's tracking URI; entity and project of W&B; None: the directory of the run."""
    id: str | None = None
    """Id given by the tracker; None: the tracker gives none."""
    params: Params | None = None
    """Hyperparameters that are logged together with the test scores; None: they are logged already, or never."""

    def log_scores(self, scores: Mapping[str, float], step: int) -> None:
        """Log scores on the test set by name, after the last step."""
        if self.params is None:
            self.logger.log_metrics(dict(scores), step)
        else:
            self.logger.log_hyperparams(self.params, dict(scores), step)


def open_run(spec: RunSpec, study: StudyConfig, directory: Path, step: int, earlier_id: str | None) -> OpenRun:
    """Open a run in the tracker of its study.

    Args:
        spec: The run.
        study: The study, with the logger and what the sweep recorded about its tracker.
        directory: Directory of the run.
        step: Training steps finished by earlier attempts; 0 for a run that starts from its first step.
        earlier_id: The tracker's id of an earlier attempt, which the run continues if `step` is positive.

    Raises:
        ModuleNotFoundError: A package is not installed on this machine.
        Exception: The tracker cannot be reached or refuses the run; the type depends on the tracker.
    """
    match study.logger:
        case config_logger.CsvLogger():
            return _open_csv(directory, step)
        case config_logger.TensorBoardLogger():
            return _open_tensorboard(spec, study, directory, step)
        case config_logger.MlflowLogger() as logger:
            return _open_mlflow(logger, spec, study, step, earlier_id)
        case config_logger.WandbLogger() as logger:
            return _open_wandb(logger, spec, study, directory, earlier_id if step else None)
        case config_logger.NoLogger():
            raise ValueError("logger=none: there is no tracker")


def list_hyperparameters(spec: RunSpec, study: StudyConfig) -> Params:
    """Return the identity of a run, and all settings of its network and training that can change results."""
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
    data_settings = {name: data[name] for name in ("image_size", "channels") if name in data}
    sections = {
        "data": data_settings,
        "model": spec.settings.get("model", {}),
        "training": spec.settings.get("training", {}),
    }
    return {**params, **_flatten(sections, "")}


def _flatten(content: Mapping[str, Any], prefix: str) -> Params:
    """Return a nested mapping with dotted keys; lists become text."""
    flat: Params = {}
    for name, value in content.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{key}.")
        elif isinstance(value, str | int | float | bool):
            flat[key] = value
        else:
            flat[key] = "null" if value is None else ", ".join(map(str, value))
    return flat


def _open_csv(directory: Path, step: int) -> OpenRun:
    """Open `logs/metrics.csv`; entries that earlier attempts logged before the checkpoint stay in the file."""
    path = directory / LOGS / "metrics.csv"
    entries = _read_entries_before(step, path)
    path.unlink(missing_ok=True)  # Lightning deletes it too, with a warning
    logger = CSVLogger(directory, name=LOGS, version="")
    for row in entries:
        logger.experiment.log_metrics(row, int(row["step"]))
    return OpenRun(logger, logger.finalize)


def _read_entries_before(step: int, path: Path) -> list[dict[str, float]]:
    if not step or not path.exists():
        return []
    logged = parse_csv_table(read_bounded_text(path))
    entries = [{name: float(value) for name, value in row.items() if value} for row in logged]
    return [row for row in entries if row["step"] < step]


class _TensorBoardLogger(TensorBoardLogger):
    """Lightning's logger of TensorBoard, without its file of hyperparameters."""

    def save(self) -> None:
        self.experiment.flush()


def _open_tensorboard(spec: RunSpec, study: StudyConfig, directory: Path, step: int) -> OpenRun:
    """Open `logs/`; hyperparameters are logged at the end, together with the scores."""
    # purge_step makes TensorBoard hide what an earlier attempt logged after its checkpoint.
    purged: dict[str, Any] = {"purge_step": step} if step else {}
    logger = _TensorBoardLogger(directory, name=LOGS, version="", default_hp_metric=False, **purged)
    _ = logger.experiment  # creates the writer, so that a missing package is found now
    return OpenRun(logger, logger.finalize, params=list_hyperparameters(spec, study))


def _open_mlflow(
    logger: config_logger.MlflowLogger, spec: RunSpec, study: StudyConfig, step: int, earlier_id: str | None
) -> OpenRun:
    """Open a child run of the sweep's run.

    Args:
        logger: Settings of the logger.
        spec: The run.
        study: The study, with the id of the sweep's run.
        step: Training steps finished by earlier attempts.
        earlier_id: MLflow's id of an earlier attempt.
    """
    location = study.tracked.location or find_mlflow_location(study)
    client = make_mlflow_client(location)
    find_or_create_experiment(client, logger.experiment)
    is_continued = earlier_id is not None and _reopen(client, earlier_id, step)
    tags = {"usaggr.study": study.name, "usaggr.run_id": spec.run_id, "usaggr.fingerprint": spec.fingerprint}
    if study.tracked.parent is not None:
        tags["mlflow.parentRunId"] = study.tracked.parent
    run_id = earlier_id if is_continued else None
    mlflow_logger = MLFlowLogger(logger.experiment, spec.run_id, location, tags, run_id=run_id)
    if not is_continued:  # MLflow refuses to change hyperparameters later
        mlflow_logger.log_hyperparams(dict(list_hyperparameters(spec, study)))
    return OpenRun(
        mlflow_logger,
        lambda end: mlflow_logger.finalize(MLFLOW_STATUS[end]),
        remove_passwords(location),
        mlflow_logger.run_id,
    )


def _reopen(client: Any, earlier_id: str, step: int) -> bool:
    """Continue an earlier attempt if `step` is positive, else mark it as stopped; return whether it is continued.

    Args:
        client: MLflow's client.
        earlier_id: Id of the earlier attempt.
        step: Training steps that it has finished.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.update_run(earlier_id, "RUNNING" if step else MLFLOW_STATUS["stopped"])
    except MlflowException:  # the earlier run was deleted
        return False
    return step > 0


def _open_wandb(
    logger: config_logger.WandbLogger, spec: RunSpec, study: StudyConfig, directory: Path, continued_id: str | None
) -> OpenRun:
    """Open a run in the group of its study; its files are in `logs/wandb/`.

    Args:
        logger: Settings of the logger.
        spec: The run.
        study: The study.
        directory: Directory of the run.
        continued_id: W&B's id of the attempt that the run continues; None for a new run.
    """
    disable_usage_statistics()
    import wandb

    folder = directory / LOGS
    folder.mkdir(exist_ok=True)
    # Lightning's logger would continue a run that this process opened before, so the run is opened here.
    run = wandb.init(
        project=logger.project,
        entity=logger.entity,
        group=study.name,
        job_type="run",
        name=spec.run_id,
        id=continued_id,
        resume="allow" if continued_id else None,
        dir=folder,
        config=dict(list_hyperparameters(spec, study)),
        reinit="create_new",
        settings=wandb.Settings(silent=True, console="off", init_timeout=20, disable_git=True, save_code=False),
    )
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)

    def close(end: End) -> None:
        if end == "stopped":
            run.mark_preempting()  # W&B shows such a run as preempted, not as failed
        run.finish(exit_code=0 if end == "done" else 1)

    location = f"{run.entity}/{logger.project}" if run.entity else logger.project
    return OpenRun(WandbLogger(experiment=run, project=logger.project), close, location, run.id)
