"""Balance of subsets, image statistics and label maps of data whose numbers are known."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.factories import HEIGHT, WIDTH, change_cell, data_config, disc, noise, tiny_data, write_image
from usaggr.config.study import DataConfig
from usaggr.data.check.class_balance import count_balance
from usaggr.data.check.deep_check import examine_dataset
from usaggr.data.check.image_scan import MAP_SIZE, scan_images
from usaggr.data.check.label_maps import compute_class_shares, compute_label_maps
from usaggr.data.check.statistics import compute_image_statistics
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.split.make_split import split_dataset
from usaggr.progress import NoProgress

QUIET = NoProgress()


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    return data_config(tiny_data(tmp_path / "data", n=30), tmp_path / "cache")


def root(data: DataConfig) -> Path:
    return Path(str(data.root))


def test_samples_subjects_and_classes_of_each_fold_are_counted(data: DataConfig) -> None:
    write_image(root(data) / "seg" / "masks" / "0.png", disc(0) + np.eye(HEIGHT, WIDTH, dtype=np.uint8))
    dataset = load_dataset(data)
    split = split_dataset(dataset, data.split)
    entries = {(e.task, e.subset): e for e in count_balance(dataset, split, scan_images(dataset, data, QUIET))}
    assert sum(e.samples for e in entries.values()) == len(dataset.samples) == 120
    assert entries["seg", "train"].class_counts == {"class_1": entries["seg", "train"].samples}
    assert entries["det", "test"].smallest is None
    for fold in ("train", "val", "test"):
        members = [s for s, f in zip(dataset.samples, split.subsets, strict=True) if s.task_id == "cls" and f == fold]
        assert entries["cls", fold].subjects == len({s.subject_id for s in members})
        assert list(entries["cls", fold].class_counts.values()) == [
            sum(s.label == label for s in members) for label in range(3)
        ]
        smallest = entries["cls", fold].smallest
        assert smallest is not None
        assert smallest[1] == min(entries["cls", fold].class_counts.values())


def test_statistics_of_images_are_those_of_their_pixels(data: DataConfig) -> None:
    flat = np.full((HEIGHT, WIDTH), 100, np.uint8)
    flat[: HEIGHT // 2] = 0
    for i in range(30):
        flat[0, 0] = i  # different bytes, so that no two images count as one
        write_image(root(data) / "cls" / f"s{i // 2}_{i}.png", flat)
    dataset = load_dataset(data)
    entry = next(e for e in compute_image_statistics(dataset, scan_images(dataset, data, QUIET)) if e.task == "cls")
    assert (entry.images, entry.height, entry.width) == (30, (HEIGHT, HEIGHT), (WIDTH, WIDTH))
    assert (entry.mean, entry.sd, entry.black) == pytest.approx((50, 50, 0.5), abs=0.1)
    assert (entry.color_images, entry.bits, entry.outliers) == (0, {8: 30}, ())


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((HEIGHT, WIDTH), 250, np.uint8), "mean gray value 250, usually 1"),
        (noise(1, 8 * HEIGHT, 8 * WIDTH), f"{64 * HEIGHT * WIDTH} pixels, usually {HEIGHT * WIDTH}"),
        (noise(1, HEIGHT // 2, WIDTH * 3), "width / height 8.00, usually 1.33"),
        (noise(1, HEIGHT, WIDTH, 3), "8-bit color, usually 8-bit grayscale"),
        (noise(1).astype(np.uint16) * 257, "16-bit grayscale, usually 8-bit grayscale"),
    ],
)
def test_an_image_that_is_unlike_the_others_is_named(data: DataConfig, pixels: Any, reason: str) -> None:
    change_cell(root(data), "cls.csv", 5, "image_path", "../cls/odd.png")
    write_image(root(data) / "cls" / "odd.png", pixels)
    dataset = load_dataset(data)
    entry = next(e for e in compute_image_statistics(dataset, scan_images(dataset, data, QUIET)) if e.task == "cls")
    assert [outlier.sample.sample_id for outlier in entry.outliers] == ["../cls/odd.png"]
    assert entry.outliers[0].reason.startswith(reason)


def test_a_second_kind_of_image_is_not_a_set_of_outliers(data: DataConfig) -> None:
    for i in range(8):
        write_image(root(data) / "cls" / f"s{i // 2}_{i}.png", np.full((HEIGHT, WIDTH), 255 - i, np.uint8))
    dataset = load_dataset(data)
    entry = next(e for e in compute_image_statistics(dataset, scan_images(dataset, data, QUIET)) if e.task == "cls")
    assert entry.outliers == ()


def test_maps_show_the_positions_of_labels(data: DataConfig) -> None:
    for line in range(2, 32):
        for side, value in zip(("x_min", "y_min", "x_max", "y_max"), ("0", "0", "16", "12"), strict=True):
            change_cell(root(data), "det.csv", line, side, value)
        change_cell(root(data), "reg.csv", line, "point_1_xy", f"[{WIDTH}, {HEIGHT}]")
    dataset = load_dataset(data)
    scan = scan_images(dataset, data, QUIET)
    maps = {(m.task, m.name): m.shares for m in compute_label_maps(dataset, scan)}
    assert set(maps) == {("seg", "foreground"), ("det", "box"), ("reg", "point_1"), ("reg", "point_2")}
    box = maps["det", "box"]
    assert (box[: MAP_SIZE // 2, : MAP_SIZE // 2] == 1).all()
    assert box.sum() == (MAP_SIZE // 2) ** 2
    assert maps["reg", "point_1"][-1, -1] == maps["reg", "point_2"].sum() == pytest.approx(1)
    share = (disc() > 0).mean()
    assert maps["seg", "foreground"].mean() == pytest.approx(share, abs=0.01)
    assert maps["seg", "foreground"][MAP_SIZE // 2, MAP_SIZE // 2] == 1
    assert compute_class_shares(dataset, scan)[0].shares["class_1"] == pytest.approx(share, abs=1e-6)


def test_files_that_were_scanned_are_not_read_again(data: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset(data)
    first = scan_images(dataset, data, QUIET)
    monkeypatch.setattr("usaggr.data.check.image_scan.read_bytes", None)
    monkeypatch.setattr("usaggr.data.check.image_scan.read_mask", None)
    again = scan_images(dataset, data, QUIET)
    assert again.images == first.images
    assert all((again.masks[key].shares == mask.shares).all() for key, mask in first.masks.items())


def read_contents(store: Path) -> dict[str, bytes]:
    with closing(sqlite3.connect(store)) as connection:
        return dict(connection.execute("SELECT key, content FROM looks").fetchall())


def damage_file(store: Path) -> None:
    store.write_bytes(b"not a database, but long enough to be taken for one" * 100)


def damage_pages(store: Path) -> None:
    content = store.read_bytes()
    store.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def damage_table(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DROP TABLE looks")
        connection.execute("CREATE TABLE looks (name TEXT)")


def damage_rows(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE looks SET content = X'00' WHERE rowid % 2")
        connection.execute("UPDATE looks SET content = 'text' WHERE rowid % 2 = 0")


@pytest.mark.parametrize("damage", [damage_file, damage_pages, damage_table, damage_rows])
def test_a_damaged_store_of_the_scan_is_created_again_with_the_same_summaries(
    data: DataConfig, damage: Callable[[Path], None]
) -> None:
    dataset = load_dataset(data)
    first = scan_images(dataset, data, NoProgress())
    (store,) = Path(str(data.cache_dir)).glob("looks-*.sqlite")
    intact = read_contents(store)
    damage(store)
    again = scan_images(dataset, data, NoProgress())
    assert again.images == first.images
    assert all((again.masks[key].shares == mask.shares).all() for key, mask in first.masks.items())
    assert read_contents(store) == intact
    is_set_aside = damage is not damage_rows
    assert bool(list(store.parent.glob("looks-*.damaged"))) == is_set_aside, "somebody's own file is never removed"


def test_an_impossible_split_is_reported_and_the_other_findings_are_made(data: DataConfig) -> None:
    lines = (root(data) / "csv_files" / "cls.csv").read_text().splitlines()
    folds = ["split,subject_id", "train,P", "test,P", *["train,Q"] * 28]
    (root(data) / "csv_files" / "cls.csv").write_text("\n".join(f"{a},{b}" for a, b in zip(lines, folds, strict=True)))
    findings = examine_dataset(load_dataset(data), data, QUIET)
    assert "divides 1 component" in findings.split_error
    assert (findings.near_pairs, findings.balance) == ((), ())
    assert len(findings.statistics) == 4
