"""Folders as programs and people leave them: hidden folders, other files, subsets, patients, and several masks."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.data.factories import data_config, disc, noise, write_image
from usaggr.data.read.images import read_mask
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.sources.classes import read_classes
from usaggr.data.sources.image_folder import list_images, parse_subset_folder
from usaggr.data.sources.left_out import LeftOut, count_files, list_left_out
from usaggr.data.sources.made_masks import MaskChanges, change_masks, fill_outlines
from usaggr.data.sources.masks import read_masks
from usaggr.data.sources.path_columns import add_subjects
from usaggr.data.sources.write_task import suggest_check, write_task
from usaggr.errors import ConfigError, DataError


def draw(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        write_image(folder / name, noise(number + 100 * len(folder.name)))
    return folder


def draw_lesion(path: Path, x: int, y: int, size: int = 5, value: int = 255) -> Path:
    mask = np.zeros((24, 32), np.uint8)
    mask[y : y + size, x : x + size] = value
    return write_image(path, mask)


# Hidden and system folders, other files


def test_hidden_and_system_files_are_neither_classes_nor_images(tmp_path: Path) -> None:
    folder = draw(tmp_path / "g", "benign/1.png", "malignant/1.png", "benign/.ipynb_checkpoints/1-checkpoint.png",
                  ".ipynb_checkpoints/x.png", "@eaDir/1.png/SYNOPHOTO_THUMB_M.png", "__MACOSX/benign/._1.png",
                  "#recycle/old.png", "$RECYCLE.BIN/old.png", "malignant/._1.png")  # fmt: skip
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "benign" / ".DS_Store").write_bytes(b"x")
    table = read_classes(folder, "grades")
    assert table.class_names == ("benign", "malignant")
    assert [row.image.relative_to(folder).as_posix() for row in table.rows] == ["benign/1.png", "malignant/1.png"]
    assert count_files(table.left_out) == 9
    assert {entry.reason for entry in table.left_out} == {
        "in a hidden or system folder", "is a hidden or system file"
    }  # fmt: skip


def test_files_that_are_not_read_are_counted_by_their_suffix(tmp_path: Path) -> None:
    folder = draw(tmp_path / "g", "a/1.PNG", "b/1.png")
    for number in range(4):
        write_image(folder / "b" / f"photo{number}.jfif", noise(number), format="JPEG")
        (folder / "a" / f"{number}.gif").write_bytes(b"GIF89a")
    (folder / "a" / "IM0001").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "a" / "scan.nii.gz").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    table = read_classes(folder, "t")
    assert [row.label for row in table.rows] == [0, 1, 1, 1, 1, 1]
    assert {(entry.count, entry.reason) for entry in table.left_out} == {
        (4, "has the suffix .gif, which is not read; save it as PNG"),
        (1, "is DICOM; add --convert DIR to convert it to PNG"),
        (1, "has the suffix .nii.gz; add --convert DIR to convert it to PNG"),
        (1, "has the suffix .txt, which is not an image"),
    }


def test_a_class_whose_images_are_not_read_is_refused(tmp_path: Path) -> None:
    folder = draw(tmp_path / "g", "a/1.png", "b/1.png")
    (folder / "c").mkdir()
    (folder / "c" / "1.gif").write_bytes(b"GIF89a")
    with pytest.raises(ConfigError, match=r"the class c has 1 file that is not read \(\.gif\) and no image"):
        read_classes(folder, "t")
    assert read_classes(folder, "t", ("a", "b")).class_names == ("a", "b")


def test_a_linked_folder_is_named(tmp_path: Path) -> None:
    folder = draw(tmp_path / "g", "a/1.png")
    draw(tmp_path / "elsewhere", "2.png")
    (folder / "b").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    listed = list_images(folder)
    assert len(listed.images) == 1
    assert [entry.reason for entry in listed.list_left_out()] == [
        "is a link to a folder, which is not searched; give that folder"
    ]


def test_images_that_are_links_out_of_the_root_are_indexed_with_the_key_that_reads_them(tmp_path: Path) -> None:
    elsewhere = draw(tmp_path / "elsewhere", "a/1.png", "b/2.png")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "images").symlink_to(elsewhere, target_is_directory=True)
    write_task(read_classes(tmp_path / "root" / "images", "t"), tmp_path / "root" / "images", tmp_path / "root")
    assert suggest_check(tmp_path / "root").endswith(" data.follow_links=true")
    data = data_config(tmp_path / "root", tmp_path / "cache", follow_links=True)
    assert [sample.label for sample in load_dataset(data).samples] == [0, 1]


def test_names_with_escape_codes_are_printed_as_text(tmp_path: Path) -> None:
    folder = draw(tmp_path / "images", "a.png")
    write_image(tmp_path / "masks" / "a.png", disc())
    (folder / "\x1b[31mred.txt").write_text("x")
    (line, *_) = write_task(read_masks(folder, tmp_path / "masks", "t"), folder, tmp_path)
    assert "\\x1b[31mred.txt: has the suffix .txt" in line
    assert line.isprintable()


def test_files_of_one_reason_are_one_line() -> None:
    entries = [LeftOut(f"{number}.png", "no object") for number in range(57)] + [LeftOut("a.txt", "no image")]
    assert list_left_out(entries) == ["57 files: no object; such as 0.png, 1.png, 2.png", "a.txt: no image"]


# Subsets and subjects


@pytest.mark.parametrize(
    ("name", "subset"),
    [("train", "train"), ("Training_set", "train"), ("VAL", "val"), ("validation", "val"), ("valid", "val"),
     ("test", "test"), ("testing", "test"), ("testimony", None), ("patient", None), ("trainer", None)],
)  # fmt: skip
def test_names_of_subsets(name: str, subset: str | None) -> None:
    assert parse_subset_folder(name) == subset


@pytest.mark.parametrize("layout", ["{subset}/{name}/{number}.png", "{name}/{subset}/{number}.png"])
def test_folders_of_subsets_are_a_split_and_not_classes(tmp_path: Path, layout: str) -> None:
    subsets = ("train", "val", "test")
    names = [layout.format(subset=s, name=n, number=i) for i, s in enumerate(subsets) for n in ("benign", "malignant")]
    for number, name in enumerate(names):
        write_image(tmp_path / "g" / name, noise(number))
    table = read_classes(tmp_path / "g", "grades")
    assert table.class_names == ("benign", "malignant")
    lines = write_task(table, tmp_path / "g", tmp_path)
    assert "note: split by folders: train 2, val 2, test 2" in lines
    dataset = load_dataset(data_config(tmp_path, tmp_path / "cache"))
    assert dataset.tasks["grades"].class_names == ("benign", "malignant")
    assert [(s.official_subset, s.label) for s in dataset.samples] == [
        (Path(s.image_path).relative_to((tmp_path / "g").resolve()).parts[layout.startswith("{name}")],
         int("malignant" in str(s.image_path))) for s in dataset.samples
    ]  # fmt: skip


def test_folders_of_subsets_beside_classes_are_refused_unless_they_are_named(tmp_path: Path) -> None:
    folder = draw(tmp_path / "g", "benign/1.png", "test/1.png")
    with pytest.raises(ConfigError, match=r"test are folders of a split, but stand beside benign"):
        read_classes(folder, "t")
    table = read_classes(folder, "t", ("benign", "test"))
    assert [row.label for row in table.rows] == [0, 1]
    assert not any(line.startswith("note: ") for line in write_task(table, folder, tmp_path))


def test_a_split_without_a_test_set_is_not_written(tmp_path: Path) -> None:
    folder = draw(tmp_path / "images", "train/1.png", "val/2.png")
    for name in ("train/1.png", "val/2.png"):
        write_image(tmp_path / "masks" / name, disc())
    lines = write_task(read_masks(folder, tmp_path / "masks", "t"), folder, tmp_path)
    assert any("there is no test set: the column split is not written" in line for line in lines)
    assert "split" not in (tmp_path / "csv_files" / "t.csv").read_text().splitlines()[0]


def test_a_subject_is_searched_in_the_name_and_then_in_the_path(tmp_path: Path) -> None:
    folder = draw(tmp_path / "P99", "a/P3/000.png", "b/P4_1.png")
    table = read_classes(folder, "t")
    subjects = [row.columns["subject_id"] for row in add_subjects(table.rows, r"P(\d+)", folder)]
    assert subjects == ["3", "4"], "folders above the images are not searched"
    lines = write_task(table, folder, tmp_path, r"P(\d+)")
    assert "note: 1 of 2 subjects are found in folders and not in names of files, such as 3 in a/P3/000.png" in lines


# Several masks


def draw_busi(tmp_path: Path) -> Path:
    folder = draw(tmp_path / "benign", "benign (1).png", "benign (10).png", "benign (2).png")
    draw_lesion(folder / "benign (1)_mask.png", 2, 2)
    draw_lesion(folder / "benign (1)_mask_1.png", 20, 10, size=7)
    draw_lesion(folder / "benign (10)_mask.png", 9, 9)
    draw_lesion(folder / "benign (2)_mask.png", 4, 9)
    return folder


def test_several_masks_are_refused_joined_or_the_largest(tmp_path: Path) -> None:
    folder = draw_busi(tmp_path)
    with pytest.raises(
        DataError, match=r"1 of 3 images have several masks, such as .*_mask\.png, benign \(1\)_mask_1\.png"
    ):
        read_masks(folder, folder, "busi", mask_name="{name}_mask")
    table = read_masks(folder, folder, "busi", mask_name="{name}_mask", several="union")
    assert table.left_out == ()
    lines = write_task(table, folder, tmp_path)
    assert "note: images with several masks: 1; their masks are joined" in lines
    assert suggest_check(tmp_path).endswith("data.foreground_255=true")
    dataset = load_dataset(data_config(tmp_path, tmp_path / "cache", foreground_255=True))
    assert [s.image_path.name for s in dataset.samples] == ["benign (1).png", "benign (10).png", "benign (2).png"]
    assert len(list_images(tmp_path).images) == 7, "masks that were written are not images"
    areas = [int((read_mask(s.mask_path, True, 10**6) > 0).sum()) for s in dataset.samples if s.mask_path]
    assert areas == [25 + 49, 25, 25]
    largest = change_masks(read_masks(folder, folder, "b", mask_name="{name}_mask", several="largest"), tmp_path)
    assert [row.mask and row.mask.name for row in largest.rows] == [
        "benign (1)_mask_1.png", "benign (10)_mask.png", "benign (2)_mask.png"
    ]  # fmt: skip


def test_masks_beside_images_are_not_images_of_a_class(tmp_path: Path) -> None:
    folder = draw_busi(tmp_path).parent
    draw(tmp_path / "malignant", "malignant (1).png", "malignant (1)_mask.png", "malignant (1)_mask_1.png")
    table = read_classes(folder, "grades")
    assert [row.image.name for row in table.rows] == [
        "benign (1).png", "benign (10).png", "benign (2).png", "malignant (1).png"
    ]  # fmt: skip
    assert [entry.reason for entry in table.left_out] == ["is a mask, by its name beside an image"] * 6


@pytest.mark.parametrize("further", ["7_mask_1", "7_mask-2", "7_mask (1)", "7_mask1", "7_mask_02"])
def test_spellings_of_further_masks(tmp_path: Path, further: str) -> None:
    folder = draw(tmp_path / "all", "7.png", "7_mask.png", f"{further}.png")
    table = read_masks(folder, folder, "t", mask_name="{name}_mask", several="union")
    assert [(row.image.name, [path.stem for path in row.further_masks]) for row in table.rows] == [("7.png", [further])]


def test_masks_of_other_images_are_not_further_masks(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "P1.png", "P1_2.png", "P12.png")
    draw(tmp_path / "masks", "P1.png", "P1_2.png", "P12.png")
    table = read_masks(images, tmp_path / "masks", "t")
    assert [(row.image.stem, row.mask and row.mask.stem, row.further_masks) for row in table.rows] == [
        ("P1", "P1", ()), ("P12", "P12", ()), ("P1_2", "P1_2", ())
    ]  # fmt: skip


def test_masks_of_other_sizes_or_classes_are_not_joined(tmp_path: Path) -> None:
    folder = draw(tmp_path / "all", "7.png")
    draw_lesion(folder / "7_mask.png", 2, 2, value=1)
    draw_lesion(folder / "7_mask_1.png", 3, 3, value=2)
    table = read_masks(folder, folder, "t", 3, "{name}_mask", several="union")
    with pytest.raises(DataError, match="has another class than a further mask"):
        change_masks(table, tmp_path)
    write_image(folder / "7_mask_1.png", disc(1, 10, 10))
    with pytest.raises(DataError, match=r"has 10 x 10 pixels \(height x width\), other masks of .* have 24 x 32"):
        change_masks(table, tmp_path)


def test_masks_in_another_unicode_form_than_their_images_are_found(tmp_path: Path) -> None:
    images, masks = draw(tmp_path / "images", "M\u00fcller.png"), draw(tmp_path / "masks", "Mu\u0308ller_mask.png")
    (row,) = read_masks(images, masks, "t", mask_name="{name}_mask").rows
    assert row.mask == masks / "Mu\u0308ller_mask.png"
    draw(tmp_path / "c", "A/M\u00fcller.png", "A/Mu\u0308ller_mask.png", "B/1.png")
    assert [row.image.name for row in read_classes(tmp_path / "c", "c").rows] == ["M\u00fcller.png", "1.png"]


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    images, masks = draw(tmp_path / "images", "7.png", "7.bmp", "8.png"), draw(tmp_path / "masks", "7.png", "8.png")
    with pytest.raises(DataError, match=r"7\.bmp and 7\.png have the same mask, .*7\.png; keep one image"):
        read_masks(images, masks, "t")


def test_masks_in_a_folder_below_the_images_are_not_images(tmp_path: Path) -> None:
    folder = draw(tmp_path / "d", "1.png", "2.png", "masks/1.png", "masks/2.png")
    table = read_masks(folder, folder / "masks", "t")
    assert [(row.image, row.mask) for row in table.rows] == [
        (folder / name, folder / "masks" / name) for name in ("1.png", "2.png")
    ]
    assert table.left_out == ()


# Names, outlines and thresholds


@pytest.mark.parametrize(
    ("mask", "pattern"), [("7_mask.png", "{name}_mask.png"), ("7.jpg.png", "{name}.jpg"), ("mask_7.png", "mask_{name}")]
)
def test_patterns_may_have_a_suffix(tmp_path: Path, mask: str, pattern: str) -> None:
    images = draw(tmp_path / "images", "7.jpg")
    draw(tmp_path / "masks", mask)
    (row,) = read_masks(images, tmp_path / "masks", "t", mask_name=pattern).rows
    assert row.mask == tmp_path / "masks" / mask


def test_names_of_tables_find_images(tmp_path: Path) -> None:
    files = list_images(draw(tmp_path / "d", "a/1.png", "b/1.png", "b/M\u00fcller.PNG", "b/X.png", "b/x.png"))
    names = ("a/1.png", "C:\\d\\b\\1", "1.png", "mu\u0308ller.png", "X.png", "./b/x", "X.dcm", "")
    found_images = [files.find(name) for name in names]
    assert [path and path.relative_to(tmp_path / "d").as_posix() for path in found_images] == [
        "a/1.png", "b/1.png", None, "b/M\u00fcller.PNG", "b/X.png", "b/x.png", "b/X.png", None
    ]  # fmt: skip


def test_an_image_of_another_patient_is_not_found_by_its_file_name_alone(tmp_path: Path) -> None:
    files = list_images(draw(tmp_path / "d", "scans/p1/5.png", "scans/P3/7.png"))
    names = ("p2/5.png", "/other/disk/p2/5", "p1/5.png", "/other/disk/scans/p1/5.png", "5.png", "p3\\7.png")
    found_images = [files.find(name) for name in names]
    assert [path and path.relative_to(tmp_path / "d").as_posix() for path in found_images] == [
        None, None, "scans/p1/5.png", "scans/p1/5.png", "scans/p1/5.png", "scans/P3/7.png"
    ]  # fmt: skip


def test_a_pipe_without_a_suffix_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(draw(tmp_path / "d", "1.png") / "pipe")
    assert [path.name for path in list_images(tmp_path / "d").unread] == ["pipe"]
    assert [entry.reason for entry in list_images(tmp_path / "d").list_left_out()] == ["has no suffix of an image"]


@pytest.mark.parametrize("other", ["benign lesion", "Benign  Lesion"])
def test_folders_of_one_class_in_two_spellings_are_refused(tmp_path: Path, other: str) -> None:
    draw(tmp_path, "train/Benign lesion/1.png", "train/normal/2.png", f"test/{other}/3.png", "test/normal/4.png")
    with pytest.raises(ConfigError, match=r"'Benign {1,2}[Ll]esion' and '.*' differ only in letter case, blanks"):
        read_classes(tmp_path, "t")


def test_folders_of_one_class_in_two_unicode_forms_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, "train/L\u00e4sion/1.png", "train/normal/2.png", "test/La\u0308sion/3.png")
    with pytest.raises(ConfigError, match=r"'La\\u0308sion' and 'L\u00e4sion' differ only in .* Unicode form"):
        read_classes(tmp_path, "t")


def test_names_of_nnunet_are_found_or_given(tmp_path: Path) -> None:
    images = draw(tmp_path / "imagesTr", "brea_000_0000.png", "brea_001_0000.png", "brea_001_0001.png")
    draw(tmp_path / "labelsTr", "brea_000.png", "brea_001.png")
    for arguments in ({}, {"image_name": "{name}_0000"}):
        table = read_masks(images, tmp_path / "labelsTr", "t", **arguments)
        assert [(row.image.name, row.mask and row.mask.name) for row in table.rows] == [
            ("brea_000_0000.png", "brea_000.png"), ("brea_001_0000.png", "brea_001.png")
        ]  # fmt: skip
        assert [(Path(entry.file).name, entry.reason) for entry in table.left_out] == [
            ("brea_001_0001.png", "has not the name of an image, '{name}_0000'")
        ]


def test_a_pattern_that_fits_is_suggested(tmp_path: Path) -> None:
    folder = draw(tmp_path / "all", "7.png", "7_lesion.png")
    with pytest.raises(DataError, match=r"most masks fit --mask-name '\{name\}_lesion'"):
        write_task(read_masks(folder, folder, "t", mask_name="{name}_mask"), folder, tmp_path)


def test_names_of_classes_are_kept_and_counted(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "1.png")
    write_image(tmp_path / "masks" / "1.png", disc(2))
    table = read_masks(images, tmp_path / "masks", "t", names=("background", "wall", "lumen"))
    write_task(table, images, tmp_path)
    task = load_dataset(data_config(tmp_path, tmp_path / "cache")).tasks["t"]
    assert (task.num_classes, task.class_names) == (3, ("background", "wall", "lumen"))
    with pytest.raises(ConfigError, match="--names: has 2 names for 3 classes"):
        read_masks(images, tmp_path / "masks", "t", 3, names=("background", "wall"))


def test_outlines_are_filled_and_open_ones_closed() -> None:
    closed = np.zeros((20, 20), np.uint8)
    closed[5:15, 5:15] = 255
    closed[6:14, 6:14] = 0
    filled, is_open = fill_outlines(closed)
    assert (int(filled.sum()), filled.max(), is_open) == (100, 1, False)
    half = closed.copy()
    half[:, 12:] = 0  # as an outline that the border of the image cuts
    filled, is_open = fill_outlines(half)
    assert (int(filled.sum()), is_open) == (70, True)


def test_blurred_masks_get_a_threshold(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", "1.png")
    values = np.full((24, 32), 3, np.uint8)
    values[4:8, 4:8] = 250
    write_image(tmp_path / "masks" / "1.png", values)
    (row,) = change_masks(read_masks(images, tmp_path / "masks", "t"), tmp_path, MaskChanges(threshold=128)).rows
    assert row.mask == tmp_path / "made_masks" / "t" / "images" / "1.png.png"
    assert np.unique(read_mask(row.mask, False, 10**6), return_counts=True)[1].tolist() == [24 * 32 - 16, 16]
