"""Tests of the page on videos of unequal length."""

from pathlib import Path

import pytest

from benchmarks.evidence.videos import main, report
from benchmarks.evidence.worlds_aggregate import Measured, make_worlds, measure

PASSING = Measured("world", 60, 3, "subject", 0.95, 0.02, 0.95, 0.80, 2000)
BY_FRAMES = Measured("world", 60, 3, "sample", 0.60, 0.70, 0.40, 0.90, 2000)


def test_shares_of_means_over_patients_have_marks_and_those_over_frames_have_none() -> None:
    text, failures = report([BY_FRAMES, PASSING])
    assert failures == []
    assert "| world | 60 | 95.0 ± 0.5 | 2.0 ± 0.3 | 95.0 ± 0.5 |" in text
    assert "| world | 60 | 60.0 ± 1.1 | 90.0 ± 0.7 | 70.0 ± 1.0 |" in text
    text, failures = report([BY_FRAMES, PASSING._replace(coverage=0.90, refused=0.2)])
    assert failures == [
        "world, 60 videos, coverage: 90.0 **misses** ± 0.7",
        "world, 60 videos, refused: 20.0 **misses** ± 0.9",
    ]
    assert "90.0 **misses** ± 0.7 | 20.0 **misses** ± 0.9 |" in text


def test_few_videos_have_no_bounds_and_few_judged_studies_no_coverage() -> None:
    _, failures = report([BY_FRAMES._replace(subjects=12), PASSING._replace(subjects=12, coverage=0.5, refused=0.99)])
    assert failures == []
    text, _ = report([BY_FRAMES, PASSING._replace(refused=0.99)])
    assert "| 99.0 **misses** ± 0.2 | – |" in text


def test_intervals_that_ignore_patients_miss() -> None:
    """The intervals over frames stand for those over patients, as if reports still weighted patients by frames."""
    sample, subject = measure(150, 7, make_worlds()[3:4], subjects=(60,), seeds=(5,))
    _, failures = report([sample, subject])
    assert failures == []
    _, failures = report([subject._replace(unit="sample"), sample._replace(unit="subject")])
    assert any("coverage" in failure for failure in failures)


@pytest.mark.slow
def test_the_quick_benchmark_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert main(["--quick", "--out", str(page)]) == 0
    assert all(f"| {world.name} | 30 |" in page.read_text() for world in make_worlds())
