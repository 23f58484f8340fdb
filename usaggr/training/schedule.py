"""The learning rate over a run: a function of progress, not of steps, so that it is the same for every run length."""

import math


def rate_factor(progress: float, warmup: float) -> float:
    """Factor on the learning rate: a linear rise over `warmup`, then half a cosine down to 0.

    Args:
        progress: how much of the run is done, in [0, 1].
        warmup: fraction of the run with a rising rate, in [0, 1).
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
