"""`usaggr.load`: the model of a finished run. Imports torch only when it is called."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usaggr.inference.loaded_model import Model


def load(run: "str | os.PathLike[str]", device: str = "auto") -> "Model":
    """Return the model of a finished run, to predict with.

    Args:
        run: its folder, such as outputs/demo/runs/NAME; trained with training.keep_weights=scored.
        device: auto (a GPU, where there is one), cpu or cuda.

    Raises:
        RunError: no finished run, or its weights are not there or do not fit.
        ConfigError: no such device.
    """
    from usaggr.inference import loaded_model  # torch, which takes seconds to import

    return loaded_model.load(run, device)
