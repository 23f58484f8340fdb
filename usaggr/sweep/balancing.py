"""Whether the way of balancing tasks that a study asks for can be computed here. A plan asks, so no torch."""

import importlib.util

from usaggr.config import GRADIENT_BALANCING, TrainingConfig
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
