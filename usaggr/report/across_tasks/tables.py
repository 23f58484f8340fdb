"""Groupings over all tasks: Friedman's test, pairs of groupings, probability of improvement and negative transfer.

All are descriptive (see statistics/rank_tests.py), on the skill of each type's main metric.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from usaggr.analysis.compare_study import Scale, StudyComparison
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.rank_tests import (
    Improvement,
    friedman,
    negative_transfer,
    probability_of_improvement,
    wilcoxon_pairs,
)

_NO_IMPROVEMENT = Improvement(np.nan, np.nan, np.nan, tasks=0, seeds=0)
"""Stands for a grouping without a seed that all tasks have under both."""


@dataclass(frozen=True)
class FriedmanRow:
    """Friedman's test that all groupings rank alike, at one scale, under one variant."""

    scale: Scale
    """Fraction of each task's training samples, or most of them."""
    variant: str
    """Name of the variant of the study."""
    tasks: int
    """Number of tasks that have a seed finished under all groupings."""
    groupings: int
    """Number of groupings that are ranked."""
    statistic: float
    """Chi-square, corrected for ties; NaN if there is no test."""
    df: int
    """Degrees of freedom of `statistic`."""
    p: float
    """P value of equal ranks; NaN if there is no test."""
    reason: str
    """Why there is no test; empty if there is one."""
    ranks: Mapping[str, float]
    """Mean rank of each grouping over tasks, by name; 1 is best, NaN if there is no test."""


@dataclass(frozen=True)
class PairRow:
    """Wilcoxon's signed-rank test of two groupings over tasks, at one scale, under one variant."""

    scale: Scale
    """Fraction of each task's training samples, or most of them."""
    variant: str
    """Name of the variant of the study."""
    first: str
    """The grouping that `second` is compared with."""
    second: str
    """The grouping that the counts and the median are about."""
    tasks: int
    """Number of tasks that have a seed finished under all groupings."""
    better: int
    """Number of tasks on which the second grouping has the higher skill."""
    worse: int
    """Number of tasks on which it has the lower skill."""
    ties: int
    """Number of tasks of equal skill, such as those with the same run under both."""
    median: float
    """Median over tasks of the difference in skill, second less first; NaN without a task."""
    statistic: float
    """Sum of the ranks of the differences in favor of the second; NaN if there is no test."""
    p: float
    """Two-sided, exact p value of no difference; NaN if there is no test."""
    p_adjusted: float
    """`p` adjusted by Holm over the pairs of one scale and variant."""
    reason: str
    """Why there is no test; empty if there is one."""


@dataclass(frozen=True)
class ImprovementRow:
    """How often a grouping improves on the reference and how often it harms, at one scale, under one variant."""

    scale: Scale
    """Fraction of each task's training samples, or most of them."""
    variant: str
    """Name of the variant of the study."""
    grouping: str
    """The grouping that is compared with the reference."""
    tasks: int
    """Number of tasks that have runs of their own under both."""
    seeds: int
    """Number of seeds that all of these tasks have under both."""
    probability: float
    """Probability that a random run of the grouping beats one of the reference, mean over tasks; NaN without runs."""
    low: float
    """Lower end of its interval over seeds; NaN without one."""
    high: float
    """Upper end of it."""
    losses: int
    """Number of cells with the verdict loss."""
    judged: int
    """Number of cells with any verdict."""
    negative_transfer: float
    """`losses` over `judged`; NaN without a verdict."""
    negative_low: float
    """Lower end of Wilson's interval of `negative_transfer`."""
    negative_high: float
    """Upper end of it."""


@dataclass(frozen=True)
class AcrossTasks:
    """Descriptions of the groupings over all tasks."""

    friedman: tuple[FriedmanRow, ...]
    """A row for each variant and scale."""
    pairwise: tuple[PairRow, ...]
    """A row for each variant, scale and pair of groupings."""
    improvement: tuple[ImprovementRow, ...]
    """A row for each variant, scale and grouping except the reference."""


def make_across(comparison: StudyComparison) -> AcrossTasks:
    """Describe the groupings over all tasks, for each variant and scale (see `across_tasks`)."""
    return across_tasks(comparison.observations, comparison.verdict_table, comparison.study)


