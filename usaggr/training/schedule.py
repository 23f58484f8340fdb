"""Learning-rate schedule as a function of progress instead of steps, so that it is the same for every run length."""

import math


def compute_rate_factor(progress: float, warmup: float) -> float:
    """Return the factor on the peak learning rate: a linear rise during warm-up, then half a cosine down to 0.

    Args:
        progress: Fraction of the run that is done, in [0, 1].
        warmup: Fraction of the run with a rising rate, in [0, 1).
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
