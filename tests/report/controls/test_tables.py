"""Tests of random groupings: planted effects are detected, and random groupings appear in no other chapter."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.report.sweeps import FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.report.build import build_report
from usaggr.report.controls.tables import CONTROL_COLUMNS, Control, _average_over_tasks, make_controls
from usaggr.report.tables import Tables, make_tables
from usaggr.results.spec import RunSpec
from usaggr.sweep.planning.controls import draw_groupings
from usaggr.sweep.planning.grouping import Grouping, GroupingConfig
from usaggr.tasks import CATALOGUE

TASKS = ("breast_lesion", "breast_2cls", "fetal_femur", "fetal_head", "FUGC", "lung", "lung_2cls")
CLINICAL = {
    "breast": ("breast_2cls", "breast_lesion"),
    "obstetrics": ("FUGC", "fetal_femur", "fetal_head"),
    "lung": ("lung", "lung_2cls"),
}


def sweep_of(folder: Path, draws: int, gain: float, any_gain: float = 0.0) -> FakeSweep:
    """Write a sweep whose clinical groups gain `gain` skill per task, and other blocks of several tasks `any_gain`."""
    config = GroupingConfig(like="clinical", draws=draws)
    drawn = {g.name: g for g in draw_groupings("random", config, Grouping("clinical", CLINICAL))}
    assert len(drawn) == draws

    def score(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        more = gain if block in CLINICAL.values() else any_gain if len(block) > 1 else 0.0
        noise = np.random.default_rng([seed, TASKS.index(task), len(block)]).normal(0, 0.002)
        return level(CATALOGUE[task], 0.5 + more + noise)

    sweep = FakeSweep(
        folder,
        tasks=TASKS,
        groupings=("task_specific", "clinical", *drawn),
        partitions={name: grouping.blocks for name, grouping in drawn.items()},
        controls=dict.fromkeys(drawn, "clinical"),
    )
    return sweep.finish(score)


def tables_of(sweep: FakeSweep) -> Tables:
    return make_tables(collect([sweep.directory]))


def real(controls: tuple[Control, ...], task: str = "") -> Control:
    (row,) = [row for row in controls if not row.drawn and row.task == task]
    return row


def test_a_taxonomy_that_gains_is_above_all_random_groupings(tmp_path: Path) -> None:
    controls = tables_of(sweep_of(tmp_path / "study", draws=20, gain=0.2)).compute(make_controls)
    mean = real(controls)
    assert (mean.draws, mean.beaten) == (20, 20)
    assert mean.p == pytest.approx(1 / 21)
    assert mean.low < mean.delta_skill < mean.high
    assert mean.delta_skill == pytest.approx(0.2, abs=0.02)
    drawn = [row for row in controls if row.drawn and not row.task]
    assert len(drawn) == 20
    assert all(row.delta_skill < 0.15 for row in drawn)
    for task in TASKS:
        assert real(controls, task).delta_skill == pytest.approx(0.2, abs=0.05)


def test_a_gain_that_any_grouping_has_is_not_the_taxonomys(tmp_path: Path) -> None:
    controls = tables_of(sweep_of(tmp_path / "study", draws=10, gain=0.1, any_gain=0.1)).compute(make_controls)
    mean = real(controls)
    assert mean.delta_skill == pytest.approx(0.1, abs=0.02)
    assert mean.p > 0.05
    assert mean.p == pytest.approx((1 + 10 - (mean.beaten or 0)) / 11)


def test_a_task_alone_in_a_random_grouping_counts_as_no_difference(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", draws=1, gain=0.2)
    sweep.partitions["random_1"] = {
        "a": ("FUGC", "fetal_head"),
        **{t: (t,) for t in TASKS if t not in ("FUGC", "fetal_head")},
    }
    sweep.finish(lambda task, block, scale, seed: level(CATALOGUE[task], 0.5 + 0.07 * (len(block) - 1)))
    controls = tables_of(sweep).compute(make_controls)
    drawn = {row.task: row.delta_skill for row in controls if row.drawn}
    assert drawn["lung"] == 0.0
    assert drawn["FUGC"] == pytest.approx(0.07, abs=0.02)
    assert drawn[""] == pytest.approx((drawn["FUGC"] + drawn["fetal_head"]) / 7)


def test_an_interval_around_exactly_zero_is_scaled_to_all_tasks(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", draws=1, gain=0.0)
    sweep.partitions["random_1"] = {
        "a": ("breast_2cls", "fetal_head"),
        **{t: (t,) for t in TASKS if t not in ("breast_2cls", "fetal_head")},
    }
    # A gain of one task and an equal loss of the other in each seed: a mean of 0, up to rounding.
    change = {"breast_2cls": 0.1, "fetal_head": -0.1}

    def score(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        more = change.get(task, 0.0) + (0.05, 0.0, -0.05)[seed] if block == ("breast_2cls", "fetal_head") else 0.0
        return level(CATALOGUE[task], 0.5 + more)

    sweep.finish(score)
    controls = tables_of(sweep).comparison.controls
    assert controls is not None
    (line,) = (line for line in controls.summary if line.grouping == "random_1" and line.scale == 1.0)
    cells = [cell for cell in controls.get_main_verdicts("base", 1.0) if cell.grouping == "random_1"]
    # Sums of floats rarely cancel exactly; where they do, the ratio of the two means is 0 / 0.
    mean = _average_over_tasks(cells, controls.collection.tasks, replace(line, delta_skill=0.0))
    assert mean.high == pytest.approx(line.skill_high * 2 / 7)
    assert mean.high > 1e-3


def test_a_random_grouping_without_its_runs_is_missing_and_not_counted(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", draws=3, gain=0.2)
    lost = {block for block in sweep.partitions["random_2"].values() if len(block) > 1}

    def skip(run: RunSpec) -> bool:
        return run.tasks in lost

    again = FakeSweep(
        tmp_path / "holes", TASKS, groupings=sweep.groupings, partitions=sweep.partitions, controls=sweep.controls
    )
    again.finish(lambda task, block, scale, seed: level(CATALOGUE[task], 0.5), skip)
    controls = tables_of(again).compute(make_controls)
    mean = real(controls)
    assert (mean.draws, mean.note) == (2, "2 of 3 draws")
    (missing,) = [row for row in controls if row.grouping == "random_2" and not row.task]
    assert missing.note == "missing"
    assert np.isnan(missing.delta_skill)


@pytest.mark.usefixtures("undrawn")
def test_random_groupings_appear_only_in_their_own_chapter_and_in_scores(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", draws=5, gain=0.2)
    report = build_report([sweep.directory])
    controls = pd.read_csv(report / "tables" / "controls.csv")
    assert tuple(controls.columns) == CONTROL_COLUMNS
    for name in ("comparison", "summary"):
        assert set(pd.read_csv(report / "tables" / f"{name}.csv")["grouping"]) <= {"task_specific", "clinical"}
    scores = pd.read_csv(report / "tables" / "scores.csv")
    assert {f"random_{i}" for i in range(1, 6)} < set(scores["grouping"])
    assert not scores.duplicated(["run_id", "grouping", "task", "metric"]).any()
    text = (report / "report.md").read_text()
    before, chapter = text.split("## Taxonomy or number of tasks")
    assert "random_" not in before
    assert (
        "CG is better than each of the 5 random groupings of the same sizes, but so few are no proof (p = .17; "
        in chapter
    )
    assert "at least 20 random groupings are needed for .05)" in chapter
    assert "5 random groupings for CG (one model per clinical group)" in chapter
    assert "random_1" not in chapter.split("\n## ")[0]
    assert (report / "figures" / "controls.png").exists()


@pytest.mark.usefixtures("without_figures")
def test_a_study_without_controls_has_no_such_chapter(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", TASKS[:3]).finish(lambda task, *_: level(CATALOGUE[task], 0.5))
    (sweep.directory / "groupings.yaml").unlink()  # as an older version left it
    report = build_report([sweep.directory])
    assert not (report / "tables" / "controls.csv").exists()
    assert "Taxonomy or number" not in (report / "report.md").read_text()


def test_folders_with_controls_are_joined(tmp_path: Path) -> None:
    first, second = (sweep_of(tmp_path / name / "study", draws=4, gain=0.2) for name in ("a", "b"))
    joined = make_tables(collect([first.directory, second.directory]))
    assert real(joined.compute(make_controls)).draws == 4
