"""delta_m and its interval, holes and cost of a grouping over all tasks."""

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
"""Skill by seed."""
PAIR = ("task_specific", "unified")
"""One grouping is compared at one scale, so that no variance is pooled."""


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], float({1: ALONE, 2: ALONE + 0.1, 3: ALL}[len(block)][seed]))


def summary(sweep: FakeSweep, grouping: str) -> dict[str, Any]:
    table = make_tables(collect([sweep.directory])).comparison.summary_table
    (row,) = table[table["grouping"] == grouping].to_dict("records")
    return {str(name): value for name, value in row.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The summary of three groupings, all runs done, by grouping."""
    sweep = FakeSweep(tmp_path_factory.mktemp("summary") / "study").finish(scorer)
    return make_tables(collect([sweep.directory])).comparison.summary_table.set_index("grouping")


def relatives(seeds: list[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(3 tasks, seeds) first-order expansion of each task's relative change about both means, seed by seed, by hand."""
    own, reference = ALL[seeds], ALONE[seeds]
    rows = []
    for at, slope in ((0.4, 0.6), (0.4, 0.6), (100.0, -100.0)):
        a, r = at + slope * own, at + slope * reference
        change = (a - a.mean()) / r.mean() - a.mean() * (r - r.mean()) / r.mean() ** 2 + a.mean() / r.mean() - 1
        rows.append(change if slope > 0 else -change)
    return np.stack(rows)


def test_delta_m_and_its_interval_by_hand(tmp_path: Path) -> None:
    found = summary(FakeSweep(tmp_path / "study", groupings=PAIR).finish(scorer), "unified")
    per_seed = relatives([0, 1, 2]).mean(axis=0)
    half = stats.t.ppf(0.975, 2) * stats.sem(per_seed)
    assert found["tasks"] == 3
    assert found["delta_m"] == pytest.approx(per_seed.mean())
    assert (found["low"], found["high"]) == pytest.approx((per_seed.mean() - half, per_seed.mean() + half))
    assert found["delta_skill"] == pytest.approx((ALL - ALONE).mean())


def test_the_interval_rests_on_the_seeds_that_all_tasks_have(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", groupings=PAIR)
    sweep.finish(scorer, skip=lambda run: (run.block, run.seed) == ("breast_2cls", 2))
    found = summary(sweep, "unified")
    whole, partial = relatives([0, 1, 2]), relatives([0, 1])
    by_task = [partial[0].mean(), whole[1].mean(), whole[2].mean()]
    assert found["delta_m"] == pytest.approx(np.mean(by_task))
    per_seed = partial.mean(axis=0)
    half = stats.t.ppf(0.975, 1) * stats.sem(per_seed)
    assert found["high"] - found["low"] == pytest.approx(2 * half)


def test_one_seed_gives_no_interval(tmp_path: Path) -> None:
    found = summary(FakeSweep(tmp_path / "study", seeds=(1,)).finish(scorer), "unified")
    assert found["delta_m"] == pytest.approx(relatives([1]).mean())
    assert pd.isna(found["low"])
    assert pd.isna(found["high"])


def test_tasks_with_the_references_run_count_as_the_same_only(whole: pd.DataFrame) -> None:
    found = whole.loc["clinical"]
    assert (found["tasks"], found["same"]) == (2, 1)
    assert found["delta_m"] == pytest.approx(0.06 / (0.4 + 0.6 * ALONE.mean()))


def test_the_reference_has_a_row_for_its_cost(whole: pd.DataFrame) -> None:
    found = whole.loc["task_specific"]
    assert (found["tasks"], found["same"], found["parameters"]) == (0, 3, 3 * 1010)
    assert found["train_seconds"] == 90.0
    assert pd.isna(found["delta_m"])


def test_missing_runs_are_counted_and_leave_the_parameters_unknown(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study").finish(scorer, skip=lambda run: run.block == "breast_2cls" or run.seed == 2)
    table = make_tables(collect([sweep.directory])).comparison.summary_table.set_index("grouping")
    alone, unified = table.loc["task_specific"], table.loc["unified"]
    assert alone["missing"] == 3 + 2
    assert pd.isna(alone["parameters"])
    assert (unified["missing"], unified["parameters"], unified["train_seconds"]) == (1, 1030, 60.0)


def test_without_predictions_no_cell_has_a_verdict(whole: pd.DataFrame) -> None:
    found = whole.loc["unified"]
    assert [found[name] for name in ("gain", "no_loss", "loss", "undecided")] == [0, 0, 0, 0]
    assert found["no_verdict"] == 3
    assert pd.isna(found["negative_transfer"])


def test_verdicts_are_counted_and_with_the_others_make_up_all_tasks(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", spread=0.02, subjects=40).finish(scorer)
    table = (
        make_tables(collect([sweep.directory]))
        .comparison.summary_table.set_index("grouping")
        .loc[["clinical", "unified"]]
    )
    counted = table[["gain", "no_loss", "loss", "undecided", "same", "no_verdict"]].sum(axis=1)
    assert counted.tolist() == [3, 3]
    assert table["gain"].sum() > 0


def test_the_interval_covers_subjects_too(tmp_path: Path) -> None:
    """Of three tasks with subjects of their own, by hand, from the predictions that were written."""
    sweep = FakeSweep(tmp_path / "study", groupings=PAIR, spread=0.3, seeds=(0,)).finish(scorer)
    tables = make_tables(collect([sweep.directory]))
    where = (1.0, "base")
    variance = 0.0
    for task in sweep.tasks:
        metric = {"breast_lesion": "dsc", "breast_2cls": "auc", "fetal_femur": "mre"}[task]
        own = tables.comparison.pseudovalues.table(task, "unified", *where, metric, [0])[0]
        reference = tables.comparison.pseudovalues.table(task, "task_specific", *where, metric, [0])[0]
        change = own / reference.mean() - own.mean() * reference / reference.mean() ** 2
        variance += change.var(ddof=1) / change.size / 9
    found = tables.comparison.summary_table.set_index("grouping").loc["unified"]
    components = 3 * sweep.subjects
    half = stats.t.ppf(0.975, components - 1) * np.sqrt(variance)
    assert found["high"] - found["low"] == pytest.approx(2 * half)


def test_a_study_of_the_reference_alone_compares_nothing(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", groupings=("task_specific",)).finish(scorer)
    tables = make_tables(collect([sweep.directory]))
    assert tables.comparison.verdict_table.empty
    assert tables.comparison.summary_table["grouping"].tolist() == ["task_specific"]
