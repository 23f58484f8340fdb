import os
from pathlib import Path

import pytest

from tests.data.factories import data_config, noise, write_image
from usaggr.data.read.file_facts import ProbeKey, probe_files
from usaggr.data.read.paths import FileFinder, ListedFile, find_cache_folder, find_data_root
from usaggr.errors import DataError
from usaggr.progress import NoProgress


def test_the_cache_folder_comes_from_the_configuration_then_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = data_config(tmp_path, tmp_path / "chosen")
    silent = config.model_copy(update={"cache_dir": None})
    monkeypatch.setenv("USAGGR_CACHE", str(tmp_path / "variable"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_cache_folder(config) == tmp_path / "chosen"
    assert find_cache_folder(silent) == tmp_path / "variable"
    monkeypatch.delenv("USAGGR_CACHE")
    assert find_cache_folder(silent) == tmp_path / "xdg" / "usaggr"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert find_cache_folder(silent) == tmp_path / "home" / ".cache" / "usaggr"
    assert find_cache_folder(config.model_copy(update={"cache_dir": "~/c"})) == tmp_path / "home" / "c"


def test_a_root_without_an_index_is_refused_with_the_expected_folder(tmp_path: Path) -> None:
    config = data_config(tmp_path / "nowhere", tmp_path)
    with pytest.raises(DataError, match="this folder does not exist; give the folder that contains csv_files/"):
        find_data_root(config)
    (tmp_path / "nowhere").mkdir()
    with pytest.raises(DataError, match="csv_files/ is missing here"):
        find_data_root(config)


@pytest.mark.parametrize(
    ("seconds", "stored"),
    [(0, 0), (-86400, -86400 * 10**9), (4102444800, 4102444800 * 10**9), (15 * 10**9, 15 * 10**18 - 2**64)],
)
def test_times_from_before_1970_to_after_2262_can_be_stored(tmp_path: Path, seconds: int, stored: int) -> None:
    """SQLite stores 64 bits; ext4 and xfs allow nanoseconds beyond them."""
    (tmp_path / "csv_files").mkdir()
    path = write_image(tmp_path / "a.png", noise(0))
    os.utime(path, (seconds, seconds))
    if path.stat().st_mtime != seconds:
        pytest.skip("only Linux keeps times so far away, on some file systems")
    file = FileFinder(str(tmp_path)).find("../a.png")
    assert isinstance(file, ListedFile)
    assert file.mtime_ns == stored
    facts = [probe_files([ProbeKey(file, False)], tmp_path / "cache", 10**6, 1, NoProgress()) for _ in range(2)]
    assert facts[0] == facts[1]
    assert [fact.height for fact in facts[0].values()] == [noise(0).shape[0]]


def test_only_files_inside_the_root_are_found(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", write_image(tmp_path / "outside" / "a.png", noise(0))
    inside = write_image(root / "images" / "a.png", noise(1))
    (root / "csv_files").mkdir()
    (root / "link.png").symlink_to(inside)
    (root / "away.png").symlink_to(outside)
    (root / "gone.png").symlink_to(root / "nowhere.png")
    (root / "folder").symlink_to(outside.parent)
    finder = FileFinder(str(root))
    for text in ("../images/a.png", "../link.png", "../images/../csv_files/../images//a.png"):
        file = finder.find(text)
        assert isinstance(file, ListedFile)
        assert (file.path, file.size) == (str(inside), inside.stat().st_size)
    for text, kind in {
        "../away.png": "link_outside",
        "../folder/a.png": "link_outside",
        "../../outside/a.png": "path_outside",
        "../../root2/a.png": "path_outside",
        "..": "path_outside",
        str(inside): "path_outside",
        "C:\\images\\a.png": "path_outside",
        "../gone.png": "missing_file",
        "../images/b.png": "missing_file",
        "../images": "missing_file",
        "..\\images\\a.png": "missing_file",
        "../a\0.png": "missing_file",
        "../" + "x" * 300: "missing_file",
    }.items():
        misplaced = finder.find(text)
        assert not isinstance(misplaced, ListedFile)
        assert misplaced.kind == kind, text
