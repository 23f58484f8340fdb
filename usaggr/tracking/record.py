"""Trackers of runs and sweeps: required packages, MLflow's location, `tracking.json`, and calls in the background.

A tracker only shows what is also in run directories. Therefore nothing waits long for a tracker, and its errors are
printed instead of raised.
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
from usaggr.results.integrity import parse_content, read_json
from usaggr.tracking.mlflow_key import check_mlflow_key
from usaggr.tracking.wandb_key import check_wandb_key

if TYPE_CHECKING:
    from mlflow import MlflowClient

End = Literal["done", "failed", "stopped"]
"""Outcome of a run or sweep; a stopped one continues later."""
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
_MAX_MESSAGE = 300
"""Largest number of characters of an error message."""


def check_logger(study: StudyConfig) -> None:
    """Check that the logger of a study can be used.

    Raises:
        ConfigError: A package or the API key of W&B is missing, or nodes of a cluster would write into a file that they
            do not see.
    """
    disable_usage_statistics()
    logger, executor = study.logger, study.executor
    modules: tuple[str, ...] = PACKAGES.get(logger.name, ())
    location = None
    if isinstance(logger, MlflowLogger):
        location = find_mlflow_location(study)
        modules += SQL_PACKAGES if _is_database(location) else ()
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f"logger={logger.name} needs the package {module}: pip install usaggr[{logger.name}]")
    if isinstance(logger, WandbLogger):
        check_wandb_key()
    has_separate_files = isinstance(executor, RayConfig) and not executor.shared
    if has_separate_files and location is not None and location.startswith((_SQLITE, "file:")):
        raise ConfigError(
            f"logger.location: with executor.shared=false the nodes do not see {location}; "
            "give the address of an MLflow server, such as http://HOST:5000"
        )


def check_tracker(study: StudyConfig) -> None:
    """Check that the logger of a study can be used, and that MLflow's server has a login if it asks for one.

    Raises:
        ConfigError: A package, an API key or a login is missing, see `check_logger`.
    """
    check_logger(study)
    if isinstance(study.logger, MlflowLogger):
        check_mlflow_key(find_mlflow_location(study))


def list_modules_to_preload(study: StudyConfig) -> tuple[str, ...]:
    """Return the modules of a study's tracker that take seconds to import, for the server that forks workers.

    After this call, trackers send no usage statistics from this process and from processes that it starts.
    """
    disable_usage_statistics()
    match study.logger:
        case CsvLogger() | NoLogger():
            return ()
        case TensorBoardLogger():
            return ("torch.utils.tensorboard",)
        case WandbLogger():
            return ("wandb",)
        case MlflowLogger():
            sql = _is_database(study.tracked.location or find_mlflow_location(study))
            return ("mlflow.store.tracking.sqlalchemy_store",) if sql else ("mlflow.tracking",)


def _is_database(location: str) -> bool:
    """Return whether MLflow's client itself writes into a database, as for a SQLite file."""
    return location.partition(":")[0] not in ("http", "https", "file")


def disable_usage_statistics() -> None:
    """Turn off the trackers' own usage statistics and error reports, unless the environment sets them."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")


def find_mlflow_location(study: StudyConfig) -> str:
    """Return MLflow's tracking URI.

    It is `logger.location`, else the variable MLFLOW_TRACKING_URI, else a SQLite file in the folder of results.
    """
    configured = study.logger.location if isinstance(study.logger, MlflowLogger) else None
    return (
        configured or os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{Path(study.outputs).resolve() / 'mlflow.db'}"
    )


def make_mlflow_client(location: str) -> "MlflowClient":
    """Make MLflow's client for a location, with few messages and retries unless environment variables set others.

    The folder of a SQLite file is created, because MLflow creates only the file and its tables.
    """
    disable_usage_statistics()
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


def find_or_create_experiment(client: "MlflowClient", name: str) -> str:
    """Return the id of an experiment; create the experiment if it is missing.

    Raises:
        MlflowException: The experiment was deleted, or MLflow cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another process may have created it in the meantime
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise MlflowException(f"the experiment {name} was deleted; restore it, or give another logger.experiment")
    return str(experiment.experiment_id)


@dataclass(frozen=True)
class Record:
    """Content of `tracking.json`: where a tracker stores a run or a sweep."""

    logger: str
    location: str | None
    """MLflow's tracking URI; entity and project of W&B; None: the directory of the run."""
    id: str | None
    """Id given by the tracker; None: the tracker gives none, or could not be reached."""
    problem: str | None = None
    """Reason why something is missing in the tracker, on one line."""

    def write(self, directory: Path) -> None:
        """Write the file, and replace an older one."""
        write_atomic(directory / TRACKING, json.dumps(asdict(self), indent=1))


def read_record(directory: Path) -> Record | None:
    """Read `tracking.json`; return None if it is missing or damaged."""
    try:
        return parse_content(directory / TRACKING, read_json(directory / TRACKING, ""), Record, "")
    except RunError:
        return None


class BackgroundCalls:
    """Queue of calls that another thread makes in order, so that their errors and delays do not reach the caller.

    After the first error no further call is made, and `problem` is the reason in one line. The thread is a daemon,
    unlike the threads of a ThreadPoolExecutor, so that the process can end while a call hangs.
    """

    def __init__(self, name: str) -> None:
        self.problem: str | None = None
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, call: Callable[[], Any]) -> None:
        """Add a call after the earlier ones, and return immediately."""
        if self.problem is None:
            self._calls.put(call)

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` until all calls are made; return False if some are not made, or if one failed."""
        is_reached = threading.Event()  # set by the last call of the queue
        self._calls.put(is_reached.set)
        deadline = time.monotonic() + seconds
        # In short steps, because after an error the event is never set.
        while self.problem is None and not is_reached.wait(0.02) and time.monotonic() < deadline:
            pass
        return self.problem is None and is_reached.is_set()

    def close(self, seconds: float) -> None:
        """Wait at most `seconds` for the remaining calls, drop those that are not made by then, and end the thread."""
        if not self.wait(seconds) and self.problem is None:
            self.problem = f"no answer within {seconds:g} seconds"
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            if self.problem is not None:
                continue
            try:
                call()
            except BaseException as error:  # some trackers raise SystemExit to end the process
                self.problem = describe_error(error)


def describe_error(error: BaseException) -> str:
    """Return the type and message of an error in one line of at most `_MAX_MESSAGE` characters, without passwords."""
    text = remove_passwords(" ".join(str(error).split()))
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return message if len(message) <= _MAX_MESSAGE else f"{message[: _MAX_MESSAGE - 3]}..."


def remove_passwords(text: str) -> str:
    """Remove user and password from addresses in a text."""
    return re.sub(r"://[^/@\s]+@", "://", text)
