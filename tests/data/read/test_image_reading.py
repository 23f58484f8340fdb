"""Bit depth, orientation, transparency and palettes: each file is read as it is drawn, or is a fault with a remedy."""

import io
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.data.factories import data_config, disc, noise, write_image, write_rows
from tests.data.read.test_file_facts import key, probe
from usaggr.config.study import DataConfig
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.resizing import resize_image
from usaggr.data.read.image_reading import BIT_DEPTHS, FIRST_READING, ImageReading, describe_depth, make_rules
from usaggr.data.read.images import decode_distinct_channels, examine_image, open_image, read_image, read_mask
from usaggr.data.read.load_dataset import check_dataset, load_dataset
from usaggr.data.samples import Fault
from usaggr.data.split.manifest import check_same_data, make_manifest, write_manifest
from usaggr.errors import ConfigError, DataError
from usaggr.inference.preprocess import prepare

LIMIT = 10**6
GRAY = noise(0)
LESION = disc() > 0


def with_orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def index(root: Path, task: str = "seg", count: int = 12) -> None:
    """Write the index of a segmentation task, whose images are pic/NUMBER.png and masks lab/NUMBER.png."""
    table = []
    for i in range(count):
        if not (root / f"lab/{i}.png").exists():
            write_image(root / f"lab/{i}.png", disc())
        if not (root / f"pic/{i}.png").exists():
            write_image(root / f"pic/{i}.png", noise(i))
        paths = {"image_path": f"../pic/{i}.png", "mask_path": f"../lab/{i}.png"}
        table.append({**paths, "task_name": "segmentation", "task_id": task, "num_classes": "2", "subject_id": f"S{i}"})
    write_rows(root, f"{task}.csv", table)


def faults(root: Path, **changes: Any) -> list[Fault]:
    return list(check_dataset(config(root, **changes))[1])


def config(root: Path, **changes: Any) -> DataConfig:
    return data_config(root, root.parent / "cache", **changes)


# --- bit depth ---


def test_images_of_a_task_are_scaled_by_one_bit_depth(tmp_path: Path) -> None:
    """12 bits in files of 16 bits keep all levels of the original 8 bits; a darker image stays darker."""
    for i in range(12):
        write_image(tmp_path / f"d/pic/{i}.png", noise(i).astype(np.uint16) * 16 // (16 if i == 0 else 1))
    index(tmp_path / "d")
    dataset = load_dataset(config(tmp_path / "d"))
    cache = build_or_open(dataset, config(tmp_path / "d", image_size=32, channels=1))
    for sample in dataset.samples:
        i = int(sample.image_path.stem)
        expected = noise(i) // 16 if i == 0 else noise(i)
        assert (read_image(sample.image_path, 1, LIMIT, sample.reading)[:, :, 0] == expected).all()
        assert (cache.view_image(sample) == resize_image(expected[:, :, None], (32, 32))).all()
    assert dataset.rules["seg"].bit_depth == 12
    (note,) = (warning for warning in dataset.warnings if "bits" in warning)
    assert note.startswith("task seg: 12 images of more than 8 bits have values up to 4080 and are read as 12 bits")


@pytest.mark.parametrize(("bit_depth", "expected"), [(8, 255), (10, 255), (12, 16), (16, 1), (None, 64)])
def test_a_bit_depth_can_be_set(tmp_path: Path, bit_depth: int | None, expected: int) -> None:
    """Values that do not fit become white."""
    for i in range(12):
        write_image(tmp_path / f"d/pic/{i}.png", np.full((24, 32), 257 + i, np.uint16))
    index(tmp_path / "d")
    dataset = load_dataset(config(tmp_path / "d", bit_depth=bit_depth))
    sample = dataset.samples[0]
    value = 64 if bit_depth in (10, None) else expected
    assert (read_image(sample.image_path, 1, LIMIT, sample.reading) == value).all()


def test_a_single_value_beyond_the_others_is_noted() -> None:
    kinds = [examine_image(open_image(deep(top), "a", LIMIT), "a") for top in (4000, 4000, 65535)]
    note = describe_depth("t", kinds, make_rules(config(Path("x")), kinds))
    assert note is not None
    assert "read as 16 bits" in note
    assert note.endswith("half of them have values up to 4000 only, which leaves 15 gray levels")
    note = describe_depth("t", kinds, make_rules(config(Path("x"), bit_depth=12), kinds))
    assert note is not None
    assert note.endswith("1 of them has larger values, which become white")


def deep(top: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.array([[0, top]], np.uint16)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("depth", [10, 12, 16])
def test_colors_of_more_than_8_bits_keep_their_levels(suffix: str, depth: int) -> None:
    color = noise(3, channels=3)
    content = cv2.imencode(suffix, color[:, :, ::-1].astype(np.uint16) << (depth - 8))[1].tobytes()
    for channels in (1, 3):
        expected = color if channels == 3 else np.asarray(Image.fromarray(color).convert("L"))[:, :, None]
        assert (decode_distinct_channels(content, "a", channels, LIMIT) == expected).all()
    assert examine_image(open_image(content, "a", LIMIT), "a").maximum == int(color.max()) << (depth - 8)


def test_classes_in_color_masks_of_16_bits_are_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", np.repeat(disc(2)[:, :, None], 3, 2).astype(np.uint16))[1].tobytes())
    assert (read_mask(path, False, LIMIT) == disc(2)).all()


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.array([[-3, 500]], np.int32), r"has values from -3 to 500; allowed are 0 to 65535"),
        (np.array([[0, 70000]], np.int32), r"has values from 0 to 70000; allowed are 0 to 65535"),
        (np.array([[0.5, 1.0]], np.float32), r"floating-point numbers; save it with 8 or 16 bits"),
    ],
)
def test_values_without_a_scale_are_refused(tmp_path: Path, pixels: Any, message: str) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=message):
        read_image(tmp_path / "a.tif", 1, LIMIT)


