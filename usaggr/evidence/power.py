"""How many seeds decide, and what differences can be decided: from the parts of a difference's variance."""

import numpy as np

from usaggr.evidence.crossed import Estimate

MOST_SEEDS = 1000
"""More seeds are no answer."""


def seeds_needed(estimate: Estimate, seeds: int, margin: float, level: float) -> int | None:
    """The smallest number of seeds at which the difference would be decided, if it and its variance stay what they are.

    Decided is: certainly not 0 at `level` (two-sided), or certainly above -margin at half of it. The subjects stay the
    same, so that no number of seeds may do: None, as for a single seed, which tells nothing of how seeds vary.

    Args:
        estimate: of one difference, positive where better.
        seeds: that it rests on.
        margin: of non-inferiority, above 0.
        level: of the two-sided test; for a family of m cells its level over m, as in Holm's first step.
    """
    if seeds < 2:
        return None
    more = np.arange(seeds + 1, MOST_SEEDS + 1)
    later = Estimate(
        np.full(more.shape, float(estimate.value)),
        float(estimate.seed_part) * seeds / more,
        np.full(more.shape, float(estimate.subject_part)),
        float(estimate.seed_df) * (more - 1) / (seeds - 1),
        np.full(more.shape, float(estimate.subject_df)),
    )
    low, high = later.interval(1 - level)
    decided = (low > 0) | (high < 0) | (low > -margin)
    return int(more[decided.argmax()]) if decided.any() else None
