"""Marks of simulated shares that miss the bound that is required of them."""

from scipy import stats

MOST_OVER = 1.3
"""Largest permitted ratio of an estimated share to its bound."""


def mark_share(hits: int, draws: int, bound: float) -> str:
    """Return "misses" if a share is above its bound, otherwise an empty text.

    A share passes if the lower end of its exact 95 % interval (Clopper and Pearson, Biometrika 1934) is not above the
    bound, and the estimate is not above MOST_OVER times the bound.

    Args:
        hits: Number of draws with the event.
        draws: Number of all draws, above 0.
        bound: Largest permitted share, in (0, 1).
    """
    low = float(stats.beta.ppf(0.025, hits, draws - hits + 1)) if hits else 0.0
    return "misses" if low > bound or hits / draws > MOST_OVER * bound else ""
