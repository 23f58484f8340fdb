"""Tests of the section of docs/performance.md about workers and threads, with made-up rates and a tiny sweep."""

from pathlib import Path

import pytest

from benchmarks.generated import write_part
from benchmarks.training import workers
from benchmarks.training.workers import Rates, Setup, Workload

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def test_the_page_has_markers_for_the_section(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    write_part(page, workers.SECTION, "measured")
    assert "measured\n\n<!-- workers: end -->" in page.read_text()


def test_setups_give_the_cores_to_many_runs_or_to_one_or_to_both() -> None:
    assert workers.list_setups(4) == (Setup(4, 1), Setup(1, 4), Setup(4, 4))


def test_rates_are_medians_and_ratios_are_taken_within_rounds() -> None:
    rounds = ((10.0, 5.0, 4.0), (20.0, 11.0, 2.0), (40.0, 24.0, 4.0))
    text = workers.report([Rates(Workload(("model=x",), 96, 8), rounds)], workers.list_setups(2), "here")
    assert "| network | images | 2 workers of 1 thread | 1 worker of 2 threads | 2 workers of 2 threads |" in text
    row = next(line for line in text.splitlines() if line.startswith("| `model=x`"))
    assert row == "| `model=x` | 96 px | 20.0 | 11.0, × 0.55 (0.50 to 0.60) | 4.00, × 0.10 (0.10 to 0.40) |"
    assert "Medians of 3 rounds" in text


@pytest.mark.slow
def test_complete_sweeps_are_timed_under_each_setup() -> None:
    setups = (Setup(2, 1), Setup(1, 2))
    rates = workers.measure(Workload(("model=tiny",), 32, 8), setups, rounds=1)
    ((first, second),) = rates.rounds
    assert first > 0
    assert second > 0
