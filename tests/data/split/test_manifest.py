import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.data.factories import data_config, read_rows, tiny_data, write_rows
from tests.data.split.test_make_split import dataset, sample
from usaggr.config.study import DataConfig
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.split.make_split import Split
from usaggr.data.split.manifest import (
    Manifest,
    check_same_data,
    count_overlaps,
    describe_manifest,
    make_manifest,
    write_manifest,
)
from usaggr.errors import ConfigError, DataError


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    return data_config(tiny_data(tmp_path / "data", n=30), tmp_path / "cache")


def manifest_of(data: DataConfig, seeds: tuple[int, ...] = (0, 1)) -> Manifest:
    return make_manifest(load_dataset(data), data, seeds)


def test_split_csv_holds_subset_and_rank_of_every_sample(data: DataConfig, tmp_path: Path) -> None:
    manifest = manifest_of(data)
    write_manifest(manifest, tmp_path / "out")
    with (tmp_path / "out" / "split.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == [
        "task_id", "sample_id", "image_path", "subject_id", "component", "fold", "rank_0", "rank_1", "subject_written",
        "image_sha256",
    ]  # fmt: skip
    assert len(table) == 120
    for task_id in manifest.dataset.tasks:
        train = [row for row in table if row["task_id"] == task_id and row["fold"] == "train"]
        ranked = sorted(train, key=lambda row: int(row["rank_1"]))
        assert [row["sample_id"] for row in ranked] == list(manifest.ranks[1][task_id])
    assert all((row["rank_0"] == "") == (row["fold"] != "train") for row in table)


def test_data_json_counts_samples_and_proves_that_subsets_are_disjoint(data: DataConfig, tmp_path: Path) -> None:
    manifest = manifest_of(data)
    write_manifest(manifest, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "data.json").read_text())
    for task in content["tasks"]:
        assert task["n_train"] + task["n_val"] + task["n_test"] == 30
        assert 1 <= task["subjects_test"] <= task["n_test"]
    assert content["disjoint"]["images_in_two_folds"] == 0
    assert content["disjoint"]["images"] == 120


def test_a_split_does_not_depend_on_the_seeds_of_the_study(data: DataConfig) -> None:
    assert manifest_of(data, (0,)).split == manifest_of(data, (3, 4)).split


def test_rankings_are_drawn_per_seed_or_once(data: DataConfig) -> None:
    per_seed, fixed = manifest_of(data), manifest_of(data.model_copy(update={"subset": "fixed"}))
    assert per_seed.ranks[0] != per_seed.ranks[1]
    assert fixed.ranks[0] == fixed.ranks[1]


def test_another_split_in_the_same_folder_is_refused_and_another_name_suggested(
    data: DataConfig, tmp_path: Path
) -> None:
    write_manifest(manifest_of(data), tmp_path / "out")
    check_same_data(manifest_of(data), tmp_path / "out")
    other = data.model_copy(update={"split": data.split.model_copy(update={"seed": 9})})
    with pytest.raises(ConfigError, match=r"another split.*name=out_2"):
        check_same_data(manifest_of(other), tmp_path / "out")


def test_other_data_in_the_same_folder_are_refused(data: DataConfig, tmp_path: Path) -> None:
    write_manifest(manifest_of(data), tmp_path / "out")
    other = data_config(tiny_data(tmp_path / "more", n=32), tmp_path / "cache")
    with pytest.raises(ConfigError, match="another data set"):
        write_manifest(manifest_of(other), tmp_path / "out")


