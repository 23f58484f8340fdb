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


def smallest_difference(
    seed_sd: float,
    subject_sd: float,
    residual_sd: float,
    seeds: int,
    subjects: int,
    level: float,
    power: float = 0.8,
    seed_df: float | None = None,
) -> float:
    """The smallest true difference that is found to be certain (two-sided, at `level`) with a power.

    Chance in the estimate of the seeds' variance is taken into account, as there are few of them; that of the subjects'
    is not. With one seed the difference is that which test sampling alone lets through.

    Args:
        seed_sd: standard deviation between seeds of the difference over all subjects.
        subject_sd: between subjects, of the difference over all seeds.
        residual_sd: of a subject's difference in one run.
        seeds: K, at least 1.
        subjects: C, at least 2.
        level: for a family of m cells its level over m, as in Holm's first step.
        power: in (0.5, 1).
        seed_df: degrees of freedom of the seeds' variance where it is pooled; None: K - 1.
    """
    from scipy import special

    by_seed = (seed_sd**2 + residual_sd**2 / subjects) / seeds if seeds > 1 else 0.0
    by_subject = subject_sd**2 / subjects if seeds > 1 else (subject_sd**2 + residual_sd**2) / subjects
    total = by_seed + by_subject
    if total == 0:
        return 0.0
    df = (seeds - 1 if seed_df is None else seed_df) if seeds > 1 else 1.0
    # Quantiles of what the seeds' mean square may come out as, relative to its expectation.
    chance = np.asarray(special.chdtri(df, 1 - (np.arange(_NODES) + 0.5) / _NODES) / df, dtype=float)
    shape = np.zeros(_NODES)
    seen = Estimate(shape, by_seed * chance, shape + by_subject, shape + df, shape + subjects - 1)
    needed = seen.critical(1 - level) * seen.se
    low, high = 0.0, float(needed.max() + 10 * np.sqrt(total))
    for _ in range(60):
        middle = (low + high) / 2
        found = float(np.mean(special.ndtr((middle - needed) / np.sqrt(total))))
        low, high = (low, middle) if found > power else (middle, high)
    return (low + high) / 2


_NODES = 400
