"""Caches of read files depend on the version of the readers: a change of the readers invalidates all of them."""

import hashlib
import io
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.factories import data_config, noise, write_image
from tests.data.read.test_file_facts import key, probe
from usaggr.data.batches.cache_build import CacheMeta, CachePlan
from usaggr.data.check import image_scan, perceptual_hash
from usaggr.data.read import readers_version
from usaggr.data.read.images import read_image, read_mask
from usaggr.data.read.readers_version import READERS_VERSION
from usaggr.data.samples import Dataset
from usaggr.errors import DataError
from usaggr.progress import NoProgress

RECORDED = (1, "8f56a4ec6030f54f")
"""READERS_VERSION, and the hash of the pixels and errors that these readers return for the files below.

The hash is that of the first version of the readers. Since then, only kinds of files that are not in the list are read
otherwise (`KINDS_VERSION`)."""


def files() -> dict[str, bytes]:
    """Return complete and damaged files by name, of every mode whose pixels do not depend on the decoder."""
    ramp = (np.arange(12 * 9).reshape(12, 9) * 2).astype(np.uint8)
    color = np.dstack([ramp, ramp.T.reshape(12, 9), ramp[::-1]])
    kinds: dict[str, tuple[Image.Image, str]] = {
        "gray": (Image.fromarray(ramp), "PNG"),
        "color": (Image.fromarray(color), "PNG"),
        "alpha": (Image.fromarray(np.dstack([color, ramp])), "PNG"),
        "gray_alpha": (Image.fromarray(np.dstack([ramp, ramp]), "LA"), "PNG"),
        "palette": (Image.fromarray(ramp % 4).convert("P"), "PNG"),
        "bits": (Image.fromarray(ramp > 100), "PNG"),
        "deep": (Image.fromarray(ramp.astype(np.uint16) * 300), "PNG"),
        "shallow": (Image.fromarray(ramp.astype(np.uint16)), "PNG"),
        "float": (Image.fromarray(ramp.astype(np.float32)), "TIFF"),
        "bmp": (Image.fromarray(color), "BMP"),
        "tiff": (Image.fromarray(ramp), "TIFF"),
        "lossless": (Image.fromarray(color), "WEBP"),
        "gif": (Image.fromarray(ramp), "GIF"),
        "ppm": (Image.fromarray(color), "PPM"),
    }
    contents = {name: encoded(image, kind) for name, (image, kind) in kinds.items()}
    return {**contents, "cut": contents["color"][:-40], "text": b"no image", "empty": b""}


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return buffer.getvalue()


def read_in_all_ways(path: Path) -> list[str]:
    """Return the hashes of a file's pixels as a grayscale image, as a color image, and as a mask."""
    readers = (
        lambda: read_image(path, 1, 10**6),
        lambda: read_image(path, 3, 10**6),
        lambda: read_mask(path, False, 10**6),
        lambda: read_mask(path, True, 10**6),
    )
    results = []
    for read in readers:
        try:
            pixels = read()
            results.append(f"{pixels.shape} {pixels.dtype} {hashlib.sha256(pixels.tobytes()).hexdigest()}")
        except DataError:
            results.append("refused")  # the message depends on Pillow's version
    return results


def test_the_version_of_the_readers_changes_with_the_pixels_that_they_return(tmp_path: Path) -> None:
    results = {}
    for name, content in files().items():
        (tmp_path / name).write_bytes(content)
        results[name] = read_in_all_ways(tmp_path / name)
    refused = {name for name, entries in results.items() if set(entries) == {"refused"}}
    assert refused == {"gif", "ppm", "cut", "text", "empty", "float"}
    digest = hashlib.sha256(repr(sorted(results.items())).encode()).hexdigest()[:16]
    assert (READERS_VERSION, digest) == RECORDED, (
        "the same files give other pixels than before: raise READERS_VERSION in usaggr/data/read/readers_version.py, "
        "and record the version and the hash here"
    )


