"""Near-duplicates: copies that were stored anew are found, other images are not, and only over folds."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.data.factories import noise
from usaggr.data.check.near_duplicates import THRESHOLD, Appearance, appearances, near_duplicates
from usaggr.data.check.perceptual_hash import BITS, HASH_BYTES, perceptual_hash, without_border
from usaggr.data.samples import Sample
from usaggr.progress import NoProgress

Grey = NDArray[np.uint8]


def speckle(seed: int, height: int = 180, width: int = 240) -> Grey:
    """Smooth blobs in a dark frame, as different as two scans are."""
    small = noise(seed, 9, 12).astype(np.float32)
    picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    picture[:12] = picture[-12:] = 0
    picture[:, :20] = picture[:, -20:] = 0
    return picture


def copies(image: Any) -> dict[str, Grey]:
    """What happens to a picture on its way from one data set to another."""
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


def distance(a: Grey, b: Grey) -> int:
    found = near_duplicates(
        [appearance("a", "train"), appearance("b", "test")],
        {"a": perceptual_hash(a), "b": perceptual_hash(b)},
        NoProgress(),
        threshold=BITS,
    )
    return found[0].distance


def sample(image: str, task: str = "t", subject: str = "s") -> Sample:
    return Sample(task, f"../{image}.png", Path(f"/d/{image}.png"), subject, image, "l", 10, 10, f"{task}.csv", 2)


def appearance(image: str, fold: Any) -> Appearance:
    return Appearance(sample(image), fold, ("t",))


@pytest.mark.parametrize("way", copies(speckle(0)))
def test_a_picture_stored_anew_is_near_its_original(way: str) -> None:
    assert max(distance(speckle(seed), copies(speckle(seed))[way]) for seed in range(6)) <= THRESHOLD


def test_other_pictures_are_far() -> None:
    assert min(distance(speckle(seed), speckle(seed + 1)) for seed in range(12)) > 2 * THRESHOLD


def test_the_distance_counts_the_bits_that_differ_in_the_nearer_of_both_hashes() -> None:
    one, other = perceptual_hash(speckle(1)), perceptual_hash(speckle(2))
    both = [np.unpackbits(np.frombuffer(h, np.uint8).reshape(2, -1), axis=1)[:, :BITS] for h in (one, other)]
    assert distance(speckle(1), speckle(2)) == (both[0] != both[1]).sum(1).min()
    assert len(one) == HASH_BYTES


def test_only_pairs_of_two_folds_are_listed_the_nearest_first() -> None:
    first = speckle(3)
    hashes = {
        "a": perceptual_hash(first),
        "b": perceptual_hash(copies(first)["marked"]),
        "c": perceptual_hash(first),
        "d": perceptual_hash(speckle(4)),
    }
    folds: list[Any] = ["train", "test", "train", "val"]
    shown = [appearance(name, fold) for name, fold in zip(hashes, folds, strict=True)]
    found = near_duplicates(shown, hashes, NoProgress())
    assert [{pair.first.sample.image_hash, pair.second.sample.image_hash} for pair in found] == [{"a", "b"}, {"b", "c"}]
    shown.append(Appearance(sample("e"), "val", ("t",)))
    again = near_duplicates(shown, {**hashes, "e": hashes["a"]}, NoProgress())
    assert (again[0].distance, again[0].second.fold) == (0, "val")
    assert len(again) == 5


def test_a_pair_at_the_threshold_is_listed() -> None:
    hashes = {"a": perceptual_hash(speckle(1)), "b": perceptual_hash(speckle(2))}
    shown = [appearance("a", "train"), appearance("b", "test")]
    apart = distance(speckle(1), speckle(2))
    assert [len(near_duplicates(shown, hashes, NoProgress(), apart - less)) for less in (0, 1)] == [1, 0]


def test_many_images_are_compared_in_pieces_without_losing_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usaggr.data.check.near_duplicates.CHUNK", 3)
    hashes = {str(i): perceptual_hash(speckle(i)) for i in range(8)}
    shown = [appearance(key, "train") for key in hashes]
    hashes |= {f"copy of {i}": hashes[str(i)] for i in range(8)}
    shown += [appearance(f"copy of {i}", "test") for i in range(8)]
    found = near_duplicates(shown, hashes, NoProgress())
    assert sorted(p.first.sample.image_hash for p in found) == [str(i) for i in range(8)]
    assert all(p.second.sample.image_hash == f"copy of {p.first.sample.image_hash}" for p in found)


def test_an_image_of_several_tasks_is_compared_once_and_samples_without_a_fold_never() -> None:
    samples = [sample("x", "one"), sample("x", "two"), sample("y", "two"), sample("z", "two")]
    shown = appearances(samples, ["train", "train", "test", None])
    assert [(entry.sample.image_hash, entry.tasks) for entry in shown] == [("x", ("one", "two")), ("y", ("two",))]


def test_a_frame_of_nothing_but_black_keeps_its_size() -> None:
    black = np.zeros((40, 50), np.uint8)
    assert without_border(black).shape == (40, 50)
    assert len(perceptual_hash(black)) == HASH_BYTES


def real_images(root: Path) -> Iterator[tuple[str, Grey]]:
    for table in sorted((root / "csv_files").glob("*.csv")):
        with table.open(newline="") as file:
            for row in list(csv.DictReader(file))[::2]:
                image = cv2.imread(str((root / "csv_files" / row["image_path"]).resolve()), 0)
                assert image is not None
                yield row["subject_id"], np.asarray(image, np.uint8)


def test_the_threshold_tells_copies_from_other_subjects_on_real_images(real_data: Path) -> None:
    """Of 100,000 pairs of different subjects less than one is as near; of copies, nine in ten and more are.

    Subjects of BUSI are clusters of pictures with correlated thumbnails: those are the near-duplicates that are known.
    """
    subjects, images = zip(*real_images(real_data), strict=True)
    hashes = [perceptual_hash(image) for image in images]
    few = range(0, len(images), 20)
    for way in copies(speckle(0)):
        near = [distance_of(hashes[i], perceptual_hash(copies(images[i])[way])) <= THRESHOLD for i in few]
        assert np.mean(near) >= 0.9, way
    signs = np.array([np.unpackbits(np.frombuffer(h, np.uint8).reshape(2, -1), axis=1)[:, :BITS] for h in hashes])
    signs = signs.astype(np.float32) * 2 - 1
    distances = np.minimum(*((BITS - signs[:, k] @ signs[:, k].T) / 2 for k in (0, 1)))
    names = np.array(subjects)
    same = names[:, None] == names
    above = np.triu(np.ones_like(same), 1)
    assert ((distances <= THRESHOLD) & ~same & above).sum() < 1e-5 * (~same & above).sum()
    busi = np.char.startswith(names, "busi")
    clusters = same & above & busi[:, None] & busi
    assert (distances[clusters] <= THRESHOLD).mean() > 0.7


def distance_of(a: bytes, b: bytes) -> int:
    bits = [np.unpackbits(np.frombuffer(h, np.uint8).reshape(2, -1), axis=1)[:, :BITS] for h in (a, b)]
    return int((bits[0] != bits[1]).sum(1).min())
