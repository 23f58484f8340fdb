"""Number of training samples at a scale."""

import numpy as np


def count_at_scale(scale: float | int, samples: int, cover: int) -> int:
    """Return the number of samples that a scale takes from the start of a ranking.

    A fraction f takes round(f N) samples, half rounded up; a cap takes min(cap, N). Both take at least the cover.

    Args:
        scale: fraction of the samples in (0, 1] if it is a float, cap on their number if it is an integer.
        samples: number N of samples in the ranking.
        cover: number of samples from its start that have each class at least once, from `count_cover`.
    """
    # Not round(): it rounds half to even, so that 2.5 samples would be 2 and 3.5 samples 4.
    scaled = min(scale, samples) if isinstance(scale, int) else int(np.floor(scale * samples + 0.5))
    return max(scaled, cover)
