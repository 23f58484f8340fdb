"""Tests of cells and their notes if seeds, values or the reference are missing."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.report.sweeps import CATALOGUE, FakeSweep, Scorer, level
from usaggr.analysis.collect import collect
from usaggr.analysis.compare_study import StudyComparison, compare_study
from usaggr.metrics.names import METRICS
from usaggr.results.spec import RunSpec

PAIR = ("task_specific", "clinical")
"""Groupings of a study that compares one grouping at one scale, so that no variance is pooled."""


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], 0.3 + 0.1 * len(block) + 0.05 * seed * len(block))


def compared(sweep: FakeSweep) -> StudyComparison:
    return compare_study(collect([sweep.directory]))


def cell(table: pd.DataFrame, task: str, grouping: str, metric: str) -> dict[str, Any]:
    matches = table[(table["task"] == task) & (table["grouping"] == grouping) & (table["metric"] == metric)]
    (row,) = matches.to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_the_reference_is_not_compared_with_itself(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", groupings=("clinical", "task_specific", "unified"), reference="clinical")
    table = compared(sweep.finish(scorer)).verdict_table
    assert set(table["grouping"]) == {"task_specific", "unified"}
    # The opposite of a task-specific reference: here two tasks share a model in the reference.
    assert cell(table, "breast_lesion", "task_specific", "dsc")["delta"] == pytest.approx(-0.6 * (0.1 + 0.05))


def test_differences_of_scores_and_distances_agree_with_hand_computation(tmp_path: Path) -> None:
    """Skill is .4 .45 .5 alone and .5 .6 .7 in a pair: differences .1 .15 .2, mean .15, standard deviation .05."""
    table = compared(FakeSweep(tmp_path / "study", groupings=PAIR).finish(scorer)).verdict_table
    half = 4.302652729911275 * 0.05 / 3**0.5  # t(0.975; 2)
    dsc = cell(table, "breast_lesion", "clinical", "dsc")
    assert (dsc["reference_mean"], dsc["mean"], dsc["delta"]) == pytest.approx((0.67, 0.76, 0.09))
    assert (dsc["delta_low"], dsc["delta_high"]) == pytest.approx((0.09 - 0.6 * half, 0.09 + 0.6 * half))
    assert dsc["relative"] == pytest.approx(0.09 / 0.67)
    hd = cell(table, "breast_lesion", "clinical", "hd")
    assert (hd["reference_mean"], hd["mean"], hd["delta"]) == pytest.approx((55.0, 40.0, 15.0))
    assert (hd["delta_low"], hd["delta_high"]) == pytest.approx((15 - 100 * half, 15 + 100 * half))
    assert hd["relative"] == pytest.approx(15 / 55)
    assert dsc["delta_skill"] == hd["delta_skill"] == pytest.approx(0.15)


def test_means_are_over_the_seeds_of_both_sides(tmp_path: Path) -> None:
    def skip(run: RunSpec) -> bool:
        return (run.block, run.seed) in {("unified", 0), ("breast_lesion", 2)}

    row = cell(
        compared(FakeSweep(tmp_path / "study").finish(scorer, skip)).verdict_table, "breast_lesion", "unified", "dsc"
    )
    assert (row["reference_mean"], row["mean"]) == pytest.approx((0.4 + 0.6 * 0.45, 0.4 + 0.6 * 0.75))
    assert row["delta"] == pytest.approx(row["mean"] - row["reference_mean"])
    assert (row["seeds"], row["note"]) == (1, "no predictions; weak; 1 of 3 seeds")
    assert pd.isna(row["delta_low"])
    assert pd.isna(row["df"])


def test_without_a_common_seed_there_are_means_but_no_difference(tmp_path: Path) -> None:
    def skip(run: RunSpec) -> bool:
        return (run.block == "unified" and run.seed > 0) or (run.block == "breast_lesion" and run.seed == 0)

    row = cell(
        compared(FakeSweep(tmp_path / "study").finish(scorer, skip)).verdict_table, "breast_lesion", "unified", "dsc"
    )
    assert row["mean"] == pytest.approx(0.4 + 0.6 * 0.6)
    assert row["reference_mean"] == pytest.approx(0.4 + 0.6 * 0.475)
    assert pd.isna(row["delta"])
    assert row["note"] == "0 of 3 seeds"


def test_a_cell_without_finished_runs_keeps_its_row(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    table = compared(sweep).verdict_table
    assert len(table) == 2 * sum(len(METRICS[CATALOGUE[task].type]) for task in sweep.tasks)
    assert table["delta"].isna().all()
    assert cell(table, "breast_lesion", "clinical", "dsc")["note"] == "0 of 3 seeds"
    assert cell(table, "fetal_femur", "clinical", "mre")["note"] == "same run; 0 of 3 seeds"


def test_a_reference_of_zero_has_no_relative_change(tmp_path: Path) -> None:
    def perfect_alone(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(CATALOGUE[task], 1.0 if len(block) == 1 else 0.9)

    comparison = compared(FakeSweep(tmp_path / "study").finish(perfect_alone))
    mre = cell(comparison.verdict_table, "fetal_femur", "unified", "mre")
    assert mre["delta"] == pytest.approx(-10.0)
    assert pd.isna(mre["relative"])
    assert "the reference's mean is 0" in mre["note"]
    assert comparison.summary_table.set_index("grouping").loc["unified", "tasks"] == 2


def test_remarks_of_either_side_are_in_the_note_once(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", subjects=3)
    sweep.write_plan()
    for run, _ in sweep.runs():
        notes = {"breast_2cls": ["AUC over 1 of 2 classes"]} if "breast_2cls" in run.tasks else {}
        sweep.write_run(run, {task: scorer(task, run.tasks, 1.0, run.seed) for task in run.tasks}, notes=notes)
    table, few = compared(sweep).verdict_table, "too few: 3 independent test subjects"
    assert cell(table, "breast_2cls", "unified", "auc")["note"] == f"{few}; AUC over 1 of 2 classes"
    assert cell(table, "breast_2cls", "unified", "mcc")["note"] == few
    assert cell(table, "fetal_femur", "clinical", "mre")["note"] == f"same run; {few}"


def test_variants_are_compared_within_themselves(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", variants={"base": [], "slow": ["training.learning_rate=1e-4"]})
    sweep.write_plan()
    for run, _ in sweep.runs():
        lift = 0.2 if run.variant == "slow" else 0.0
        sweep.write_run(run, {t: level(CATALOGUE[t], lift + 0.1 * len(run.tasks)) for t in run.tasks})
    table = compared(sweep).verdict_table
    unified = table[(table["grouping"] == "unified") & (table["metric"] == "dsc")]
    assert unified["variant"].tolist() == ["base", "slow"]
    assert unified["delta"].to_numpy() == pytest.approx([0.6 * 0.2] * 2)
    assert unified["reference_mean"].to_numpy() == pytest.approx([0.46, 0.58])


@pytest.mark.parametrize(("skill", "beats"), [(0.2, True), (0.0, False), (-0.2, False)])
def test_a_cell_states_whether_it_is_better_than_the_trivial_predictor(
    tmp_path: Path, skill: float, beats: bool
) -> None:
    flat: Scorer = lambda task, block, scale, seed: level(CATALOGUE[task], skill)  # noqa: E731
    cells = compared(FakeSweep(tmp_path / "study").finish(flat)).cells
    assert {cell.beats_trivial for cell in cells} == {beats}
    assert [cell.skill for cell in cells] == pytest.approx([skill] * len(cells))


def test_cells_without_a_score_are_not_compared_with_the_trivial_predictor(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study")
    sweep.write_plan()
    assert {cell.beats_trivial for cell in compared(sweep).cells} == {None}
