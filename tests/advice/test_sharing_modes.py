"""Tests of the tasks of a new data set that would share a model under a sweep's groupings."""

from dataclasses import replace

from tests.advice.factories import new
from usaggr.advice.sharing_modes import NewTask, find_counterparts, find_partners, is_rule, name_mode
from usaggr.tasks import CATALOGUE

DATA = tuple(new(t) for t in ("breast_lesion", "breast_2cls", "fetal_head", "FUGC", "thyroid_nodule"))


def data_task(task_id: str) -> NewTask:
    return next(t for t in DATA if t.task.id == task_id)


def test_rules_apply_to_the_new_tasks() -> None:
    assert find_partners("unified", data_task("FUGC"), DATA) == (
        "breast_2cls",
        "breast_lesion",
        "fetal_head",
        "thyroid_nodule",
    )
    assert find_partners("clinical", data_task("FUGC"), DATA) == ("fetal_head",)
    assert find_partners("task_type", data_task("fetal_head"), DATA) == ("breast_lesion", "thyroid_nodule")
    assert find_partners("organ", data_task("breast_2cls"), DATA) == ("breast_lesion",)
    assert find_partners("organ", data_task("FUGC"), DATA) == ()


def test_image_sources_are_those_of_the_new_images() -> None:
    with_sources = tuple(replace(t, image_source="s" if t.task.organ == "breast" else t.task.id) for t in DATA)
    assert find_partners("image_source", with_sources[0], with_sources) == ("breast_2cls",)
    assert find_partners("image_source", DATA[0], DATA) == ()  # the images were not read


def test_a_grouping_is_a_rule_only_if_its_blocks_follow_the_attribute() -> None:
    tasks = {t: CATALOGUE[t] for t in ("breast_lesion", "breast_2cls", "fetal_head", "FUGC")}
    clinical = {("breast_2cls", "breast_lesion"), ("FUGC", "fetal_head")}
    assert name_mode("clinical", clinical, tasks) == "clinical"
    assert name_mode("clinical", {("breast_2cls", "fetal_head"), ("FUGC", "breast_lesion")}, tasks) == (
        "clinical (own blocks)"
    )
    assert name_mode("mine", clinical, tasks) == "mine"
    assert is_rule("clinical")
    assert not is_rule("mine")
    assert not is_rule("clinical (own blocks)")


def test_members_of_blocks_are_replaced_by_similar_tasks() -> None:
    members = [CATALOGUE["breast_lesion"], CATALOGUE["cervix"], CATALOGUE["IUGC"], CATALOGUE["lung"]]
    # breast_lesion is in both; cervix and fetal_head are obstetric segmentations, IUGC and FUGC regressions.
    assert find_counterparts(data_task("thyroid_nodule"), members, DATA) == ("FUGC", "breast_lesion", "fetal_head")


def test_a_task_with_the_same_name_but_another_type_is_no_counterpart() -> None:
    other = new("breast_lesion", id="lung")
    member = CATALOGUE["lung"]
    assert (
        find_counterparts(
            data_task("FUGC"), [replace(member, type="detection", num_classes=1, class_names=("x",))], [other]
        )
        == ()
    )
