from pathlib import Path

import pytest
import torch

from tests.data.factories import data_config, tiny_data
from usaggr.config.study import AugmentConfig
from usaggr.data.batches.batches import Batch, CachedPixels, SubsetBatches, TrainingBatches
from usaggr.data.batches.cache import ImageCache, build_or_open
from usaggr.data.batches.streams import Draw
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.samples import Dataset
from usaggr.training.device_images import MEMORY_SHARE, ResidentPixels, count_bytes, has_room, make_pixels

CPU = torch.device("cpu")
AUGMENT = AugmentConfig(rotate=20, scale=0.2, translate=0.1, gain=0.2, offset=0.1, gamma=0.3)


@pytest.fixture(params=[1, 3], ids=["gray", "color"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Dataset, ImageCache]:
    config = data_config(tiny_data(tmp_path / "data", n=6), tmp_path / "cache", channels=request.param)
    dataset = load_dataset(config)
    return dataset, build_or_open(dataset, config)


def assert_equal(actual: Batch, expected: Batch) -> None:
    assert actual.samples == expected.samples
    assert torch.allclose(actual.images, expected.images, atol=1e-6, rtol=0)
    assert actual.batch_indices.keys() == expected.batch_indices.keys()
    for task_id, batch_indices in expected.batch_indices.items():
        assert torch.equal(actual.batch_indices[task_id], batch_indices)
        assert torch.allclose(actual.targets[task_id].double(), expected.targets[task_id].double(), atol=1e-6, rtol=0)


def test_batches_of_resident_images_are_those_of_the_cache(data: tuple[Dataset, ImageCache]) -> None:
    dataset, cache = data
    samples = {(s.task_id, s.sample_id): s for s in dataset.samples}
    draws = [Draw(s.task_id, s.sample_id, 7 * i) for i, s in enumerate(dataset.samples)]
    plain = TrainingBatches([draws[:10], draws[10:]], samples, cache, AUGMENT)
    resident = ResidentPixels(cache, dataset.samples, CPU)
    for actual, expected in zip(plain.with_pixels(resident), plain, strict=True):
        assert_equal(actual, expected)
    fold = SubsetBatches(dataset.samples[::-1], cache, 7)
    for actual, expected in zip(fold.with_pixels(resident), fold, strict=True):
        assert_equal(actual, expected)


def test_only_the_given_samples_are_resident(data: tuple[Dataset, ImageCache]) -> None:
    dataset, cache = data
    some = [*dataset.by_task["seg"][:2], dataset.by_task["cls"][0], dataset.by_task["cls"][0]]
    resident = ResidentPixels(cache, some, CPU)
    assert count_bytes(cache, some) == 32 * 32 * (3 * cache.channels + 1)  # the same mask serves all of seg
    assert torch.equal(resident.load_images(some[1:3]), CachedPixels(cache).load_images(some[1:3]))
    with pytest.raises(ValueError, match="not on the device"):
        resident.load_images([dataset.by_task["det"][0]])


def test_tasks_without_masks_need_none(data: tuple[Dataset, ImageCache]) -> None:
    dataset, cache = data
    fold = SubsetBatches(dataset.by_task["det"], cache, 4)
    for actual, expected in zip(fold.with_pixels(ResidentPixels(cache, fold.samples, CPU)), fold, strict=True):
        assert_equal(actual, expected)


def test_images_stay_on_a_device_where_they_are_to(data: tuple[Dataset, ImageCache]) -> None:
    dataset, cache = data
    assert isinstance(make_pixels(CPU, cache, dataset.samples, True), ResidentPixels)
    assert isinstance(make_pixels(CPU, cache, dataset.samples, False), CachedPixels)
    assert isinstance(make_pixels(CPU, cache, dataset.samples, "auto"), CachedPixels)


def test_auto_depends_on_the_free_memory_of_a_gpu(
    data: tuple[Dataset, ImageCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, cache = data
    needed = count_bytes(cache, dataset.samples)
    devices: list[torch.device] = []

    def free(device: torch.device) -> tuple[int, int]:
        devices.append(device)
        return int(needed / MEMORY_SHARE) - 4, 10**12

    monkeypatch.setattr(torch.cuda, "mem_get_info", free)
    gpu = torch.device("cuda", 1)
    assert isinstance(make_pixels(gpu, cache, dataset.samples, "auto"), CachedPixels)
    assert devices == [gpu]
    assert has_room(needed, int(needed / MEMORY_SHARE) + 4)
