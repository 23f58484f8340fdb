"""Tests of the sections of docs/models.md that benchmarks write."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.generated import number, prose, three_digits, write_part
from benchmarks.models import experts, models
from benchmarks.training import throughput
from benchmarks.training.training_step import StepTime
from usaggr.models.parameters import ParameterCounts

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
TINY = ("model=m2dino_tiny",)


@pytest.mark.parametrize("section", ["models", "models on a GPU", "experts"])
def test_the_page_has_markers_for_each_section(section: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    write_part(page, section, "measured")
    written = page.read_text()
    assert written.count("measured\n\n<!-- " + section + ": end -->") == 1
    write_part(page, section, "measured")
    assert page.read_text() == written


def test_text_outside_of_the_markers_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n")
    write_part(page, "x", "new")
    assert page.read_text() == "a\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nb\n"


@pytest.mark.parametrize("marks", ["", "<!-- x: end --><!-- x: begin -->", 2 * "<!-- x: begin --><!-- x: end -->"])
def test_a_page_without_its_markers_is_an_error_and_not_changed(tmp_path: Path, marks: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(marks)
    with pytest.raises(ValueError, match="x: begin"):
        write_part(page, "x", "new")
    assert page.read_text() == marks


def test_numbers_have_three_digits() -> None:
    assert [number(value) for value in (0, 12, 1804, 45_499_142, 213_000_000)] == [
        "0",
        "12",
        "1.80 k",
        "45.5 M",
        "213 M",
    ]
    assert [three_digits(value) for value in (0.0123, 1.234, 99.99, 1234.5)] == ["0.0123", "1.23", "100", "1234"]
    assert max(map(len, prose("word " * 100).splitlines())) <= 120


def test_networks_are_timed_and_rates_of_few_steps_are_marked() -> None:
    measured = models.measure_network(TINY, repetitions=3, batch_size=4, sizes=(32, 64))
    assert [steps for _, steps in measured.rates] == [3, 3]
    text = models.report([measured], "here")
    assert "(marked *: 3 steps, because they take long)" in " ".join(text.split())
    row = next(line for line in text.splitlines() if line.startswith("| `model=m2dino_tiny`"))
    assert row.count("*") == 2
    assert f"| {number(measured.facts.counts.active)} |" in row


def test_experts_are_compared_with_the_dense_network_in_pairs() -> None:
    (compared,) = experts.compare(TINY[0], ((4, 2),), pairs=2, batch_size=4, image_size=32)
    assert len(compared.pairs) == 2
    assert 1 < compared.floor < 1.5


def test_the_ratio_is_the_median_over_pairs_of_complete_steps() -> None:
    pairs = tuple((StepTime(routed, 1.0), StepTime(1.0, 1.0)) for routed in (1.0, 2.0, 9.0))
    counts = ParameterCounts(total=10, trained=10, active=5, by_role={})
    text = experts.report([experts.Compared(8, 2, counts, 1.25, pairs)], "here")
    assert "| 8 | 2 | 10 | 5 | 1.25 | 1.50 (1.25 to 3.25) | 2.00 (1.00) | 1.000 (1.000) |" in text


@pytest.mark.slow
def test_throughput_is_measured_the_same_way_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    intervals = throughput.measure_intervals

    def recorded(*arguments: Any) -> list[float]:
        counted.append(intervals(*arguments))
        return counted[-1]

    monkeypatch.setattr(throughput, "measure_intervals", recorded)
    throughput_ = throughput.measure(TINY, batch_size=4, image_size=32, steps=3, device="cpu")
    assert throughput_.plain > throughput_.step > 0
    assert [len(of_run) for of_run in counted] == [3]
    assert throughput_.run == 4 / sorted(counted[0])[1]
    assert throughput_.peak_mib is None
    assert not torch.are_deterministic_algorithms_enabled()
    assert f"| {100 * throughput_.run / throughput_.plain:.0f} % |" in throughput.throughput_report(
        [throughput_], "a CPU"
    )
