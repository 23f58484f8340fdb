import pytest
from hypothesis import given
from hypothesis import strategies as st

from usaggr.errors import ConfigError
from usaggr.sweep.planning.grouping import GroupingConfig, partition_tasks
from usaggr.tasks import CATALOGUE


def no_sources() -> dict[str, str]:
    raise AssertionError("nobody asked for image sources")


@given(
    st.sets(st.sampled_from(sorted(CATALOGUE)), min_size=1),
    st.sampled_from(["task", "all", "clinical_group", "organ", "type"]),
)
def test_a_grouping_by_attribute_is_a_partition(task_ids: set[str], by: str) -> None:
    tasks = {t: CATALOGUE[t] for t in sorted(task_ids)}
    grouping = partition_tasks("g", GroupingConfig.model_validate({"by": by}), tasks, no_sources)
    assert sorted(t for block in grouping.blocks.values() for t in block) == sorted(task_ids)
    for task_id in task_ids:
        assert task_id in grouping.blocks[grouping.find_block(task_id)]


def test_the_two_extremes() -> None:
    assert len(partition_tasks("ts", GroupingConfig(by="task"), CATALOGUE, no_sources).blocks) == 27
    assert list(partition_tasks("au", GroupingConfig(by="all"), CATALOGUE, no_sources).blocks) == ["unified"]
    assert len(partition_tasks("cg", GroupingConfig(by="clinical_group"), CATALOGUE, no_sources).blocks) == 8


def test_a_block_selects_an_organ_in_any_spelling() -> None:
    config = GroupingConfig.model_validate({"blocks": {"a": [{"organ": " heart\u00a0"}], "b": [{"organ": "lung"}]}})
    tasks = {name: CATALOGUE[name] for name in ("cardiac_multi", "lung")}
    blocks = partition_tasks("g", config, tasks, no_sources).blocks
    assert blocks == {"a": ("cardiac_multi",), "b": ("lung",)}


def test_blocks_select_by_id_organ_group_and_type() -> None:
    tasks = {t: CATALOGUE[t] for t in ("FUGC", "breast_lesion", "breast_2cls", "lung", "thyroid_nodule_det")}
    config = GroupingConfig.model_validate(
        {
            "blocks": {
                "one": ["FUGC", {"type": "detection"}],
                "two": [{"organ": "breast"}],
                "three": [{"clinical_group": "lung"}],
            }
        }
    )
    assert partition_tasks("mine", config, tasks, no_sources).blocks == {
        "one": ("FUGC", "thyroid_nodule_det"),
        "two": ("breast_2cls", "breast_lesion"),
        "three": ("lung",),
    }


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"a": ["lung", "FUGC"], "b": ["FUGC"]}, r"grouping mine: task FUGC is in two blocks \(a, b\)"),
        ({"a": ["lung"]}, "grouping mine: no block holds FUGC"),
        ({"a": ["lung", "FUGCC"]}, "block a: task: unknown 'FUGCC', did you mean 'FUGC'"),
        ({"a": ["FUGC", {"organ": "lungs"}]}, "block a: organ: unknown 'lungs', did you mean 'lung'"),
    ],
)
def test_blocks_that_are_no_partition_are_refused(blocks: dict[str, list[object]], message: str) -> None:
    tasks = {t: CATALOGUE[t] for t in ("FUGC", "lung")}
    with pytest.raises(ConfigError, match=message):
        partition_tasks("mine", GroupingConfig.model_validate({"blocks": blocks}), tasks, no_sources)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"by": "task", "blocks": {"a": ["x"]}},
        {"by": "age"},
        {"blocks": {"a": [{"organ": "x", "type": "y"}]}},
        {"by": "task", "like": "clinical"},
        {"by": "task", "draws": 3},
        {"like": "clinical", "draws": 0},
    ],
)
def test_a_grouping_file_with_invalid_or_contradictory_keys_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        GroupingConfig.model_validate(content)
