"""Comparisons of groupings over tasks: ranks, signed ranks, probability of improvement, rate of negative transfer.

These are descriptive: tasks are not a sample of a population of tasks, and under a shared model their scores come from
one run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.holm import holm

Array = NDArray[np.float64]

FEWEST_TASKS = 6
"""Smallest number of tasks for a test: with fewer, no signed-rank test reaches p < .05, and chi-square fits poorly."""
_DIGITS = 12
"""Decimals to which scores are rounded; scores that are equal then are ties."""


@dataclass(frozen=True)
class FriedmanTest:
    """Friedman's test of groupings over tasks."""

    statistic: float
    """Chi-square with groupings - 1 degrees of freedom, corrected for ties; NaN with a reason."""
    p: float
    ranks: Array
    """(G,) mean rank of each grouping, 1 the best."""
    tasks: int
    reason: str = ""
    """Reason why there is no test; empty otherwise."""


@dataclass(frozen=True)
class PairTest:
    """Wilcoxon's signed-rank test of two groupings over tasks."""

    first: int
    """Index of the first grouping."""
    second: int
    """Index of the second grouping."""
    better: int
    """Number of tasks on which the second grouping is better than the first."""
    worse: int
    """Number of tasks on which it is worse."""
    ties: int
    """Number of tasks on which both are equal, such as tasks with the same run; the test leaves them out."""
    median: float
    """Median of the differences, second - first, with ties; NaN without a task."""
    statistic: float
    """Sum of the ranks of the differences in favor of the second."""
    p: float
    """Exact two-sided p value; NaN with a reason."""
    p_adjusted: float
    """P value adjusted by Holm over the tested pairs."""
    reason: str = ""


@dataclass(frozen=True)
class Improvement:
    """Probability that a random run of a grouping beats a random run of the reference, mean over tasks."""

    value: float
    low: float
    """Lower bound; both bounds are NaN with one seed, or if seeds do not differ in how often they win."""
    high: float
    tasks: int
    seeds: int


@dataclass(frozen=True)
class Rate:
    """Share of cells with its Wilson interval; NaN without cells."""

    value: float
    low: float
    high: float


def friedman(scores: ArrayLike) -> FriedmanTest:
    """Compute Friedman's test (J Am Stat Assoc 1937) of groupings over tasks, with the correction for ties.

    Args:
        scores: (T tasks, G groupings) scores; higher is better.
    """
    from scipy import special

    values = np.round(np.asarray(scores, dtype=float), _DIGITS)
    tasks, groupings = values.shape
    ranks = np.apply_along_axis(_rank_values, 1, -values) if tasks else np.empty((0, groupings))
    means = ranks.mean(axis=0) if tasks else np.full(groupings, np.nan)
    reason = ""
    if groupings < 3:
        reason = "fewer than three groupings"
    elif tasks < FEWEST_TASKS:
        reason = f"{tasks} tasks, at least {FEWEST_TASKS} are needed"
    # Ties make the sum of squares of the ranks smaller; dividing by the observed one is the correction.
    middle = (groupings + 1) / 2
    sum_of_squares = float(((ranks - middle) ** 2).sum())
    if not reason and sum_of_squares == 0:
        reason = "all groupings are equal on all tasks"
    if reason:
        return FriedmanTest(np.nan, np.nan, means, tasks, reason)
    statistic = (groupings - 1) * tasks * float(((means - middle) ** 2).sum()) * tasks / sum_of_squares
    return FriedmanTest(statistic, float(special.chdtrc(groupings - 1, statistic)), means, tasks)


def wilcoxon_pairs(scores: ArrayLike) -> tuple[PairTest, ...]:
    """Compute Wilcoxon's signed-rank test of each pair of groupings over tasks, adjusted by Holm.

    Args:
        scores: (T tasks, G groupings) scores in a unit that tasks share, such as skill; higher is better.
    """
    values = np.asarray(scores, dtype=float)
    pairs = list(combinations(range(values.shape[1]), 2))
    differences = [np.round(values[:, second] - values[:, first], _DIGITS) for first, second in pairs]
    tests = [signed_rank(difference) for difference in differences]
    adjusted = holm([p for _, p in tests])
    return tuple(
        PairTest(
            *pair,
            better=int((difference > 0).sum()),
            worse=int((difference < 0).sum()),
            ties=int((difference == 0).sum()),
            median=float(np.median(difference)) if difference.size else np.nan,
            statistic=statistic,
            p=p,
            p_adjusted=float(p_adjusted),
            reason=_explain_too_few(int(np.count_nonzero(difference))),
        )
        for pair, difference, (statistic, p), p_adjusted in zip(pairs, differences, tests, adjusted, strict=True)
    )


