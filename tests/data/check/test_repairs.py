"""Repairs of --fix: each repaired label has the right value, and what is not certain is left out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.factories import HEIGHT, WIDTH, Row, change_cell, data_config, disc, noise, read_rows, tiny_data
from usaggr.data.check.fix import FixResult, fix_data
from usaggr.data.read.images import read_mask
from usaggr.data.read.load_dataset import check_dataset, load_dataset
from usaggr.data.samples import Sample
from usaggr.progress import NoProgress

Draw = Callable[[Any], Image.Image]


def fix(root: Path, tmp_path: Path, **settings: Any) -> tuple[FixResult, dict[str, tuple[Sample, ...]]]:
    """Correct data, and return the result and the corrected samples by task."""
    result = fix_data(data_config(root, tmp_path / "cache", **settings), tmp_path / "fixed", False, NoProgress())
    return result, load_dataset(data_config(tmp_path / "fixed", tmp_path / "cache", **settings)).by_task


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def with_alpha(values: Any, alpha: Any) -> Image.Image:
    return Image.fromarray(np.dstack([np.broadcast_to(values, alpha.shape), alpha]).astype(np.uint8))


def with_palette(values: Any, *colors: int) -> Image.Image:
    image = Image.fromarray(values.astype(np.uint8)).convert("P")
    image.putpalette(list(colors))
    return image


LEFT = np.arange(WIDTH)[None, :] < WIDTH // 2
CERTAIN: dict[str, tuple[Draw, Any, str]] = {
    "0 and 255": (lambda m: Image.fromarray(m * 255), disc(), "mask_255"),
    "0 and 65535": (lambda m: Image.fromarray(m.astype(np.uint16) * 65535), disc(), "mask_255"),
    "one color": (lambda m: Image.fromarray(np.dstack([m * 200, m * 0, m * 9])), disc(), "mask_colors"),
    "palette with black last": (lambda m: with_palette(m == 0, 0, 200, 0, 0, 0, 0), disc(), "mask_colors"),
    "label in alpha": (lambda m: with_alpha(1, m * 255), disc(), "mask_alpha"),
    "white label in alpha": (lambda m: with_alpha(255, m * 255), disc(), "mask_alpha, mask_255"),
    "erased": (lambda m: with_alpha(m, np.where(LEFT, 255, 0) + 0 * m), disc() * LEFT, "mask_alpha"),
    "floating-point": (lambda m: Image.fromarray(m.astype(np.float32)), disc(), "mask_float"),
}
UNCERTAIN: dict[str, Draw] = {
    "another gray": lambda m: Image.fromarray(m * 128),
    "two colors": lambda m: Image.fromarray(np.dstack([m * 200, m * LEFT * 90, m * 9])),
    "no black": lambda m: Image.fromarray(np.dstack([m * 200 + 9, m, m])),
    "black ink in alpha": lambda m: with_alpha(0, m * 255),
    "half transparent": lambda m: with_alpha(m, np.where(LEFT, 128, 0) + 0 * m),
    "parts of 1": lambda m: Image.fromarray(m * np.float32(0.5)),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_a_mask_whose_classes_are_certain_becomes_a_file_of_class_indices(tmp_path: Path, name: str) -> None:
    draw, expected, repair = CERTAIN[name]
    root = tiny_data(tmp_path / "data", n=12)
    draw(disc()).save(root / "seg" / "masks" / "new.tif")
    change_cell(root, "seg.csv", 3, "mask_path", "../seg/masks/new.tif")
    result, samples = fix(root, tmp_path)
    assert (result.changed, result.left_out, result.plan_error) == (1, 0, "")
    path = samples["seg"][1].mask_path
    assert path == tmp_path / "fixed" / "converted_masks" / "seg" / "masks" / "new.tif.png"
    assert (read_mask(path, False, 10**6) == expected).all()
    assert f",{repair}," in (tmp_path / "fixed" / "fix_log.csv").read_text().replace('"', "")


@pytest.mark.parametrize("name", UNCERTAIN)
def test_a_mask_whose_classes_are_not_certain_is_left_out_with_a_remedy(tmp_path: Path, name: str) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    UNCERTAIN[name](disc()).save(root / "seg" / "masks" / "new.tif")
    change_cell(root, "seg.csv", 3, "mask_path", "../seg/masks/new.tif")
    result, samples = fix(root, tmp_path)
    assert (result.left_out, len(samples["seg"])) == (1, 11)
    line = result.describe("usaggr data check")[0]
    assert line.startswith("left out: seg.csv, line 3 (row 2), mask_path: ../seg/masks/new.tif ")
    assert "; save " in line
    assert "--fix" not in line


def test_colors_are_the_classes_of_most_masks_of_the_task(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    three = disc() + disc() * LEFT
    for row in range(12):
        mask = with_palette(three, 0, 0, 0, 200, 0, 0, 0, 200, 0)
        if row == 4:
            mask = with_palette(np.array([0, 2, 1])[three], 0, 0, 0, 0, 200, 0, 200, 0, 0)
        elif row == 5:
            mask = with_palette(np.array([2, 1, 0])[three], 0, 200, 0, 200, 0, 0, 0, 0, 0)
        mask.save(root / "seg" / "masks" / f"{row}.png")
        change_cell(root, "seg.csv", row + 2, "num_classes", "3")
    faults = check_dataset(data_config(root, tmp_path / "cache"))[1]
    assert [(fault.kind, fault.row, fault.file) for fault in faults] == [
        ("palette", 6, "../seg/masks/4.png"), ("unreadable_file", 7, "../seg/masks/5.png"),
    ]  # fmt: skip
    result, samples = fix(root, tmp_path)
    assert (result.changed, result.left_out) == (2, 0)
    for sample in samples["seg"]:
        assert sample.mask_path is not None
        assert (read_mask(sample.mask_path, False, 10**6) == three).all()


@pytest.mark.parametrize(("setting", "width", "height"), [("apply", HEIGHT, WIDTH), ("ignore", WIDTH, HEIGHT)])
def test_boxes_are_clipped_to_the_size_of_the_image_as_it_is_read(
    tmp_path: Path, setting: str, width: int, height: int
) -> None:
    """The stored image has 32 x 24 pixels, and the turned one 24 x 32."""
    root = tiny_data(tmp_path / "data", n=12)
    Image.fromarray(noise(3)).save(root / "det" / "turned.jpg", exif=exif(6))
    for column, text in zip(("image_path", "x_max", "y_max"), ("../det/turned.jpg", "40", "41"), strict=True):
        change_cell(root, "det.csv", 2, column, text)
    _, samples = fix(root, tmp_path, exif_orientation=setting)
    turned = next(sample for sample in samples["det"] if sample.image_path.name == "turned.jpg")
    assert (turned.width, turned.height) == (width, height)
    assert turned.box == (2, 0.5, width, height)


def test_fractions_of_a_turned_image_become_pixels_of_the_image_as_it_is_read(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    Image.fromarray(noise(3)).save(root / "reg" / "turned.jpg", exif=exif(6))
    for column, text in zip(
        ("image_path", "point_1_xy", "point_2_xy"), ("../reg/turned.jpg", "[0.5, 0.25]", "[1, 0.75]"), strict=True
    ):
        change_cell(root, "reg.csv", 2, column, text)
    _, samples = fix(root, tmp_path, exif_orientation="apply")
    turned = next(sample for sample in samples["reg"] if sample.image_path.name == "turned.jpg")
    assert turned.points == ((0.5 * HEIGHT, 0.25 * WIDTH), (HEIGHT, 0.75 * WIDTH))


@pytest.mark.parametrize("setting", ["apply", "ignore"])
def test_a_mask_that_is_marked_as_turned_is_turned_like_its_image(tmp_path: Path, setting: str) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    mask = disc() * LEFT
    Image.fromarray(noise(3)).save(root / "seg" / "turned.jpg", exif=exif(6))
    Image.fromarray(mask).save(root / "seg" / "masks" / "turned.png", exif=exif(6))
    change_cell(root, "seg.csv", 2, "image_path", "../seg/turned.jpg")
    change_cell(root, "seg.csv", 2, "mask_path", "../seg/masks/turned.png")
    result, samples = fix(root, tmp_path, exif_orientation=setting)
    assert result.left_out == 0
    path = next(s for s in samples["seg"] if s.image_path.name == "turned.jpg").mask_path
    assert path is not None
    expected = np.rot90(mask, -1) if setting == "apply" else mask  # 6: viewers turn the stored pixels clockwise
    assert (read_mask(path, False, 10**6) == expected).all()


def write_boxes(root: Path, boxes: list[tuple[float, ...]]) -> None:
    for line, box in enumerate(boxes, 2):
        for side, value in zip(("x_min", "y_min", "x_max", "y_max"), box, strict=True):
            change_cell(root, "det.csv", line, side, f"{value:.10g}")


CORNERS = [(1.0, 2.0, 11.0, 10.0), (16.0, 12.0, 22.0, 18.0), (20.0, 12.0, 26.0, 20.0), (2.0, 4.0, 30.0, 22.0)] * 3


@pytest.mark.parametrize("unit", ["pixels", "fractions"])
@pytest.mark.parametrize("order", ["xywh", "center"])
def test_boxes_in_the_only_order_that_fits_become_corners(tmp_path: Path, order: str, unit: str) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    scale = np.array([WIDTH, HEIGHT] * 2) if unit == "fractions" else np.ones(4)
    boxes = []
    for x1, y1, x2, y2 in CORNERS:
        position = (x1, y1) if order == "xywh" else ((x1 + x2) / 2, (y1 + y2) / 2)
        boxes.append(tuple((np.array([*position, x2 - x1, y2 - y1]) / scale).tolist()))
    write_boxes(root, boxes)
    kind = "fractions" if unit == "fractions" else "box_order"
    assert {fault.kind for fault in check_dataset(data_config(root, tmp_path / "cache"))[1]} == {kind}
    result, samples = fix(root, tmp_path)
    assert result.left_out == 0
    corners = [sample.box for sample in sorted(samples["det"], key=lambda sample: sample.row)]
    assert np.allclose(np.array(corners, float), CORNERS)


def test_boxes_that_fit_in_several_orders_are_left_out(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    write_boxes(root, [(12, 10, 6, 5), (14, 9, 5, 6), (10, 10, 8, 9)] * 4)
    write_more = read_rows(root, "det.csv")
    assert {fault.kind for fault in check_dataset(data_config(root, tmp_path / "cache"))[1]} == {"box_order"}
    result, samples = fix(root, tmp_path)
    assert (result.left_out, result.lost_tasks) == (len(write_more), ("det",))
    assert "det" not in samples
    assert "left out: all rows of det" in result.describe("")


def upper(row: Row) -> str:
    return row["image_path"].upper()


@pytest.mark.parametrize(
    "write", [upper, lambda row: row["image_path"].replace("/", "\\")], ids=["letter case", "separators"]
)
def test_paths_are_corrected(tmp_path: Path, write: Callable[[Row], str]) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    row = read_rows(root, "cls.csv")[3]
    change_cell(root, "cls.csv", 5, "image_path", write(row))
    result, samples = fix(root, tmp_path)
    assert (result.changed, result.left_out) == (1, 0)
    assert read_rows(tmp_path / "fixed", "cls.csv")[3]["image_path"] == row["image_path"]
    assert len(samples["cls"]) == 12


def test_type_and_number_of_classes_are_those_of_the_task_s_other_rows(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    change_cell(root, "reg.csv", 2, "num_classes", "")
    change_cell(root, "reg.csv", 3, "task_name", "landmark")
    result, samples = fix(root, tmp_path)
    assert (result.changed, result.left_out, len(samples["reg"])) == (2, 0, 12)
    assert read_rows(tmp_path / "fixed", "reg.csv")[0]["num_classes"] == "2"


def test_a_row_with_a_repairable_and_another_error_is_left_out(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    change_cell(root, "det.csv", 2, "x_max", "40")
    change_cell(root, "det.csv", 2, "num_classes", "")
    change_cell(root, "det.csv", 3, "x_max", "40")
    change_cell(root, "det.csv", 3, "image_path", "../none.png")
    result, samples = fix(root, tmp_path)
    assert (result.changed, result.left_out) == (1, 1), "the errors of the first row are repaired one after the other"
    assert samples["det"][0].box == (2, 0.5, WIDTH, 21)


def test_a_link_out_of_the_root_is_written_inside_the_copy(tmp_path: Path) -> None:
    elsewhere, root = tiny_data(tmp_path / "elsewhere", n=12), tmp_path / "data"
    root.mkdir()
    (elsewhere / "csv_files").rename(root / "csv_files")
    for folder in elsewhere.iterdir():
        (root / folder.name).symlink_to(folder)
    change_cell(root, "cls.csv", 2, "image_path", "../../data/cls/s0_0.png")
    fix_data(data_config(root, tmp_path / "cache", follow_links=True), tmp_path / "fixed", False, NoProgress())
    assert len(load_dataset(data_config(tmp_path / "fixed", tmp_path / "cache")).samples) == 48
    assert (tmp_path / "fixed" / "cls" / "s0_0.png").samefile(elsewhere / "cls" / "s0_0.png")