def test_an_inverted_tiff_file_of_16_bits_is_refused(tmp_path: Path) -> None:
    Image.fromarray(GRAY.astype(np.uint16) * 7).save(tmp_path / "a.tif", tiffinfo={262: 0})
    with pytest.raises(DataError, match="in which 0 is white"):
        read_image(tmp_path / "a.tif", 1, LIMIT)


def test_colors_in_lab_are_converted(tmp_path: Path) -> None:
    Image.new("LAB", (8, 8), (255, 128, 128)).save(tmp_path / "a.tif")
    for channels in (1, 3):
        assert (read_image(tmp_path / "a.tif", channels, LIMIT) >= 250).all()


# --- orientation ---


@pytest.mark.parametrize("number", range(1, 9))
def test_an_orientation_is_applied_as_viewers_do(tmp_path: Path, number: int) -> None:
    color = noise(1, channels=3)
    for suffix in ("png", "webp", "tif"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(color).save(path, exif=with_orientation(number), lossless=True)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
        reading = ImageReading(orientation="apply")
        assert (read_image(path, 3, LIMIT, reading) == expected).all(), suffix
        assert (decode_distinct_channels(path.read_bytes(), "a", 3, LIMIT, reading) == expected).all(), suffix


def test_a_turned_image_needs_a_decision(tmp_path: Path) -> None:
    """Both decisions are read right: the mask has the size of what is read."""
    Image.fromarray(GRAY).save(make(tmp_path / "d/pic/0.png"), exif=with_orientation(6))
    index(tmp_path / "d")
    (fault,) = faults(tmp_path / "d")
    assert (fault.kind, fault.file) == ("orientation", "../pic/0.png")
    assert "set data.exif_orientation=apply" in fault.message
    assert faults(tmp_path / "d", exif_orientation="ignore") == []
    first = load_dataset(config(tmp_path / "d", exif_orientation="ignore"))
    assert first.content_hash == first.first_content_hash
    (fault,) = faults(tmp_path / "d", exif_orientation="apply")
    assert (fault.kind, "but its image has 32 x 24" in fault.message) == ("mask_size", True)
    write_image(tmp_path / "d/lab/0.png", disc().T.copy())
    dataset = load_dataset(config(tmp_path / "d", exif_orientation="apply"))
    sample = next(s for s in dataset.samples if s.image_path.stem == "0")
    assert (sample.height, sample.width) == (32, 24)
    assert (read_image(sample.image_path, 1, LIMIT, sample.reading)[:, :, 0] == np.rot90(GRAY, -1)).all()
    assert dataset.content_hash != dataset.first_content_hash


def test_a_turned_mask_is_refused(tmp_path: Path) -> None:
    Image.fromarray(disc()).save(tmp_path / "a.png", exif=with_orientation(3))
    with pytest.raises(DataError, match="is a mask that is marked as turned"):
        read_mask(tmp_path / "a.png", False, LIMIT)


# --- transparency ---


def covered() -> Image.Image:
    """Return an image whose left half is transparent, with other values than black."""
    alpha = np.full_like(GRAY, 255)
    alpha[:, :16] = 0
    return Image.fromarray(np.dstack([GRAY, GRAY, GRAY, alpha]))


def test_transparent_pixels_that_are_not_black_need_a_decision(tmp_path: Path) -> None:
    covered().save(make(tmp_path / "d/pic/0.png"))
    index(tmp_path / "d")
    (fault,) = faults(tmp_path / "d")
    assert (fault.kind, "set data.transparency=black" in fault.message) == ("transparency", True)
    for decision, left in (("black", np.zeros_like(GRAY[:, :16])), ("ignore", GRAY[:, :16])):
        dataset = load_dataset(config(tmp_path / "d", transparency=decision))
        sample = next(s for s in dataset.samples if s.image_path.stem == "0")
        pixels = read_image(sample.image_path, 1, LIMIT, sample.reading)[:, :, 0]
        assert (pixels[:, :16] == left).all()
        assert (pixels[:, 16:] == GRAY[:, 16:]).all()
        assert (dataset.content_hash == dataset.first_content_hash) == (decision == "ignore")


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_an_alpha_channel_that_is_the_same_everywhere_hides_nothing(tmp_path: Path, alpha: int) -> None:
    Image.fromarray(np.dstack([GRAY, np.full_like(GRAY, alpha)])).save(make(tmp_path / "d/pic/0.png"))
    index(tmp_path / "d")
    assert faults(tmp_path / "d") == []


def test_a_mask_whose_label_is_in_its_alpha_channel_is_refused(tmp_path: Path) -> None:
    ones, alpha = np.ones_like(GRAY), disc(255)
    Image.fromarray(np.dstack([ones, ones, ones, alpha])).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="its label seems to be in its alpha channel"):
        read_mask(tmp_path / "a.png", False, LIMIT)


