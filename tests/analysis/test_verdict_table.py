"""Tests of verdicts and notes of cells with planted differences, through the files of a sweep."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.analysis.difference_intervals import moderate_by_metric
from usaggr.analysis.untested_cells import explain_scarcity
from usaggr.metrics.names import METRICS, get_metric
from usaggr.report.tables import Tables, make_tables
from usaggr.statistics.seeds_needed import count_seeds_needed
from usaggr.statistics.two_way_anova import estimate

TASKS = ("breast_lesion", "fetal_head", "thyroid_nodule_det", "fetal_femur")
PAIR = ("task_specific", "unified")


def sweep_of(
    folder: Path, differences: dict[str, float], noise: float = 0.003, spread: float = 0.02, **settings: Any
) -> FakeSweep:
    """Write a sweep in which sharing changes scores by an absolute difference (best value 1) or a relative one."""
    sweep = FakeSweep(
        folder, **{"tasks": TASKS, "groupings": PAIR, "subjects": 40, "frames": 1, "spread": spread, **settings}
    )
    rng = np.random.default_rng(0)
    jitter = {(task, size, seed): noise * rng.normal() for task in sweep.tasks for size in (1, 2) for seed in range(9)}

    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        scores = level(CATALOGUE[task], 0.7)
        lift = (differences.get(task, 0.0) if len(block) > 1 else 0.0) + jitter[task, min(len(block), 2), seed]
        return {
            name: value + lift if get_metric(name).higher_is_better else value * (1 - lift)
            for name, value in scores.items()
        }

    return sweep.finish(scorer)


def tables_of(sweep: FakeSweep) -> Tables:
    return make_tables(collect([sweep.directory]))


def main_cells(tables: Tables) -> pd.DataFrame:
    table = tables.comparison.verdict_table
    return table[table["main"]].set_index("task")


def test_planted_differences_get_their_verdicts(tmp_path: Path) -> None:
    planted = {"breast_lesion": 0.1, "fetal_head": -0.1, "thyroid_nodule_det": 0.0, "fetal_femur": -0.3}
    cells = main_cells(tables_of(sweep_of(tmp_path / "study", planted)))
    verdicts = {"breast_lesion": "gain", "fetal_head": "loss", "thyroid_nodule_det": "no_loss", "fetal_femur": "loss"}
    assert cells["verdict"].to_dict() == verdicts
    # 40 test subjects show no failure of 1 in 6 (40 / 6.1).
    notes = cells["note"].to_dict()
    assert notes.pop("thyroid_nodule_det") == "apart from failures rarer than 1 in 6"
    assert set(notes.values()) == {""}
    assert cells.loc["fetal_head", "margin"] == 0.02
    assert cells.loc["fetal_femur", "margin"] == pytest.approx(0.1 * cells.loc["fetal_femur", "reference_mean"])
    assert (cells["p"] <= cells["p_adjusted"]).all()
    assert (cells["p_ni"] <= cells["p_ni_adjusted"]).all()


def test_a_significant_loss_within_the_margin_is_small(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", {"breast_lesion": -0.009}, noise=0.0005, spread=0.002)
    cell = main_cells(tables_of(sweep)).loc["breast_lesion"]
    assert (cell["verdict"], cell["note"]) == ("no_loss", "apart from failures rarer than 1 in 6; small loss")
    assert cell["p_adjusted"] < 0.05
    assert cell["delta"] < 0


def test_an_undecided_cell_states_how_many_seeds_would_decide(tmp_path: Path) -> None:
    cells = main_cells(tables_of(sweep_of(tmp_path / "study", {"breast_lesion": 0.06}, noise=0.04, seeds=(0, 1, 2))))
    cell = cells.loc["breast_lesion"]
    assert cell["verdict"] == "undecided"
    assert cell["seeds_needed"] > 3


def test_the_seeds_needed_are_computed_at_the_level_of_the_first_step_of_holm(tmp_path: Path) -> None:
    """Three of the four tasks have predictions and are tested, so that the level is a third of 0.05."""
    sweep = sweep_of(tmp_path / "study", {"breast_lesion": 0.03}, noise=0.04)
    for path in sweep.directory.glob("runs/fetal_femur-*/predictions.parquet"):
        path.unlink()
    tables = tables_of(sweep)
    (key,) = [key for key in tables.comparison.differences if key[3:] == ("breast_lesion", "dsc")]
    difference = tables.comparison.differences[key]
    needed = [float(count_seeds_needed(difference.estimate, 3, 0.02, 0.05 / tests)) for tests in (1, 3, 4)]
    assert len(set(needed)) == 3
    assert main_cells(tables).loc["breast_lesion", "seeds_needed"] == needed[1]


def test_a_relative_margin_varies_with_the_reference(tmp_path: Path) -> None:
    """The margin of a distance is a fraction of an estimated mean: the test is of 1.5 x reference - own > 0."""
    report = {"report": {"relative_margin": 0.5}}
    comparison = tables_of(sweep_of(tmp_path / "study", {"fetal_femur": -0.2}, settings=report)).comparison
    (cell,) = [row for row in comparison.verdicts if row.main and row.task == "fetal_femur"]
    values, reference = (
        comparison.pseudovalues.get_table((cell.task, grouping, cell.scale, cell.variant), cell.metric, [0, 1, 2])
        for grouping in (cell.grouping, "task_specific")
    )
    assert cell.seeds == 3
    assert cell.p_ni == pytest.approx(float(estimate(1.5 * reference - values).compute_one_sided_p(0.0)))
    fixed = float(estimate(reference - values).compute_one_sided_p(-0.5 * reference.mean()))
    assert cell.p_ni != pytest.approx(fixed, rel=0.01)


def test_margins_are_read_from_the_configuration(tmp_path: Path) -> None:
    planted = {"breast_lesion": -0.05, "fetal_femur": -0.2}
    report = {"report": {"margin": 0.2, "relative_margin": 0.5}}
    cells = main_cells(tables_of(sweep_of(tmp_path / "study", planted, settings=report)))
    assert cells.loc[["breast_lesion", "fetal_femur"], "verdict"].tolist() == ["no_loss", "no_loss"]
    assert cells.loc["breast_lesion", "margin"] == 0.2
    # 40 test subjects are enough for a margin of .2 (6.1 x .7 / .2 = 22); a distance has no largest loss.
    notes = cells.loc[["breast_lesion", "fetal_femur"], "note"].tolist()
    assert notes == ["small loss", "apart from failures rarer than 1 in 6; small loss"]


def test_a_verdict_from_one_seed_is_provisional_and_gives_no_number_of_seeds(tmp_path: Path) -> None:
    planted = {"breast_lesion": 0.1, "fetal_head": 0.012}
    cells = main_cells(tables_of(sweep_of(tmp_path / "study", planted, seeds=(0,), spread=0.1)))
    assert cells.loc["breast_lesion", "verdict"] == "gain"
    assert cells.loc["breast_lesion", "note"] == "provisional"
    assert cells.loc["fetal_head", "verdict"] == "undecided"
    assert cells.loc["fetal_head", "note"] == "provisional; a second seed needed"
    assert pd.isna(cells.loc["fetal_head", "seeds_needed"])


@pytest.mark.parametrize(("seeds", "note"), [((0, 1), "provisional"), ((0, 1, 2), "")])
def test_a_verdict_from_two_seeds_is_provisional(tmp_path: Path, seeds: tuple[int, ...], note: str) -> None:
    planted = {"breast_lesion": 0.1, "fetal_head": -0.1}
    cells = main_cells(tables_of(sweep_of(tmp_path / "study", planted, seeds=seeds)))
    assert cells.loc[["breast_lesion", "fetal_head"], "verdict"].tolist() == ["gain", "loss"]
    assert cells.loc[["breast_lesion", "fetal_head"], "note"].tolist() == [note, note]


def test_if_subjects_cause_the_variance_more_of_them_are_needed(tmp_path: Path) -> None:
    cells = main_cells(tables_of(sweep_of(tmp_path / "study", {}, noise=0.0005, spread=0.4)))
    assert (cells["verdict"] == "undecided").any()
    undecided = cells[cells["verdict"] == "undecided"]
    assert (undecided["seeds_needed"].isna() == (undecided["note"] == "more subjects needed")).all()
    assert undecided["seeds_needed"].isna().any()


@pytest.mark.parametrize(
    ("subjects", "note"),
    [(9, "too few: 9 independent test subjects"), (12, "too few: 6 subjects in the rarer class")],
)
def test_few_subjects_give_no_verdict(tmp_path: Path, subjects: int, note: str) -> None:
    sweep = sweep_of(tmp_path / "study", {}, tasks=("breast_2cls", "breast_lesion"), subjects=subjects)
    cell = main_cells(tables_of(sweep)).loc["breast_2cls"]
    assert cell["verdict"] == ""
    assert note in cell["note"]
    assert pd.isna(cell["p"])
    assert pd.isna(cell["p_adjusted"])
    assert np.isfinite(cell["delta"])


def test_more_frames_do_not_replace_subjects(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", {}, tasks=("breast_lesion", "fetal_femur"), subjects=4, frames=5)
    tables = tables_of(sweep)
    (key,) = [key for key in tables.comparison.differences if key[3:] == ("breast_lesion", "dsc")]
    (row,) = [row for row in tables.comparison.verdicts if row.key == key]
    assert (row.n_subjects, row.n_test) == (4, 20)
    reference = ("breast_lesion", "task_specific", 1.0, "base")
    scarcity = explain_scarcity(
        row, tables.comparison.differences[key], tables.comparison.pseudovalues, reference, (0, 1, 2)
    )
    assert scarcity == "too few: 4 independent test subjects"


def test_the_same_run_has_no_verdict(tmp_path: Path) -> None:
    sweep = sweep_of(
        tmp_path / "study", {}, groupings=("task_specific", "clinical"), tasks=("breast_lesion", "fetal_femur")
    )
    cells = main_cells(tables_of(sweep))
    assert (cells["verdict"] == "").all()
    assert (cells["note"] == "same run").all()
    assert cells[["delta", "delta_skill", "p", "delta_low", "seeds_needed"]].isna().all(axis=None)


def test_a_score_close_to_the_trivial_predictors_is_noted_as_weak_and_keeps_its_verdict(tmp_path: Path) -> None:
    def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(CATALOGUE[task], 0.0001 + 0.001 * seed)

    sweep = FakeSweep(tmp_path / "study", tasks=TASKS, groupings=PAIR, subjects=40, frames=1, spread=0.2).finish(scorer)
    cells = main_cells(tables_of(sweep))
    assert cells["note"].str.contains("weak").all()
    assert (cells["verdict"] != "").all()


def test_only_the_main_metric_is_tested(tmp_path: Path) -> None:
    comparison = tables_of(sweep_of(tmp_path / "study", {"breast_lesion": 0.1})).comparison.verdict_table
    secondary = comparison[~comparison["main"]]
    assert set(secondary["metric"]) == {m.name for m in (*METRICS["segmentation"][1:], *METRICS["regression"][1:])}
    assert (secondary["verdict"] == "").all()
    assert secondary[["p", "p_adjusted", "p_ni", "p_ni_adjusted", "margin"]].isna().all(axis=None)
    assert secondary[["delta_low", "delta_high", "df"]].notna().all(axis=None)


Damage = Callable[[Path], None]


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("damage", [shorten, lambda path: path.write_bytes(b"")])
def test_damaged_predictions_are_a_failed_run(tmp_path: Path, damage: Damage) -> None:
    sweep = sweep_of(tmp_path / "study", {})
    (path,) = sweep.directory.glob("runs/unified-s1-k1-*/predictions.parquet")
    damage(path)
    collection = collect([sweep.directory])
    (failed,) = [run for run in collection.runs if run.state == "failed"]
    assert "predictions.parquet" in str(failed.error)
    cells = main_cells(make_tables(collection))
    assert (cells["seeds"] == 2).all()
    assert cells["note"].str.contains("2 of 3 seeds").all()


def test_predictions_of_other_samples_than_the_test_set_are_a_failed_run(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", {})
    path = sweep.directory / "split.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    failed = [run for run in collect([sweep.directory]).runs if run.state == "failed"]
    assert {run.row.block for run in failed} == {"fetal_femur", "unified"}
    assert all("which writes split.csv again and keeps the run" in str(run.error) for run in failed)


def test_predictions_without_a_sample_of_the_test_set_are_a_failed_run(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", {})
    with (sweep.directory / "split.csv").open("a") as file:
        file.write("fetal_femur,fetal_femur/one_more.png,x.png,one-more,1000,test,\n")
    failed = [run for run in collect([sweep.directory]).runs if run.state == "failed"]
    assert {run.row.block for run in failed} == {"fetal_femur", "unified"}
    assert all("the 40 predictions of fetal_femur are not those of its" in str(r.error) for r in failed)


def test_p_values_are_adjusted_within_a_grouping(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", {"thyroid_nodule_det": 0.03}, groupings=("task_specific", "pairs", "unified"),
                     partitions={"pairs": {"first": TASKS[:2], "second": TASKS[2:]}}, noise=0.03)  # fmt: skip
    comparison = tables_of(sweep).comparison.verdict_table
    for grouping in ("pairs", "unified"):
        cells = comparison[comparison["main"] & (comparison["grouping"] == grouping)].sort_values("p")
        assert cells["p"].is_unique
        expected = np.maximum.accumulate(np.array([4, 3, 2, 1]) * cells["p"].to_numpy()).clip(max=1)
        assert cells["p_adjusted"].to_numpy() == pytest.approx(expected)


def test_p_values_are_adjusted_over_the_whole_study_if_it_is_the_family(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", {"thyroid_nodule_det": 0.03}, groupings=("task_specific", "pairs", "unified"),
                     partitions={"pairs": {"first": TASKS[:2], "second": TASKS[2:]}}, noise=0.03,
                     scales=(0.5, 1.0), settings={"report": {"family": "study"}})  # fmt: skip
    tables = tables_of(sweep)
    cells = tables.comparison.verdict_table
    cells = cells[cells["main"]].sort_values("p")
    assert len(cells) == 16
    assert tables.comparison.tested_families == 4
    expected = multipletests(cells["p"], method="holm")[1]
    assert cells["p_adjusted"].to_numpy() == pytest.approx(expected)
    assert cells["p_ni_adjusted"].to_numpy() == pytest.approx(multipletests(cells["p_ni"], method="holm")[1])


def test_a_block_of_two_groupings_contributes_its_degrees_of_freedom_once(tmp_path: Path) -> None:
    """Both groupings contain the same runs, so that there is no second variance to moderate with."""
    tasks = ("breast_lesion", "breast_2cls")
    sweep = sweep_of(tmp_path / "study", {}, tasks=tasks, groupings=("task_specific", "clinical", "unified"))
    estimates = {
        key: value
        for key, value in tables_of(sweep).comparison.differences.items()
        if key[3:] == ("breast_lesion", "dsc")
    }
    assert [key[2] for key in estimates] == ["clinical", "unified"]
    for difference in estimates.values():
        assert difference.prior_df == 0
        assert float(difference.estimate.seed_df) == 2


def test_two_groupings_of_the_same_runs_inform_other_cells_once(tmp_path: Path) -> None:
    """A block that is in two groupings is one set of runs, so that it adds no evidence on how seeds vary."""
    tasks = ("breast_lesion", "fetal_head", "lung")
    twice = sweep_of(
        tmp_path / "twice", {}, tasks=tasks, groupings=("task_specific", "all_tasks", "unified"),
        partitions={"all_tasks": {"first": tasks}}, noise=0.03,
    )  # fmt: skip
    once = sweep_of(tmp_path / "once", {}, tasks=tasks, groupings=("task_specific", "unified"), noise=0.03)
    differences, expected = tables_of(twice).comparison.differences, tables_of(once).comparison.differences
    assert len(expected) > 0
    for key, difference in expected.items():
        assert difference.prior_df > 0 or key[4] != "dsc"
        for grouping in ("all_tasks", "unified"):
            other = differences[(*key[:2], grouping, *key[3:])]
            assert float(other.estimate.seed_df) == pytest.approx(float(difference.estimate.seed_df))


def test_a_cell_with_a_collapsed_seed_informs_no_other_cell(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tables = {("base", 1.0, "unified", task, "dsc"): rng.normal(size=(3, 12)) for task in ("a", "b", "c", "d")}
    fallen = next(iter(tables))
    tables[fallen][1] -= 50
    differences = moderate_by_metric(tables, {fallen})
    remaining = moderate_by_metric({key: table for key, table in tables.items() if key != fallen})
    assert differences[fallen].prior_df == 0
    assert float(differences[fallen].estimate.se) == pytest.approx(float(estimate(tables[fallen]).se))
    for key, difference in remaining.items():
        assert float(differences[key].estimate.se) == pytest.approx(float(difference.estimate.se))


def test_without_predictions_differences_are_estimated_but_not_tested(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "study", {"breast_lesion": 0.1})
    for path in sweep.directory.glob("runs/unified-*/predictions.parquet"):
        path.unlink()
    cells = main_cells(tables_of(sweep))
    assert (cells["verdict"] == "").all()
    assert (cells["note"] == "no predictions").all()
    assert cells["delta_low"].notna().all()