def signed_rank(differences: ArrayLike) -> tuple[float, float]:
    """Return Wilcoxon's signed-rank statistic and its exact two-sided p value.

    The statistic is the sum of the ranks of positive differences. Zero differences are left out, and tied ones have
    mean ranks. The distribution is that of all signs given these ranks, so that it is exact with ties too. p is NaN
    with fewer than FEWEST_TASKS differences that are not zero.

    Args:
        differences: (T,) differences, one per task.
    """
    values = np.asarray(differences, dtype=float)
    values = values[values != 0]
    # Mean ranks are multiples of 1/2. Doubled, they are integers, whose sums index an array.
    doubled = np.rint(2 * _rank_values(np.abs(values))).astype(int)
    total, observed = int(doubled.sum()), int(doubled[values > 0].sum())
    if _explain_too_few(values.size):
        return observed / 2, np.nan
    probability = np.zeros(total + 1)  # of each sum of positive ranks
    probability[0] = 1.0
    for rank in doubled:
        with_rank = np.zeros_like(probability)
        with_rank[rank:] = probability[: total + 1 - rank]
        probability = (probability + with_rank) / 2
    extreme = min(observed, total - observed)
    return observed / 2, float(min(1.0, 2 * probability[: extreme + 1].sum()))


def estimate_probability_of_improvement(scores: ArrayLike, references: ArrayLike, confidence: float) -> Improvement:
    """Return the mean over tasks of P(score of a random seed > score of a random seed of the reference).

    Ties count as a half (Agarwal et al., NeurIPS 2021, section 4.3). Their bootstrap over seeds has too low coverage
    with three seeds. Here the variance is that of the seeds' placements (DeLong et al., Biometrics 1988). Placements
    are summed over tasks and over both groupings, because a seed is the same draw of samples in both, and one run may
    serve several tasks. The interval, with Student's t, covers other seeds: other draws of training samples and initial
    weights, on the same tasks and test subjects.

    Args:
        scores: (T tasks, K seeds) scores; higher is better.
        references: (T, K) scores of the reference, for the same seeds in the same order.
        confidence: confidence of the interval, in (0, 1).

    Raises:
        ValueError: there is no task or no seed, or the shapes differ.
    """
    from scipy import special

    rounded, reference = (np.round(np.asarray(values, dtype=float), _DIGITS) for values in (scores, references))
    if rounded.shape != reference.shape or not rounded.size:
        raise ValueError("need scores of the same tasks and seeds, at least one")
    tasks, seeds = rounded.shape
    is_win = rounded[:, :, None] > reference[:, None, :]
    wins = is_win + 0.5 * (rounded[:, :, None] == reference[:, None, :])
    value = float(wins.mean())
    placements = wins.mean(axis=(0, 2)) + wins.mean(axis=(0, 1)) - value
    se = float(placements.std(ddof=1)) / np.sqrt(seeds) if seeds > 1 else 0.0
    if se < 1e-9 or not 0 < value < 1:
        return Improvement(value, np.nan, np.nan, tasks, seeds)
    # On the logit scale the distribution is more symmetric near 0 and 1 (Pepe 2003): coverage 94 to 97, not 92 to 96 %.
    half_width = -float(special.stdtrit(seeds - 1, (1 - confidence) / 2)) * se / (value * (1 - value))
    low, high = special.expit(special.logit(value) + np.array([-half_width, half_width]))
    return Improvement(value, float(low), float(high), tasks, seeds)


def estimate_negative_transfer(verdicts: Sequence[str], confidence: float) -> Rate:
    """Return losses as a share of the cells with a verdict, with Wilson's interval (J Am Stat Assoc 1927).

    The interval assumes independent cells. Cells of one shared run are not independent, so it is descriptive.

    Args:
        verdicts: verdict of each cell; empty without one.
        confidence: confidence of the interval, in (0, 1).
    """
    judged = [verdict for verdict in verdicts if verdict]
    return wilson(sum(verdict == "loss" for verdict in judged), len(judged), confidence)


def wilson(successes: int, trials: int, confidence: float) -> Rate:
    """Return the share of successes with Wilson's score interval.

    Args:
        successes: number of successes.
        trials: number of trials; with 0, all values are NaN.
        confidence: confidence of the interval, in (0, 1).
    """
    from scipy import special

    if trials == 0:
        return Rate(np.nan, np.nan, np.nan)
    z = -float(special.ndtri((1 - confidence) / 2))
    share, weight = successes / trials, z**2 / trials
    center = (share + weight / 2) / (1 + weight)
    half_width = np.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return Rate(share, max(0.0, float(center - half_width)), min(1.0, float(center + half_width)))


def _explain_too_few(differences: int) -> str:
    """Return why there are too few tasks that differ; empty if there are enough."""
    if differences >= FEWEST_TASKS:
        return ""
    return f"{differences} tasks differ, at least {FEWEST_TASKS} are needed"


def _rank_values(values: Array) -> Array:
    """Return ranks from 1, with mean ranks for ties."""
    _, groups, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[groups], dtype=float)