def test_a_task_that_cannot_be_split_is_named(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data", n=30)
    table = read_rows(root, "cls.csv")
    write_rows(root, "cls.csv", [{**row, "subject_id": "one"} for row in table])
    data = data_config(root, tmp_path / "cache")
    with pytest.raises(DataError, match=r"task cls: no sample in the subset .* 30 samples"):
        manifest_of(data)


@pytest.mark.parametrize("missing", ["train", "val", "test"])
def test_a_task_without_samples_in_one_subset_is_named(tmp_path: Path, missing: str) -> None:
    present = [subset for subset in ("train", "val", "test") if subset != missing]
    # There are two subjects: the only one for training cannot be divided to get validation samples.
    data = dataset([sample("a", n, n, n % 2, official=present[n % 2]) for n in range(8)])
    with pytest.raises(DataError, match=f"task a: no sample in the subset {missing};"):
        make_manifest(data, data_config(tmp_path, tmp_path), [0])


SUBSETS_OF_TEN = ("train",) * 4 + ("val", None, "test", "test", "test", "test")
"""Subsets of ten samples, two per subject; one sample was dropped."""


def small() -> Manifest:
    """Return a manifest of task a (five subjects, two frames each) and task b (one sample in each subset)."""
    samples = [sample("a", n, n, n // 2, label=n % 2) for n in range(10)]
    samples += [sample("b", n, 20 + n, 20 + n, label=0) for n in range(3)]
    split = Split((*(n // 2 for n in range(10)), 5, 6, 7), (*SUBSETS_OF_TEN, "train", "val", "test"))
    ranks = {"a": tuple(f"../a/{n}.png" for n in (2, 3, 0, 1)), "b": ("../b/0.png",)}
    return Manifest(dataset(samples), split, {0: ranks})


def test_each_test_subject_is_counted_once() -> None:
    first, second = describe_manifest(small())["tasks"]
    assert (first["n_train"], first["n_val"], first["n_test"], first["subjects_test"]) == (4, 1, 4, 2)
    assert second["subjects_test"] == 1


def test_the_smallest_scale_takes_one_sample_of_each_class() -> None:
    manifest = small()
    assert manifest.select_training_samples("a", 0.01, 0) == ("../a/2.png", "../a/3.png")
    assert manifest.select_training_samples("b", 0.01, 0) == ("../b/0.png",)


def test_split_csv_names_dropped_samples_and_the_image_of_a_repeated_row(tmp_path: Path) -> None:
    manifest = small()
    again = replace(manifest.dataset.samples[9], sample_id="../a/8.png#2")
    samples = (*manifest.dataset.samples[:9], again, *manifest.dataset.samples[10:])
    write_manifest(Manifest(replace(manifest.dataset, samples=samples), manifest.split, manifest.ranks), tmp_path)
    with (tmp_path / "split.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert (table[5]["fold"], table[5]["rank_0"]) == ("dropped", "")
    assert (table[9]["sample_id"], table[9]["image_path"]) == ("../a/8.png#2", "../a/8.png")


@pytest.mark.parametrize(
    "change",
    [{"sample_id": "../a/x.png"}, {"subject_id": "x"}, {"image_hash": "x"}, {"label_hash": "x"}, {}],
    ids=["name", "subject", "image", "label", "fold"],
)
def test_the_content_of_a_task_changes_with_each_of_its_samples(change: dict[str, Any]) -> None:
    """A finished run is kept as long as the content of its tasks stays the same."""
    manifest = small()
    samples = (replace(manifest.dataset.samples[0], **change), *manifest.dataset.samples[1:])
    folds = manifest.split.subsets if change else ("val", *manifest.split.subsets[1:])
    other = Manifest(replace(manifest.dataset, samples=samples), Split(manifest.split.components, folds), {})
    assert other.get_task_hash("a") != manifest.get_task_hash("a")
    assert other.get_task_hash("b") == manifest.get_task_hash("b")
    is_other_split = not change or "sample_id" in change
    assert (other.split_hash != manifest.split_hash) == is_other_split


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"num_classes": 3, "class_names": ("a", "b", "c")}, False),
        ({"type": "regression"}, False),
        ({"class_names": tuple("abcd"), "organ": "x", "clinical_group": "x"}, True),
    ],
    ids=["number_of_classes", "type", "names"],
)
def test_the_content_of_a_task_changes_with_its_type_and_classes_and_not_with_names(
    change: dict[str, Any], same: bool
) -> None:
    manifest = small()
    tasks = {**manifest.dataset.tasks, "a": replace(manifest.dataset.tasks["a"], **change)}
    other = Manifest(replace(manifest.dataset, tasks=tasks), manifest.split, {})
    assert (other.get_task_hash("a") == manifest.get_task_hash("a")) == same
    assert (other.dataset.content_hash == manifest.dataset.content_hash) == same


def test_on_real_data_no_image_and_no_subject_is_in_two_subsets(real_data: Path, tmp_path: Path) -> None:
    data = data_config(real_data, tmp_path / "cache")
    manifest = manifest_of(data, (0,))
    proof = count_overlaps(manifest)
    assert proof["images_in_two_folds"] == proof["subjects_in_two_folds"] == proof["components_in_two_folds"] == 0
    assert proof["images"] == len({s.image_hash for s in manifest.dataset.samples})
    for task in manifest.dataset.tasks:
        sizes = [len(manifest.by_subset[task, fold]) for fold in ("train", "val", "test")]
        total = sum(sizes)
        # Subjects are not divided: muscle_thickness has 7, of about 22 frames each.
        assert abs(sizes[0] / total - 0.7) < 0.12
        assert sizes[2] / total > 0.1
