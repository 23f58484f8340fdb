"""What can be said over tasks: ranks, signed ranks, probability of improvement, rate of negative transfer.

Descriptive: tasks are no sample of a population of tasks, and under a shared model their scores come from one run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usaggr.statistics.holm import holm

Array = NDArray[np.float64]

FEWEST_TASKS = 6
"""With fewer, no signed-rank test can reach p < .05, and the chi-square of ranks is no fair approximation."""
_DIGITS = 12
"""Scores that differ by less are ties."""


@dataclass(frozen=True)
class FriedmanTest:
    """Whether groupings differ in their ranks over tasks."""

    statistic: float
    """Chi-square with groupings - 1 degrees of freedom, corrected for ties; NaN with a reason."""
    p: float
    ranks: Array
    """(G,) mean rank of each grouping, 1 the best."""
    tasks: int
    reason: str = ""
    """Why there is no test."""


@dataclass(frozen=True)
class PairTest:
    """Wilcoxon's signed-rank test of two groupings over tasks."""

    first: int
    second: int
    better: int
    """Tasks on which the second is better than the first."""
    worse: int
    ties: int
    """Tasks on which they are equal, as where both are the same run: left out of the test."""
    median: float
    """Of the differences, second - first, ties included; NaN without a task."""
    statistic: float
    """Sum of the ranks of the differences in favour of the second."""
    p: float
    """Two-sided, exact; NaN with a reason."""
    p_adjusted: float
    """By Holm, over the pairs that are tested."""
    reason: str = ""


@dataclass(frozen=True)
class Improvement:
    """How likely a random run of a grouping beats a random run of the reference, mean over tasks."""

    value: float
    low: float
    """NaN, as `high`, with one seed, or where seeds do not differ at all in what they win."""
    high: float
    tasks: int
    seeds: int


@dataclass(frozen=True)
class Rate:
    """A share of cells with its Wilson interval; NaN without cells."""

    value: float
    low: float
    high: float


def friedman(scores: ArrayLike) -> FriedmanTest:
    """Friedman's test (J Am Stat Assoc 1937) of groupings over tasks, with the correction for ties.

    Args:
        scores: (T tasks, G groupings) where higher is better.
    """
    from scipy import special

    values = np.round(np.asarray(scores, dtype=float), _DIGITS)
    tasks, groupings = values.shape
    ranks = np.apply_along_axis(_ranks, 1, -values) if tasks else np.empty((0, groupings))
    means = ranks.mean(axis=0) if tasks else np.full(groupings, np.nan)
    reason = ""
    if groupings < 3:
        reason = "fewer than three groupings"
    elif tasks < FEWEST_TASKS:
        reason = f"{tasks} tasks, at least {FEWEST_TASKS} are needed"
    middle = (groupings + 1) / 2
    spread = float(((ranks - middle) ** 2).sum())
    if not reason and spread == 0:
        reason = "all groupings are equal on all tasks"
    if reason:
        return FriedmanTest(np.nan, np.nan, means, tasks, reason)
    statistic = (groupings - 1) * tasks * float(((means - middle) ** 2).sum()) * tasks / spread
    return FriedmanTest(statistic, float(special.chdtrc(groupings - 1, statistic)), means, tasks)


def wilcoxon_pairs(scores: ArrayLike) -> tuple[PairTest, ...]:
    """Wilcoxon's signed-rank test of each pair of groupings over tasks, adjusted by Holm.

    Args:
        scores: (T tasks, G groupings), higher is better, in units that tasks share (skill).
    """
    values = np.asarray(scores, dtype=float)
    pairs = list(combinations(range(values.shape[1]), 2))
    differences = [np.round(values[:, second] - values[:, first], _DIGITS) for first, second in pairs]
    found = [signed_rank(difference) for difference in differences]
    adjusted = holm([p for _, p in found])
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
            reason=_too_few(int(np.count_nonzero(difference))),
        )
        for pair, difference, (statistic, p), p_adjusted in zip(pairs, differences, found, adjusted, strict=True)
    )


