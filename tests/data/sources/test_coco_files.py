"""COCO files as exports write them: repeated ids, empty categories, crowds, other sizes, corners and masks."""

import json
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.factories import noise, write_image
from usaggr.data.read.images import read_mask
from usaggr.data.sources.coco import CocoOptions, read_coco
from usaggr.data.sources.coco_exports import read_coco_exports
from usaggr.data.sources.coco_file import read_coco_file
from usaggr.data.sources.made_masks import change_masks
from usaggr.data.sources.write_task import write_task
from usaggr.errors import ConfigError, DataError

NODULE = {"id": 1, "name": "nodule"}
RECTANGLE = [2, 3, 12, 3, 12, 11, 2, 11]
"""Polygon of x from 2 to 12 and y from 3 to 11."""


def write_coco(
    root: Path,
    annotations: Sequence[dict[str, Any]],
    categories: Sequence[dict[str, Any]] = (NODULE,),
    images: Sequence[dict[str, Any]] = ({"id": 0, "file_name": "0.png", "width": 32, "height": 24},),
) -> Path:
    for entry in images:
        path = root / "images" / str(entry["file_name"]).rsplit("/")[-1]
        if not path.exists():
            write_image(path, noise(len(str(path))))
    objects = [{"id": i, "image_id": 0, "category_id": 1, **entry} for i, entry in enumerate(annotations)]
    content = {"images": list(images), "annotations": objects, "categories": list(categories)}
    (root / "coco.json").write_text(json.dumps(content))
    return root / "coco.json"


def read_one_box(root: Path, path: Path, **options: Any) -> tuple[float, ...] | None:
    (row,) = read_coco(path, root / "images", "t", "boxes", **options).rows
    return row.box


def test_empty_categories_are_no_choice(tmp_path: Path) -> None:
    path = write_coco(
        tmp_path, [{"bbox": [2, 3, 10, 8]}], [{"id": 0, "name": "nodule"}, NODULE, {"id": 2, "name": "cyst"}]
    )
    assert read_one_box(tmp_path, path) == (2, 3, 12, 11)
    assert read_one_box(tmp_path, path, category="nodule") == (2, 3, 12, 11)
    with pytest.raises(ConfigError, match="has no object of cyst; categories with objects: nodule"):
        read_one_box(tmp_path, path, category="cyst")


@pytest.mark.parametrize(("image_id", "reference"), [(0, "0"), ("0", 0)], ids=["text in objects", "text in images"])
def test_ids_that_are_text_in_one_list_alone_are_one_with_a_note(
    tmp_path: Path, image_id: int | str, reference: int | str
) -> None:
    images = [{"id": image_id, "file_name": "0.png", "width": 32, "height": 24}]
    objects = [{"bbox": [2, 3, 10, 8], "image_id": reference, "category_id": "1"}]
    table = read_coco(write_coco(tmp_path, objects, images=images), tmp_path / "images", "t", "boxes")
    assert [row.box for row in table.rows] == [(2, 3, 12, 11)]
    assert list(table.notes) == [
        f"ids of {name} are text in one list and numbers in another; '1' and 1 are read as one id"
        for name in ("images", "categories")
    ]


IMAGES_0 = [{"id": 0, "file_name": "0.png"}]


@pytest.mark.parametrize(
    ("images", "references"),
    [
        (IMAGES_0, [0]),  # nothing to change
        ([{"id": "0", "file_name": "0.png"}], ["0"]),
        (IMAGES_0, ["00"]),  # leading zeros distinguish
        (IMAGES_0, ["0", "a"]),  # ids are names
        ([*IMAGES_0, {"id": "0", "file_name": "1.png"}], ["0", 5]),  # would be one image
        (IMAGES_0, [7]),  # an image that is not listed
    ],
)
def test_other_ids_keep_their_text(tmp_path: Path, images: list[dict[str, Any]], references: list[int | str]) -> None:
    path = write_coco(tmp_path, [{"image_id": reference} for reference in references], images=images)
    coco = read_coco_file(path)
    assert [entry["id"] for entry in coco.images] == [entry["id"] for entry in images]
    assert [entry["image_id"] for entry in coco.annotations] == references
    assert coco.notes == ()


@pytest.mark.parametrize(
    ("images", "objects", "categories", "problem"),
    [
        ([{"id": 1.0, "file_name": "a"}], [], [], "entry 0 .* 'images' .*: id is 1.0, and must be a number without"),
        ([{"id": None, "file_name": "a"}], [], [], "entry 0 .* 'images' .*: id is null, and must be a number"),
        ([{"id": 0, "file_name": None}], [], [], "entry 0 .* 'images' .*: file_name is null, and must be text"),
        ([{"file_name": "a"}], [], [], "entry 0 .* 'images' .*: it has no id"),
        ([7], [], [], "entry 0 .* 'images' .*: it is no object with named fields"),
        (IMAGES_0, [{"image_id": 0, "category_id": [1]}], [], r"'annotations' .*: category_id is \[1\], and must"),
        (IMAGES_0, [{"image_id": 0, "category_id": 1}, {}], [], "entry 1 .* 'annotations' .*: it has no image_id"),
        (IMAGES_0, [], [{"id": 1, "keypoints": "a"}], "'categories' .*: keypoints is \"a\", and must be a list"),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_valid_is_named_with_its_field_and_value(
    tmp_path: Path, images: list[Any], objects: list[Any], categories: list[Any], problem: str
) -> None:
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"images": images, "annotations": objects, "categories": categories}))
    with pytest.raises(DataError, match=problem):
        read_coco_file(path)


def test_categories_of_one_name_are_one(tmp_path: Path) -> None:
    objects = [{"bbox": [2, 3, 10, 8]}, {"bbox": [1, 1, 4, 4], "category_id": 5}]
    path = write_coco(tmp_path, objects, [NODULE, {"id": 5, "name": "nodule"}])
    assert read_one_box(tmp_path, path, several="union") == (1, 1, 12, 11)


@pytest.mark.parametrize(
    ("images", "categories", "message"),
    [
        (
            [{"id": 0, "file_name": "0.png"}, {"id": 0, "file_name": "1.png"}],
            [NODULE],
            r"id 0 of 'images' is used twice, for 0\.png and 1\.png",
        ),
        (
            [{"id": 0, "file_name": "0.png"}],
            [NODULE, {"id": 1, "name": "cyst"}],
            "id 1 of 'categories' is used twice, for nodule and cyst",
        ),
        (
            [{"id": 0, "file_name": "0.png"}, {"id": 1, "file_name": "images/0.png"}],
            [NODULE],
            r"0\.png \(id 0\) and images/0\.png \(id 1\) are one file",
        ),
    ],
)
def test_ids_and_files_that_occur_twice_are_refused(
    tmp_path: Path, images: list[dict[str, Any]], categories: list[dict[str, Any]], message: str
) -> None:
    path = write_coco(tmp_path, [{"bbox": [2, 3, 10, 8]}], categories, images)
    with pytest.raises(DataError, match=message):
        read_coco(path, tmp_path / "images", "t", "boxes")


def test_objects_of_unknown_categories_are_counted(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [{"bbox": [2, 3, 10, 8]}, {"bbox": [1, 1, 4, 4], "category_id": 9}])
    (entry,) = read_coco(path, tmp_path / "images", "t", "boxes").left_out
    assert (entry.count, entry.reason) == (1, "objects of categories that are not in the list of categories")


def test_repeated_images_are_one_and_other_suffixes_are_named(tmp_path: Path) -> None:
    image = {"id": 0, "file_name": "0.png"}
    path = write_coco(tmp_path, [{"bbox": [2, 3, 10, 8]}], images=[image, image])
    assert read_one_box(tmp_path, path) == (2, 3, 12, 11)
    path.write_text(path.read_text().replace("0.png", "0.jpg"))
    with pytest.raises(DataError, match=r"image 0\.jpg is not in .*; 0\.png is; rename one of them"):
        read_one_box(tmp_path, path)


def test_files_of_several_subsets_are_one_task(tmp_path: Path) -> None:
    for number, subset in enumerate(("train", "valid", "test")):
        for name in ("a.jpg", "b.jpg"):
            write_image(tmp_path / subset / name, noise(10 * number + len(name)))
        content = {
            "images": [{"id": 0, "file_name": "a.jpg"}],
            "annotations": [{"image_id": 0, "category_id": 1, "bbox": [2, 3, 10 + number, 8]}],
            "categories": [{"id": 0, "name": "project"}, NODULE],
        }
        (tmp_path / subset / "_annotations.coco.json").write_text(json.dumps(content))
    table = read_coco_exports(tmp_path, tmp_path, "t", CocoOptions("boxes"))
    assert [(row.image.parent.name, row.box) for row in table.rows] == [
        ("test", (2, 3, 14, 11)), ("train", (2, 3, 12, 11)), ("valid", (2, 3, 13, 11))
    ]  # fmt: skip
    assert len(table.left_out) == 3, "b.jpg of each subset"
    lines = write_task(table, tmp_path, tmp_path)
    assert "note: split by folders: train 1, val 1, test 1" in lines
    content["categories"] = [{"id": 1, "name": "cyst"}]
    (tmp_path / "test" / "_annotations.coco.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"has 2 categories; choose one of cyst, nodule"):
        read_coco_exports(tmp_path, tmp_path, "t", CocoOptions("boxes"))
    nodules = read_coco_exports(tmp_path, tmp_path, "t", CocoOptions("boxes", "nodule"))
    assert [row.image.parent.name for row in nodules.rows] == ["train", "valid"]


def write_subsets(root: Path, categories: Mapping[str, Sequence[int]], names: Sequence[str]) -> Path:
    """Write annotations/instances_SUBSET.json, with an image for each category of an object, and SUBSET/*.png."""
    (root / "annotations").mkdir()
    for subset, objects in categories.items():
        for number in range(max(len(objects), 1)):
            write_image(root / subset / f"{subset}{number}.png", noise(ord(subset[0]) + number))
        entries = [{"id": i, "image_id": i, "category_id": c, "bbox": [2, 3, 10, 8], "segmentation": [RECTANGLE]}
                   for i, c in enumerate(objects)]  # fmt: skip
        images = [{"id": i, "file_name": f"{subset}{i}.png"} for i in range(max(len(objects), 1))]
        named = [{"id": i, "name": name} for i, name in enumerate(names, start=1)]
        content = {"images": images, "annotations": entries, "categories": named}
        (root / "annotations" / f"instances_{subset}.json").write_text(json.dumps(content))
    return root / "annotations"


def test_names_of_coco_files_are_a_split(tmp_path: Path) -> None:
    folder = write_subsets(tmp_path, {"test2017": [1], "train2017": [1, 1], "val2017": [1]}, ["nodule"])
    table = read_coco_exports(folder, tmp_path, "t", CocoOptions("boxes"))
    assert {row.image.stem: row.columns["split"] for row in table.rows} == {
        "test20170": "test", "train20170": "train", "train20171": "train", "val20170": "val"
    }  # fmt: skip
    assert table.notes == ("split by names of COCO files: train 2, val 1, test 1",)
    (folder / "instances_test2017.json").unlink()
    without_test = read_coco_exports(folder, tmp_path, "t", CocoOptions("boxes"))
    assert [row.columns for row in without_test.rows] == [{}] * 3
    assert "COCO files name subsets (train 2, val 1), but" in without_test.notes[0]


def test_a_class_may_be_missing_in_a_subset(tmp_path: Path) -> None:
    folder = write_subsets(tmp_path, {"test": [2], "train": [1, 2], "val": []}, ["nodule", "cyst"])
    table = read_coco_exports(folder, tmp_path, "t", CocoOptions("masks"))
    numbers = {row.image.stem: int(row.drawing().max()) for row in table.rows if row.drawing is not None}
    assert (table.class_names, numbers) == (("background", "nodule", "cyst"), {"test0": 2, "train0": 1, "train1": 2})
    assert [Path(entry.file).name for entry in table.left_out] == ["val0.png"]


def test_categories_of_one_name_in_two_spellings_are_refused(tmp_path: Path) -> None:
    objects = [{"segmentation": [RECTANGLE]}, {"segmentation": [RECTANGLE], "category_id": 2}]
    path = write_coco(tmp_path, objects, [NODULE, {"id": 2, "name": "Nodule"}])
    with pytest.raises(ConfigError, match=r"'nodule' and 'Nodule' in .* differ only in letter case"):
        read_coco(path, tmp_path / "images", "t", "masks")


def test_repeated_objects_are_one(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [{"bbox": [2, 3, 10, 8]}] * 2)
    assert read_one_box(tmp_path, path) == (2, 3, 12, 11)


@pytest.mark.parametrize("file_name", ["images/0.png", "train2017/0.png", "images\\0.png", "./0.png"])
def test_file_names_may_have_other_folders(tmp_path: Path, file_name: str) -> None:
    write_image(tmp_path / "images" / "0.png", noise(0))
    image = {"id": 0, "file_name": file_name}
    (tmp_path / "coco.json").write_text(
        json.dumps({"images": [image], "annotations": [{"image_id": 0, "category_id": 1, "bbox": [2, 3, 10, 8]}],
                    "categories": [NODULE]})
    )  # fmt: skip
    assert read_one_box(tmp_path, tmp_path / "coco.json") == (2, 3, 12, 11)


def test_crowds_are_left_out_used_or_ignored(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [{"bbox": [2, 3, 10, 8]}, {"bbox": [1, 1, 20, 20], "iscrowd": 1}])
    table = read_coco(path, tmp_path / "images", "t", "boxes")
    assert table.rows == ()
    assert table.left_out[0].reason.startswith(
        "1 of its 2 objects have iscrowd=1 (a crowd, or drawn with CVAT's brush)"
    )
    assert read_one_box(tmp_path, path, crowd="ignore") == (2, 3, 12, 11)
    assert read_one_box(tmp_path, path, crowd="object", several="largest") == (1, 1, 21, 21)
    with pytest.raises(DataError, match="has 2 objects"):
        read_one_box(tmp_path, path, crowd="object")


def test_labels_of_images_with_another_size_are_refused_or_scaled(tmp_path: Path) -> None:
    image = {"id": 0, "file_name": "0.png", "width": 16, "height": 8}
    path = write_coco(tmp_path, [{"bbox": [2, 3, 10, 4]}], images=[image])
    message = r"1 of 1 images .* 0\.png: 24 x 32 pixels \(height x width\), the JSON says 8 x 16; add --sizes scale"
    with pytest.raises(DataError, match=message):
        read_one_box(tmp_path, path)
    assert read_one_box(tmp_path, path, sizes="scale") == (4, 9, 24, 21)
    path = write_coco(tmp_path, [{"bbox": [2, 3, 10, 4]}], images=[{**image, "width": 24, "height": 32}])
    with pytest.raises(DataError, match="the JSON says 32 x 24: the image is turned"):
        read_one_box(tmp_path, path, sizes="scale")


def test_labels_of_images_that_viewers_turn_are_those_of_the_turned_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(tmp_path / "images" / "0.jpg", noise(0), exif=exif)  # 32 x 24 as stored
    image = {"id": 0, "file_name": "0.jpg", "width": 24, "height": 32}
    path = write_coco(tmp_path, [{"bbox": [2, 3, 10, 25], "segmentation": [RECTANGLE]}], images=[image])
    table = read_coco(path, tmp_path / "images", "t", "boxes")
    assert table.rows[0].box == (2, 3, 12, 28)
    assert table.notes[0].startswith("1 of 1 images are stored turned (EXIF orientation)")
    (row,) = change_masks(read_coco(path, tmp_path / "images", "t", "masks"), tmp_path).rows
    assert row.mask is not None
    assert read_mask(row.mask, False, 10**6).shape == (32, 24)


@pytest.mark.parametrize(
    "entry",
    [{"bbox": [20, 13, 30, 22]}, {"bbox": [2, 3, 10, 9], "area": 48}],
    ids=["outside as x, y, width, height", "area of corners"],
)
def test_corners_instead_of_width_and_height_are_refused(tmp_path: Path, entry: dict[str, Any]) -> None:
    path = write_coco(tmp_path, [entry])
    with pytest.raises(DataError, match=r"look like corners .* add --box-format xyxy"):
        read_one_box(tmp_path, path)
    assert read_one_box(tmp_path, path, box_format="xyxy") == tuple(entry["bbox"])


def test_polygons_and_runs_become_masks(tmp_path: Path) -> None:
    drawn = np.zeros((24, 32), np.uint8)
    drawn[3:11, 2:12] = 1
    column_order = drawn.T.ravel()
    edges = np.flatnonzero(np.diff(column_order)) + 1
    counts = np.diff([0, *edges, column_order.size]).tolist()
    encodings: list[Any] = [
        [RECTANGLE], {"size": [24, 32], "counts": counts}, {"size": [24, 32], "counts": compress(counts)}
    ]  # fmt: skip
    for number, encoding in enumerate(encodings):
        path = write_coco(tmp_path, [{"segmentation": encoding, "iscrowd": number}])
        table = read_coco(path, tmp_path / "images", f"t{number}", "masks")
        assert table.class_names == ("background", "nodule")
        (row,) = change_masks(table, tmp_path).rows
        assert row.mask is not None
        assert (read_mask(row.mask, False, 10**6) == drawn).all()


def compress(counts: Sequence[int]) -> str:
    """Return counts as COCO's compressed text, written from the description of its format."""
    text = ""
    for number, count in enumerate(counts):
        value = count - counts[number - 2] if number > 2 else count
        while True:
            bits = value & 31
            value >>= 5
            more = value != -1 if bits & 16 else value != 0
            text += chr((bits | 32 if more else bits) + 48)
            if not more:
                break
    return text


def test_masks_have_a_class_for_each_category_and_small_objects_on_top(tmp_path: Path) -> None:
    small = [4, 4, 6, 4, 6, 6, 4, 6]
    objects = [{"segmentation": [small], "category_id": 2}, {"segmentation": [RECTANGLE]}]
    path = write_coco(tmp_path, objects, [NODULE, {"id": 2, "name": "cyst"}])
    table = read_coco(path, tmp_path / "images", "t", "masks")
    assert table.class_names == ("background", "nodule", "cyst")
    (row,) = change_masks(table, tmp_path).rows
    assert row.mask is not None
    values, counts = np.unique(read_mask(row.mask, False, 10**6), return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {0: 24 * 32 - 80, 1: 76, 2: 4}


def test_masks_take_memory_for_one_object_and_not_for_all(tmp_path: Path) -> None:
    image = {"id": 0, "file_name": "0.png", "width": 500, "height": 400}
    write_image(tmp_path / "images" / "0.png", noise(0, 400, 500))
    teeth = [value for i in range(4000) for value in (i / 8, 400 * (i % 2))]
    path = write_coco(tmp_path, [{"segmentation": [[*teeth, 500, i]]} for i in range(40)], images=[image])
    (row,) = read_coco(path, tmp_path / "images", "t", "masks").rows
    assert row.drawing is not None
    tracemalloc.start()
    try:
        row.drawing()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000, "40 masks of 200,000 pixels are 8 MB; 4000 edges of 500 pixels are 2 MB a line"


def test_a_size_in_the_json_that_does_not_fit_in_memory_is_refused(tmp_path: Path) -> None:
    image = {"id": 0, "file_name": "0.png", "width": 10**6, "height": 10**6}
    path = write_coco(tmp_path, [{"segmentation": [RECTANGLE]}], images=[image])
    (row,) = read_coco(path, tmp_path / "images", "t", "masks", sizes="scale").rows
    assert row.drawing is not None
    with pytest.raises(DataError, match=r"image 0\.png has 1000000 x 1000000 pixels; at most 100000000 are drawn"):
        row.drawing()


@pytest.mark.parametrize(
    "segmentation",
    [{"size": [24, 31], "counts": [744]}, {"size": [24, 32], "counts": [5]}, {"size": [24, 32], "counts": "~~"},
     {"size": [24, 32], "counts": [-1, 769]}, [[1, 2, 3]], "text"],
)  # fmt: skip
def test_segmentations_that_cannot_be_drawn_are_refused_in_one_line(tmp_path: Path, segmentation: object) -> None:
    path = write_coco(tmp_path, [{"segmentation": segmentation}])
    with pytest.raises(DataError, match=r"image 0\.png: segmentation ") as error:
        change_masks(read_coco(path, tmp_path / "images", "t", "masks"), tmp_path)
    assert "\n" not in str(error.value)
