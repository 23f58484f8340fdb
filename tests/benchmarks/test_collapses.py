"""Tests of the page on runs that collapse."""

from pathlib import Path

import pytest

from benchmarks.evidence.collapses import UNDETECTED, main, report
from benchmarks.evidence.worlds_collapse import Row, measure
from usaggr.analysis import compare_study
from usaggr.analysis.training_failures import CollapsedSeeds

PASSING = Row(
    world="unified, noisy", tasks=8, seeds=3, sweeps=400, judged=0.5, coverage=0.6, coverage_judged=0.1, false=0.01,
    false_judged=0.02, false_families=0.3, intact_coverage_judged=0.95, intact_false_judged=0.01,
    intact_false_families=0.04, losses=0.01, noted=0.99, collapsed=1600, unnoted=1600,
    intact_coverage_unnoted=0.95,
)  # fmt: skip


def test_verdicts_are_bounded_where_a_rule_detects_collapses() -> None:
    text, misses = report([PASSING])
    assert misses == []
    assert "| unified, noisy | 3 | 50.0 ± 0.9 | 99.0 ± 0.2 | 4.0 ± 1.0 | 95.0 ± 0.5 | 60.0 ± 0.9 |" in text
    bad = PASSING._replace(intact_false_families=0.2, intact_coverage_unnoted=0.8)
    _, misses = report([bad])
    assert misses == [
        "unified, noisy, 3 seeds, false: 20.0 ± 2.0 **misses**",
        "unified, noisy, 3 seeds, coverage: 80.0 ± 1.0 **misses**",
    ]
    assert report([bad._replace(world=UNDETECTED)])[1] == []


def test_verdicts_are_not_withheld_where_no_run_collapses() -> None:
    healthy = PASSING._replace(world="no collapse", noted=float("nan"), collapsed=0)
    text, misses = report([healthy])
    assert misses == ["no collapse, 3 seeds, without a verdict: 50.0 ± 0.9 **misses**"]
    assert "| 50.0 ± 0.9 **misses** | – |" in text
    assert report([healthy._replace(judged=0.98)])[1] == []


def test_no_judged_cell_is_no_coverage() -> None:
    text, misses = report([PASSING._replace(unnoted=0, intact_coverage_unnoted=float("nan"))])
    assert misses == []
    assert "| 4.0 ± 1.0 | – | 60.0" in text


def test_collapses_that_are_not_detected_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none(pairs: object, validity: object, weak: object) -> dict[object, CollapsedSeeds]:
        return {pair.compared.key: CollapsedSeeds((False,) * 3, (False,) * 3) for pair in pairs}  # type: ignore[attr-defined]

    monkeypatch.setattr(compare_study, "find_collapsed_seeds", find_none)
    _, misses = report(measure(12, 1, ["unified, noisy"], tasks=[8], seeds=[3]))
    assert any("noted" in miss for miss in misses)


@pytest.mark.slow
def test_the_quick_benchmark_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert main(["--quick", "--out", str(page)]) == 0
    assert "| no collapse | 10 |" in page.read_text()
