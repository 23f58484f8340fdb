"""Tests of the summary of a grouping over all tasks: delta_m with its interval, missing runs and cost."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.report.tables import make_tables

ALONE, ALL = np.array([0.3, 0.35, 0.5]), np.array([0.42, 0.44, 0.46])
"""Skill by seed, alone and in the unified model."""
PAIR = ("task_specific", "unified")
"""Groupings of a study that compares one grouping at one scale, so that no variance is pooled."""


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], float({1: ALONE, 2: ALONE + 0.1, 3: ALL}[len(block)][seed]))


def summary(sweep: FakeSweep, grouping: str) -> dict[str, Any]:
    table = make_tables(collect([sweep.directory])).comparison.summary_table
    (row,) = table[table["grouping"] == grouping].to_dict("records")
    return {str(name): value for name, value in row.items()}


@pytest.fixture(scope="module")
def full_summary(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A summary of three groupings with all runs finished, by grouping."""
    sweep = FakeSweep(tmp_path_factory.mktemp("summary") / "study").finish(scorer)
    return make_tables(collect([sweep.directory])).comparison.summary_table.set_index("grouping")


def relatives(seeds: list[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Compute by hand the (3 tasks, seeds) first-order expansion of each relative change about both means."""
    unified, reference = ALL[seeds], ALONE[seeds]
    changes = []
    for offset, slope in ((0.4, 0.6), (0.4, 0.6), (100.0, -100.0)):
        a, r = offset + slope * unified, offset + slope * reference
        change = (a - a.mean()) / r.mean() - a.mean() * (r - r.mean()) / r.mean() ** 2 + a.mean() / r.mean() - 1
        changes.append(change if slope > 0 else -change)
    return np.stack(changes)


def test_delta_m_and_its_interval_agree_with_hand_computation(tmp_path: Path) -> None:
    line = summary(FakeSweep(tmp_path / "study", groupings=PAIR).finish(scorer), "unified")
    per_seed = relatives([0, 1, 2]).mean(axis=0)
    half = stats.t.ppf(0.975, 2) * stats.sem(per_seed)
    assert line["tasks"] == 3
    assert line["delta_m"] == pytest.approx(per_seed.mean())
    assert (line["low"], line["high"]) == pytest.approx((per_seed.mean() - half, per_seed.mean() + half))
    assert line["delta_skill"] == pytest.approx((ALL - ALONE).mean())


def test_the_interval_uses_the_seeds_that_all_tasks_have(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", groupings=PAIR)
    sweep.finish(scorer, skip=lambda run: (run.block, run.seed) == ("breast_2cls", 2))
    line = summary(sweep, "unified")
    complete, partial = relatives([0, 1, 2]), relatives([0, 1])
    by_task = [partial[0].mean(), complete[1].mean(), complete[2].mean()]
    assert line["delta_m"] == pytest.approx(np.mean(by_task))
    per_seed = partial.mean(axis=0)
    half = stats.t.ppf(0.975, 1) * stats.sem(per_seed)
    assert line["high"] - line["low"] == pytest.approx(2 * half)


def test_one_seed_gives_no_interval(tmp_path: Path) -> None:
    line = summary(FakeSweep(tmp_path / "study", seeds=(1,)).finish(scorer), "unified")
    assert line["delta_m"] == pytest.approx(relatives([1]).mean())
    assert pd.isna(line["low"])
    assert pd.isna(line["high"])


def test_tasks_with_the_references_run_count_only_as_the_same(full_summary: pd.DataFrame) -> None:
    line = full_summary.loc["clinical"]
    assert (line["tasks"], line["same"]) == (2, 1)
    assert line["delta_m"] == pytest.approx(0.06 / (0.4 + 0.6 * ALONE.mean()))


def test_the_reference_has_a_row_for_its_cost(full_summary: pd.DataFrame) -> None:
    line = full_summary.loc["task_specific"]
    assert (line["tasks"], line["same"], line["parameters"]) == (0, 3, 3 * 1010)
    assert line["train_seconds"] == 90.0
    assert pd.isna(line["delta_m"])


def test_missing_runs_are_counted_and_the_number_of_parameters_is_not_available(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study").finish(scorer, skip=lambda run: run.block == "breast_2cls" or run.seed == 2)
    table = make_tables(collect([sweep.directory])).comparison.summary_table.set_index("grouping")
    alone, unified = table.loc["task_specific"], table.loc["unified"]
    assert alone["missing"] == 3 + 2
    assert pd.isna(alone["parameters"])
    assert (unified["missing"], unified["parameters"], unified["train_seconds"]) == (1, 1030, 60.0)


def test_without_predictions_no_cell_has_a_verdict(full_summary: pd.DataFrame) -> None:
    line = full_summary.loc["unified"]
    assert [line[name] for name in ("gain", "no_loss", "loss", "undecided")] == [0, 0, 0, 0]
    assert line["no_verdict"] == 3
    assert pd.isna(line["negative_transfer"])


def test_counts_of_verdicts_and_of_tasks_without_one_add_up_to_all_tasks(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", spread=0.02, subjects=40).finish(scorer)
    table = (
        make_tables(collect([sweep.directory]))
        .comparison.summary_table.set_index("grouping")
        .loc[["clinical", "unified"]]
    )
    counted = table[["gain", "no_loss", "loss", "undecided", "same", "no_verdict"]].sum(axis=1)
    assert counted.tolist() == [3, 3]
    assert table["gain"].sum() > 0


def test_the_interval_includes_the_variance_between_subjects(tmp_path: Path) -> None:
    """Compute the variance by hand for three tasks without common subjects, from the written predictions."""
    sweep = FakeSweep(tmp_path / "study", groupings=PAIR, spread=0.3, seeds=(0,)).finish(scorer)
    tables = make_tables(collect([sweep.directory]))
    setting = (1.0, "base")
    variance = 0.0
    for task in sweep.tasks:
        metric = {"breast_lesion": "dsc", "breast_2cls": "auc", "fetal_femur": "mre"}[task]
        unified = tables.comparison.pseudovalues.get_table((task, "unified", *setting), metric, [0])[0]
        reference = tables.comparison.pseudovalues.get_table((task, "task_specific", *setting), metric, [0])[0]
        change = unified / reference.mean() - unified.mean() * reference / reference.mean() ** 2
        variance += change.var(ddof=1) / change.size / 9
    line = tables.comparison.summary_table.set_index("grouping").loc["unified"]
    components = 3 * sweep.subjects
    half = stats.t.ppf(0.975, components - 1) * np.sqrt(variance)
    assert line["high"] - line["low"] == pytest.approx(2 * half)


def test_a_study_of_the_reference_alone_compares_nothing(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", groupings=("task_specific",)).finish(scorer)
    tables = make_tables(collect([sweep.directory]))
    assert tables.comparison.verdict_table.empty
    assert tables.comparison.summary_table["grouping"].tolist() == ["task_specific"]


def test_a_task_with_most_of_the_variance_of_delta_m_is_named(tmp_path: Path) -> None:
    def uneven(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        noise = {"breast_lesion": 0.3}.get(task, 0.01) * [-1, 0, 1][seed] * (len(block) > 1)
        return level(CATALOGUE[task], 0.5 + noise)

    line = summary(FakeSweep(tmp_path / "uneven", groupings=PAIR).finish(uneven), "unified")
    assert line["dominant_task"] == "breast_lesion"
    assert 0.99 < line["dominant_share"] < 1


def test_of_two_tasks_or_without_a_variance_none_is_named(tmp_path: Path) -> None:
    two = FakeSweep(tmp_path / "two", tasks=("breast_lesion", "fetal_femur"), groupings=PAIR).finish(
        lambda task, block, scale, seed: level(CATALOGUE[task], 0.5 + 0.1 * seed * (task == "fetal_femur"))
    )
    constant = FakeSweep(tmp_path / "constant", groupings=PAIR).finish(
        lambda task, block, scale, seed: level(CATALOGUE[task], 0.5 + 0.1 * len(block))
    )
    for sweep in (two, constant):
        line = summary(sweep, "unified")
        assert line["dominant_task"] == ""
        assert np.isnan(line["dominant_share"])