def signed_rank(differences: ArrayLike) -> tuple[float, float]:
    """Wilcoxon's signed-rank statistic (sum of the ranks of positive differences) and its exact two-sided p value.

    Zero differences are left out; tied ones have mean ranks, and the distribution is that of all signs given these
    ranks, so that it is exact with ties too. p is NaN with fewer than FEWEST_TASKS differences that are not zero.

    Args:
        differences: (T,)
    """
    values = np.asarray(differences, dtype=float)
    values = values[values != 0]
    # Mean ranks are halves: doubled, they are whole and their sums can be counted.
    doubled = np.rint(2 * _ranks(np.abs(values))).astype(int)
    total, observed = int(doubled.sum()), int(doubled[values > 0].sum())
    if _too_few(values.size):
        return observed / 2, np.nan
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(chance)
        moved[rank:] = chance[: total + 1 - rank]
        chance = (chance + moved) / 2
    extreme = min(observed, total - observed)
    return observed / 2, float(min(1.0, 2 * chance[: extreme + 1].sum()))


def probability_of_improvement(scores: ArrayLike, references: ArrayLike, confidence: float) -> Improvement:
    """Mean over tasks of P(score of a random seed > score of a random seed of the reference), ties counting a half.

    After Agarwal et al., NeurIPS 2021, section 4.3. Their bootstrap over seeds covers too little with three seeds; here
    the variance is that of the seeds' placements (DeLong et al., Biometrics 1988), summed over tasks and over both
    groupings, since a seed is the same draw of samples in both, and one run may serve several tasks. With Student's t
    the interval covers seeds: other draws of training samples and initial weights, on the same tasks and test subjects.

    Args:
        scores: (T tasks, K seeds), higher is better.
        references: (T, K), of the same seeds in the same order.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: no task or no seed, or different shapes.
    """
    from scipy import special

    own, other = (np.round(np.asarray(values, dtype=float), _DIGITS) for values in (scores, references))
    if own.shape != other.shape or not own.size:
        raise ValueError("scores of the same tasks and seeds are needed, at least one")
    tasks, seeds = own.shape
    wins = (own[:, :, None] > other[:, None, :]) + 0.5 * (own[:, :, None] == other[:, None, :])
    value = float(wins.mean())
    placements = wins.mean(axis=(0, 2)) + wins.mean(axis=(0, 1)) - value
    se = float(placements.std(ddof=1)) / np.sqrt(seeds) if seeds > 1 else 0.0
    if se < 1e-9 or not 0 < value < 1:
        return Improvement(value, np.nan, np.nan, tasks, seeds)
    # On the logit scale, where the distribution is more even near 0 and 1 (Pepe 2003): 94 to 97 % instead of 92 to 96.
    reach = -float(special.stdtrit(seeds - 1, (1 - confidence) / 2)) * se / (value * (1 - value))
    low, high = special.expit(special.logit(value) + np.array([-reach, reach]))
    return Improvement(value, float(low), float(high), tasks, seeds)


def negative_transfer(verdicts: Sequence[str], confidence: float) -> Rate:
    """Losses as a share of the cells with a verdict, with Wilson's interval (J Am Stat Assoc 1927).

    The interval takes cells as independent, which those of one shared run are not: it is a description.

    Args:
        verdicts: of cells; empty ones have no verdict.
        confidence: of the interval, in (0, 1).
    """
    judged = [verdict for verdict in verdicts if verdict]
    return wilson(sum(verdict == "loss" for verdict in judged), len(judged), confidence)


def wilson(successes: int, trials: int, confidence: float) -> Rate:
    """Share of successes with Wilson's score interval; NaN without trials."""
    from scipy import special

    if trials == 0:
        return Rate(np.nan, np.nan, np.nan)
    z = -float(special.ndtri((1 - confidence) / 2))
    share, weight = successes / trials, z**2 / trials
    centre = (share + weight / 2) / (1 + weight)
    half = np.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return Rate(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def _too_few(differences: int) -> str:
    if differences >= FEWEST_TASKS:
        return ""
    return f"{differences} tasks differ, at least {FEWEST_TASKS} are needed"


def _ranks(values: Array) -> Array:
    """Ranks from 1 on, mean ranks for ties."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places], dtype=float)
