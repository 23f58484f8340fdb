"""Tests of the section of docs/performance.md about the image cache."""

from pathlib import Path

import pytest

from benchmarks.data import cache
from benchmarks.data.cache import Built
from benchmarks.data.cache_opening import Opened, list_samples, make_sparse_cache, measure_opening, time_batches
from benchmarks.data.image_files import KINDS
from benchmarks.generated import write_part
from usaggr.data.batches.cache import ImageCache

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def built(kind: str, *rates: float) -> Built:
    return Built(kind, 123.4, {1: rates, 2: tuple(2 * rate for rate in rates)})


def openings(growth: float) -> list[tuple[Opened, Opened]]:
    return [
        (Opened(1_000, 0.5, 0.3, 0.3), Opened(1_000, 0.15, 0.0, 5.0)),
        (Opened(50_000, 40.0, 12.0, 12.0), Opened(50_000, 0.16, 0.0, 5.0 + growth)),
    ]


def test_the_page_has_markers_for_the_section(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    write_part(page, "cache", "measured")
    assert "measured\n\n<!-- cache: end -->" in page.read_text()


def test_tables_show_medians() -> None:
    builds = [built("gray PNG", 150, 200, 160)]
    text = cache.report(builds, openings(0), [0.25] * 9 + [0.75], "here")
    assert "| gray PNG | 123 | 160 | 320 |" in text
    flat = " ".join(text.split())
    assert "a cache of 50,000 rows takes 0.160 ms and 0 MiB of private memory; after 50 batches it is 5.00 MiB" in flat
    assert "in each process would take 40.0 ms and 12.0 MiB." in flat
    assert "0.25 ms" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120


def test_requirements_that_are_not_met_are_named() -> None:
    fast, slow = built("RGB PNG, all gray", 91), built("RGB PNG, all gray", 89)
    assert cache.list_misses([fast], openings(0), [0.5]) == []
    assert [text.split(":")[0] for text in cache.list_misses([slow], openings(0), [0.5])] == [
        "RGB PNG, all gray, readers 1",
        "RGB PNG, all gray, readers 2",
    ]
    assert cache.list_misses([fast], openings(0), [1.5]) == ["a batch takes 1.50 ms, required: at most 1.0"]
    assert cache.list_misses([fast], openings(9), [0.5]) == ["private memory grows by 9.0 MiB, required: at most 1.0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that keeps the phantoms between tests."""
    return tmp_path_factory.mktemp("phantoms")


def test_builds_are_timed_for_each_kind_of_file_and_number_of_readers(folder: Path) -> None:
    measured = cache.time_builds(folder, KINDS[2:4], images=3, builds=1, size=64, readers=(1, 2))
    assert [entry.kind for entry in measured] == ["gray PNG", "gray JPEG"]
    assert all(rate > 0 for entry in measured for rates in entry.rates.values() for rate in rates)
    assert measured[0].kilobytes > measured[1].kilobytes > 10


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc, which Linux has")
def test_a_large_cache_is_opened_in_a_new_process_with_less_memory_than_a_table(tmp_path: Path) -> None:
    directory = make_sparse_cache(tmp_path / "cache", 30_000, 32)
    plain, ours = measure_opening(directory, plain=True), measure_opening(directory, plain=False)
    assert plain.rows == ours.rows == 30_000
    assert plain.mib > 2 > ours.mib
    assert not ImageCache(directory).load_images(list_samples(directory, range(3))).any()


def test_batches_are_timed(tmp_path: Path) -> None:
    assert min(time_batches(tmp_path / "cache", 40, 32, 3)) > 0
