"""Statistics of groupings over all tasks: Friedman's test, pairs, probability of improvement, negative transfer.

All are descriptive (see statistics/rank_tests.py), on the skill of each type's main metric.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.compare_study import Scale, StudyComparison
from usaggr.analysis.observations import Observation
from usaggr.analysis.row_tables import group_rows, make_table
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.rank_tests import (
    Improvement,
    estimate_negative_transfer,
    estimate_probability_of_improvement,
    friedman,
    wilcoxon_pairs,
)

_SKILL_COLUMNS = ("task", "grouping", "seed", "skill")
_NO_IMPROVEMENT = Improvement(np.nan, np.nan, np.nan, tasks=0, seeds=0)
"""Result for a grouping without a seed that all tasks have under both groupings."""


@dataclass(frozen=True)
class FriedmanRow:
    """Friedman's test of equal ranks of all groupings, at one scale, under one variant."""

    scale: Scale
    """Fraction of each task's training samples, or their maximum number."""
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
    """Reason for no test; empty if there is one."""
    ranks: Mapping[str, float]
    """Mean rank of each grouping over tasks, by name; 1 is best, NaN if there is no test."""


@dataclass(frozen=True)
class PairRow:
    """Wilcoxon's signed-rank test of two groupings over tasks, at one scale, under one variant."""

    scale: Scale
    """Fraction of each task's training samples, or their maximum number."""
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
    """Median over tasks of the difference in skill, second minus first; NaN without a task."""
    statistic: float
    """Sum of the ranks of the differences in favor of the second; NaN if there is no test."""
    p: float
    """Two-sided, exact p value of no difference; NaN if there is no test."""
    p_adjusted: float
    """`p` adjusted by Holm over the pairs of one scale and variant."""
    reason: str
    """Reason for no test; empty if there is one."""


@dataclass(frozen=True)
class ImprovementRow:
    """Probability that a grouping improves on the reference, and rate of losses, at one scale, under one variant."""

    scale: Scale
    """Fraction of each task's training samples, or their maximum number."""
    variant: str
    """Name of the variant of the study."""
    grouping: str
    """The grouping that is compared with the reference."""
    tasks: int
    """Number of tasks that have different runs under both."""
    seeds: int
    """Number of seeds that all of these tasks have under both."""
    probability: float
    """Probability that a random run of the grouping beats one of the reference, mean over tasks; NaN without runs."""
    low: float
    """Lower end of its interval over seeds; NaN without one."""
    high: float
    """Upper end of the interval."""
    losses: int
    """Number of cells with the verdict loss."""
    judged: int
    """Number of cells with any verdict."""
    negative_transfer: float
    """`losses` over `judged`; NaN without a verdict."""
    negative_low: float
    """Lower end of Wilson's interval of `estimate_negative_transfer`."""
    negative_high: float
    """Upper end of the interval."""


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
    """Describe the groupings over all tasks, for each variant and scale (see `describe_across_tasks`)."""
    return describe_across_tasks(comparison.observations, comparison.verdicts, comparison.study)


def describe_across_tasks(
    observations: Sequence[Observation], verdicts: Sequence[CellVerdict], study: StudyFacts
) -> AcrossTasks:
    """Describe the groupings over all tasks, for each variant and scale.

    Ranks and signed ranks are over the tasks that have a seed finished under all groupings, and over these seeds only,
    so that all groupings are compared on the same seeds.

    Args:
        observations: Scores of all runs, from `observe`.
        verdicts: Verdicts, from `judge_cells`.
        study: The study, with its groupings in order and the reference.
    """
    tests: list[FriedmanRow] = []
    pairs: list[PairRow] = []
    gains: list[ImprovementRow] = []
    with_skill = [row for row in observations if row.main and not np.isnan(row.skill)]
    skills_by_setting = group_rows(with_skill, lambda row: (row.variant, row.scale))
    verdicts_by_setting = group_rows((row for row in verdicts if row.main), lambda row: (row.variant, row.scale))
    for variant in study.variants:
        for scale in study.scales:
            # As a data frame, because ranks need a table of tasks x groupings (pivot).
            skills = make_table(Observation, skills_by_setting.get((variant, scale), []), _SKILL_COLUMNS)
            scores = _average_skills(skills, study.groupings)
            tests.append(_test_ranks(scale, variant, scores))
            pairs += _test_pairs(scale, variant, scores)
            gains += _describe_improvements(
                scale, variant, skills, verdicts_by_setting.get((variant, scale), []), study
            )
    return AcrossTasks(tuple(tests), tuple(pairs), tuple(gains))


