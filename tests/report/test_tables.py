"""Tests of tables of fake sweeps with known numbers, against sums calculated by hand."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.report.sweeps import FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.analysis.observations import SCORE_COLUMNS
from usaggr.analysis.summary import SUMMARY_COLUMNS
from usaggr.analysis.verdict_table import COMPARISON_COLUMNS
from usaggr.errors import RunError
from usaggr.report.build import build_report
from usaggr.report.tables import Tables, make_tables
from usaggr.tasks import CATALOGUE

SKILL = {1: [0.50, 0.52, 0.57], 2: [0.60, 0.58, 0.70], 3: [0.40, 0.45, 0.41]}
"""Skill of each seed, by number of tasks in the block."""


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], SKILL[len(block)][seed])


@pytest.fixture
def sweep(tmp_path: Path) -> FakeSweep:
    return FakeSweep(tmp_path / "study").finish(scorer)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Return the tables of a sweep like `sweep`, made once."""
    return tables_of(FakeSweep(tmp_path_factory.mktemp("tables") / "study").finish(scorer).directory)


def tables_of(*directories: Path) -> Tables:
    return make_tables(collect(directories))


def cell(tables: Tables, task: str, grouping: str, metric: str) -> pd.Series:
    table = tables.comparison.verdict_table
    (row,) = table[(table.task == task) & (table.grouping == grouping) & (table.metric == metric)].index
    return table.loc[row]


@pytest.mark.usefixtures("without_figures")
def test_the_columns_are_those_of_the_contract(sweep: FakeSweep) -> None:
    report = build_report([sweep.directory])
    for name, columns in (
        ("scores", SCORE_COLUMNS),
        ("comparison", COMPARISON_COLUMNS),
        ("summary", SUMMARY_COLUMNS),
    ):
        assert list(pd.read_csv(report / "tables" / f"{name}.csv").columns) == list(columns)
    assert COMPARISON_COLUMNS[-4:] == ("n_subjects", "seeds_needed", "verdict", "note")


