"""Tests of reading the data that need advice: tasks and training samples, from a data set or from an index only."""

import csv
from functools import cache
from pathlib import Path

import pytest

from tests.data.factories import tiny_data
from usaggr.advice.new_data import read_data, read_index_table
from usaggr.config.compose import compose_study
from usaggr.config.study import DataConfig
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.split.manifest import make_manifest
from usaggr.errors import DataError
from usaggr.progress import NoProgress


@cache
def config(*overrides: str) -> DataConfig:
    return compose_study("demo", ["data=fmuia", "data.root=.", *overrides]).data


def index(path: Path, lines: list[dict[str, str]]) -> Path:
    names = list(dict.fromkeys(name for line in lines for name in line))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(lines)
    return path


def row(i: int, task: str = "nodules", kind: str = "segmentation", **cells: str) -> dict[str, str]:
    return {
        "image_path": f"../images/{i}.png", "mask_path": f"../masks/{i}.png", "task_name": kind, "task_id": task,
        "num_classes": "2", "mask": "1", **cells,
    }  # fmt: skip


def test_training_samples_are_counted_after_the_split(tmp_path: Path) -> None:
    tiny_data(tmp_path / "mine", n=20)
    data = config(f"data.root={tmp_path / 'mine'}")
    new_data = read_data(data, NoProgress())
    manifest = make_manifest(load_dataset(data), data, [0])
    assert new_data.name == "mine"
    assert {t.task.id: t.n_train for t in new_data.tasks} == {
        task_id: len(manifest.by_subset[task_id, "train"]) for task_id in manifest.dataset.tasks
    }
    assert new_data.content == manifest.dataset.content_hash


def test_tasks_with_common_images_have_one_source(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "mine", n=10)
    new_data = read_data(config(f"data.root={root}"), NoProgress())
    assert all(t.image_source is not None for t in new_data.tasks)


def test_training_samples_of_an_index_without_split_are_a_fraction_of_its_rows(tmp_path: Path) -> None:
    lines = [row(i, organ="thyroid", clinical_group="neck") for i in range(50)]
    new_data = read_index_table(index(tmp_path / "clinic.csv", lines), config())
    (only,) = new_data.tasks
    assert (new_data.name, only.task.id, only.task.type, only.task.clinical_group) == (
        "clinic", "nodules", "segmentation", "neck"
    )  # fmt: skip
    assert only.n_train == 35
    assert only.image_source is None
    assert new_data.content == ""
    assert "70 % of a task's rows without that column" in new_data.remarks[0]


def test_training_samples_of_an_index_with_split_are_its_train_rows(tmp_path: Path) -> None:
    lines = [row(i, split="train" if i < 41 else "test") for i in range(50)]
    lines += [row(i, "grades", "classification", split="") for i in range(50, 60)]
    new_data = read_index_table(index(tmp_path / "a.csv", lines), config())
    assert {t.task.id: t.n_train for t in new_data.tasks} == {"nodules": 41, "grades": 7}


def test_invalid_rows_of_an_index_are_refused_or_left_out(tmp_path: Path) -> None:
    path = index(tmp_path / "a.csv", [row(0), row(1, kind="segmentaton"), row(2)])
    with pytest.raises(DataError) as error:
        read_index_table(path, config())
    assert str(error.value).startswith(f"{path}: 1 error in the index, first: a.csv, line 3")
    assert "data.on_bad_sample=skip" in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    (only,) = read_index_table(path, config("data.on_bad_sample=skip")).tasks
    assert only.n_train == 1


def test_a_file_that_is_no_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"a.csv: no column image_path"):
        read_index_table(tmp_path / "a.csv", config())
    empty = index(tmp_path / "b.csv", [row(0)])
    empty.write_text(empty.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match=r"b.csv: the index has no rows"):
        read_index_table(empty, config())


def test_tasks_are_completed_by_the_catalogue(tmp_path: Path) -> None:
    (only,) = read_index_table(index(tmp_path / "a.csv", [row(0, "fetal_head")]), config()).tasks
    assert (only.task.clinical_group, only.task.organ) == ("obstetrics", "fetal head")
