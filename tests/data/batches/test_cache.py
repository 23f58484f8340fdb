import errno
import fcntl
import json
import multiprocessing
import os
import pickle
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.factories import data_config, disc, noise, read_rows, tiny_data, write_image, write_rows
from usaggr.config.study import DataConfig
from usaggr.data.batches import cache_build
from usaggr.data.batches.cache import ImageCache, build_or_open
from usaggr.data.batches.cache_build import CacheMeta
from usaggr.data.batches.resizing import resize_image, resize_mask
from usaggr.data.read.images import read_image, read_mask
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.samples import Dataset, Sample
from usaggr.errors import DataError
from usaggr.progress import NoProgress


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    return data_config(tiny_data(tmp_path / "data"), tmp_path / "cache")


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the caches that this process has built."""
    built: list[str] = []
    original = cache_build._build

    def counting(plan: cache_build.CachePlan, *args: Any) -> None:
        built.append(plan.key)
        original(plan, *args)

    monkeypatch.setattr(cache_build, "_build", counting)
    return built


def folder(config: DataConfig) -> Path:
    assert config.cache_dir is not None
    return Path(config.cache_dir) / "images"


@pytest.mark.parametrize(("size", "channels"), [(32, 1), ([64, 32], 3)])
def test_the_cache_holds_each_image_and_mask_at_the_networks_size(
    config: DataConfig, size: int | list[int], channels: int
) -> None:
    config = config.model_copy(update={"image_size": size, "channels": channels})
    data = load_dataset(config)
    cache = build_or_open(data, config)
    assert (cache.size, cache.channels) == (config.input_size, channels)
    for sample in data.samples:
        image = read_image(sample.image_path, channels, config.max_pixels)
        assert (cache.view_image(sample) == resize_image(image, config.input_size)).all()
        if sample.mask_path is not None:
            expected = resize_mask(read_mask(sample.mask_path, False, config.max_pixels), config.input_size)
            assert (cache.view_mask(sample) == expected).all()
    together = cache.load_images(data.samples)
    assert together.shape == (len(data.samples), *config.input_size, channels)
    assert (together[3] == cache.view_image(data.samples[3])).all()
    masks = cache.load_masks(data.by_task["seg"][::-1])
    assert (masks[0] == cache.view_mask(data.by_task["seg"][-1])).all()


def test_views_cannot_be_written_to_and_copies_can(config: DataConfig) -> None:
    data = load_dataset(config)
    cache = build_or_open(data, config)
    with pytest.raises(ValueError, match="read-only"):
        cache.view_image(data.samples[0])[:] = 0
    with pytest.raises(ValueError, match="read-only"):
        cache.view_mask(data.by_task["seg"][0])[:] = 0
    cache.load_images(data.samples)[:] = 0
    assert cache.view_image(data.samples[0]).any()


def test_a_built_cache_is_opened_and_no_image_is_read(
    config: DataConfig, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_dataset(config)
    first = build_or_open(data, config)
    monkeypatch.setattr(cache_build, "read_unchanged", lambda path, *args: pytest.fail(f"{path} was read"))
    second = build_or_open(data, config)
    assert second.directory == first.directory
    assert len(builds) == 1


def test_an_image_of_two_tasks_is_kept_once(config: DataConfig) -> None:
    root = Path(str(config.root))
    second_task = [{**row, "task_id": "cls2", "mask": "2"} for row in read_rows(root, "cls.csv")]
    before = build_or_open(load_dataset(config), config).directory / "images.u8"
    write_rows(root, "cls2.csv", second_task)
    after = build_or_open(load_dataset(config), config).directory / "images.u8"
    assert before.stat().st_size == after.stat().st_size


@pytest.mark.parametrize(
    "changes", [{"image_size": 64}, {"channels": 1}, {"foreground_255": True}, {"image": 1}, {"mask": 1}]
)
def test_other_content_or_another_size_is_another_cache(
    config: DataConfig, builds: list[str], changes: dict[str, Any]
) -> None:
    build_or_open(load_dataset(config), config)
    if "image" in changes:
        write_image(Path(str(config.root)) / "cls" / "s0_0.png", noise(1234))
    elif "mask" in changes:  # all masks, so that the number of distinct ones stays the same
        for i in range(4):
            write_image(Path(str(config.root)) / "seg" / "masks" / f"{i}.png", noise(5) % 2)
    else:
        config = config.model_copy(update=changes)
    build_or_open(load_dataset(config), config)
    assert len(set(builds)) == 2


def test_small_pieces_and_short_writes_give_the_same_cache(config: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(4):
        write_image(Path(str(config.root)) / "seg" / "masks" / f"{i}.png", noise(i) % 2)
    data = load_dataset(config)
    reference = build_or_open(data, config)
    write = os.pwrite
    monkeypatch.setattr(cache_build, "PIECE", 3)
    monkeypatch.setattr(os, "pwrite", lambda file, content, offset: write(file, content[:1000], offset))
    elsewhere = config.model_copy(update={"cache_dir": f"{config.cache_dir} 2"})
    cut = build_or_open(data, elsewhere)
    for name in ("images.u8", "masks.u8"):
        assert (cut.directory / name).read_bytes() == (reference.directory / name).read_bytes()


def test_labels_and_locations_of_files_do_not_matter(config: DataConfig, builds: list[str], tmp_path: Path) -> None:
    build_or_open(load_dataset(config), config)
    root = Path(str(config.root))
    moved = config.model_copy(update={"root": str(root.rename(tmp_path / "elsewhere"))})
    write_rows(
        tmp_path / "elsewhere", "cls.csv", [{**r, "mask": "1"} for r in read_rows(tmp_path / "elsewhere", "cls.csv")]
    )
    data = load_dataset(moved)
    cache = build_or_open(data, moved)
    assert len(builds) == 1
    assert cache.view_image(data.samples[0]).shape == (32, 32, 3)


def test_white_masks_are_class_1_where_asked(config: DataConfig) -> None:
    write_image(Path(str(config.root)) / "seg" / "masks" / "0.png", disc(255))
    config = config.model_copy(update={"foreground_255": True})
    data = load_dataset(config)
    cache = build_or_open(data, config)
    assert set(np.unique(cache.load_masks(data.by_task["seg"]))) == {0, 1}


def test_data_without_masks_have_a_cache_too(config: DataConfig) -> None:
    (Path(str(config.root)) / "csv_files" / "seg.csv").unlink()
    data = load_dataset(config)
    assert build_or_open(data, config).load_images(data.samples).shape[0] == len(data.samples)


@pytest.mark.parametrize("name", ["images.u8", "masks.u8", "images.sha256", "masks.sha256", "meta.json"])
def test_a_truncated_cache_is_built_again(config: DataConfig, builds: list[str], name: str) -> None:
    data = load_dataset(config)
    cache = build_or_open(data, config)
    expected = cache.load_images(data.samples)
    path = cache.directory / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="an incomplete image cache"):
        ImageCache(cache.directory)
    assert (build_or_open(data, config).load_images(data.samples) == expected).all()
    assert len(builds) == 2


def test_a_cache_of_another_version_is_not_taken(
    config: DataConfig, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_dataset(config)
    old = build_or_open(data, config).directory
    ImageCache(old)
    monkeypatch.setattr(cache_build, "CACHE_VERSION", cache_build.CACHE_VERSION + 1)
    with pytest.raises(DataError, match="is an incomplete image cache"):
        ImageCache(old)


def test_pickles_carry_the_path_alone(config: DataConfig) -> None:
    data = load_dataset(config)
    cache = build_or_open(data, config)
    content = pickle.dumps(cache)
    assert len(content) < 500
    assert (pickle.loads(content).load_images(data.samples) == cache.load_images(data.samples)).all()


@pytest.mark.parametrize("name", ["images.u8", "meta.json"])
def test_a_copy_of_a_cache_that_was_removed_says_so_when_it_is_used(config: DataConfig, name: str) -> None:
    """A worker process unpickles its run before it can report an error."""
    data = load_dataset(config)
    cache = build_or_open(data, config)
    content = pickle.dumps(cache)
    assert cache.is_complete()
    (cache.directory / name).unlink()
    assert not cache.is_complete()
    copy = pickle.loads(content)
    with pytest.raises(DataError, match="the image cache was removed or changed while runs were training; the next"):
        copy.load_images(data.samples)


def test_a_cache_file_that_cannot_be_read_is_named(config: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = build_or_open(load_dataset(config), config)

    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(np, "memmap", refuse)
    with pytest.raises(DataError, match=r"the image cache cannot be read \(Permission denied\); make it readable, or"):
        _ = pickle.loads(pickle.dumps(cache)).size


def _sum_in_process(cache: ImageCache, data: Dataset, queue: Any) -> None:
    queue.put(int(cache.load_images(data.samples).sum()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same_cache(config: DataConfig, method: str) -> None:
    data = load_dataset(config)
    cache = build_or_open(data, config)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_sum_in_process, args=(cache, data, queue))
    process.start()
    assert queue.get(timeout=30) == int(cache.load_images(data.samples).sum())
    process.join()


def _build_in_process(config: DataConfig, read_seconds: float, started: Any) -> None:
    """Build, slowly, and say when the first image is read."""
    original = cache_build.read_unchanged

    def slow(*args: Any) -> bytes:
        started.set()
        time.sleep(read_seconds)
        return original(*args)

    cache_build.read_unchanged = slow  # type: ignore[attr-defined]
    build_or_open(load_dataset(config), config)


class Spoken(NoProgress):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def start(self, description: str, total: int) -> None:
        self.messages.append(description)


def test_a_second_process_waits_for_the_first_and_builds_nothing(config: DataConfig, builds: list[str]) -> None:
    data = load_dataset(config)
    context = multiprocessing.get_context("fork")
    started = context.Event()
    process = context.Process(target=_build_in_process, args=(config, 0.03, started))
    process.start()
    assert started.wait(30)
    progress = Spoken()
    cache = build_or_open(data, config, progress)
    process.join()
    assert process.exitcode == 0
    assert cache.load_images(data.samples).any()
    assert progress.messages == ["waiting for another process, which is resizing these images"]
    assert builds == []


def test_a_build_that_was_killed_is_not_taken_and_is_cleaned_up_by_any_next_one(config: DataConfig) -> None:
    load_dataset(config)
    context = multiprocessing.get_context("fork")
    started = context.Event()
    process = context.Process(target=_build_in_process, args=(config, 30.0, started))
    process.start()
    assert started.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert [path.suffix for path in folder(config).iterdir() if path.is_dir()] == [".tmp"]
    other = config.model_copy(update={"image_size": 64})
    build_or_open(load_dataset(other), other)
    assert [path.suffix for path in folder(config).iterdir() if path.is_dir()] == [""]
    data = load_dataset(config)
    assert build_or_open(data, config).view_image(data.samples[0]).any()


def test_a_cache_that_another_process_is_building_is_left_alone(config: DataConfig) -> None:
    busy = folder(config) / "0123.tmp"
    busy.mkdir(parents=True)
    with (folder(config) / "0123.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build_or_open(load_dataset(config), config)
        assert busy.exists()


def test_a_full_disk_is_told_and_leaves_nothing(config: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    data = load_dataset(config)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DataError, match=r"No space left on device.*data\.cache_dir"):
        build_or_open(data, config)
    assert not [path for path in folder(config).iterdir() if path.is_dir()]
    monkeypatch.undo()
    assert build_or_open(data, config).view_image(data.samples[0]).any()


def test_an_image_that_changed_meanwhile_is_refused(config: DataConfig) -> None:
    data = load_dataset(config)
    write_image(data.samples[0].image_path, noise(4321))
    with pytest.raises(DataError, match="has changed since the data set was read"):
        build_or_open(data, config)


def test_samples_that_the_cache_was_not_made_for_are_refused(config: DataConfig) -> None:
    data = load_dataset(config)
    cache = build_or_open(data, config)
    assert cache.find_image_rows([]).shape == (0,)
    for digest in ("00" * 32, "ff" * 32):
        with pytest.raises(DataError, match=f"does not contain {digest}"):
            cache.find_image_rows([data.samples[0], replace(data.samples[1], image_hash=digest)])
    (Path(str(config.root)) / "csv_files" / "seg.csv").unlink()
    without_masks = build_or_open(load_dataset(config), config)
    with pytest.raises(DataError, match="does not contain"):
        without_masks.load_masks(data.by_task["seg"])


def test_hashes_that_end_in_zeros_are_distinguished(tmp_path: Path) -> None:
    digests = ["61" * 31 + "00", "61" * 32, "61" * 30 + "0000", "00" * 32, "ff" * 32]
    (tmp_path / "meta.json").write_text(json.dumps(vars(CacheMeta(1, 1, 1, len(digests), 0, False))))
    (tmp_path / "images.sha256").write_bytes(bytes.fromhex("".join(sorted(digests))))
    (tmp_path / "images.u8").write_bytes(bytes(range(len(digests))))
    (tmp_path / "masks.u8").touch()
    (tmp_path / "masks.sha256").touch()
    samples = [Sample("t", d, tmp_path, d, d, "", 1, 1, "", 2) for d in digests]
    pixels = ImageCache(tmp_path).load_images(samples).ravel().tolist()
    assert pixels == [sorted(digests).index(digest) for digest in digests]
