import hashlib
import multiprocessing
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.data.factories import disc, noise, write_image
from usaggr.data.read.file_facts import MAX_VALUES, FileFacts, ProbeKey, probe_files
from usaggr.data.read.paths import ListedFile
from usaggr.errors import DataError
from usaggr.progress import NoProgress

LIMIT = 10**6


def key(path: Path, is_mask: bool = False) -> ProbeKey:
    status = path.stat()
    return ProbeKey(ListedFile(str(path), status.st_size, status.st_mtime_ns), is_mask)


def probe(folder: Path, *keys: ProbeKey, max_pixels: int = LIMIT) -> list[FileFacts]:
    facts = probe_files(keys, folder, max_pixels, 2, NoProgress())
    return [facts[k] for k in keys]


def test_facts_of_an_image_and_a_mask(tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.png", noise(0, 20, 30))
    mask = write_image(tmp_path / "m.png", disc(3, 20, 30))
    facts = probe(tmp_path / "cache", key(image), key(mask, True))
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    assert facts[0] == FileFacts(digest, 20, 30, "", False, ())
    assert facts[1].values == (0, 3)


def test_a_probed_file_is_not_read_again(tmp_path: Path, reads: list[str]) -> None:
    keys = [key(write_image(tmp_path / f"{i}.png", noise(i))) for i in range(5)]
    first = probe(tmp_path / "cache", *keys, *keys)
    assert sorted(reads) == [f"{i}.png" for i in range(5)]
    assert probe(tmp_path / "cache", *keys, *keys) == first
    assert len(reads) == 5


def test_only_a_changed_file_is_read_again(tmp_path: Path, reads: list[str]) -> None:
    paths = [write_image(tmp_path / f"{i}.bmp", noise(i)) for i in range(3)]
    before = probe(tmp_path / "cache", *map(key, paths))
    write_image(paths[1], noise(9))  # a bitmap of the same size in bytes
    os.utime(paths[1], ns=(1, paths[1].stat().st_mtime_ns + 1))
    reads.clear()
    after = probe(tmp_path / "cache", *map(key, paths))
    assert reads == ["1.bmp"]
    assert after[1].sha256 == hashlib.sha256(paths[1].read_bytes()).hexdigest() != before[1].sha256
    assert (after[0], after[2]) == (before[0], before[2])


def test_a_file_that_is_image_and_mask_has_facts_of_both(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", disc(1))
    for _ in ("cold", "warm"):
        image, mask = probe(tmp_path / "cache", key(path), key(path, True))
        assert (image.values, mask.values) == ((), (0, 1))
        assert image.sha256 == mask.sha256


def test_the_error_of_an_invalid_file_is_stored(tmp_path: Path, reads: list[str]) -> None:
    complete = write_image(tmp_path / "a.jpg", noise(0))
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(complete.read_bytes()[:-40])
    text = tmp_path / "text.png"
    text.write_text("no image")
    for _ in ("cold", "warm"):
        facts = probe(tmp_path / "cache", key(cut), key(text))
        assert facts[0].error.startswith("cannot be decoded")
        assert facts[1].error.startswith("cannot be read as an image")
    assert len(reads) == 2


def test_a_file_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", noise(0))
    file_key = key(path)
    content = path.read_bytes()
    path.unlink()
    assert probe(tmp_path / "cache", file_key)[0].error == "cannot be read (No such file or directory)"
    path.write_bytes(content)
    assert probe(tmp_path / "cache", file_key)[0].error == ""


def test_the_limit_of_pixels_applies_to_stored_facts(tmp_path: Path) -> None:
    file_key = key(write_image(tmp_path / "a.png", noise(0, 20, 20)))
    for limit, refused in ((399, True), (400, False), (399, True)):
        facts = probe(tmp_path / "cache", file_key, max_pixels=limit)[0]
        assert facts.too_large is refused
        assert (facts.sha256 == "") is refused


def test_the_largest_of_many_mask_values_is_stored(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", np.arange(2400, dtype=np.uint16).reshape(40, 60))
    values = probe(tmp_path / "cache", key(path, True))[0].values
    assert len(values) == MAX_VALUES
    assert (values[0], values[-1]) == (0, 2399)


@pytest.mark.parametrize("damage", [b"", b"not a database, but long enough to be taken for one" * 100])
def test_a_corrupt_store_is_recreated(tmp_path: Path, damage: bytes) -> None:
    file_key = key(write_image(tmp_path / "a.png", noise(0)))
    first = probe(tmp_path / "cache", file_key)
    (store,) = (tmp_path / "cache").glob("*.sqlite")
    store.write_bytes(damage)
    assert probe(tmp_path / "cache", file_key) == first
    assert sqlite3.connect(store).execute("SELECT count(*) FROM facts").fetchone() == (1,)


def test_a_store_that_is_corrupt_inside_is_recreated(tmp_path: Path) -> None:
    keys = [key(write_image(tmp_path / f"{i:03}.png", noise(i))) for i in range(60)]
    first = probe(tmp_path / "cache", *keys)
    (store,) = (tmp_path / "cache").glob("*.sqlite")
    content = bytearray(store.read_bytes())
    content[4096:] = b"\xff" * len(content[4096:])
    store.write_bytes(content)
    assert probe(tmp_path / "cache", *keys) == first


def test_a_store_with_a_table_of_another_program_is_recreated(tmp_path: Path) -> None:
    file_key = key(write_image(tmp_path / "a.png", noise(0)))
    first = probe(tmp_path / "cache", file_key)
    (store,) = (tmp_path / "cache").glob("*.sqlite")
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DROP TABLE facts")
        connection.execute("CREATE TABLE facts (name TEXT)")
    assert probe(tmp_path / "cache", file_key) == first
    assert store.with_name(f"{store.name}.damaged").is_file()


def test_a_cache_folder_that_cannot_be_written_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"data\.cache_dir="):
        probe(tmp_path / "file" / "cache", key(write_image(tmp_path / "a.png", noise(0))))


def _probe_in_process(folder: Path, keys: list[ProbeKey]) -> None:
    probe(folder, *keys)


def test_several_processes_share_a_store(tmp_path: Path) -> None:
    keys = [key(write_image(tmp_path / f"{i:03}.png", noise(i, 8, 8))) for i in range(80)]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_probe_in_process, args=(tmp_path / "cache", keys[i:])) for i in (0, 30)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    (store,) = (tmp_path / "cache").glob("*.sqlite")
    assert sqlite3.connect(store).execute("SELECT count(*) FROM facts").fetchone() == (80,)