def test_a_mask_with_transparent_labels_is_refused(tmp_path: Path) -> None:
    alpha = np.full_like(GRAY, 255)
    alpha[12:] = 0
    Image.fromarray(np.dstack([disc(), alpha])).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="transparent pixels with a class other than 0"):
        read_mask(tmp_path / "a.png", False, LIMIT)


def test_a_mask_whose_background_is_transparent_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([disc(), disc(255)])).save(tmp_path / "a.png")
    assert (read_mask(tmp_path / "a.png", False, LIMIT) == disc()).all()


# --- palettes ---


def palette_mask(indices: np.ndarray[Any, Any], *colors: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette([value for color in colors for value in color])
    return image


BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0)


@pytest.mark.parametrize("kind", ["png", "bmp", "tif"])
def test_a_black_and_white_palette_is_read_as_drawn(tmp_path: Path, kind: str) -> None:
    Image.fromarray(disc(255)).convert("RGB").quantize(2).save(tmp_path / f"a.{kind}")
    palette_mask(1 - disc(), WHITE, BLACK).save(tmp_path / f"b.{kind}")
    for name in ("a", "b"):
        assert (read_mask(tmp_path / f"{name}.{kind}", True, LIMIT) == disc()).all()
        assert set(np.unique(read_mask(tmp_path / f"{name}.{kind}", False, LIMIT))) == {0, 255}


def test_a_palette_whose_gray_values_increase_leaves_its_indices(tmp_path: Path) -> None:
    palette_mask(disc(), BLACK, WHITE).save(tmp_path / "a.png")
    palette_mask(disc(2), BLACK, (100, 100, 100), WHITE).save(tmp_path / "b.png")
    assert (read_mask(tmp_path / "a.png", False, LIMIT) == disc()).all()
    assert (read_mask(tmp_path / "b.png", False, LIMIT) == disc(2)).all()


def test_gray_values_of_a_permuted_palette_are_the_classes(tmp_path: Path) -> None:
    palette_mask(2 - disc(2), (2, 2, 2), (1, 1, 1), BLACK).save(tmp_path / "a.png")
    assert (read_mask(tmp_path / "a.png", False, LIMIT) == disc(2)).all()


def test_a_palette_with_black_behind_a_color_is_refused(tmp_path: Path) -> None:
    palette_mask(1 - disc(), RED, BLACK).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="a palette in which black is number 1, not 0"):
        read_mask(tmp_path / "a.png", False, LIMIT)


def test_palettes_that_number_the_colors_of_a_task_otherwise_are_found(tmp_path: Path) -> None:
    for i in range(12):
        colors = (BLACK, GREEN, RED) if i == 7 else (BLACK, RED, GREEN)
        palette_mask(disc(), *colors).save(make(tmp_path / f"d/lab/{i}.png"))
    index(tmp_path / "d")
    (fault,) = faults(tmp_path / "d")
    assert (fault.kind, fault.row) == ("palette", 9)
    assert "number 1 is the color #00ff00; in most masks of the task it is #ff0000" in fault.message


# --- frames ---


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_file_of_several_frames_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.img"
    Image.fromarray(GRAY).save(path, kind, save_all=True, append_images=[Image.fromarray(noise(i)) for i in (1, 2)])
    for read in (lambda: read_image(path, 1, LIMIT), lambda: read_mask(path, False, LIMIT)):
        with pytest.raises(DataError, match="has 3 frames or pages; save the one that the label belongs to as a file"):
            read()


