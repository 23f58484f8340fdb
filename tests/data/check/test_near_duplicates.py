"""Near-identical images: copies that were saved again are found, other images are not, and only across subsets."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.data.factories import noise
from usaggr.data.check.near_duplicates import THRESHOLD, DistinctImage, collect_distinct_images, find_near_duplicates
from usaggr.data.check.perceptual_hash import BITS, HASH_BYTES, compute_hashes, remove_border
from usaggr.data.samples import Sample
from usaggr.progress import NoProgress

GrayImage = NDArray[np.uint8]


def speckle(seed: int, height: int = 180, width: int = 240) -> GrayImage:
    """Return smooth blobs in a dark frame; two seeds differ as much as two scans do."""
    small = noise(seed, 9, 12).astype(np.float32)
    picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    picture[:12] = picture[-12:] = 0
    picture[:, :20] = picture[:, -20:] = 0
    return picture


def copies(image: Any) -> dict[str, GrayImage]:
    """Return copies of an image, by the change that often happens between two data sets."""
    height, width = image.shape
    shift: Any = np.array([[1, 0, round(0.02 * width)], [0, 1, round(0.02 * height)]], np.float32)
    return {
        "stored as JPEG": cv2.imdecode(cv2.imencode(".jpg", image, [1, 40])[1], 0),
        "half the size": cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA),
        "contrast": np.clip(image.astype(float) * 1.3 + 15, 0, 255).astype(np.uint8),
        "gamma": (255 * (image / 255) ** 0.7).astype(np.uint8),
        "marked": cv2.putText(image.copy(), "P 123", (width // 10, height // 8), 0, 0.5, 255, 1),
        "shifted": cv2.warpAffine(image, shift, (width, height)),
    }


def distance(a: GrayImage, b: GrayImage) -> int:
    (pair,) = find_near_duplicates(
        [distinct_image("a", "train"), distinct_image("b", "test")],
        {"a": compute_hashes(a), "b": compute_hashes(b)},
        NoProgress(),
        threshold=BITS,
    )
    return pair.distance


def sample(image: str, task: str = "t", subject: str = "s") -> Sample:
    return Sample(task, f"../{image}.png", Path(f"/d/{image}.png"), subject, image, "l", 10, 10, f"{task}.csv", 2)


def distinct_image(image: str, fold: Any) -> DistinctImage:
    return DistinctImage(sample(image), fold, ("t",))


@pytest.mark.parametrize("change", copies(speckle(0)))
def test_a_copy_that_was_saved_again_is_near_its_original(change: str) -> None:
    assert max(distance(speckle(seed), copies(speckle(seed))[change]) for seed in range(6)) <= THRESHOLD


def test_different_images_are_far_apart() -> None:
    assert min(distance(speckle(seed), speckle(seed + 1)) for seed in range(12)) > 2 * THRESHOLD


def test_the_distance_counts_the_bits_that_differ_in_the_more_similar_hash() -> None:
    hashes = [compute_hashes(speckle(seed)) for seed in (1, 2)]
    bits = [np.unpackbits(np.frombuffer(h, np.uint8).reshape(2, -1), axis=1)[:, :BITS] for h in hashes]
    assert distance(speckle(1), speckle(2)) == (bits[0] != bits[1]).sum(1).min()
    assert len(hashes[0]) == HASH_BYTES


def test_only_pairs_in_different_subsets_are_listed_the_most_similar_first() -> None:
    first = speckle(3)
    hashes = {
        "a": compute_hashes(first),
        "b": compute_hashes(copies(first)["marked"]),
        "c": compute_hashes(first),
        "d": compute_hashes(speckle(4)),
    }
    folds: list[Any] = ["train", "test", "train", "val"]
    images = [distinct_image(name, fold) for name, fold in zip(hashes, folds, strict=True)]
    pairs = find_near_duplicates(images, hashes, NoProgress())
    assert [{pair.first.sample.image_hash, pair.second.sample.image_hash} for pair in pairs] == [{"a", "b"}, {"b", "c"}]
    images.append(DistinctImage(sample("e"), "val", ("t",)))
    again = find_near_duplicates(images, {**hashes, "e": hashes["a"]}, NoProgress())
    assert (again[0].distance, again[0].second.subset) == (0, "val")
    assert len(again) == 5


def test_a_pair_at_the_threshold_is_listed() -> None:
    hashes = {"a": compute_hashes(speckle(1)), "b": compute_hashes(speckle(2))}
    images = [distinct_image("a", "train"), distinct_image("b", "test")]
    exact = distance(speckle(1), speckle(2))
    assert len(find_near_duplicates(images, hashes, NoProgress(), exact)) == 1
    assert len(find_near_duplicates(images, hashes, NoProgress(), exact - 1)) == 0


def test_many_images_are_compared_in_pieces_without_losing_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usaggr.data.check.near_duplicates.CHUNK_SIZE", 3)
    hashes = {str(i): compute_hashes(speckle(i)) for i in range(8)}
    images = [distinct_image(key, "train") for key in hashes]
    hashes |= {f"copy of {i}": hashes[str(i)] for i in range(8)}
    images += [distinct_image(f"copy of {i}", "test") for i in range(8)]
    pairs = find_near_duplicates(images, hashes, NoProgress())
    assert sorted(p.first.sample.image_hash for p in pairs) == [str(i) for i in range(8)]
    assert all(p.second.sample.image_hash == f"copy of {p.first.sample.image_hash}" for p in pairs)


def test_an_image_of_several_tasks_is_compared_once_and_samples_in_no_subset_are_not_compared() -> None:
    samples = [sample("x", "one"), sample("x", "two"), sample("y", "two"), sample("z", "two")]
    images = collect_distinct_images(samples, ["train", "train", "test", None])
    assert [(entry.sample.image_hash, entry.tasks) for entry in images] == [("x", ("one", "two")), ("y", ("two",))]


def test_a_black_frame_keeps_its_size() -> None:
    black = np.zeros((40, 50), np.uint8)
    assert remove_border(black).shape == (40, 50)
    assert len(compute_hashes(black)) == HASH_BYTES


def real_images(root: Path) -> Iterator[tuple[str, GrayImage]]:
    for table in sorted((root / "csv_files").glob("*.csv")):
        with table.open(newline="") as file:
            for row in list(csv.DictReader(file))[::2]:
                image = cv2.imread(str((root / "csv_files" / row["image_path"]).resolve()), 0)
                assert image is not None
                yield row["subject_id"], np.asarray(image, np.uint8)


def test_the_threshold_separates_copies_from_other_subjects_on_real_images(real_data: Path) -> None:
    """The threshold finds at least 90 % of copies, and less than 1 in 100,000 pairs of different subjects.

    Subjects of BUSI are clusters of images with correlated thumbnails: these near-identical images are known.
    """
    subjects, images = zip(*real_images(real_data), strict=True)
    hashes = [compute_hashes(image) for image in images]
    selected = range(0, len(images), 20)
    for change in copies(speckle(0)):
        near = [hash_distance(hashes[i], compute_hashes(copies(images[i])[change])) <= THRESHOLD for i in selected]
        assert np.mean(near) >= 0.9, change
    signs = np.array([np.unpackbits(np.frombuffer(h, np.uint8).reshape(2, -1), axis=1)[:, :BITS] for h in hashes])
    signs = signs.astype(np.float32) * 2 - 1
    distances = np.minimum(*((BITS - signs[:, k] @ signs[:, k].T) / 2 for k in (0, 1)))
    names = np.array(subjects)
    same = names[:, None] == names
    pairs = np.triu(np.ones_like(same), 1)
    assert ((distances <= THRESHOLD) & ~same & pairs).sum() < 1e-5 * (~same & pairs).sum()
    busi = np.char.startswith(names, "busi")
    clusters = same & pairs & busi[:, None] & busi
    assert (distances[clusters] <= THRESHOLD).mean() > 0.7


def hash_distance(a: bytes, b: bytes) -> int:
    bits = [np.unpackbits(np.frombuffer(h, np.uint8).reshape(2, -1), axis=1)[:, :BITS] for h in (a, b)]
    return int((bits[0] != bits[1]).sum(1).min())
