"""Data files that change, disappear or are too large: named, refused, and never used partly old and partly new."""

import json
import os
from pathlib import Path

import pytest

from tests.data.factories import data_config, disc, noise, tiny_data, write_image
from usaggr.config.study import DataConfig
from usaggr.data.batches import cache_check
from usaggr.data.batches.cache import build_or_open
from usaggr.data.read.images import read_mask
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.split.manifest import make_manifest, write_manifest
from usaggr.errors import ConfigError, DataError
from usaggr.training.targets_cache import TruthMasks


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    return data_config(tiny_data(tmp_path / "data", 30), tmp_path / "cache")


def swap(path: Path, content: bytes) -> None:
    """Replace a file's content by another one of the same length, and keep the file's times."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_true_mask_that_changed_after_planning_is_refused_when_scoring(config: DataConfig) -> None:
    sample = load_dataset(config).by_task["seg"][0]
    assert sample.mask_path is not None
    write_image(sample.mask_path, disc(0))
    with pytest.raises(DataError, match=rf"{sample.mask_path.name}: has changed since .* name="):
        TruthMasks(10**6).get_mask(sample, config)


def test_a_true_mask_with_too_many_pixels_is_refused(config: DataConfig) -> None:
    sample = load_dataset(config).by_task["seg"][0]
    assert sample.mask_path is not None
    with pytest.raises(DataError, match=r"more than data\.max_pixels=100"):
        read_mask(sample.mask_path, True, 100)
    with pytest.raises(DataError, match=r"more than data\.max_pixels=100"):
        TruthMasks(10**6).get_mask(sample, config.model_copy(update={"max_pixels": 100}))


@pytest.mark.parametrize("changed_file", ["image", "mask"])
def test_a_changed_file_with_the_same_size_and_time_is_noticed_and_the_next_plan_reads_it_again(
    config: DataConfig, tmp_path: Path, changed_file: str
) -> None:
    sample = load_dataset(config).by_task["seg"][0]
    path = sample.image_path if changed_file == "image" else sample.mask_path
    assert path is not None
    old, new = (
        write_image(path, noise(seed) if changed_file == "image" else noise(seed) % 2).read_bytes().ljust(2000, b"\0")
        for seed in (77, 78)
    )  # readers ignore bytes after the end of a PNG
    path.write_bytes(old)
    before = load_dataset(config)
    write_manifest(make_manifest(before, config, [0]), tmp_path / "study")
    swap(path, new)
    assert load_dataset(config).content_hash == before.content_hash  # the disguise works: the change is not noticed yet
    with pytest.raises(DataError, match=rf"{path.name}: has changed since the data set was read"):
        build_or_open(before, config)
    after = load_dataset(config)
    assert after.content_hash != before.content_hash
    with pytest.raises(ConfigError, match="another data set"):
        write_manifest(make_manifest(after, config, [0]), tmp_path / "study")
    assert build_or_open(after, config).load_images(after.samples).any()


def test_a_missing_file_is_named_with_its_row(config: DataConfig) -> None:
    sample = load_dataset(config).by_task["seg"][0]
    sample.image_path.unlink()
    with pytest.raises(DataError, match=rf"seg\.csv.*\n*.*{sample.image_path.name}"):
        load_dataset(config)


@pytest.mark.parametrize("name", ["images.u8", "masks.u8", "images.sha256"])
def test_a_cache_with_a_flipped_bit_is_named_set_aside_and_built_again(
    config: DataConfig, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    dataset = load_dataset(config)
    cache = build_or_open(dataset, config)
    intact = {path.name: path.read_bytes() for path in cache.directory.iterdir()}
    content = bytearray(intact[name])
    content[len(content) // 2] ^= 1
    (cache.directory / name).write_bytes(content)
    rebuilt = build_or_open(dataset, config)
    assert f"{cache.directory / name}: has changed since it was written" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in rebuilt.directory.iterdir()} == intact
    aside = cache.directory.with_suffix(".damaged")
    assert (aside / name).read_bytes() == content
    build_or_open(dataset, config)
    assert capsys.readouterr().err == ""


def test_a_cache_of_many_pieces_is_checked_completely(
    config: DataConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_check, "PIECE", 1000)
    dataset = load_dataset(config)
    path = build_or_open(dataset, config).directory / "images.u8"
    assert len(json.loads((path.parent / "checksums.json").read_text())["images.u8"]) > 100
    content = path.read_bytes()
    for position in (0, len(content) - 1):
        path.write_bytes(content[:position] + bytes([content[position] ^ 128]) + content[position + 1 :])
        build_or_open(dataset, config)
        assert "images.u8: has changed since it was written" in capsys.readouterr().err
        assert path.read_bytes() == content


def test_a_cache_with_incomplete_checksums_is_built_again(
    config: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = load_dataset(config)
    path = build_or_open(dataset, config).directory / "checksums.json"
    written = path.read_text()
    path.write_text(json.dumps({name: sums for name, sums in json.loads(written).items() if name != "masks.u8"}))
    build_or_open(dataset, config)
    assert "masks.u8: has changed since it was written" in capsys.readouterr().err
    assert path.read_text() == written


def test_a_cache_without_checksums_is_accepted_and_gets_them(config: DataConfig) -> None:
    dataset = load_dataset(config)
    path = build_or_open(dataset, config).directory / "checksums.json"
    written = path.read_text()
    path.unlink()
    build_or_open(dataset, config)
    assert path.read_text() == written