def test_suffixes_are_listed_under_the_formats_of_pillow() -> None:
    pillow_formats = Image.registered_extensions()
    listed = {suffix: name for name, suffixes in readers_version.FORMATS.items() for suffix in suffixes}
    assert tuple(listed) == readers_version.SUFFIXES
    assert listed == {suffix: pillow_formats[suffix] for suffix in listed}


def test_a_refused_file_is_read_again_if_a_format_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(files()["ppm"])
    for _ in ("cold", "warm"):
        (facts,) = probe(tmp_path / "cache", key(path))
        assert facts.error == f"cannot be read as an image: the file is none of {', '.join(readers_version.FORMATS)}"
    monkeypatch.setattr(readers_version, "FORMATS", (*readers_version.FORMATS, "PPM"))
    (facts,) = probe(tmp_path / "cache", key(path))
    assert (facts.error, facts.height, facts.width) == ("", 12, 9)


@pytest.mark.parametrize(
    ("target", "value", "read"),
    [
        ("usaggr.data.read.readers_version.READERS_VERSION", READERS_VERSION + 1, ["bad.png", "good.png"]),
        ("usaggr.data.read.readers_version.version", lambda package: "another", ["bad.png"]),
    ],
)
def test_changed_readers_read_the_files_again_that_they_may_read_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str], target: str, value: object, read: list[str]
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    keys = [key(tmp_path / "bad.png"), key(write_image(tmp_path / "good.png", noise(0)))]
    probe(tmp_path / "cache", *keys)
    probe(tmp_path / "cache", *keys)
    assert len(reads) == 2
    monkeypatch.setattr(target, value)
    probe(tmp_path / "cache", *keys)
    assert sorted(reads[2:]) == read


def test_accepted_files_of_an_older_store_are_not_read_again(tmp_path: Path, reads: list[str]) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    keys = [key(tmp_path / "bad.png"), key(write_image(tmp_path / "good.png", noise(0)))]
    probe(tmp_path / "cache", *keys)
    (store,) = (tmp_path / "cache").glob("files-*.sqlite")
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DROP TABLE refusals")  # older versions did not have this table
    probe(tmp_path / "cache", *keys)
    assert sorted(reads[2:]) == ["bad.png"]


def test_accepted_files_are_not_read_again_if_a_format_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = key(write_image(tmp_path / "b.png", noise(0)))
    first = probe(tmp_path / "cache", accepted)
    monkeypatch.setattr(readers_version, "FORMATS", (*readers_version.FORMATS, "PPM"))
    monkeypatch.setattr("usaggr.data.read.file_facts._probe_all", lambda *arguments: pytest.fail("read again"))
    assert probe(tmp_path / "cache", accepted) == first


def test_changed_readers_use_other_image_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = CachePlan(CacheMeta(8, 8, 1, 1, 0, False), {"0" * 64: Path("a.png")}, {})
    before = plan.key
    monkeypatch.setattr(readers_version, "READERS_VERSION", READERS_VERSION + 1)
    assert plan.key != before


def test_changed_readers_scan_all_images_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_config(tmp_path, tmp_path / "cache")
    dataset = Dataset(tmp_path, {}, (), ())
    image_scan.scan_images(dataset, data, NoProgress())
    before = set((tmp_path / "cache").glob("looks-*"))
    monkeypatch.setattr(readers_version, "READERS_VERSION", READERS_VERSION + 1)
    image_scan.scan_images(dataset, data, NoProgress())
    assert len(set((tmp_path / "cache").glob("looks-*")) - before) == 1


def test_settings_of_the_scan_change_only_with_the_version_of_its_store() -> None:
    settings = (
        image_scan.BLACK,
        image_scan.MAP_SIZE,
        perceptual_hash.SIDE,
        perceptual_hash.FREQUENCIES,
        perceptual_hash._MIN_DARK_RANGE,
        perceptual_hash._DARK_SHARE,
        perceptual_hash._MAX_LIT_SHARE,
    )
    assert (image_scan.STORE_VERSION, *settings) == (1, 8, 32, 48, 12, 8, 0.06, 0.05)