def test_a_preview_in_a_tiff_file_is_no_second_page(tmp_path: Path) -> None:
    preview = Image.fromarray(GRAY[::4, ::4])
    preview.encoderinfo = {"tiffinfo": {254: 1}}  # a version of another page with fewer pixels
    Image.fromarray(GRAY).save(tmp_path / "a.tif", save_all=True, append_images=[preview])
    assert (read_image(tmp_path / "a.tif", 1, LIMIT)[:, :, 0] == GRAY).all()


# --- caches and fingerprints ---


def test_only_facts_of_files_that_are_read_otherwise_are_read_again(tmp_path: Path, reads: list[str]) -> None:
    Image.fromarray(disc(255)).convert("RGB").quantize(2).save(tmp_path / "palette.png")
    write_image(tmp_path / "deep.png", GRAY.astype(np.uint16) * 16)
    images = [write_image(tmp_path / name, GRAY) for name in ("plain.png", "plain.jpg", "plain.bmp")]
    keys = [*map(key, images), key(tmp_path / "deep.png"), key(tmp_path / "palette.png", True)]
    first = probe(tmp_path / "cache", *keys)
    (store,) = (tmp_path / "cache").glob("files-*.sqlite")
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DROP TABLE kinds")  # older versions did not have this table
    reads.clear()
    again = probe(tmp_path / "cache", *keys)
    assert sorted(reads) == ["deep.png", "palette.png"]
    assert [facts.kind for facts in again] == [facts.kind for facts in first]
    assert (again[3].kind.maximum, again[4].kind.drawn, again[4].values) == (4080, True, (0, 255))
    reads.clear()
    probe(tmp_path / "cache", *keys)
    assert reads == []


def test_files_that_are_read_as_before_keep_their_keys(tmp_path: Path) -> None:
    for i, pixels in enumerate((GRAY, noise(1, channels=3), GRAY.astype(np.uint16) * 256)):
        write_image(tmp_path / f"d/pic/{i}.png", pixels)
    index(tmp_path / "d")
    dataset = load_dataset(config(tmp_path / "d"))
    assert dataset.content_hash == dataset.first_content_hash
    assert all(s.image_key == s.image_hash and s.mask_key == s.label_hash for s in dataset.samples)


def test_a_study_of_files_that_are_read_otherwise_now_is_refused_with_the_reason(tmp_path: Path) -> None:
    for i in range(12):
        write_image(tmp_path / f"d/pic/{i}.png", noise(i).astype(np.uint16) * 16)
    index(tmp_path / "d")
    data = config(tmp_path / "d")
    before = make_manifest(load_dataset(config(tmp_path / "d", bit_depth=16)), data, [0])
    assert before.dataset.content_hash == before.dataset.first_content_hash
    write_manifest(before, make(tmp_path / "study/x").parent)
    after = make_manifest(load_dataset(data), data, [0])
    assert after.get_task_hash("seg") != before.get_task_hash("seg")
    with pytest.raises(ConfigError, match=r"of the same files, of which .* read 12 in another way"):
        check_same_data(after, tmp_path / "study")


def test_the_first_readers_scaled_each_file_by_itself() -> None:
    content = deep(4080)
    assert decode_distinct_channels(content, "a", 1, LIMIT, FIRST_READING).max() == 4080 // 257
    assert decode_distinct_channels(content, "a", 1, LIMIT).max() == 255
    assert BIT_DEPTHS == (8, 10, 12, 16)


def test_a_prediction_reads_an_image_with_the_bit_depth_of_training(tmp_path: Path) -> None:
    """A dark image of a task of 12 bits is not stretched; older runs read it as they were trained."""
    path = write_image(tmp_path / "a.png", np.full((24, 32), 400, np.uint16))
    rules = make_rules(config(Path("x"), bit_depth=12), [examine_image(open_image(deep(4000), "a", LIMIT), "a")])
    assert (prepare(path, (24, 32), 1, LIMIT, rules).pixels == 25).all()
    assert (prepare(path, (24, 32), 1, LIMIT).pixels == 1).all()


def test_a_prediction_of_a_turned_image_needs_the_decision_of_training(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png", exif=with_orientation(6))
    with pytest.raises(DataError, match=r"a\.png: is marked as turned"):
        prepare(tmp_path / "a.png", (24, 32), 1, LIMIT, make_rules(config(Path("x")), ()))
    turned = prepare(
        tmp_path / "a.png", (32, 24), 1, LIMIT, make_rules(config(Path("x"), exif_orientation="apply"), ())
    )
    assert (turned.pixels[:, :, 0] == np.rot90(GRAY, -1)).all()
    assert (turned.height, turned.width) == (32, 24)


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
