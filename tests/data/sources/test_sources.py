"""Other layouts become an index without errors, and an image that the index cannot represent is an error."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.data.factories import data_config, disc, noise, write_image
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.samples import Sample
from usaggr.data.sources.classes import read_classes
from usaggr.data.sources.coco import read_coco
from usaggr.data.sources.left_out import LeftOut
from usaggr.data.sources.masks import read_masks
from usaggr.data.sources.path_columns import add_subjects
from usaggr.data.sources.table import SourceTable, write_index
from usaggr.errors import ConfigError, DataError, UsaggrError


def samples(table: SourceTable, root: Path) -> list[Sample]:
    """Write the index, and return the samples that are read from it."""
    write_index(table, root)
    return list(load_dataset(data_config(root, root.parent / "cache")).samples)


def draw(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        write_image(folder / name, noise(hash_of(folder.name) + number))
    return folder


def hash_of(text: str) -> int:
    return sum(map(ord, text)) * 100


# Images and masks


def test_images_and_masks_of_one_name_are_pairs(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "a.jpg", "deep/b.png", "alone.png")
    for name in ("a.png", "deep/b.png", "nobody.png"):
        write_image(tmp_path / "masks" / name, disc())
    table = read_masks(images, tmp_path / "masks", "nodules")
    assert [(Path(entry.file).name, entry.reason) for entry in table.left_out] == [
        ("alone.png", f"has no mask in {tmp_path / 'masks'}"),
        ("nobody.png", f"has no image in {tmp_path / 'images'}"),
    ]
    assert [(s.image_path.name, s.mask_path and s.mask_path.name) for s in samples(table, tmp_path)] == [
        ("a.jpg", "a.png"),
        ("b.png",) * 2,
    ]


def test_masks_may_be_in_the_folder_of_their_images_under_another_name(tmp_path: Path) -> None:
    folder = draw(tmp_path / "all", "P1_1.png", "P2_1.png")
    for name in ("P1_1_mask.png", "P2_1_mask.png"):
        write_image(folder / name, disc())
    table = read_masks(folder, folder, "nodules", mask_name="{name}_mask")
    assert table.left_out == ()
    assert len(samples(table, tmp_path)) == 2


def test_subjects_are_found_in_names(tmp_path: Path) -> None:
    table = read_classes(draw(tmp_path, "a/P1_1.png", "b/P2_1.png"), "t").rows
    assert [row.columns["subject_id"] for row in add_subjects(table, r"(P\d)_", tmp_path)] == ["P1", "P2"]
    with pytest.raises(ConfigError, match=r"finds no subject in 'a/P1_1\.png', the path of"):
        add_subjects(table, "patient", tmp_path)
    with pytest.raises(ConfigError, match="is not a regular expression"):
        add_subjects(table, "(", tmp_path)


def test_a_missing_value_as_the_subject_in_a_name_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, "a/17.0_1.png", "b/nan_2.png")
    table = read_classes(tmp_path, "t").rows
    assert add_subjects(table[:1], "^([^_]+)_", tmp_path)[0].columns["subject_id"] == "17.0"
    with pytest.raises(ConfigError, match=r"finds 'nan' in 'b/nan_2\.png', which is read as a missing value"):
        add_subjects(table, "^([^_]+)_", tmp_path)


# Folders by class


def test_a_folder_is_a_class(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "malignant", "1.png", "more/2.png")
    draw(tmp_path / "images" / "benign", "1.png")
    table = read_classes(tmp_path / "images", "grades")
    assert table.class_names == ("benign", "malignant")
    assert [s.label for s in samples(table, tmp_path)] == [0, 1, 1]
    assert read_classes(tmp_path / "images", "grades", ("malignant", "benign")).rows[0].label == 1


# COCO


def coco(tmp_path: Path, objects: Mapping[str, Sequence[Mapping[str, Any]]], **category: Any) -> Path:
    images = [{"id": i, "file_name": name} for i, name in enumerate(objects)]
    draw(tmp_path / "images", *objects)
    annotations = [{"image_id": i, "category_id": 7, **o} for i, name in enumerate(objects) for o in objects[name]]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "nodule", **category}]}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    return tmp_path / "coco.json"


def test_coco_boxes_become_corners(tmp_path: Path) -> None:
    path = coco(tmp_path, {"a.png": [{"bbox": [2, 3.5, 10, 8]}], "none.png": []})
    table = read_coco(path, tmp_path / "images", "nodules", "boxes")
    assert table.class_names == ("nodule",)
    assert [entry.reason for entry in table.left_out] == ["no object"]
    assert [s.box for s in samples(table, tmp_path)] == [(2, 3.5, 12, 11.5)]


def test_several_boxes_are_refused_unless_the_largest_is_requested(tmp_path: Path) -> None:
    path = coco(tmp_path, {"a.png": [{"bbox": [2, 3, 4, 4]}, {"bbox": [1, 1, 9, 9]}, {"bbox": [0, 0, 30, 1]}]})
    with pytest.raises(DataError, match=r"coco\.json: image a\.png has 3 objects, .* add --several largest"):
        read_coco(path, tmp_path / "images", "nodules", "boxes")
    table = read_coco(path, tmp_path / "images", "nodules", "boxes", several="largest")
    assert table.rows[0].box == (1, 1, 10, 10)


def test_coco_keypoints_become_landmarks(tmp_path: Path) -> None:
    objects = {
        "a.png": [{"keypoints": [1, 2, 2, 30.5, 4, 1]}],
        "hidden.png": [{"keypoints": [1, 2, 2, 0, 0, 0]}],
        "short.png": [{"keypoints": [1, 2, 2]}],
    }
    path = coco(tmp_path, objects, keypoints=["left", "right"])
    table = read_coco(path, tmp_path / "images", "femur", "keypoints")
    assert table.class_names == ("left", "right")
    assert [entry.reason for entry in table.left_out] == [
        "a keypoint is not labeled (v=0)", "keypoints are not 2 times x, y, v",
    ]  # fmt: skip
    assert [s.points for s in samples(table, tmp_path)] == [((1, 2), (30.5, 4))]


def test_a_category_is_chosen_by_name(tmp_path: Path) -> None:
    path = coco(tmp_path, {"a.png": [{"bbox": [2, 3, 4, 4]}, {"bbox": [1, 1, 9, 9], "category_id": 8}]})
    content = json.loads(path.read_text())
    content["categories"].append({"id": 8, "name": "cyst"})
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"--category: .* has 2 categories; choose one of cyst, nodule"):
        read_coco(path, tmp_path / "images", "t", "boxes")
    with pytest.raises(ConfigError, match="did you mean 'cyst'"):
        read_coco(path, tmp_path / "images", "t", "boxes", "cysts")
    assert read_coco(path, tmp_path / "images", "t", "boxes", "cyst").rows[0].box == (1, 1, 10, 10)


# What is refused


def test_an_object_without_its_image_is_named(tmp_path: Path) -> None:
    path = coco(tmp_path, {"a.png": [{"bbox": [2, 3, 4, 4]}, {"bbox": [2, 3, 4, 4], "image_id": 99}]})
    table = read_coco(path, tmp_path / "images", "t", "boxes")
    assert len(table.rows) == 1
    assert table.left_out == (LeftOut(str(path), "an object of image 99, which is not in the list of images"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"images": [1], "annotations": [], "categories": []}',
        "[" * 100000,
        '{"images": [], "annotations": [{"image_id": [], "category_id": 1}], "categories": []}',
    ],
)
def test_a_file_that_is_not_a_coco_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "coco.json").write_text(text)
    with pytest.raises(DataError, match=r"coco\.json: ") as error:
        read_coco(tmp_path / "coco.json", tmp_path, "t", "boxes")
    assert "\n" not in str(error.value)


def test_a_layout_that_cannot_be_read_is_refused_with_the_expected_one(tmp_path: Path) -> None:
    single = draw(tmp_path / "single", "a/1.png")
    loose = draw(tmp_path / "loose", "a/1.png", "b/1.png", "loose.png")
    twice = draw(tmp_path / "twice", "1.png", "1.jpg")
    (tmp_path / "empty").mkdir()
    refused: list[tuple[Any, str]] = [
        (lambda: read_classes(single, "t"), "at least 2"),
        (lambda: read_classes(loose, "t"), "loose.png: is not in the folder of a class"),
        (lambda: read_classes(single, "t", ("a", "c")), "must be the folders of .*: a"),
        (lambda: read_classes(tmp_path / "nowhere", "t"), "folder does not exist"),
        (lambda: read_classes(tmp_path / "empty", "t"), "no image file matches"),
        (lambda: read_masks(single, twice, "t"), "has the same name as .*; an image has one mask of a name"),
        (lambda: read_masks(single, single, "t", mask_name="mask"), r"must contain \{name\} once"),
        (lambda: read_masks(single, loose, "t", num_classes=1), "at least 2"),
        (lambda: read_masks(single, single, "a/b"), "is not a valid name"),
        (lambda: read_masks(single, single, "t"), "makes each image its own mask"),
        (lambda: read_coco(tmp_path / "no.json", single, "t", "boxes"), "file does not exist"),
    ]
    for call, message in refused:
        with pytest.raises(ConfigError, match=message):
            call()


def test_an_index_is_never_overwritten_nor_written_for_images_elsewhere(tmp_path: Path) -> None:
    draw(tmp_path / "images", "a/1.png", "b/2.png")
    table = read_classes(tmp_path / "images", "grades")
    path = write_index(table, tmp_path)
    before = path.read_text()
    with pytest.raises(DataError, match=r"grades\.csv: exists"):
        write_index(table, tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=r"1\.png: is outside --out .*other") as error:
        write_index(table, tmp_path / "other")
    assert isinstance(error.value, UsaggrError)
    assert not (tmp_path / "other" / "csv_files").exists()
    assert path.read_text() == before


def test_a_source_without_samples_is_refused_with_the_reasons(tmp_path: Path) -> None:
    path = coco(tmp_path, {"a.png": [{"bbox": [1, 2]}]})
    with pytest.raises(DataError, match=r"task t: no sample was found\n .*a\.png: bbox is not four numbers"):
        write_index(read_coco(path, tmp_path / "images", "t", "boxes"), tmp_path)
