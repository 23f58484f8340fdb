"""Folders of one study and split are joined for any seeds; others are refused with the difference."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.report.sweeps import FakeSweep
from usaggr.errors import RunError
from usaggr.results.join import join_sources
from usaggr.results.stored_study import Source, StagedFacts, read_source


def source(folder: Path, **changes: Any) -> Source:
    sweep = FakeSweep(folder, **changes)
    sweep.write_plan()
    return read_source(folder)


def test_seeds_scales_groupings_and_variants_are_joined(tmp_path: Path) -> None:
    first = source(tmp_path / "a", seeds=(0,), scales=(0.5, 1.0), groupings=("task_specific", "clinical"))
    second = source(tmp_path / "b", seeds=(2, 1), scales=(0.25,), groupings=("task_specific", "unified"))
    study, _, plan = join_sources([first, second])
    assert study.seeds == (0, 1, 2)
    assert study.scales == (0.25, 0.5, 1.0)
    assert study.groupings == ("task_specific", "clinical", "unified")
    assert len(plan) == len(first.plan) + len(second.plan)


def test_a_run_that_both_plan_is_one_run_of_all_their_groupings(tmp_path: Path) -> None:
    first = source(tmp_path / "a", groupings=("task_specific", "clinical"))
    second = source(tmp_path / "b", groupings=("task_specific", "unified"), tasks=first.data.tasks.keys())
    _, _, plan = join_sources([first, second])
    alone = [row for row in plan if row.block == "fetal_femur"]
    assert len(alone) == 3
    assert {row.groupings for row in alone} == {("task_specific", "clinical")}
    assert sum(row.groupings == ("unified",) for row in plan) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"content_hash": "e" * 64}, "different data sets .content_hash cccccccc and eeeeeeee"),
        ({"split_hash": "e" * 64}, "different splits .split_hash dddddddd and eeeeeeee"),
        ({"reference": "unified"}, "different references .task_specific and unified"),
        ({"scales": (16,)}, "scales of two kinds"),
        ({"settings": {"training": {"learning_rate": 0.1}}}, "training.learning_rate is 0.001 in the first, 0.1 in"),
        ({"settings": {"model": {"new_key": 3}}}, "model.new_key is None in the first, 3 in the second"),
        ({"variants": {"base": ["model.dropout=0.5"]}}, "variants.base is .* in the first"),
    ],
)
def test_folders_of_different_studies_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    first, second = source(tmp_path / "a", seeds=(0,)), source(tmp_path / "b", **{"seeds": (1,), **changes})
    with pytest.raises(RunError, match=message) as caught:
        join_sources([first, second])
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "a") in str(caught.value)
    assert str(tmp_path / "b") in str(caught.value)


def test_a_variant_that_only_the_second_and_third_folder_have_must_be_the_same_in_both(tmp_path: Path) -> None:
    base: dict[str, list[str]] = {"base": []}
    first = source(tmp_path / "a", seeds=(0,), variants=base)
    second = source(tmp_path / "b", seeds=(1,), variants={**base, "slow": ["training.learning_rate=0.1"]})
    third = source(tmp_path / "c", seeds=(2,), variants={**base, "slow": ["training.learning_rate=0.2"]})
    with pytest.raises(RunError, match=r"/b and .*/c are of different studies: variants.slow is .*0\.1.* in the first"):
        join_sources([first, second, third])
    same = source(tmp_path / "d", seeds=(2,), variants=second.study.variants)
    assert join_sources([first, second, same])[0].variants == {"base": (), "slow": ("training.learning_rate=0.1",)}


def test_a_staged_grouping_with_other_stages_elsewhere_is_refused(tmp_path: Path) -> None:
    first, second = source(tmp_path / "a", seeds=(0,)), source(tmp_path / "b", seeds=(1,))
    stages = StagedFacts("unified", 0.5, "equal")
    first = replace(first, study=replace(first.study, staged={"clinical": stages}))
    longer = replace(second, study=replace(second.study, staged={"clinical": replace(stages, share=0.8)}))
    with pytest.raises(RunError, match=r"groupings.clinical.share is 0\.5 in the first, 0\.8 in the second"):
        join_sources([first, longer])
    same = replace(second, study=replace(second.study, staged={"clinical": stages}))
    assert join_sources([first, same])[0].staged == {"clinical": stages}


@pytest.mark.parametrize("settings", [{"data": {"root": "/elsewhere"}}, {"data": {"workers": 7}}, {"report": {"x": 1}}])
def test_settings_that_cannot_change_a_result_may_differ(tmp_path: Path, settings: dict[str, Any]) -> None:
    first, second = source(tmp_path / "a", seeds=(0,)), source(tmp_path / "b", seeds=(1,), settings=settings)
    assert join_sources([first, second])[0].seeds == (0, 1)


@pytest.mark.parametrize("seeds", [(0,), (1,)])
def test_a_grouping_that_is_another_partition_elsewhere_is_refused(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    first = source(tmp_path / "a", seeds=(0,))
    mixed = {"clinical": {"x": ("breast_lesion", "fetal_femur"), "y": ("breast_2cls",)}}
    second = source(tmp_path / "b", seeds=seeds, partitions=mixed)
    with pytest.raises(RunError, match=r"grouping clinical: the model of .* has the tasks .* and .*"):
        join_sources([first, second])


def test_one_cell_with_two_runs_is_refused(tmp_path: Path) -> None:
    """This happens if the pretrained weights of two machines are not the same file."""
    first, second = source(tmp_path / "a"), source(tmp_path / "b")
    text = (tmp_path / "b" / "plan.csv").read_text()
    (tmp_path / "b" / "plan.csv").write_text(text.replace(first.plan[0].fingerprint, "f" * 64))
    second = read_source(tmp_path / "b")
    with pytest.raises(RunError, match="scale 1, seed 0: the run of breast_lesion is"):
        join_sources([first, second])


def test_a_plan_that_does_not_fit_its_study_is_refused(tmp_path: Path) -> None:
    source(tmp_path / "a")
    plan = tmp_path / "a" / "plan.csv"
    text = plan.read_text()
    plan.write_text(text.replace("unified,breast_2cls;", "unified,no_such_task;"))
    with pytest.raises(RunError, match=r"tasks that are not in data\.json: no_such_task"):
        join_sources([read_source(tmp_path / "a")])
    plan.write_text(text.replace("task_specific;clinical", "task_specific;no_such_grouping"))
    with pytest.raises(RunError, match="no_such_grouping"):
        join_sources([read_source(tmp_path / "a")])


def test_nothing_to_join_is_refused() -> None:
    with pytest.raises(RunError, match="no folder"):
        join_sources([])
