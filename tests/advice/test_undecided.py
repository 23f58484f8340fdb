"""Undecided cells that bear on the new data, and the commands that would decide them."""

import shlex
from pathlib import Path

from tests.advice.factories import cell, new, sweep_of
from usaggr.advice.undecided import command, undecided
from usaggr.config.compose import compose_study, describe_study

UNIFIED = frozenset({"unified"})


def test_cells_that_need_the_fewest_seeds_come_first_and_those_that_none_decide_last() -> None:
    sweep = sweep_of(
        cell("cervix", seeds_needed=9),
        cell("lung", seeds_needed=None),
        cell("fetal_head", seeds_needed=4),
        cell("ovary_tumor", 0.1, verdict="gain"),
    )
    found = undecided([(new(), UNIFIED)], [sweep])
    assert [one.cell.task.id for one in found] == ["fetal_head", "cervix", "lung"]
    assert [bool(one.command) for one in found] == [True, True, False]
    assert {one.bears_on for one in found} == {("thyroid_nodule",)}


def test_cells_that_speak_of_no_task_of_the_data_are_left_out() -> None:
    sweep = sweep_of(
        cell("breast_2cls", seeds_needed=4),
        cell("fetal_head", n_train=900, seeds_needed=4),
        cell("cervix", way="clinical", grouping="clinical", seeds_needed=4),
        cell("lung", unusable="AU unconverged", invalid=True, seeds_needed=4),  # no number of seeds mends it
    )
    assert undecided([(new(), UNIFIED)], [sweep]) == []


def test_the_nearest_level_and_all_tasks_are_named() -> None:
    sweep = sweep_of(cell("cervix", seeds_needed=4))
    (one,) = undecided([(new(), UNIFIED), (new("cervix"), UNIFIED), (new("FUGC"), UNIFIED)], [sweep])
    assert (one.level, one.bears_on) == ("same task", ("cervix", "thyroid_nodule"))


def test_the_command_keeps_the_seeds_and_adds_the_next_free_ones() -> None:
    sweep = sweep_of(seeds=(0, 2, 5))
    assert shlex.split(command(sweep, 6)) == ["usaggr", "sweep", "outputs/a/study.yaml", "seeds=[0,2,5,1,3,4]"]


def test_a_sweep_that_was_moved_is_gone_on_with_where_it_lies() -> None:
    sweep = sweep_of(folders=("/data/old results/a_2",), seeds=(0,))
    words = shlex.split(command(sweep, 2))
    assert words[2:] == ["/data/old results/a_2/study.yaml", "seeds=[0,1]", "outputs=/data/old results", "name=a_2"]


def test_the_command_composes_the_same_study_with_more_seeds(tmp_path: Path) -> None:
    study = compose_study("demo", ["training.learning_rate=5e-4", f"outputs={tmp_path}", "name=mine"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.yaml").write_text(describe_study(study))
    sweep = sweep_of(folders=(str(tmp_path / "mine"),), study="mine", outputs=str(tmp_path), seeds=tuple(study.seeds))
    again = compose_study(*_of_words(shlex.split(command(sweep, 5))))
    assert again.model_dump() == {**study.model_dump(), "seeds": [0, 1, 2, 3, 4]}


def _of_words(words: list[str]) -> tuple[str, list[str]]:
    assert words[:2] == ["usaggr", "sweep"]
    return words[2], words[3:]