def _average_skills(skills: pd.DataFrame, groupings: tuple[str, ...]) -> pd.DataFrame:
    """Return skill as tasks x groupings, mean over the seeds that all groupings have."""
    # A seed that a grouping lacks is NaN in its row, and dropped for all groupings.
    wide = skills.pivot(index=["task", "seed"], columns="grouping", values="skill").reindex(columns=list(groupings))
    return wide.dropna().groupby(level="task", sort=False).mean()


def _test_ranks(scale: Scale, variant: str, scores: pd.DataFrame) -> FriedmanRow:
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


def _test_pairs(scale: Scale, variant: str, scores: pd.DataFrame) -> Iterator[PairRow]:
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


def _describe_improvements(
    scale: Scale, variant: str, skills: pd.DataFrame, verdicts: Sequence[CellVerdict], study: StudyFacts
) -> Iterator[ImprovementRow]:
    """Yield a row for each grouping except the reference.

    Args:
        scale: Scale of the skills and verdicts.
        variant: Variant of the skills and verdicts.
        skills: Table with _SKILL_COLUMNS, one row per task, grouping and seed.
        verdicts: Verdicts on the main metrics.
        study: The study, with its groupings in order and the reference.
    """
    for grouping in study.groupings:
        if grouping == study.reference:
            continue
        cells = [row for row in verdicts if row.grouping == grouping]
        # A task with the reference's own run can neither win nor lose.
        tasks = [row.task for row in cells if not row.same]
        improvement = _estimate_improvement(skills, grouping, tasks, study) or _NO_IMPROVEMENT
        names = [row.verdict for row in cells]
        rate = estimate_negative_transfer(names, study.confidence)
        yield ImprovementRow(
            scale=scale,
            variant=variant,
            grouping=grouping,
            tasks=improvement.tasks,
            seeds=improvement.seeds,
            probability=improvement.value,
            low=improvement.low,
            high=improvement.high,
            losses=sum(name == "loss" for name in names),
            judged=sum(name != "" for name in names),
            negative_transfer=rate.value,
            negative_low=rate.low,
            negative_high=rate.high,
        )


def _estimate_improvement(
    skills: pd.DataFrame, grouping: str, tasks: list[str], study: StudyFacts
) -> Improvement | None:  # fmt: skip
    """Return the probability of improvement over the seeds that all tasks have under both groupings.

    Args:
        skills: Table with _SKILL_COLUMNS, one row per task, grouping and seed.
        grouping: The grouping that is compared with the reference.
        tasks: Tasks that have different runs under both.
        study: The study, with its reference.

    Returns:
        The probability with its interval; None without a common task or seed.
    """
    compared = skills[skills["task"].isin(tasks)]
    by_seed, reference = (
        compared[compared["grouping"] == name].pivot(index="seed", columns="task", values="skill")
        for name in (grouping, study.reference)
    )
    shared = by_seed.columns.intersection(reference.columns)
    # One run may serve several tasks, so only seeds that all tasks have show how a seed's wins vary together.
    by_seed, reference = by_seed[shared].dropna(), reference[shared].dropna()
    seeds = by_seed.index.intersection(reference.index)
    if shared.empty or seeds.empty:
        return None
    scores, references = (table.loc[seeds].to_numpy(dtype=float).T for table in (by_seed, reference))
    return estimate_probability_of_improvement(scores, references, study.confidence)