def across_tasks(observations: pd.DataFrame, comparison: pd.DataFrame, study: StudyFacts) -> AcrossTasks:
    """Describe the groupings over all tasks, for each variant and scale.

    Ranks and signed ranks are over the tasks that have a seed finished under all groupings, and over these seeds alone,
    so that no grouping has luckier ones.

    Args:
        observations: from `observe`.
        comparison: from `judge_cells`.
        study: its groupings, in order, and reference.
    """
    tests: list[FriedmanRow] = []
    pairs: list[PairRow] = []
    gains: list[ImprovementRow] = []
    main = observations[observations["main"] & observations["skill"].notna()]
    parts = dict(iter(main.groupby(["variant", "scale"], sort=False)))
    cells = comparison[comparison["main"]]
    for variant in study.variants:
        for scale in study.scales:
            rows = parts.get((variant, scale), main.iloc[:0])
            scores = _mean_skills(rows, study.groupings)
            tests.append(_friedman(scale, variant, scores))
            pairs += _pairs(scale, variant, scores)
            chosen = cells[(cells["variant"] == variant) & (cells["scale"] == scale)]
            gains += _improvements(scale, variant, rows, chosen, study)
    return AcrossTasks(tuple(tests), tuple(pairs), tuple(gains))


def _mean_skills(rows: pd.DataFrame, groupings: tuple[str, ...]) -> pd.DataFrame:
    """Tasks x groupings, mean over the seeds that all groupings have."""
    wide = rows.pivot(index=["task", "seed"], columns="grouping", values="skill").reindex(columns=list(groupings))
    return wide.dropna().groupby(level="task", sort=False).mean()


def _friedman(scale: Scale, variant: str, scores: pd.DataFrame) -> FriedmanRow:
    test = friedman(scores.to_numpy(dtype=float))
    groupings = scores.shape[1]
    return FriedmanRow(
        scale=scale,
        variant=variant,
        tasks=test.tasks,
        groupings=groupings,
        statistic=test.statistic,
        df=groupings - 1,
        p=test.p,
        reason=test.reason,
        ranks={str(name): float(rank) for name, rank in zip(scores.columns, test.ranks, strict=True)},
    )


def _pairs(scale: Scale, variant: str, scores: pd.DataFrame) -> Iterator[PairRow]:
    for pair in wilcoxon_pairs(scores.to_numpy(dtype=float)):
        yield PairRow(
            scale=scale,
            variant=variant,
            first=str(scores.columns[pair.first]),
            second=str(scores.columns[pair.second]),
            tasks=len(scores),
            better=pair.better,
            worse=pair.worse,
            ties=pair.ties,
            median=pair.median,
            statistic=pair.statistic,
            p=pair.p,
            p_adjusted=pair.p_adjusted,
            reason=pair.reason,
        )


def _improvements(
    scale: Scale, variant: str, rows: pd.DataFrame, cells: pd.DataFrame, study: StudyFacts
) -> Iterator[ImprovementRow]:
    """Yield a row for each grouping except the reference.

    Args:
        scale: of the rows and cells.
        variant: of the rows and cells.
        rows: observations of the main metrics.
        cells: verdicts of the main metrics.
        study: its groupings, in order, and reference.
    """
    for grouping in study.groupings:
        if grouping == study.reference:
            continue
        of_grouping = cells[cells["grouping"] == grouping]
        tasks = of_grouping.loc[~of_grouping["same"], "task"].tolist()
        improvement = _improvement(rows, grouping, tasks, study) or _NO_IMPROVEMENT
        verdicts = of_grouping["verdict"].tolist()
        rate = negative_transfer(verdicts, study.confidence)
        yield ImprovementRow(
            scale=scale,
            variant=variant,
            grouping=grouping,
            tasks=improvement.tasks,
            seeds=improvement.seeds,
            probability=improvement.value,
            low=improvement.low,
            high=improvement.high,
            losses=sum(verdict == "loss" for verdict in verdicts),
            judged=sum(verdict != "" for verdict in verdicts),
            negative_transfer=rate.value,
            negative_low=rate.low,
            negative_high=rate.high,
        )


def _improvement(rows: pd.DataFrame, grouping: str, tasks: list[str], study: StudyFacts) -> Improvement | None:
    """Over the seeds that all tasks have under both; None without such."""
    known = rows[rows["task"].isin(tasks)]
    own, reference = (
        known[known["grouping"] == name].pivot(index="seed", columns="task", values="skill")
        for name in (grouping, study.reference)
    )
    shared = own.columns.intersection(reference.columns)
    own, reference = own[shared].dropna(), reference[shared].dropna()
    seeds = own.index.intersection(reference.index)
    if shared.empty or seeds.empty:
        return None
    scores, references = (side.loc[seeds].to_numpy(dtype=float).T for side in (own, reference))
    return probability_of_improvement(scores, references, study.confidence)
