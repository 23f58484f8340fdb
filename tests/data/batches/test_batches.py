from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.factories import data_config, noise, tiny_data, write_image
from usaggr.config.study import AugmentConfig
from usaggr.data.batches.augment import augment_masks, draw_transform, make_sampling_grid, soften_until_inside
from usaggr.data.batches.batches import (
    CachedPixels,
    SubsetBatches,
    TrainingBatches,
    make_batch,
    normalize_box,
    normalize_points,
)
from usaggr.data.batches.cache import ImageCache, build_or_open
from usaggr.data.batches.streams import Draw
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.samples import Dataset, Sample

AUGMENT = AugmentConfig(rotate=20, scale=0.2, translate=0.1, gain=0.2, offset=0.1, gamma=0.3)


@pytest.fixture
def data(tmp_path: Path) -> tuple[Dataset, ImageCache]:
    config = data_config(tiny_data(tmp_path / "data", n=6), tmp_path / "cache")
    for i in range(6):  # all different, so that an exchange is noticed
        write_image(tmp_path / "data" / "seg" / "masks" / f"{i}.png", noise(i) % 2)
    dataset = load_dataset(config)
    return dataset, build_or_open(dataset, config)


def test_a_mixed_batch_holds_every_task_with_its_targets(data: tuple[Dataset, ImageCache]) -> None:
    dataset, cache = data
    batch = make_batch(dataset.samples, CachedPixels(cache))
    assert batch.images.shape == (24, 3, 32, 32)
    assert sorted(torch.cat(list(batch.batch_indices.values())).tolist()) == list(range(24))
    assert {t: tuple(v.shape) for t, v in batch.targets.items()} == {
        "seg": (6, 32, 32), "cls": (6,), "det": (6, 4), "reg": (6, 2, 2),
    }  # fmt: skip
    for task_id, batch_indices in batch.batch_indices.items():
        assert all(batch.samples[i].task_id == task_id for i in batch_indices)
    box = dataset.by_task["det"][0].box
    assert box is not None
    assert batch.targets["det"][0].numpy() == pytest.approx(np.array(box) / [32, 24, 32, 24])
    assert batch.targets["reg"][3].numpy() == pytest.approx(np.array([[3.5, 3], [7, 8.25]]) / [32, 24])
    assert batch.targets["cls"].tolist() == [sample.label for sample in dataset.by_task["cls"]]
    for sample, mask in zip(dataset.by_task["seg"], batch.targets["seg"], strict=True):
        assert (mask.numpy() == cache.view_mask(sample)).all()


def test_an_augmented_box_stays_in_the_image(data: tuple[Dataset, ImageCache]) -> None:
    dataset, cache = data
    first = dataset.by_task["det"][0]
    full_box = replace(first, box=(0.0, 0.0, float(first.width), float(first.height)))
    draws = [Draw("det", full_box.sample_id, key) for key in range(20)]
    (batch,) = TrainingBatches([draws], {("det", full_box.sample_id): full_box}, cache, AUGMENT)
    assert batch.targets["det"].min() == 0
    assert batch.targets["det"].max() == 1


def test_the_augmentation_of_a_sample_does_not_depend_on_its_batch(data: tuple[Dataset, ImageCache]) -> None:
    dataset, cache = data
    samples = {(s.task_id, s.sample_id): s for s in dataset.samples}
    draws = [Draw(s.task_id, s.sample_id, 7 * i) for i, s in enumerate(dataset.samples)]
    (together,) = TrainingBatches([draws], samples, cache, AUGMENT)
    for i, draw in enumerate(draws):
        (alone,) = TrainingBatches([[draw]], samples, cache, AUGMENT)
        place = together.batch_indices[draw.task_id].tolist().index(i)
        assert torch.allclose(together.images[i], alone.images[0], atol=1e-5)
        assert torch.allclose(together.targets[draw.task_id][place].float(), alone.targets[draw.task_id][0].float())


def test_a_box_is_divided_by_the_width_and_height_of_its_image() -> None:
    sample = Sample(
        "det", "a", Path("a.png"), "s", "hash", "label", 50, 200, "det.csv", 2, box=(20.0, 10.0, 100.0, 40.0)
    )
    assert normalize_box(sample) == pytest.approx([0.1, 0.2, 0.5, 0.8])


def test_labels_move_with_their_images(data: tuple[Dataset, ImageCache]) -> None:
    dataset, cache = data
    samples = {(s.task_id, s.sample_id): s for s in dataset.samples}
    draws = [Draw(task, dataset.by_task[task][1].sample_id, 5) for task in ("seg", "det", "reg")]
    (batch,) = TrainingBatches([draws], samples, cache, AUGMENT)
    seg, det, reg = batch.samples
    transform = draw_transform(AUGMENT, 5, cache.size)
    box, points = normalize_box(det), normalize_points(reg)
    moved = soften_until_inside(transform, None, box).map_box(box)
    assert np.abs(moved - box).max() > 0.02
    assert batch.targets["det"][0].numpy() == pytest.approx(moved.clip(0, 1), abs=1e-6)
    moved = soften_until_inside(transform, points, None).map_points(points)
    assert np.abs(moved - points).max() > 0.02
    assert batch.targets["reg"][0].numpy() == pytest.approx(moved, abs=1e-6)
    mask = torch.from_numpy(cache.load_masks([seg]))
    assert torch.equal(batch.targets["seg"], augment_masks(mask, make_sampling_grid([transform], cache.size)).long())


def test_training_images_are_augmented_and_a_folds_are_not(data: tuple[Dataset, ImageCache]) -> None:
    dataset, cache = data
    sample = dataset.by_task["cls"][0]
    draw = Draw(sample.task_id, sample.sample_id, 3)
    (augmented,) = TrainingBatches([[draw]], {(sample.task_id, sample.sample_id): sample}, cache, AUGMENT)
    (plain,) = SubsetBatches([sample], cache, 8)
    assert not torch.allclose(augmented.images, plain.images)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = plain.images[0].permute(1, 2, 0) * std + mean
    assert np.allclose(pixels.numpy() * 255, cache.view_image(sample), atol=0.01)


def test_a_subset_is_iterated_completely_and_in_order(data: tuple[Dataset, ImageCache]) -> None:
    dataset, cache = data
    batches = SubsetBatches(dataset.samples, cache, 7)
    assert [s for batch in batches for s in batch.samples] == list(dataset.samples)
    assert len(batches) == 4
