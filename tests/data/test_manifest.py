import csv
import json
from pathlib import Path

import pytest

from tests.data.factories import data_config, read_rows, tiny_data, write_rows
from usaggr.config import DataConfig
from usaggr.data.dataset import load_dataset
from usaggr.data.manifest import Manifest, check_same_data, disjointness, make_manifest, write_manifest
from usaggr.errors import ConfigError, DataError


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    return data_config(tiny_data(tmp_path / "data", n=30), tmp_path / "cache")


def manifest_of(data: DataConfig, seeds: tuple[int, ...] = (0, 1)) -> Manifest:
    return make_manifest(load_dataset(data), data, seeds)


def test_the_manifest_on_disk_tells_fold_and_rank_of_every_sample(data: DataConfig, tmp_path: Path) -> None:
    manifest = manifest_of(data)
    write_manifest(manifest, tmp_path / "out")
    with (tmp_path / "out" / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "task_id", "sample_id", "image_path", "subject_id", "component", "fold", "rank_0", "rank_1",
    ]  # fmt: skip
    assert len(rows) == 120
    for task_id in manifest.dataset.tasks:
        train = [row for row in rows if row["task_id"] == task_id and row["fold"] == "train"]
        ranked = sorted(train, key=lambda row: int(row["rank_1"]))
        assert [row["sample_id"] for row in ranked] == list(manifest.ranks[1][task_id])
    assert all((row["rank_0"] == "") == (row["fold"] != "train") for row in rows)


def test_the_description_counts_and_proves_that_folds_are_disjoint(data: DataConfig, tmp_path: Path) -> None:
    manifest = manifest_of(data)
    write_manifest(manifest, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "data.json").read_text())
    for task in content["tasks"]:
        assert task["n_train"] + task["n_val"] + task["n_test"] == 30
        assert 1 <= task["subjects_test"] <= task["n_test"]
    assert content["disjoint"]["images_in_two_folds"] == 0
    assert content["disjoint"]["images"] == 120


def test_the_proof_counts_what_is_in_two_folds() -> None:
    # Not something that the split can make: the count itself must be able to fail.
    class Broken:
        pass

    broken = Broken()
    sample = type("S", (), {"image_hash": "h", "subject_id": "s"})
    broken.dataset = type("D", (), {"samples": (sample, sample)})  # type: ignore[attr-defined]
    broken.split = type("P", (), {"components": (0, 0), "folds": ("train", "test")})  # type: ignore[attr-defined]
    proof = disjointness(broken)  # type: ignore[arg-type]
    assert (proof["components_in_two_folds"], proof["images_in_two_folds"], proof["subjects_in_two_folds"]) == (1, 1, 1)


def test_a_fold_depends_on_the_data_alone_not_on_the_tasks_that_a_study_selects(data: DataConfig) -> None:
    assert manifest_of(data, (0,)).split == manifest_of(data, (3, 4)).split


def test_rankings_are_drawn_per_seed_or_once(data: DataConfig) -> None:
    per_seed, fixed = manifest_of(data), manifest_of(data.model_copy(update={"subset": "fixed"}))
    assert per_seed.ranks[0] != per_seed.ranks[1]
    assert fixed.ranks[0] == fixed.ranks[1]


def test_another_split_in_the_same_folder_is_refused_with_a_name_to_take(data: DataConfig, tmp_path: Path) -> None:
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
    rows = read_rows(root, "cls.csv")
    write_rows(root, "cls.csv", [{**row, "subject_id": "one"} for row in rows])
    data = data_config(root, tmp_path / "cache")
    with pytest.raises(DataError, match=r"task cls: no sample in the fold .* 30 samples"):
        manifest_of(data)


def test_on_real_data_no_image_and_no_subject_is_in_two_folds(real_data: Path, tmp_path: Path) -> None:
    data = data_config(real_data, tmp_path / "cache")
    manifest = manifest_of(data, (0,))
    proof = disjointness(manifest)
    assert proof["images_in_two_folds"] == proof["subjects_in_two_folds"] == proof["components_in_two_folds"] == 0
    assert proof["images"] == len({s.image_hash for s in manifest.dataset.samples})
    for task in manifest.dataset.tasks:
        sizes = [len(manifest.by_fold[task, fold]) for fold in ("train", "val", "test")]
        total = sum(sizes)
        # Subjects of many frames are the grain: muscle_thickness has 7 of about 22 frames each.
        assert abs(sizes[0] / total - 0.7) < 0.12
        assert sizes[2] / total > 0.1
