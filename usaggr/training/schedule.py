"""Learning-rate schedule as a function of progress instead of steps, so that it is the same for every run length."""

import math


def compute_learning_rate_factor(progress: float, warmup: float) -> float:
    """Return the factor by which the peak learning rate is multiplied.

    It rises linearly from 0 to 1 during warm-up, then falls to 0 along half a period of a cosine.

    Args:
        progress: Fraction of the run that is done, in [0, 1].
        warmup: Fraction of the run with a rising rate, in [0, 1).
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
