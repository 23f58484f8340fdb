"""usaggr: should my ultrasound tasks share one model? Experiment sweeps over ways of grouping tasks, with evidence."""

import os
from typing import TYPE_CHECKING

from usaggr.torchvision_ops import install

if TYPE_CHECKING:
    from usaggr.inference.model import Model

__version__ = "0.1.0"

install()


def load(run: "str | os.PathLike[str]", device: str = "auto") -> "Model":
    """The model of a finished run, to predict with.

    Args:
        run: its folder, such as outputs/demo/runs/NAME; trained with training.keep_weights=scored.
        device: auto (a GPU, where there is one), cpu or cuda.

    Raises:
        RunError: no finished run, or its weights are not there or do not fit.
        ConfigError: no such device.
    """
    from usaggr.inference import model  # torch, which takes seconds to import

    return model.load(run, device)
