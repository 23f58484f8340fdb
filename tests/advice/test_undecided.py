"""Tests of undecided cells that concern the new data, and of the commands that would decide them."""

import shlex
from pathlib import Path

from tests.advice.factories import cell, new, sweep_of
from usaggr.advice.undecided import find_undecided, make_command
from usaggr.config.compose import compose_study, describe_study

UNIFIED = frozenset({"unified"})


def test_cells_are_sorted_by_seeds_needed_and_those_that_seeds_cannot_decide_come_last() -> None:
    sweep = sweep_of(
        cell("cervix", seeds_needed=9),
        cell("lung", seeds_needed=None),
        cell("fetal_head", seeds_needed=4),
        cell("ovary_tumor", 0.1, verdict="gain"),
    )
    undecided = find_undecided([(new(), UNIFIED)], [sweep])
    assert [u.cell.task.id for u in undecided] == ["fetal_head", "cervix", "lung"]
    assert [bool(u.command) for u in undecided] == [True, True, False]
    assert {u.task_ids for u in undecided} == {("thyroid_nodule",)}


def test_cells_that_concern_no_task_of_the_data_are_left_out() -> None:
    sweep = sweep_of(
        cell("breast_2cls", seeds_needed=4),
        cell("fetal_head", n_train=900, seeds_needed=4),
        cell("cervix", mode="clinical", grouping="clinical", seeds_needed=4),
        cell("lung", unusable="the shared model did not converge", invalid=True, seeds_needed=4),  # seeds cannot help
    )
    assert find_undecided([(new(), UNIFIED)], [sweep]) == []


def test_the_highest_level_and_all_concerned_tasks_are_given() -> None:
    sweep = sweep_of(cell("cervix", seeds_needed=4))
    (undecided,) = find_undecided([(new(), UNIFIED), (new("cervix"), UNIFIED), (new("FUGC"), UNIFIED)], [sweep])
    assert (undecided.level, undecided.task_ids) == ("same task", ("cervix", "thyroid_nodule"))


def test_the_command_keeps_the_seeds_and_adds_the_next_free_ones() -> None:
    sweep = sweep_of(seeds=(0, 2, 5))
    assert shlex.split(make_command(sweep, 6)) == ["usaggr", "sweep", "outputs/a/study.yaml", "seeds=[0,2,5,1,3,4]"]


def test_a_moved_sweep_continues_in_its_current_folder() -> None:
    sweep = sweep_of(folders=("/data/old results/a_2",), seeds=(0,))
    words = shlex.split(make_command(sweep, 2))
    assert words[2:] == ["/data/old results/a_2/study.yaml", "seeds=[0,1]", "outputs=/data/old results", "name=a_2"]


def test_the_command_composes_the_same_study_with_more_seeds(tmp_path: Path) -> None:
    study = compose_study("demo", ["training.learning_rate=5e-4", f"outputs={tmp_path}", "name=mine"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.yaml").write_text(describe_study(study))
    sweep = sweep_of(folders=(str(tmp_path / "mine"),), study="mine", outputs=str(tmp_path), seeds=tuple(study.seeds))
    again = compose_study(*_of_words(shlex.split(make_command(sweep, 5))))
    assert again.model_dump() == {**study.model_dump(), "seeds": [0, 1, 2, 3, 4]}


def _of_words(words: list[str]) -> tuple[str, list[str]]:
    assert words[:2] == ["usaggr", "sweep"]
    return words[2], words[3:]