def test_a_difference_is_paired_by_seed_with_a_t_interval(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", groupings=("task_specific", "clinical")).finish(scorer)
    row = cell(tables_of(sweep.directory), "breast_lesion", "clinical", "dsc")
    ours, reference = 0.4 + 0.6 * np.array(SKILL[2]), 0.4 + 0.6 * np.array(SKILL[1])
    oracle = stats.ttest_rel(ours, reference).confidence_interval(0.95)
    assert row.delta == pytest.approx((ours - reference).mean())
    assert (row.delta_low, row.delta_high) == pytest.approx((oracle.low, oracle.high))
    assert row.relative == pytest.approx((ours - reference).mean() / reference.mean())
    assert (row.df, row.seeds, row.reference_mean) == (pytest.approx(2), 3, pytest.approx(reference.mean()))
    assert row.delta_skill == pytest.approx(np.mean(SKILL[2]) - np.mean(SKILL[1]))


def test_positive_is_better_where_lower_is_better(tables: Tables) -> None:
    row = cell(tables, "fetal_femur", "unified", "mre")
    expected = 100 * (np.mean(SKILL[3]) - np.mean(SKILL[1]))
    assert row.delta == pytest.approx(expected)
    assert row.delta < 0
    assert row["mean"] > row.reference_mean


def test_a_block_that_is_the_references_run_is_only_counted_as_the_same(tables: Tables) -> None:
    row = cell(tables, "fetal_femur", "clinical", "mre")  # alone in its clinical group here
    assert np.isnan(row.delta)
    assert row.note == "same run"
    summary = tables.comparison.summary_table.set_index("grouping")
    assert (summary.loc["clinical", "tasks"], summary.loc["clinical", "same"]) == (2, 1)


def test_delta_m_is_the_mean_relative_change_of_main_metrics_over_the_tasks_counted(tables: Tables) -> None:
    summary = tables.comparison.summary_table.set_index("grouping")
    ts = {"up": 0.4 + 0.6 * np.mean(SKILL[1]), "down": 100 * (1 - np.mean(SKILL[1]))}
    gain = np.mean(SKILL[3]) - np.mean(SKILL[1])
    relative = [0.6 * gain / ts["up"], 0.6 * gain / ts["up"], 100 * gain / ts["down"]]
    assert summary.loc["unified", "delta_m"] == pytest.approx(np.mean(relative))
    assert summary.loc["unified", "delta_skill"] == pytest.approx(gain)
    assert summary.loc["unified", "low"] < summary.loc["unified", "delta_m"] < summary.loc["unified", "high"]
    assert summary.loc["unified", "missing"] == 0
    assert summary.loc["task_specific", "parameters"] == 3 * 1010


@pytest.mark.usefixtures("without_figures")
def test_missing_and_failed_runs_are_missing_values_with_a_count(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.finish(scorer, skip=lambda run: run.block == "unified" and run.seed == 1)
    failed = next(run for run, _ in sweep.runs() if run.block == "unified" and run.seed == 1)
    sweep.write_failure(failed, "the training loss is nan\n\nTraceback ...")
    tables = tables_of(sweep.directory)
    row = cell(tables, "breast_lesion", "unified", "dsc")
    finished = [0, 2]
    assert row.seeds == 2
    assert row.delta == pytest.approx(
        0.6 * (np.mean(np.take(SKILL[3], finished)) - np.mean(np.take(SKILL[1], finished)))
    )
    assert "2 of 3 seeds" in row.note
    assert tables.comparison.summary_table.set_index("grouping").loc["unified", "missing"] == 1
    missing = tables.scores[(tables.scores.run_id == failed.run_id)]
    assert set(missing.status) == {"failed"}
    assert missing.value.isna().all()
    text = (build_report([sweep.directory]) / "report.md").read_text()
    assert "the training loss is nan" in text
    assert not re.search(r"\bnan\b", text.lower().replace("loss is nan", ""))


def test_with_one_seed_there_is_a_difference_and_no_interval(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", seeds=(0,)).finish(scorer)
    row = cell(tables_of(sweep.directory), "breast_lesion", "clinical", "dsc")
    assert row.delta == pytest.approx(0.06)
    assert np.isnan(row.delta_low)


def test_few_test_subjects_are_noted(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", subjects=4).finish(scorer)
    assert (
        "too few: 4 independent test subjects"
        in cell(tables_of(sweep.directory), "breast_2cls", "clinical", "auc").note
    )


def test_folders_of_one_study_are_joined_whichever_has_a_run(tmp_path: Path, tables: Tables) -> None:
    first = FakeSweep(tmp_path / "first" / "study").finish(scorer, skip=lambda run: run.seed == 2)
    second = FakeSweep(tmp_path / "second" / "study").finish(scorer, skip=lambda run: run.seed != 2)
    joined = tables_of(first.directory, second.directory)
    pd.testing.assert_frame_equal(joined.comparison.verdict_table, tables.comparison.verdict_table)
    pd.testing.assert_frame_equal(joined.comparison.summary_table, tables.comparison.summary_table)


@pytest.mark.parametrize("key", ["content_hash", "split_hash"])
def test_folders_of_other_data_or_another_split_are_not_joined(tmp_path: Path, sweep: FakeSweep, key: str) -> None:
    other = FakeSweep(tmp_path / "other", **{key: "e" * 64}).finish(scorer)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="split" if key == "split_hash" else "data"):
        tables_of(sweep.directory, other.directory)


def test_a_run_is_found_by_its_fingerprint_and_one_that_is_not_planned_is_left_out(
    sweep: FakeSweep, tables: Tables
) -> None:
    runs = sweep.directory / "runs"
    for path in list(runs.iterdir()):
        path.rename(runs / f"renamed-{path.name[-8:]}")
    stranger = sweep.spec("stranger", sweep.tasks, 0.5, 7)
    sweep.write_run(stranger, {t: level(CATALOGUE[t], 0.99) for t in sweep.tasks})
    pd.testing.assert_frame_equal(tables_of(sweep.directory).comparison.verdict_table, tables.comparison.verdict_table)


@pytest.mark.usefixtures("without_figures")
def test_a_result_that_cannot_be_read_is_a_failed_run_with_its_reason(sweep: FakeSweep) -> None:
    (path,) = (sweep.directory / "runs").glob("unified-s1-k0-*")
    (path / "result.json").write_text("{")
    tables = tables_of(sweep.directory)
    assert set(tables.scores[tables.scores.run_id == path.name].status) == {"failed"}
    assert "cannot be read" in (build_report([sweep.directory]) / "report.md").read_text()


def test_the_order_of_the_plan_does_not_matter(sweep: FakeSweep, tables: Tables) -> None:
    def backwards(lines: list[list[object]]) -> list[list[object]]:
        return lines[::-1]

    sweep.write_plan(backwards)
    after = tables_of(sweep.directory)
    keys = ["task", "grouping", "metric"]
    pd.testing.assert_frame_equal(
        tables.comparison.verdict_table.sort_values(keys, ignore_index=True),
        after.comparison.verdict_table.sort_values(keys, ignore_index=True),
    )


def test_a_report_is_built_without_finished_runs(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    assert "**0 of 15 planned runs are finished" in (build_report([sweep.directory]) / "report.md").read_text()


@pytest.mark.usefixtures("without_figures")
def test_a_report_takes_the_place_of_the_old_one(sweep: FakeSweep) -> None:
    report = build_report([sweep.directory])
    (report / "old.txt").write_text("old")
    build_report([sweep.directory])
    assert not (report / "old.txt").exists()
    assert {path.name for path in report.iterdir()} == {"index.html", "report.md", "tables", "figures"}


@pytest.mark.usefixtures("without_figures")
def test_text_from_data_cannot_break_a_table(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", data={"skipped": ["a.csv, line 3 | <b>x</b>\nnext"]}).finish(scorer)
    text = (build_report([sweep.directory]) / "report.md").read_text()
    assert "<b>x</b>" not in text


@pytest.mark.parametrize("name", ["plan.csv", "data.json", "study.yaml"])
def test_a_folder_without_results_is_refused(sweep: FakeSweep, name: str) -> None:
    (sweep.directory / name).unlink()
    with pytest.raises(RunError, match=name):
        build_report([sweep.directory])
