from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.factories import data_config
from tests.training.factories import mask_sample, sample
from usaggr.data.read.file_facts import read_unchanged
from usaggr.errors import DataError
from usaggr.training.targets_cache import TruthMasks

AS_IS = data_config(Path("data"), Path("cache"), foreground_255=False)


def labels(seed: int, height: int = 20, width: int = 30) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[3:9, 5:15] = np.random.default_rng(seed).integers(0, 4, (6, 10), dtype=np.uint8)
    return mask


@pytest.mark.parametrize(
    "mask",
    [labels(0), np.zeros((7, 9), np.uint8), np.full((7, 9), 3, np.uint8), np.eye(6, dtype=np.uint8)[:, :4].copy()],
    ids=["inside", "empty", "full", "at_the_border"],
)
def test_a_mask_is_the_same_every_time(tmp_path: Path, mask: np.ndarray) -> None:
    masks, masked = TruthMasks(10**6), mask_sample(tmp_path, "seg", "a", mask)
    for _ in range(3):
        decoded = masks.get_mask(masked, AS_IS)
        assert decoded is not None
        assert decoded.dtype == np.uint8
        assert (decoded == mask).all()
        decoded[:] = 77  # belongs to the caller


def test_a_mask_of_16_bits_keeps_its_values(tmp_path: Path) -> None:
    masked = mask_sample(tmp_path, "seg", "a", (labels(0).astype(np.uint16) * 300))  # type: ignore[arg-type]
    masks = TruthMasks(10**6)
    for _ in range(2):
        decoded = masks.get_mask(masked, AS_IS)
        assert decoded is not None
        assert decoded.dtype == np.uint16
        assert decoded.max() == 900


def test_a_kept_mask_needs_its_file_no_more_and_another_content_is_read(tmp_path: Path) -> None:
    masks, masked = TruthMasks(10**6), mask_sample(tmp_path, "seg", "a", labels(0))
    first = masks.get_mask(masked, AS_IS)
    assert masked.mask_path is not None
    masked.mask_path.unlink()
    assert (masks.get_mask(masked, AS_IS) == first).all()
    with pytest.raises(DataError, match=f"{masked.mask_path.name}.*No such file"):
        masks.get_mask(replace(masked, label_hash="of another content"), AS_IS)


def test_masks_that_read_255_differently_are_cached_separately(tmp_path: Path) -> None:
    masks, masked = (
        TruthMasks(10**6),
        mask_sample(tmp_path, "seg", "a", np.where(labels(0) > 0, 255, 0).astype(np.uint8)),
    )
    for foreground_255, highest in ((False, 255), (True, 1), (False, 255), (True, 1)):
        decoded = masks.get_mask(masked, AS_IS.model_copy(update={"foreground_255": foreground_255}))
        assert decoded is not None
        assert decoded.max() == highest


def test_the_cache_respects_its_limit_and_removes_the_least_recently_used_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr(
        "usaggr.training.targets_cache.read_unchanged",
        lambda path, *samples: (read.append(path.name[0]), read_unchanged(path, *samples))[1],
    )
    full = np.ones((10, 10), np.uint8)
    samples = {name: mask_sample(tmp_path, "seg", name, full) for name in "abc"}
    masks = TruthMasks(250)
    for name in "abacabb":
        masks.get_mask(samples[name], AS_IS)
        assert masks.bytes <= 250
    assert read == ["a", "b", "c", "b"]
    big = mask_sample(tmp_path, "seg", "d", np.ones((30, 30), np.uint8))
    assert masks.get_mask(big, AS_IS) is not None
    masks.get_mask(samples["b"], AS_IS)
    assert read == ["a", "b", "c", "b", "d"]


def test_background_takes_no_memory(tmp_path: Path) -> None:
    masks = TruthMasks(10**6)
    masks.get_mask(mask_sample(tmp_path, "seg", "a", labels(0, 400, 500)), AS_IS)
    assert 0 < masks.bytes <= 60


def test_a_sample_without_mask_has_none() -> None:
    assert TruthMasks(100).get_mask(sample("cls", "a", 10, 10, label=1), AS_IS) is None
