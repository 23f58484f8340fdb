"""The tables over tasks: Friedman's test, pairs of groupings, probability of improvement and negative transfer.

All are descriptive (see evidence/across.py), on the skill of each type's main metric.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from usaggr.analysis.compare_study import StudyComparison
from usaggr.results.stored_study import StudyFacts
from usaggr.statistics.rank_tests import (
    Improvement,
    friedman,
    negative_transfer,
    probability_of_improvement,
    wilcoxon_pairs,
)

FRIEDMAN_COLUMNS = ("scale", "variant", "tasks", "groupings", "statistic", "df", "p", "reason")
"""Then `rank:<grouping>`, the mean rank of each grouping."""
PAIR_COLUMNS = (
    "scale", "variant", "first", "second", "tasks", "better", "worse", "ties", "median", "statistic", "p", "p_adjusted",
    "reason",
)  # fmt: skip
IMPROVEMENT_COLUMNS = (
    "scale", "variant", "grouping", "tasks", "seeds", "probability", "low", "high", "losses", "judged",
    "negative_transfer", "negative_low", "negative_high",
)  # fmt: skip


@dataclass(frozen=True)
class AcrossTasks:
    """Ready to be shown; p and what belongs to it are missing where `reason` says why."""

    friedman: pd.DataFrame
    """A row a variant and scale; FRIEDMAN_COLUMNS, then ranks: 1 is the best grouping."""
    pairwise: pd.DataFrame
    """A row a variant, scale and pair of groupings; PAIR_COLUMNS: `better`, `worse` and `ties` count tasks, `median` is
    that of the differences of skill, all of the second against the first."""
    improvement: pd.DataFrame
    """A row a variant, scale and grouping but the reference; IMPROVEMENT_COLUMNS: the probability that a random run of
    the grouping beats a random run of the reference, over the tasks that have runs of their own under both; losses
    among the cells with a verdict."""


def make_across(comparison: StudyComparison) -> AcrossTasks:
    """Describe the groupings over all tasks, for each variant and scale (see `across_tasks`)."""
    return across_tasks(comparison.observations, comparison.verdicts, comparison.study)


def across_tasks(observations: pd.DataFrame, comparison: pd.DataFrame, study: StudyFacts) -> AcrossTasks:
    """Describe the groupings over all tasks, for each variant and scale.

    Ranks and signed ranks are over the tasks that have a seed finished under all groupings, and over these seeds alone,
    so that no grouping has luckier ones.

    Args:
        observations: from `observe`.
        comparison: from `judge_cells`.
        study: its groupings, in order, and reference.
    """
    tests, pairs, gains = [], [], []
    main = observations[observations["main"] & observations["skill"].notna()]
    parts: dict[Any, pd.DataFrame] = dict(iter(main.groupby(["variant", "scale"], sort=False)))
    cells = comparison[comparison["main"]]
    for variant in study.variants:
        for scale in study.scales:
            where = {"scale": scale, "variant": variant}
            rows = parts.get((variant, scale), main.iloc[:0])
            scores = _mean_skills(rows, study.groupings)
            tests.append(where | _friedman(scores))
            pairs += [where | pair for pair in _pairs(scores)]
            chosen = cells[(cells["variant"] == variant) & (cells["scale"] == scale)]
            gains += [where | gain for gain in _improvements(rows, chosen, study)]
    ranks = [f"rank:{grouping}" for grouping in study.groupings]
    return AcrossTasks(
        _table(tests, (*FRIEDMAN_COLUMNS, *ranks)), _table(pairs, PAIR_COLUMNS), _table(gains, IMPROVEMENT_COLUMNS)
    )


def _mean_skills(rows: pd.DataFrame, groupings: tuple[str, ...]) -> pd.DataFrame:
    """Tasks x groupings, mean over the seeds that all groupings have."""
    wide = rows.pivot(index=["task", "seed"], columns="grouping", values="skill").reindex(columns=list(groupings))
    return wide.dropna().groupby(level="task", sort=False).mean()


def _friedman(scores: pd.DataFrame) -> dict[str, Any]:
    found = friedman(scores.to_numpy(dtype=float))
    ranks = {f"rank:{name}": float(rank) for name, rank in zip(scores.columns, found.ranks, strict=True)}
    groupings = scores.shape[1]
    facts = {"tasks": found.tasks, "groupings": groupings, "statistic": found.statistic, "df": groupings - 1}
    return {**facts, "p": found.p, "reason": found.reason, **ranks}


def _pairs(scores: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for pair in wilcoxon_pairs(scores.to_numpy(dtype=float)):
        names = {"first": scores.columns[pair.first], "second": scores.columns[pair.second], "tasks": len(scores)}
        counts = {"better": pair.better, "worse": pair.worse, "ties": pair.ties, "median": pair.median}
        test = {"statistic": pair.statistic, "p": pair.p, "p_adjusted": pair.p_adjusted, "reason": pair.reason}
        yield names | counts | test


def _improvements(rows: pd.DataFrame, cells: pd.DataFrame, study: StudyFacts) -> Iterator[dict[str, Any]]:
    for grouping in study.groupings:
        if grouping == study.reference:
            continue
        own = cells[cells["grouping"] == grouping]
        found = _improvement(rows, grouping, own.loc[~own["same"], "task"].tolist(), study)
        rate = negative_transfer(own["verdict"].tolist(), study.confidence)
        yield {
            "grouping": grouping,
            "tasks": 0 if found is None else found.tasks,
            "seeds": 0 if found is None else found.seeds,
            "probability": np.nan if found is None else found.value,
            "low": np.nan if found is None else found.low,
            "high": np.nan if found is None else found.high,
            "losses": int((own["verdict"] == "loss").sum()),
            "judged": int((own["verdict"] != "").sum()),
            "negative_transfer": rate.value,
            "negative_low": rate.low,
            "negative_high": rate.high,
        }


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


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns))
    counts = ("tasks", "groupings", "df", "better", "worse", "ties", "seeds", "losses", "judged")
    return table.astype({name: "Int64" for name in columns if name in counts})
