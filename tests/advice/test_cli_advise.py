"""Tests of `usaggr advise`: arguments, files and exit statuses."""

import csv
import json
from pathlib import Path

import pytest

from tests.cli.test_main import Shell, shell
from tests.data.factories import tiny_data

__all__ = ["shell"]


def test_advice_for_a_data_set_is_shown_and_written(shell: Shell, gaining: Path, tmp_path: Path) -> None:
    tiny_data(tmp_path / "mine", n=30)
    (tmp_path / "mine" / "csv_files" / "seg.csv").rename(tmp_path / "mine" / "csv_files" / "a.csv")
    assert shell("advise", "mine", "--from", str(gaining)) == 0
    assert "outputs/advice/mine/advice.md" in shell.out
    assert "4 tasks:" in shell.out
    content = json.loads((tmp_path / "outputs" / "advice" / "mine" / "advice.json").read_text())
    assert [task["task"] for task in content["tasks"]] == ["cls", "det", "reg", "seg"]
    assert {task["n_train"] for task in content["tasks"]} == {21}


def test_an_index_alone_is_enough(shell: Shell, gaining: Path, tmp_path: Path) -> None:
    with (tmp_path / "clinic.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_path", "mask_path", "task_name", "task_id", "num_classes"])
        for task in ("nodules", "cysts"):
            writer.writerows([f"../{task}{i}.png", f"../m{i}.png", "segmentation", task, 2] for i in range(143))
    assert shell("advise", "clinic.csv", "--from", str(gaining), "--out", "here") == 0
    content = json.loads((tmp_path / "here" / "advice.json").read_text())
    assert {task["task"]: (task["advice"], task["n_train"]) for task in content["tasks"]} == {
        "cysts": ("share", 100), "nodules": ("share", 100)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "DATA must be the folder that holds csv_files/, an index file (.csv), or data=..."),
        (("a", "b"), "'b' is not an override (key=value), and 'a' is already the data set"),
        (("nowhere",), "data.root=nowhere: this folder does not exist; give the folder that contains csv_files/"),
        (("nowhere", "data.rot=1"), "data.rot"),
    ],
)
def test_wrong_data_end_with_one_line_and_2(shell: Shell, gaining: Path, words: tuple[str, ...], message: str) -> None:
    assert shell("advise", *words, "--from", str(gaining)) == 2
    assert message in shell.err
    assert len(shell.err.strip().splitlines()) == 1


def test_wrong_sweeps_end_with_one_line_and_2(shell: Shell, tmp_path: Path) -> None:
    tiny_data(tmp_path / "mine", n=20)
    assert shell("advise", "mine", "--from", "outputs/nothing") == 2
    assert shell.err.strip() == (
        "outputs/nothing: no study.yaml in it; give a folder that `usaggr sweep` wrote, like outputs/demo"
    )
    assert shell("advise", "mine") == 2
    assert "--from" in shell.err


@pytest.mark.slow
def test_advice_for_real_data(shell: Shell, gaining: Path, real_data: Path, tmp_path: Path) -> None:
    assert shell("advise", str(real_data), "data.on_bad_sample=skip", "--from", str(gaining), "--out", "here") == 0
    content = json.loads((tmp_path / "here" / "advice.json").read_text())
    tasks = {task["task"]: task for task in content["tasks"]}
    assert len(tasks) == 15
    assert tasks["cardiac_multi"]["advice"] == "share"
    assert {cell["task"] for cell in tasks["cardiac_multi"]["ways"][-1]["cells"]} == {
        "breast_lesion", "cervix", "fetal_head", "lung"
    }  # fmt: skip
    assert tasks["fetal_head"]["ways"][0]["level"] == "same task"
    assert tasks["organ_cls"]["advice"] == "not known"
