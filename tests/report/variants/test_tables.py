"""Whole sweeps with planted effects of variants, alone and in what sharing does."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.report.sweeps import FakeSweep
from tests.report.variant_sweeps import TASKS, ablation, finish, lacking
from tests.statistics.oracle_holm import closed_holm
from usaggr.analysis.collect import Collection, collect
from usaggr.analysis.compare_study import compare_study
from usaggr.analysis.observations import observe
from usaggr.report.table_files import write_tables
from usaggr.report.tables import make_tables
from usaggr.report.variants.tables import VARIANT_COLUMNS, make_variant_table, make_variants


def effects_of(swept: FakeSweep | Collection) -> pd.DataFrame:
    collection = swept if isinstance(swept, Collection) else collect([swept.directory])
    return make_variant_table(make_variants(compare_study(collection)).effects)


def only(effects: pd.DataFrame, level: str, **wanted: object) -> pd.Series:
    rows = effects[effects["level"] == level]
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Dense is worse by .08 where all tasks share a model, film is better by .05 everywhere, blind is base's equal."""
    effects = {("dense", "unified"): -0.08, ("film", "alone"): 0.05, ("film", "unified"): 0.05}
    variants = ablation("base", "dense", "blind", "film")
    return effects_of(finish(tmp_path_factory.mktemp("planted"), effects, variants=variants))


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Two variants without any effect, all runs done."""
    return collect([finish(tmp_path_factory.mktemp("alike"), {}).directory])


def test_a_variant_that_is_worse_where_tasks_share_a_model_is_found_in_the_interaction(planted: pd.DataFrame) -> None:
    found = only(planted, "interaction", variant="dense", grouping="unified")
    assert found["low"] < -0.08 < found["high"] < 0
    assert found["p_adjusted"] < 0.01
    assert found["sharing"] - found["sharing_against"] == pytest.approx(found["delta_skill"])
    assert found["sharing"] == pytest.approx(-0.08, abs=0.02)
    assert found["sharing_against"] == pytest.approx(0.0, abs=0.02)


def test_it_is_found_under_that_grouping_and_not_under_the_reference(planted: pd.DataFrame) -> None:
    shared, alone = (only(planted, "all", variant="dense", grouping=g) for g in ("unified", "task_specific"))
    assert shared["p_adjusted"] < 0.01
    assert shared["high"] < 0
    assert alone["low"] < 0 < alone["high"]
    assert alone["p_adjusted"] > 0.05


def test_it_is_found_on_single_tasks(planted: pd.DataFrame) -> None:
    rows = planted[(planted["level"] == "task") & (planted["variant"] == "dense")]
    certain = rows.groupby("grouping")["p_adjusted"].max()
    assert certain["unified"] < 0.05
    assert (rows.loc[rows["grouping"] == "task_specific", "p_adjusted"] > 0.05).all()
    assert sorted(rows.loc[rows["grouping"] == "unified", "task"]) == sorted(TASKS)


def test_a_variant_that_is_better_everywhere_changes_nothing_in_what_sharing_does(planted: pd.DataFrame) -> None:
    for grouping in ("task_specific", "unified"):
        found = only(planted, "all", variant="film", grouping=grouping)
        assert found["low"] > 0
        assert found["p_adjusted"] < 0.01
    change = only(planted, "interaction", variant="film")
    assert change["low"] < 0 < change["high"]
    assert change["p_adjusted"] > 0.05


def test_a_variant_without_effect_is_certain_in_nothing(planted: pd.DataFrame) -> None:
    assert (planted.loc[planted["variant"] == "blind", "p_adjusted"] > 0.05).all()


def test_the_first_variant_is_what_the_others_are_against(planted: pd.DataFrame) -> None:
    assert set(planted["against"]) == {"base"}
    assert "base" not in set(planted["variant"])


def test_p_values_are_adjusted_by_holm_within_their_family(planted: pd.DataFrame) -> None:
    for level, family in (("all", ["grouping"]), ("interaction", ["grouping"]), ("task", ["grouping", "variant"])):
        for _, rows in planted[planted["level"] == level].groupby(family):
            assert rows["p_adjusted"].tolist() == pytest.approx(closed_holm(rows["p"].tolist()))
            assert len(rows) == (4 if level == "task" else 3)


def skills(collection: Collection) -> pd.DataFrame:
    """Of each run and task, as read from the long table: one row a task, column a (variant, grouping), by seed."""
    table = observe(collection)
    return table[table["main"]].pivot(index=["seed", "task"], columns=["variant", "grouping"], values="skill")


def test_means_and_intervals_are_those_done_by_hand(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {("dense", "unified"): -0.05}, noise=0.03, spread=None, seeds=(0, 1, 2))
    collection = collect([sweep.directory])
    effects, skill = effects_of(collection), skills(collection)
    alone, shared = (skill["dense", g] - skill["base", g] for g in ("task_specific", "unified"))
    for task in TASKS:
        found = only(effects, "task", grouping="unified", task=task)
        assert found["delta_skill"] == pytest.approx(shared.xs(task, level="task").mean())
    assert only(effects, "all", grouping="unified")["delta_skill"] == pytest.approx(shared.mean())
    by_seed = (shared - alone).groupby("seed").mean()
    found = only(effects, "interaction")
    assert found["delta_skill"] == pytest.approx(by_seed.mean())
    oracle = stats.ttest_1samp(by_seed, 0.0).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((oracle.low, oracle.high))
    assert (found["seeds"], found["tasks"]) == (3, 4)


def test_without_predictions_there_is_no_p_and_it_is_said(tmp_path: Path) -> None:
    effects = effects_of(finish(tmp_path, {}, spread=None))
    assert effects["p"].isna().all()
    assert (effects["note"] == "no predictions").all()


def test_exchanging_the_variants_turns_the_sign(tmp_path: Path) -> None:
    forth, back = (
        effects_of(finish(tmp_path / "-".join(names), {("dense", "unified"): -0.05}, variants=ablation(*names)))
        for names in (("base", "dense"), ("dense", "base"))
    )
    columns = ["level", "grouping", "scale", "task"]
    assert forth[columns].equals(back[columns])
    # Runs are made in another order, so that their noise differs; what is planted does not.
    planted = only(forth, "interaction")["delta_skill"], only(back, "interaction")["delta_skill"]
    assert planted == pytest.approx((-0.05, 0.05), abs=0.02)


def test_seeds_that_are_missing_are_left_out_on_both_sides_and_said(alike: Collection) -> None:
    some = lacking(alike, lambda run: run.variant == "dense" and len(run.tasks) > 1 and run.seed == 3)
    effects, skill = effects_of(some), skills(some)
    found = only(effects, "all", grouping="unified")
    paired = (skill["dense", "unified"] - skill["base", "unified"]).dropna()
    assert found["delta_skill"] == pytest.approx(paired.mean())
    assert (found["seeds"], found["note"]) == (3, "3 of 4 seeds")
    assert only(effects, "interaction")["note"] == "3 of 4 seeds"
    assert only(effects, "all", grouping="task_specific")["note"] == ""


def test_a_variant_whose_runs_are_missing_is_named_so(alike: Collection) -> None:
    effects = effects_of(lacking(alike, lambda run: run.variant == "dense" and len(run.tasks) > 1))
    missing = effects[(effects["grouping"] == "unified")]
    assert set(missing["note"]) == {"missing"}
    assert missing["delta_skill"].isna().all()
    assert (missing["tasks"] == 0).all()
    assert only(effects, "all", grouping="task_specific")["note"] == ""


def test_a_task_without_runs_is_left_out_of_the_mean(alike: Collection) -> None:
    effects = effects_of(lacking(alike, lambda run: run.variant == "dense" and run.tasks == ("fetal_head",)))
    found = only(effects, "all", grouping="task_specific")
    assert (found["tasks"], found["note"]) == (3, "3 of 4 tasks")
    others = effects[(effects["level"] == "task") & (effects["grouping"] == "task_specific") & (effects["seeds"] > 0)]
    assert found["delta_skill"] == pytest.approx(others["delta_skill"].mean())
    assert only(effects, "interaction")["tasks"] == 3


def test_tasks_without_a_seed_in_common_have_a_mean_and_no_interval(alike: Collection) -> None:
    lost = {"fetal_head": (0, 1), "breast_lesion": (2, 3)}
    effects = effects_of(lacking(alike, lambda run: len(run.tasks) == 1 and run.seed in lost.get(run.tasks[0], ())))
    found = only(effects, "all", grouping="task_specific")
    own = effects[(effects["level"] == "task") & (effects["grouping"] == "task_specific")]
    assert found["delta_skill"] == pytest.approx(own["delta_skill"].mean())
    assert np.isnan(found["low"])
    assert found["note"] == "tasks have no seed in common: no interval"
    change = only(effects, "interaction")
    assert change["sharing"] - change["sharing_against"] == pytest.approx(change["delta_skill"])


def test_a_task_whose_model_is_the_references_own_run_is_no_part_of_the_interaction(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {}, groupings=("task_specific", "clinical"))
    alone = sum(len(block) == 1 for block in sweep.partitions["clinical"].values())
    effects = effects_of(sweep)
    assert 0 < alone < len(TASKS)
    assert only(effects, "interaction", grouping="clinical")["tasks"] == len(TASKS) - alone
    assert only(effects, "interaction", grouping="clinical")["note"] == ""
    assert only(effects, "all", grouping="clinical")["tasks"] == len(TASKS)


def test_a_grouping_that_is_the_reference_has_no_interaction(tmp_path: Path) -> None:
    apart = ("breast_lesion", "fetal_head")
    effects = effects_of(finish(tmp_path, {}, tasks=apart, groupings=("task_specific", "clinical")))
    found = only(effects, "interaction", grouping="clinical")
    assert (found["note"], found["tasks"]) == ("same run", 0)
    assert np.isnan(found["delta_skill"])


def test_one_seed_is_provisional_and_few_subjects_are_not_tested(tmp_path: Path) -> None:
    single = effects_of(finish(tmp_path / "seed", {("dense", "unified"): -0.1}, seeds=(5,)))
    assert only(single, "interaction")["note"] == "provisional"
    assert only(single, "interaction")["p"] < 0.05
    few = effects_of(finish(tmp_path / "subjects", {("dense", "unified"): -0.1}, subjects=3))
    tasks = few[few["level"] == "task"]
    assert tasks["p"].isna().all()
    assert tasks["note"].str.contains("few subjects").all()


def test_models_that_learnt_nothing_are_counted(tmp_path: Path) -> None:
    effects = effects_of(finish(tmp_path, {("dense", "unified"): -0.7}))
    assert only(effects, "interaction")["invalid"] == 4
    assert only(effects, "interaction")["note"] == "4 of 4 tasks collapsed or unconverged"
    assert only(effects, "task", grouping="unified", task="fetal_head")["note"] == "collapsed or unconverged"
    assert only(effects, "all", grouping="task_specific")["invalid"] == 0


def test_each_scale_has_rows_of_its_own(tmp_path: Path) -> None:
    sweep = finish(
        tmp_path, {}, scales=(0.25, 1.0),
        shift=lambda run, task: -0.06 if (run.variant, run.scale, len(run.tasks)) == ("dense", 0.25, 4) else 0.0,
    )  # fmt: skip
    effects = effects_of(sweep)
    assert only(effects, "interaction", scale=0.25)["p_adjusted"] < 0.05
    assert only(effects, "interaction", scale=1.0)["p_adjusted"] > 0.05


def test_what_a_variant_changes_does_not_matter_to_how_it_is_compared(tmp_path: Path) -> None:
    def found(overrides: list[str]) -> pd.DataFrame:
        return effects_of(finish(tmp_path / str(len(overrides)), {}, variants={"base": [], "other": overrides}))

    pd.testing.assert_frame_equal(found(["data.image_size=128", "metrics.nsd_tolerance=0.01"]), found([]))


def test_variants_have_a_table_on_disk_where_there_are_several(tmp_path: Path) -> None:
    for name, variants in (("several", ablation("base", "dense")), ("single", ablation("base"))):
        sweep = finish(tmp_path / name, {}, variants=variants)
        write_tables(make_tables(collect([sweep.directory])), tmp_path / f"{name} tables")
    table = pd.read_csv(tmp_path / "several tables" / "variants.csv")
    assert tuple(table.columns) == VARIANT_COLUMNS
    assert set(table["level"]) == {"all", "interaction", "task"}
    assert not (tmp_path / "single tables" / "variants.csv").exists()


def test_nothing_done_is_no_reason_to_fail(alike: Collection) -> None:
    effects = effects_of(lacking(alike, lambda run: True))
    assert set(effects["note"]) == {"missing"}


def test_two_runs_with_the_same_numbers_are_called_so(tmp_path: Path) -> None:
    # What a variant changes does nothing to a task alone: the sweep's runs there are the first variant's, copied.
    sweep = finish(tmp_path, {("dense", "unified"): -0.1})
    alone = {(run.variant, run.tasks, run.seed): run.run_id for run, _ in sweep.runs() if len(run.tasks) == 1}
    for (variant, tasks, seed), name in alone.items():
        if variant == "dense":
            for file in ("predictions.parquet", "result.json"):
                first = sweep.directory / "runs" / alone["base", tasks, seed] / file
                shutil.copy(first, sweep.directory / "runs" / name / file)
    effects = effects_of(sweep)
    rows = effects[(effects["level"] == "task") & (effects["grouping"] == "task_specific")]
    assert set(rows["note"]) == {"same numbers"}
    assert rows["p"].isna().all()
    assert not set(effects.loc[effects["grouping"] == "unified", "note"]) & {"same numbers"}
