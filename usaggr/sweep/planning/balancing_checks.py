"""Whether what a study asks of balancing and sampling can be done here. A plan asks, so no torch."""

import importlib.util

from usaggr.config.study import GRADIENT_BALANCING, TrainingConfig
from usaggr.errors import ConfigError

PACKAGES = ("torchjd", "quadprog", "qpsolvers")
"""Modules that the extra brings: the methods, and what upgrad solves its quadratic programs with."""


def check_balancing(training: TrainingConfig) -> None:
    """See that the packages of `training.balancing` are there.

    Raises:
        ConfigError: one is missing.
    """
    if training.balancing not in GRADIENT_BALANCING:
        return
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"training.balancing={training.balancing} needs the package {package}: pip install usaggr[torchjd]"
            )


def check_sampling(training: TrainingConfig, grouping: str) -> None:
    """See that a staged grouping is asked for at equal exposure.

    Raises:
        ConfigError: its stages would be parts of streams that are dealt out anew in each of them.
    """
    if training.sampling != "equal":
        raise ConfigError(
            f"training.sampling={training.sampling}: equal with the staged grouping {grouping}, whose stages are parts "
            "of the tasks' own streams; leave it out, or put it into a study of its own"
        )
