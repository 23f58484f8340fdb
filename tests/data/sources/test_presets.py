"""Public data sets in their own layouts become tasks with the command of their name."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.data.factories import data_config, disc, noise, read_rows, write_image
from usaggr.cli.main import app
from usaggr.data.read.images import read_mask
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.samples import Dataset


def index(root: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["data", "index", *words])
    assert result.exit_code == 0, result.output
    return result.output


def load(root: Path, **changes: object) -> Dataset:
    return load_dataset(data_config(root, root.parent / "cache", **changes))


def test_busi_gives_lesions_and_classes(tmp_path: Path) -> None:
    root = tmp_path / "Dataset_BUSI_with_GT"
    for seed, kind in enumerate(("benign", "malignant", "normal")):
        for number in (1, 2):
            write_image(root / kind / f"{kind} ({number}).png", noise(10 * seed + number))
            write_image(root / kind / f"{kind} ({number})_mask.png", disc(255 * (kind != "normal")))
    write_image(root / "benign" / "benign (1)_mask_1.png", disc(255))
    output = index(root, "busi", "--images", str(tmp_path))
    assert "busi.csv: 4 samples" in output
    assert "busi_class.csv: 6 samples" in output
    assert (
        output.splitlines()[-1] == f"next: usaggr data check data=fmuia data.root={tmp_path} data.foreground_255=true"
    )
    dataset = load(tmp_path, foreground_255=True)
    assert dataset.tasks["busi"].class_names == ("background", "lesion")
    assert dataset.tasks["busi_class"].class_names == ("benign", "malignant", "normal")
    assert [s.label for s in dataset.samples if s.task_id == "busi_class"] == [0, 0, 1, 1, 2, 2]


def test_camus_is_converted_and_its_patients_are_subjects(tmp_path: Path) -> None:
    for patient in ("patient0001", "patient0002"):
        folder = tmp_path / "database_nifti" / patient
        folder.mkdir(parents=True)
        for seed, phase in enumerate(("ED", "ES")):
            name = folder / f"{patient}_2CH_{phase}"
            pixels = noise(seed + 10 * int(patient[-1]))
            nibabel.save(nibabel.Nifti1Image(pixels.T, np.diag([0.3, 0.3, 1, 1])), f"{name}.nii.gz")
            nibabel.save(nibabel.Nifti1Image(disc(3).T, np.eye(4)), f"{name}_gt.nii.gz")
        sequence = np.stack([noise(7).T, noise(8).T], axis=2)
        nibabel.save(nibabel.Nifti1Image(sequence, np.eye(4)), f"{folder / patient}_2CH_half_sequence.nii.gz")
    output = index(tmp_path, "camus", "--images", str(tmp_path / "database_nifti"), "--out", str(tmp_path))
    assert "camus.csv: 4 samples of 2 subjects, 2 files left out" in output
    assert "has several frames" in output
    dataset = load(tmp_path)
    assert dataset.tasks["camus"].class_names == ("background", "left ventricle", "myocardium", "left atrium")
    assert {row["pixel_spacing"] for row in read_rows(tmp_path, "camus.csv")} == {"[0.3, 0.3]"}


def test_hc18_fills_ellipses_and_has_the_size_of_pixels(tmp_path: Path) -> None:
    outline = disc(255)
    outline[9:15, 13:19] = 0
    for name in ("000_HC", "001_HC", "001_2HC"):
        write_image(tmp_path / "training_set" / f"{name}.png", noise(sum(map(ord, name))))
        write_image(tmp_path / "training_set" / f"{name}_Annotation.png", outline)
    (tmp_path / "training_set_pixel_size_and_HC.csv").write_text(
        "filename,pixel size(mm),head circumference (mm)\n"
        "000_HC.png,0.069136,44.3\n001_HC.png,0.1,50\n001_2HC.png,0.1,51\n"
    )
    assert "hc18.csv: 3 samples of 2 subjects" in index(tmp_path, "hc18", "--images", str(tmp_path))
    dataset = load(tmp_path)
    masks = [read_mask(sample.mask_path, False, 10**6) for sample in dataset.samples if sample.mask_path]
    assert [int(mask.sum()) for mask in masks] == [int((disc() > 0).sum())] * 3
    assert [row["pixel_spacing"] for row in read_rows(tmp_path, "hc18.csv")] == [
        "[0.069136, 0.069136]", "[0.1, 0.1]", "[0.1, 0.1]"
    ]  # fmt: skip


def test_tn3k_has_its_test_set_and_the_validation_set_of_a_fold(tmp_path: Path) -> None:
    for subset, numbers in {"trainval": range(4), "test": range(2)}.items():
        for number in numbers:
            write_image(tmp_path / f"{subset}-image" / f"{number:04}.jpg", noise(number + 100 * len(subset)))
            write_image(tmp_path / f"{subset}-mask" / f"{number:04}.jpg", disc(255))
    (tmp_path / "tn3k-trainval-fold1.json").write_text(json.dumps({"train": [0, 1, 2], "val": [3]}))
    index(tmp_path, "tn3k", "--images", str(tmp_path), "--fold", "1")
    samples = load(tmp_path).samples
    assert [sample.official_subset for sample in samples] == ["test", "test", "train", "train", "train", "val"]


@pytest.mark.parametrize("name", ["busi", "camus", "hc18", "tn3k"])
def test_another_folder_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    result = CliRunner().invoke(app, ["data", "index", name, "--images", str(tmp_path)])
    assert result.exit_code != 0
    assert "give the folder of the data set as it was unpacked" in str(result.exception)
