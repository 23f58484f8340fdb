"""Planted effects of variants, under single groupings and on the effect of sharing, are estimated in fake sweeps."""

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
from usaggr.analysis.observations import Observation, observe
from usaggr.analysis.row_tables import make_table
from usaggr.report.table_files import write_tables
from usaggr.report.tables import make_tables
from usaggr.report.variants.tables import VARIANT_COLUMNS, make_variant_table, make_variants


def effects_of(swept: FakeSweep | Collection) -> pd.DataFrame:
    collection = swept if isinstance(swept, Collection) else collect([swept.directory])
    return make_variant_table(make_variants(compare_study(collection)).effects)


def only(effects: pd.DataFrame, level: str, **conditions: object) -> pd.Series:
    selected = effects[effects["level"] == level]
    for name, value in conditions.items():
        selected = selected[selected[name] == value]
    assert len(selected) == 1
    return selected.iloc[0]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Dense is worse by .08 where all tasks share a model, film is better by .05 everywhere, blind is base's equal."""
    effects = {("dense", "unified"): -0.08, ("film", "alone"): 0.05, ("film", "unified"): 0.05}
    variants = ablation("base", "dense", "blind", "film")
    return effects_of(finish(tmp_path_factory.mktemp("planted"), effects, variants=variants))


@pytest.fixture(scope="module")
def without_effects(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Two variants without any effect, all runs done."""
    return collect([finish(tmp_path_factory.mktemp("alike"), {}).directory])


def test_a_variant_that_is_worse_in_a_shared_model_has_a_negative_interaction(planted: pd.DataFrame) -> None:
    effect = only(planted, "interaction", variant="dense", grouping="unified")
    assert effect["low"] < -0.08 < effect["high"] < 0
    assert effect["p_adjusted"] < 0.01
    assert effect["sharing"] - effect["sharing_against"] == pytest.approx(effect["delta_skill"])
    assert effect["sharing"] == pytest.approx(-0.08, abs=0.02)
    assert effect["sharing_against"] == pytest.approx(0.0, abs=0.02)


def test_its_difference_is_detectable_under_that_grouping_and_not_under_the_reference(planted: pd.DataFrame) -> None:
    shared, alone = (only(planted, "all", variant="dense", grouping=g) for g in ("unified", "task_specific"))
    assert shared["p_adjusted"] < 0.01
    assert shared["high"] < 0
    assert alone["low"] < 0 < alone["high"]
    assert alone["p_adjusted"] > 0.05


def test_its_difference_is_detectable_on_single_tasks(planted: pd.DataFrame) -> None:
    selected = planted[(planted["level"] == "task") & (planted["variant"] == "dense")]
    largest_p = selected.groupby("grouping")["p_adjusted"].max()
    assert largest_p["unified"] < 0.05
    assert (selected.loc[selected["grouping"] == "task_specific", "p_adjusted"] > 0.05).all()
    assert sorted(selected.loc[selected["grouping"] == "unified", "task"]) == sorted(TASKS)


def test_a_variant_that_is_better_everywhere_does_not_change_the_effect_of_sharing(planted: pd.DataFrame) -> None:
    for grouping in ("task_specific", "unified"):
        effect = only(planted, "all", variant="film", grouping=grouping)
        assert effect["low"] > 0
        assert effect["p_adjusted"] < 0.01
    change = only(planted, "interaction", variant="film")
    assert change["low"] < 0 < change["high"]
    assert change["p_adjusted"] > 0.05


def test_a_variant_without_effect_has_no_detectable_difference(planted: pd.DataFrame) -> None:
    assert (planted.loc[planted["variant"] == "blind", "p_adjusted"] > 0.05).all()


def test_the_others_are_compared_with_the_first_variant(planted: pd.DataFrame) -> None:
    assert set(planted["against"]) == {"base"}
    assert "base" not in set(planted["variant"])


def test_p_values_are_adjusted_by_holm_within_their_family(planted: pd.DataFrame) -> None:
    assert set(planted["level"]) == {"all", "interaction", "task"}
    for level, family in (("all", ["grouping"]), ("interaction", ["grouping"]), ("task", ["grouping", "variant"])):
        for _, selected in planted[planted["level"] == level].groupby(family):
            assert selected["p_adjusted"].tolist() == pytest.approx(closed_holm(selected["p"].tolist()))
            assert len(selected) == (4 if level == "task" else 3)


def skills(collection: Collection) -> pd.DataFrame:
    """Return skill from the long table: rows are (seed, task), columns are (variant, grouping)."""
    main = [row for row in observe(collection) if row.main]
    return make_table(Observation, main, Observation._fields).pivot(
        index=["seed", "task"], columns=["variant", "grouping"], values="skill"
    )


def test_means_and_intervals_are_those_done_by_hand(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {("dense", "unified"): -0.05}, noise=0.03, spread=None, seeds=(0, 1, 2))
    collection = collect([sweep.directory])
    effects, skill = effects_of(collection), skills(collection)
    alone, shared = (skill["dense", g] - skill["base", g] for g in ("task_specific", "unified"))
    for task in TASKS:
        effect = only(effects, "task", grouping="unified", task=task)
        assert effect["delta_skill"] == pytest.approx(shared.xs(task, level="task").mean())
    assert only(effects, "all", grouping="unified")["delta_skill"] == pytest.approx(shared.mean())
    by_seed = (shared - alone).groupby("seed").mean()
    effect = only(effects, "interaction")
    assert effect["delta_skill"] == pytest.approx(by_seed.mean())
    oracle = stats.ttest_1samp(by_seed, 0.0).confidence_interval(0.95)
    assert (effect["low"], effect["high"]) == pytest.approx((oracle.low, oracle.high))
    assert (effect["seeds"], effect["tasks"]) == (3, 4)


def test_without_predictions_there_is_no_p_and_a_note(tmp_path: Path) -> None:
    effects = effects_of(finish(tmp_path, {}, spread=None))
    assert effects["p"].isna().all()
    assert (effects["note"] == "no predictions").all()


def test_swapping_the_variants_changes_the_sign(tmp_path: Path) -> None:
    forth, back = (
        effects_of(finish(tmp_path / "-".join(names), {("dense", "unified"): -0.05}, variants=ablation(*names)))
        for names in (("base", "dense"), ("dense", "base"))
    )
    columns = ["level", "grouping", "scale", "task"]
    assert forth[columns].equals(back[columns])
    # Runs are written in another order, so their noise differs, but not the planted effects.
    planted = only(forth, "interaction")["delta_skill"], only(back, "interaction")["delta_skill"]
    assert planted == pytest.approx((-0.05, 0.05), abs=0.02)


def test_missing_seeds_are_left_out_on_both_sides_and_noted(without_effects: Collection) -> None:
    some = lacking(without_effects, lambda run: run.variant == "dense" and len(run.tasks) > 1 and run.seed == 3)
    effects, skill = effects_of(some), skills(some)
    effect = only(effects, "all", grouping="unified")
    paired = (skill["dense", "unified"] - skill["base", "unified"]).dropna()
    assert effect["delta_skill"] == pytest.approx(paired.mean())
    assert (effect["seeds"], effect["note"]) == (3, "3 of 4 seeds")
    assert only(effects, "interaction")["note"] == "3 of 4 seeds"
    assert only(effects, "all", grouping="task_specific")["note"] == ""


def test_a_variant_whose_runs_are_missing_has_the_note_missing(without_effects: Collection) -> None:
    effects = effects_of(lacking(without_effects, lambda run: run.variant == "dense" and len(run.tasks) > 1))
    missing = effects[(effects["grouping"] == "unified")]
    assert set(missing["note"]) == {"missing"}
    assert missing["delta_skill"].isna().all()
    assert (missing["tasks"] == 0).all()
    assert only(effects, "all", grouping="task_specific")["note"] == ""


def test_a_task_without_runs_is_left_out_of_the_mean(without_effects: Collection) -> None:
    effects = effects_of(lacking(without_effects, lambda run: run.variant == "dense" and run.tasks == ("fetal_head",)))
    effect = only(effects, "all", grouping="task_specific")
    assert (effect["tasks"], effect["note"]) == (3, "3 of 4 tasks")
    tasks = effects[(effects["level"] == "task") & (effects["grouping"] == "task_specific") & (effects["seeds"] > 0)]
    assert effect["delta_skill"] == pytest.approx(tasks["delta_skill"].mean())
    assert only(effects, "interaction")["tasks"] == 3


def test_tasks_without_a_seed_in_common_have_a_mean_and_no_interval(without_effects: Collection) -> None:
    lost = {"fetal_head": (0, 1), "breast_lesion": (2, 3)}
    effects = effects_of(
        lacking(without_effects, lambda run: len(run.tasks) == 1 and run.seed in lost.get(run.tasks[0], ()))
    )
    effect = only(effects, "all", grouping="task_specific")
    tasks = effects[(effects["level"] == "task") & (effects["grouping"] == "task_specific")]
    assert effect["delta_skill"] == pytest.approx(tasks["delta_skill"].mean())
    assert np.isnan(effect["low"])
    assert effect["note"] == "tasks have no seed in common: no interval"
    change = only(effects, "interaction")
    assert change["sharing"] - change["sharing_against"] == pytest.approx(change["delta_skill"])


def test_a_task_whose_model_is_the_references_own_run_is_left_out_of_the_interaction(tmp_path: Path) -> None:
    sweep = finish(tmp_path, {}, groupings=("task_specific", "clinical"))
    alone = sum(len(block) == 1 for block in sweep.partitions["clinical"].values())
    effects = effects_of(sweep)
    assert 0 < alone < len(TASKS)
    assert only(effects, "interaction", grouping="clinical")["tasks"] == len(TASKS) - alone
    assert only(effects, "interaction", grouping="clinical")["note"] == ""
    assert only(effects, "all", grouping="clinical")["tasks"] == len(TASKS)


def test_a_grouping_that_is_the_reference_has_no_interaction(tmp_path: Path) -> None:
    two_groups = ("breast_lesion", "fetal_head")
    effects = effects_of(finish(tmp_path, {}, tasks=two_groups, groupings=("task_specific", "clinical")))
    effect = only(effects, "interaction", grouping="clinical")
    assert (effect["note"], effect["tasks"]) == ("same run", 0)
    assert np.isnan(effect["delta_skill"])


def test_one_and_two_seeds_are_provisional_and_few_subjects_are_not_tested(tmp_path: Path) -> None:
    single = effects_of(finish(tmp_path / "seed", {("dense", "unified"): -0.1}, seeds=(5,)))
    assert only(single, "interaction")["note"] == "provisional"
    assert only(single, "interaction")["p"] < 0.05
    pair = effects_of(finish(tmp_path / "pair", {("dense", "unified"): -0.1}, seeds=(5, 6)))
    assert only(pair, "interaction")["note"] == "provisional"
    few = effects_of(finish(tmp_path / "subjects", {("dense", "unified"): -0.1}, subjects=3))
    tasks = few[few["level"] == "task"]
    assert tasks["p"].isna().all()
    assert tasks["note"].str.contains("too few: 3 independent test subjects").all()


def test_models_that_learned_nothing_are_counted(tmp_path: Path) -> None:
    effects = effects_of(finish(tmp_path, {("dense", "unified"): -0.7}))
    assert only(effects, "interaction")["invalid"] == 4
    assert only(effects, "interaction")["note"] == "4 of 4 tasks collapsed or unconverged"
    assert only(effects, "task", grouping="unified", task="fetal_head")["note"] == "collapsed or unconverged"
    assert only(effects, "all", grouping="task_specific")["invalid"] == 0


def test_each_scale_has_separate_rows(tmp_path: Path) -> None:
    sweep = finish(
        tmp_path, {}, scales=(0.25, 1.0),
        shift=lambda run, task: -0.06 if (run.variant, run.scale, len(run.tasks)) == ("dense", 0.25, 4) else 0.0,
    )  # fmt: skip
    effects = effects_of(sweep)
    assert only(effects, "interaction", scale=0.25)["p_adjusted"] < 0.05
    assert only(effects, "interaction", scale=1.0)["p_adjusted"] > 0.05


def test_the_comparison_does_not_depend_on_the_overrides_of_a_variant(tmp_path: Path) -> None:
    def compare(overrides: list[str]) -> pd.DataFrame:
        return effects_of(finish(tmp_path / str(len(overrides)), {}, variants={"base": [], "other": overrides}))

    pd.testing.assert_frame_equal(compare(["data.image_size=128", "metrics.nsd_tolerance=0.01"]), compare([]))


def test_variants_have_a_table_on_disk_where_there_are_several(tmp_path: Path) -> None:
    for name, variants in (("several", ablation("base", "dense")), ("single", ablation("base"))):
        sweep = finish(tmp_path / name, {}, variants=variants)
        write_tables(make_tables(collect([sweep.directory])), tmp_path / f"{name} tables")
    table = pd.read_csv(tmp_path / "several tables" / "variants.csv")
    assert tuple(table.columns) == VARIANT_COLUMNS
    assert set(table["level"]) == {"all", "interaction", "task"}
    assert not (tmp_path / "single tables" / "variants.csv").exists()


def test_a_study_without_finished_runs_is_compared_without_error(without_effects: Collection) -> None:
    effects = effects_of(lacking(without_effects, lambda run: True))
    assert set(effects["note"]) == {"missing"}


def test_two_runs_with_the_same_numbers_have_a_note(tmp_path: Path) -> None:
    # The variant does not affect models of one task: their runs are copies of the first variant's.
    sweep = finish(tmp_path, {("dense", "unified"): -0.1})
    alone = {(run.variant, run.tasks, run.seed): run.run_id for run, _ in sweep.runs() if len(run.tasks) == 1}
    for (variant, tasks, seed), name in alone.items():
        if variant == "dense":
            for file in ("predictions.parquet", "result.json"):
                first = sweep.directory / "runs" / alone["base", tasks, seed] / file
                shutil.copy(first, sweep.directory / "runs" / name / file)
    effects = effects_of(sweep)
    selected = effects[(effects["level"] == "task") & (effects["grouping"] == "task_specific")]
    assert set(selected["note"]) == {"same numbers"}
    assert selected["p"].isna().all()
    assert not set(effects.loc[effects["grouping"] == "unified", "note"]) & {"same numbers"}
