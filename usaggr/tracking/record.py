"""Trackers of runs and sweeps: needed packages, MLflow's location, `tracking.json`, and guarded calls.

A tracker only shows what run directories hold. Therefore nothing waits long for a tracker, and its faults are reported,
not raised.
"""

import importlib.util
import json
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from usaggr.config.executor import RayConfig
from usaggr.config.logger import CsvLogger, MlflowLogger, NoLogger, TensorBoardLogger, WandbLogger
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError, RunError
from usaggr.io.atomic_files import write_atomic
from usaggr.results.contract import TRACKING
from usaggr.results.integrity import read_json, typed

if TYPE_CHECKING:
    from mlflow import MlflowClient

End = Literal["done", "failed", "stopped"]
"""How a run or sweep ended; stopped: it continues later."""
MLFLOW_STATUS: dict[End, str] = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}

PACKAGES = {
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
}
"""Modules that a logger needs beyond the dependencies of usaggr."""
SQL_PACKAGES = ("sqlalchemy", "alembic")
"""Modules that MLflow needs to write into a database itself."""
_SQLITE = "sqlite:///"


def check_logger(study: StudyConfig) -> None:
    """Check that the logger of a study can be used.

    Raises:
        ConfigError: a package is missing, or nodes of a cluster would write into a file that they do not see.
    """
    keep_to_itself()
    logger, executor = study.logger, study.executor
    modules: tuple[str, ...] = PACKAGES.get(logger.name, ())
    location = None
    if isinstance(logger, MlflowLogger):
        location = mlflow_location(study)
        modules += SQL_PACKAGES if _writes_sql(location) else ()
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f"logger={logger.name} needs the package {module}: pip install usaggr[{logger.name}]")
    apart = isinstance(executor, RayConfig) and not executor.shared
    if apart and location is not None and location.startswith((_SQLITE, "file:")):
        raise ConfigError(
            f"logger.location: the nodes of executor.shared=false do not see {location}; "
            "give the address of an MLflow server, as http://HOST:5000"
        )


def to_preload(study: StudyConfig) -> tuple[str, ...]:
    """Return modules of a study's tracker that take seconds to import, for the server that forks workers.

    From now on trackers send no usage statistics from this process and those that it starts.
    """
    keep_to_itself()
    match study.logger:
        case CsvLogger() | NoLogger():
            return ()
        case TensorBoardLogger():
            return ("torch.utils.tensorboard",)
        case WandbLogger():
            return ("wandb",)
        case MlflowLogger():
            sql = _writes_sql(study.tracked.location or mlflow_location(study))
            return ("mlflow.store.tracking.sqlalchemy_store",) if sql else ("mlflow.tracking",)


def _writes_sql(location: str) -> bool:
    """Return whether MLflow's client writes into a database itself."""
    return location.partition(":")[0] not in ("http", "https", "file")


def keep_to_itself() -> None:
    """Turn off the trackers' own usage statistics and error reports, unless the environment sets them."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")


def mlflow_location(study: StudyConfig) -> str:
    """Return MLflow's tracking URI: configured, or MLFLOW_TRACKING_URI, or a SQLite file in the folder of results."""
    given = study.logger.location if isinstance(study.logger, MlflowLogger) else None
    return given or os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{Path(study.outputs).resolve() / 'mlflow.db'}"


def mlflow_client(location: str) -> "MlflowClient":
    """Return MLflow's client for a location, quiet and with few retries unless the environment says otherwise.

    The folder of a SQLite file is created here, its tables by MLflow.
    """
    keep_to_itself()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if location.startswith(_SQLITE):
        Path(location.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    from mlflow import MlflowClient

    # MLflow resets the levels of its loggers while it is imported.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return MlflowClient(location)


def mlflow_experiment(client: "MlflowClient", name: str) -> str:
    """Return the id of an experiment, created if missing; another process may create it at the same moment.

    Raises:
        MlflowException: it was deleted, or MLflow cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise MlflowException(f"the experiment {name} was deleted; restore it, or give another logger.experiment")
    return str(experiment.experiment_id)


@dataclass(frozen=True)
class Record:
    """`tracking.json` of a run or a sweep: where a tracker has it."""

    logger: str
    location: str | None
    """MLflow's tracking URI; entity and project of W&B; None: in the directory of the run."""
    id: str | None
    """Id given by the tracker; None: it gives none, or could not be reached."""
    problem: str | None = None
    """Why it is not, or not completely, tracked, in one line."""

    def write(self, directory: Path) -> None:
        """Write the file, replacing an older one."""
        write_atomic(directory / TRACKING, json.dumps(asdict(self), indent=1))


def read_record(directory: Path) -> Record | None:
    """Read `tracking.json`; None if it is missing or damaged."""
    try:
        return typed(directory / TRACKING, read_json(directory / TRACKING, ""), Record, "")
    except RunError:
        return None


class Aside:
    """Calls made one after another in another thread, so that their faults and delays do not reach the caller.

    After the first fault nothing more is called, and `problem` gives the reason in one line. The thread is a daemon,
    unlike those of a ThreadPoolExecutor: a call that hangs must not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self.problem: str | None = None
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, call: Callable[[], Any]) -> None:
        """Add a call after the earlier ones, and return at once."""
        if self.problem is None:
            self._calls.put(call)

    def wait(self, seconds: float) -> bool:
        """Wait at most this long until all calls are made; return False if they are not, or if one failed."""
        made = threading.Event()
        self._calls.put(made.set)
        end = time.monotonic() + seconds
        while self.problem is None and not made.wait(0.02) and time.monotonic() < end:
            pass
        return self.problem is None and made.is_set()

    def close(self, seconds: float) -> None:
        """Wait at most this long for the remaining calls, and drop those not made by then."""
        if not self.wait(seconds) and self.problem is None:
            self.problem = f"no answer within {seconds:g} seconds"
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            if self.problem is not None:
                continue
            try:
                call()
            except BaseException as error:  # whatever a tracker raises, also to end the process
                self.problem = one_line(error)


def one_line(error: BaseException) -> str:
    """Return the type and message of an error in at most 300 characters, without passwords."""
    text = without_password(" ".join(str(error).split()))
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return message if len(message) <= 300 else f"{message[:297]}..."


def without_password(text: str) -> str:
    """Remove user and password from addresses in a text."""
    return re.sub(r"://[^/@\s]+@", "://", text)
