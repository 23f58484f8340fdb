"""Files whose names are written otherwise on the disk than in the index are found, or named in the message."""

import os
import unicodedata
from pathlib import Path

import pytest

from tests.data.factories import data_config, noise, read_rows, tiny_data, write_image, write_rows
from usaggr.data.read.load_dataset import load_dataset
from usaggr.data.read.paths import FileFinder, ListedFile, UnusablePath

NFC, NFD = unicodedata.normalize("NFC", "niño"), unicodedata.normalize("NFD", "niño")


@pytest.fixture
def finder(tmp_path: Path) -> FileFinder:
    (tmp_path / "csv_files").mkdir()
    return FileFinder(str(tmp_path))


@pytest.mark.parametrize(("on_disk", "listed"), [(NFD, NFC), (NFC, NFD)])
def test_a_name_in_another_unicode_form_is_found(finder: FileFinder, on_disk: str, listed: str) -> None:
    path = write_image(Path(finder.root) / on_disk / f"{on_disk}1.png", noise(0))
    result = finder.find(f"../{listed}/{listed}1.png")
    assert isinstance(result, ListedFile)
    assert result.path == str(path)


def test_the_exact_name_comes_first_and_an_ambiguous_one_is_not_chosen(finder: FileFinder) -> None:
    composed, mixed = "\u00e1\u00e9", ("a\u0301\u00e9", "\u00e1e\u0301")
    for name in mixed:
        write_image(Path(finder.root) / f"{name}.png", noise(0))
    exact = finder.find(f"../{mixed[0]}.png")
    assert isinstance(exact, ListedFile)
    assert exact.path.endswith(f"{mixed[0]}.png")
    assert isinstance(finder.find(f"../{composed}.png"), UnusablePath)


@pytest.mark.parametrize(
    ("on_disk", "listed", "hint"),
    [
        ("c019.PNG", "c019.png", "'c019.PNG' is there, whose path has other upper and lower case"),
        ("c019.jpg", "c019.png", "'c019.jpg' is there"),
        (b"P\xe9rez_1.png", "P\u00e9rez_1.png", r"b'P\xe9rez_1.png' is there, a name that is not UTF-8; rename this"),
        ("other.png", "c019.png", "cannot be found (No such file or directory)"),
    ],
)
def test_a_similar_name_is_a_hint(finder: FileFinder, on_disk: str | bytes, listed: str, hint: str) -> None:
    write_image(Path(finder.root) / os.fsdecode(on_disk), noise(0))
    result = finder.find(f"../{listed}")
    assert isinstance(result, UnusablePath)
    assert result.kind == "missing_file"
    assert hint in result.message


def test_a_similar_name_outside_the_root_is_neither_found_nor_named(tmp_path: Path) -> None:
    write_image(tmp_path / "outside" / "A.png", noise(0))
    (tmp_path / "root" / "csv_files").mkdir(parents=True)
    (tmp_path / "root" / "folder").symlink_to(tmp_path / "outside")
    for text in ("../folder/a.png", "../../outside/a.png"):
        result = FileFinder(str(tmp_path / "root")).find(text)
        assert isinstance(result, UnusablePath)
        assert result.kind in ("link_outside", "path_outside")
        assert "A.png" not in result.message


def test_linked_data_are_read_with_the_same_content_hash_if_links_are_followed(tmp_path: Path) -> None:
    plain, linked = tiny_data(tmp_path / "plain"), tmp_path / "linked"
    linked.mkdir()
    for folder in plain.iterdir():
        (linked / folder.name).symlink_to(folder)
    loaded = load_dataset(data_config(linked, tmp_path / "cache", follow_links=True))
    assert loaded.content_hash == load_dataset(data_config(plain, tmp_path / "cache")).content_hash


def test_following_links_allows_no_other_way_out_of_the_root(tmp_path: Path) -> None:
    outside = write_image(tmp_path / "outside" / "a.png", noise(0))
    (tmp_path / "root" / "csv_files").mkdir(parents=True)
    (tmp_path / "root" / "link.png").symlink_to(outside)
    finder = FileFinder(str(tmp_path / "root"), follow_links=True)
    link = finder.find("../link.png")
    assert isinstance(link, ListedFile)
    assert link.path == str(outside)
    for text in ("../../outside/a.png", str(outside)):
        result = finder.find(text)
        assert isinstance(result, UnusablePath)
        assert result.kind == "path_outside"


def test_an_accent_in_another_form_leaves_the_content_hash_as_it_is(tmp_path: Path) -> None:
    hashes = set()
    for on_disk in (NFC, NFD):
        root = tiny_data(tmp_path / on_disk)
        write_rows(
            root,
            "cls.csv",
            [{**r, "image_path": f"../{NFC}/{i}.png"} for i, r in enumerate(read_rows(root, "cls.csv"))],
        )
        for i in range(4):
            write_image(root / on_disk / f"{i}.png", noise(i))
        hashes.add(load_dataset(data_config(root, tmp_path / "cache")).content_hash)
    assert len(hashes) == 1
