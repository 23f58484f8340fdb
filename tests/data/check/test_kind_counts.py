"""The table of the kinds of files that each task has."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.factories import data_config, disc, noise, tiny_data, write_image
from usaggr.data.check.kind_counts import KindCount, count_file_kinds
from usaggr.data.read.load_dataset import load_dataset


def test_kinds_are_counted_by_task_with_how_they_are_read(tmp_path: Path) -> None:
    root = tiny_data(tmp_path / "data", n=12)
    for i in range(4):
        write_image(root / f"cls/s{i // 2}_{i}.png", noise(i).astype(np.uint16) * 16)
    Image.fromarray(noise(9)).save(root / "det/s0_0.png", exif=_turned())
    Image.fromarray(disc(255)).convert("RGB").quantize(2).save(root / "seg/masks/3.png")
    config = data_config(root, tmp_path / "cache", exif_orientation="ignore", foreground_255=True)
    counts = {(entry.role, entry.kind, entry.reading): entry.tasks for entry in count_file_kinds(load_dataset(config))}
    assert counts == {
        ("image", "PNG, grayscale", ""): {"reg": 12, "seg": 12, "det": 11, "cls": 8},
        ("image", "PNG, grayscale, 16 bits", "bits 12"): {"cls": 4},
        ("image", "PNG, grayscale, EXIF orientation 6", ""): {"det": 1},
        ("mask", "PNG, grayscale", ""): {"seg": 11},
        ("mask", "PNG, palette, classes by gray value", "gray values of the palette"): {"seg": 1},
    }


def test_many_tasks_are_shortened() -> None:
    entry = KindCount("image", "PNG, grayscale", "", {"a": 3, "b": 2, "c": 1})
    assert entry.format_row(3, 2)[3:] == ("6", "all 3")
    assert entry.format_row(4, 2)[3:] == ("6", "a 3, b 2, and 1 more")
    assert entry.format_row(4, None)[3:] == ("6", "a 3, b 2, c 1")
    assert KindCount("mask", "PNG, grayscale", "", {"a": 3}).format_row(1, 2)[3:] == ("3", "a")


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif
