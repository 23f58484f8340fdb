"""`usaggr.load`: returns the model of a finished run. Imports torch only when it is called."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usaggr.inference.loaded_model import Model


def load(run: "str | os.PathLike[str]", device: str = "auto") -> "Model":
    """Return the model of a finished run, to predict with.

    Args:
        run: Folder of the run, such as outputs/demo/runs/NAME, with kept weights (training.keep_weights).
        device: cpu, cuda, or auto (a GPU if there is one).

    Raises:
        RunError: The run is not finished, or its weights are missing or do not fit.
        ConfigError: The device does not exist.
    """
    from usaggr.inference import loaded_model  # imports torch, which takes seconds

    return loaded_model.load(run, device)
