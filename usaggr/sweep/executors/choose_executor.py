"""Choice of a study's executor. The module of an executor is imported only if the study uses it."""

from typing import TYPE_CHECKING, assert_never

from usaggr.config.executor import LocalConfig, RayConfig, SlurmConfig
from usaggr.sweep.execution.jobs import Executor
from usaggr.tracking.record import list_modules_to_preload

if TYPE_CHECKING:
    from usaggr.config.study import StudyConfig


def make_executor(study: "StudyConfig") -> Executor:
    """Return the executor of a study, not yet started.

    Raises:
        ConfigError: A package that the executor needs is not installed.
    """
    config, accelerator = study.executor, study.training.accelerator
    match config:
        case SlurmConfig():
            from usaggr.sweep.executors.slurm.executor import SlurmExecutor

            return SlurmExecutor(config, accelerator)
        case RayConfig():
            from usaggr.sweep.executors.ray.executor import RayExecutor

            return RayExecutor(config, accelerator)
        case LocalConfig():
            from usaggr.sweep.executors.local.executor import LocalExecutor

            return LocalExecutor(config, accelerator, preload=list_modules_to_preload(study))
        case _:
            assert_never(config)
