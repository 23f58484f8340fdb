import csv
import shutil
from pathlib import Path

import pytest

from tests.data.factories import change_cell, tiny_data
from usaggr.config.compose import compose_study
from usaggr.errors import ConfigError
from usaggr.results.plan import COLUMNS as PLAN_COLUMNS
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import compute_fingerprint
from usaggr.sweep.planning.study_plan import Plan, make_plan, write_plan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny_data(tmp_path / "data", n=30)


def plan_of(root: Path, *overrides: str) -> Plan:
    fixed = ["data=fmuia", f"data.root={root}", "data.image_size=32", f"outputs={root.parent / 'outputs'}", "seeds=[0]"]
    groups = "data.clinical_groups={seg: one, cls: one, det: two, reg: three}"
    return make_plan(compose_study("demo", [*fixed, groups, *overrides]))


def fingerprints(plan: Plan) -> set[str]:
    return {run.spec.fingerprint for run in plan.runs}


def test_a_block_of_two_groupings_is_one_run(root: Path) -> None:
    plan = plan_of(root, "scales=[1.0]")
    names = {run.spec.block: run.groupings for run in plan.runs}
    assert names == {
        "cls": ("task_specific",),
        "seg": ("task_specific",),
        "det": ("task_specific", "clinical"),
        "reg": ("task_specific", "clinical"),
        "one": ("clinical",),
        "unified": ("unified",),
    }
    assert plan.runs_without_sharing == 8


def test_runs_are_blocks_by_scales_by_seeds_by_variants(root: Path) -> None:
    plan = plan_of(root, "seeds=[0,1,2]", "+variants.slow=['training.learning_rate=1e-4']")
    assert len(plan.runs) == 6 * 2 * 3 * 2
    assert len({run.spec.run_id for run in plan.runs}) == len(plan.runs)
    slow = next(run for run in plan.runs if run.spec.variant == "slow")
    assert slow.study.training.learning_rate == 1e-4
    assert slow.spec.settings["training"]["learning_rate"] == 1e-4


@pytest.mark.parametrize(
    "override",
    ["executor.workers=1", "data.workers=1", "logger=csv", "data.max_pixels=1000000", "training.accelerator=cpu"],
)
def test_keys_that_change_no_result_change_no_fingerprint(root: Path, override: str) -> None:
    assert fingerprints(plan_of(root)) == fingerprints(plan_of(root, override))


@pytest.mark.parametrize(
    "override",
    ["training.batch_size=4", "model.decoder_channels=64", "data.image_size=64", "metrics.nsd_tolerance=0.01"],
)
def test_keys_that_change_results_change_every_fingerprint(root: Path, override: str) -> None:
    assert fingerprints(plan_of(root)).isdisjoint(fingerprints(plan_of(root, override)))


def test_a_grouping_adds_runs_and_changes_no_other(root: Path) -> None:
    reference_only, all_groupings = plan_of(root, "groupings=[task_specific]"), plan_of(root)
    assert fingerprints(reference_only) < fingerprints(all_groupings)


def test_selecting_tasks_changes_no_run_of_those_that_stay(root: Path) -> None:
    assert fingerprints(plan_of(root, "groupings=[task_specific]", "tasks=[seg,cls]")) < fingerprints(plan_of(root))


def test_the_same_data_elsewhere_give_the_same_runs(root: Path) -> None:
    before = fingerprints(plan_of(root))
    moved = shutil.move(root, root.parent / "moved")
    assert fingerprints(plan_of(Path(moved))) == before


def test_a_changed_label_changes_the_runs_of_its_task_and_no_others(root: Path) -> None:
    before = {run.spec.block: run.spec.fingerprint for run in plan_of(root, "scales=[1.0]").runs}
    change_cell(root, "det.csv", 5, "x_max", "21")
    after = {run.spec.block: run.spec.fingerprint for run in plan_of(root, "scales=[1.0]").runs}
    assert {block for block in before if before[block] != after[block]} == {"det", "unified"}


