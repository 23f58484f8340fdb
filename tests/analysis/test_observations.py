"""Tests of the long table: a row for every planned result, finished or not, in an order independent of the files."""

import csv
import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.observations import Observation, observe
from usaggr.analysis.row_tables import make_table
from usaggr.metrics.names import METRICS


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], 0.1 * len(block) + 0.07 * seed + 0.2 * scale)


def observed(sweep: FakeSweep) -> pd.DataFrame:
    return make_table(Observation, observe(collect([sweep.directory])), Observation._fields)


def test_there_is_one_row_per_run_task_grouping_and_metric(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", scales=(0.25, 1.0)).finish(scorer)
    table = observed(sweep)
    metrics = sum(len(METRICS[CATALOGUE[task].type]) for task in sweep.tasks)
    assert len(table) == metrics * 3 * 2 * 3  # groupings, scales, seeds
    assert not table.duplicated(["run_id", "grouping", "task", "metric"]).any()


def test_a_run_of_two_groupings_has_rows_in_each(tmp_path: Path) -> None:
    table = observed(FakeSweep(tmp_path / "study").finish(scorer))
    alone = table[(table["task"] == "fetal_femur") & (table["grouping"] != "unified") & (table["seed"] == 0)]
    assert alone["run_id"].nunique() == 1
    assert set(alone["grouping"]) == {"task_specific", "clinical"}


def test_unfinished_runs_have_rows_without_values(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", scales=(0.25, 1.0))
    table = observed(sweep.finish(scorer, skip=lambda run: run.block == "unified" or run.scale == 0.25))
    missing = table[table["status"] == "pending"]
    assert len(table) - len(missing) == int(table["value"].notna().sum()) > 0
    assert set(missing["n_test"]) == {24}
    # Finished runs of other groupings give the count, except at the scale without finished runs.
    assert set(missing.loc[missing["scale"] == 1.0, "n_train"]) == {100}
    assert missing.loc[missing["scale"] == 0.25, "n_train"].isna().all()


def test_an_undefined_metric_is_an_empty_value_of_a_finished_run(tmp_path: Path) -> None:
    def without_auc(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return {name: value for name, value in scorer(task, block, scale, seed).items() if name != "auc"}

    table = observed(FakeSweep(tmp_path / "study").finish(without_auc))
    assert set(table["status"]) == {"done"}
    assert set(table.loc[table["value"].isna(), "metric"]) == {"auc"}


def test_a_remark_that_starts_with_a_metric_concerns_only_that_metric(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", tasks=("breast_2cls",), groupings=("task_specific",), seeds=(0,))
    sweep.write_plan()
    ((run, _),) = sweep.runs()
    notes = {"breast_2cls": ["AUC over 1 of 2 classes", "drawn by hand"]}
    sweep.write_run(run, {"breast_2cls": scorer("breast_2cls", run.tasks, 1.0, 0)}, notes=notes)
    remarks = observed(sweep).set_index("metric")["remarks"]
    assert remarks["auc"] == ("AUC over 1 of 2 classes", "drawn by hand")
    assert remarks["accuracy"] == ("drawn by hand",)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FakeSweep:
    sweep = FakeSweep(tmp_path_factory.mktemp("order") / "study", scales=(0.25, 1.0), seeds=(0, 1))
    return sweep.finish(scorer, skip=lambda run: (run.block, run.seed) == ("unified", 1))


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_neither_the_order_of_rows_nor_the_names_of_folders_change_a_table(
    finished: FakeSweep, tmp_path: Path, data: st.DataObject
) -> None:
    before = compare_study(collect([finished.directory]))
    directory = tmp_path / "study"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(finished.directory, directory)
    with (directory / "plan.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    with (directory / "plan.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *data.draw(st.permutations(lines))])
    folders = data.draw(st.permutations(sorted((directory / "runs").iterdir())))
    for i, folder in enumerate(folders):
        folder.rename(directory / "runs" / f"r{i}")
    after = compare_study(collect([directory]))
    # Values that are not numbers are NaN, so that tables are compared, in which NaN equals NaN.
    first, second = (make_table(Observation, result.observations, Observation._fields) for result in (before, after))
    pd.testing.assert_frame_equal(second, first)
    for name in ("cell_table", "verdict_table", "summary_table"):
        pd.testing.assert_frame_equal(getattr(after, name), getattr(before, name))
