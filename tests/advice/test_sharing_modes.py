"""Which tasks of a new data set would share a model under a sweep's groupings."""

from dataclasses import replace

from tests.advice.factories import new
from usaggr.advice.sharing_modes import NewTask, counterparts, is_rule, partners, way_of
from usaggr.tasks import CATALOGUE

DATA = tuple(new(t) for t in ("breast_lesion", "breast_2cls", "fetal_head", "FUGC", "thyroid_nodule"))


def of(task_id: str) -> NewTask:
    return next(t for t in DATA if t.task.id == task_id)


def test_rules_apply_to_the_new_tasks() -> None:
    assert partners("unified", of("FUGC"), DATA) == ("breast_2cls", "breast_lesion", "fetal_head", "thyroid_nodule")
    assert partners("clinical", of("FUGC"), DATA) == ("fetal_head",)
    assert partners("task_type", of("fetal_head"), DATA) == ("breast_lesion", "thyroid_nodule")
    assert partners("organ", of("breast_2cls"), DATA) == ("breast_lesion",)
    assert partners("organ", of("FUGC"), DATA) == ()


def test_image_sources_are_those_of_the_new_images() -> None:
    known = tuple(replace(t, image_source="s" if t.task.organ == "breast" else t.task.id) for t in DATA)
    assert partners("image_source", known[0], known) == ("breast_2cls",)
    assert partners("image_source", DATA[0], DATA) == ()  # images were not read


def test_a_grouping_is_a_rule_only_where_its_blocks_follow_it() -> None:
    tasks = {t: CATALOGUE[t] for t in ("breast_lesion", "breast_2cls", "fetal_head", "FUGC")}
    clinical = {("breast_2cls", "breast_lesion"), ("FUGC", "fetal_head")}
    assert way_of("clinical", clinical, tasks) == "clinical"
    assert way_of("clinical", {("breast_2cls", "fetal_head"), ("FUGC", "breast_lesion")}, tasks) == (
        "clinical (own blocks)"
    )
    assert way_of("mine", clinical, tasks) == "mine"
    assert is_rule("clinical")
    assert not is_rule("mine")
    assert not is_rule("clinical (own blocks)")


def test_members_of_blocks_are_replaced_by_tasks_that_are_like_them() -> None:
    members = [CATALOGUE["breast_lesion"], CATALOGUE["cervix"], CATALOGUE["IUGC"], CATALOGUE["lung"]]
    # breast_lesion is there itself; cervix is an obstetric segmentation as fetal_head, IUGC a regression as FUGC.
    assert counterparts(of("thyroid_nodule"), members, DATA) == ("FUGC", "breast_lesion", "fetal_head")


def test_a_task_of_the_same_name_and_another_type_is_no_counterpart() -> None:
    other = new("breast_lesion", id="lung")
    member = CATALOGUE["lung"]
    assert (
        counterparts(of("FUGC"), [replace(member, type="detection", num_classes=1, class_names=("x",))], [other]) == ()
    )
