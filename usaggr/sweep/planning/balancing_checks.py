"""Checks of a study's balancing and sampling, before anything is trained.

Planning runs them, so this module must not import torch.
"""

import importlib.util

from usaggr.config.study import GRADIENT_BALANCING, TrainingConfig
from usaggr.errors import ConfigError

PACKAGES = ("torchjd", "quadprog", "qpsolvers")
"""Modules of the extra `torchjd`: the balancing methods, and the solvers that the method `upgrad` needs."""


def check_balancing(training: TrainingConfig) -> None:
    """Check that the packages that `training.balancing` needs are installed.

    Raises:
        ConfigError: a package is missing.
    """
    if training.balancing not in GRADIENT_BALANCING:
        return
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"training.balancing={training.balancing} needs the package {package}: pip install usaggr[torchjd]"
            )


def check_sampling(training: TrainingConfig, grouping: str) -> None:
    """Check that a staged grouping trains at equal exposure (`training.sampling=equal`).

    Its two stages divide each task's stream. Other kinds of sampling give streams other lengths in each stage.

    Raises:
        ConfigError: `training.sampling` is not `equal`.
    """
    if training.sampling != "equal":
        raise ConfigError(
            f"training.sampling={training.sampling}: must be equal with the staged grouping {grouping}, whose stages "
            "divide each task's stream; remove the grouping, or put it into a separate study"
        )