def test_a_planned_fingerprint_is_that_of_settings_samples_and_seed(root: Path) -> None:
    plan = plan_of(root, "seeds=[0,1]", "scales=[0.25,1.0]", "+variants.slow=['training.learning_rate=1e-4']")
    for run in plan.runs:
        spec = run.spec
        content = "".join(plan.manifest.get_task_hash(task_id) for task_id in spec.tasks)
        assert spec.train_samples == {
            task_id: plan.manifest.select_training_samples(task_id, spec.scale, spec.seed) for task_id in spec.tasks
        }
        expected = compute_fingerprint(spec.settings, spec.tasks, spec.train_samples, content, spec.seed, None, None)
        assert spec.fingerprint == expected


def test_runs_of_one_scale_and_seed_share_their_lists_of_samples(root: Path) -> None:
    plan = plan_of(root, "scales=[1.0]", "+variants.slow=['training.learning_rate=1e-4']")
    assert len({id(run.spec.train_samples["seg"]) for run in plan.runs if "seg" in run.spec.tasks}) == 1


def test_a_variant_that_changes_no_result_is_the_first_ones_run(root: Path) -> None:
    plan = plan_of(root, "+variants.here=['training.accelerator=cpu']")
    assert {run.spec.variant for run in plan.runs} == {"base"}
    assert {run.study.training.accelerator for run in plan.runs} == {plan.study.training.accelerator}
    assert [run.groupings for run in plan.runs] == [run.groupings for run in plan_of(root).runs]


def test_the_only_task_of_a_study_gives_its_name_to_the_model_of_all_tasks(root: Path) -> None:
    plan = plan_of(root, "tasks=[seg]", "groupings=[unified]", "reference=unified", "scales=[1.0]")
    assert [run.spec.block for run in plan.runs] == ["seg"]


def test_one_more_seed_adds_runs_and_keeps_the_others(root: Path) -> None:
    one_seed, two_seeds = plan_of(root), plan_of(root, "seeds=[0,5]")
    assert fingerprints(one_seed) < fingerprints(two_seeds)
    assert len(two_seeds.runs) == 2 * len(one_seed.runs)


def test_scales_take_nested_training_samples(root: Path) -> None:
    plan = plan_of(root, "scales=[0.25,1.0]")
    for block in ("seg", "cls"):
        small, large = (next(r for r in plan.runs if r.spec.block == block and r.spec.scale == s) for s in (0.25, 1.0))
        ids = small.spec.train_samples[block]
        assert ids == large.spec.train_samples[block][: len(ids)]


def test_the_plan_on_disk_has_the_contracts_columns_and_the_runs_states(root: Path) -> None:
    plan = plan_of(root)
    write_plan(plan)
    RunDirectory(plan.runs[0].directory).mark_failed("no", 1)
    write_plan(plan)
    with (plan.directory / "plan.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == PLAN_COLUMNS
    assert [row["state"] for row in table] == ["failed"] + ["pending"] * (len(plan.runs) - 1)
    shared = next(row for row in table if row["block"] == "det")
    assert shared["groupings"] == "task_specific;clinical"
    assert {path.name for path in plan.directory.iterdir()} == {
        "study.yaml",
        "groupings.yaml",
        "data.json",
        "split.csv",
        "plan.csv",
        "contract.sha256",
        "runs",
    }


def test_a_run_is_found_by_its_fingerprint_if_its_directory_was_renamed(root: Path) -> None:
    plan = plan_of(root)
    run = plan.runs[0]
    renamed = run.directory.with_name(f"other-name-{run.spec.fingerprint[:8]}")
    RunDirectory(renamed).write_spec(run.spec)
    assert plan_of(root).runs[0].directory == renamed


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tasks=[segg]", "tasks: unknown 'segg', did you mean 'seg'"),
        ("training.task_weights={sag: 2.0}", "training.task_weights: unknown 'sag', did you mean 'seg'"),
    ],
)
def test_a_task_that_the_data_lack_is_named(root: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_of(root, override)
