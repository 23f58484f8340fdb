"""Tests that the pages of docs/ contain the sentences that the benchmarks write now, with any numbers."""

import re
from pathlib import Path

import pytest

from benchmarks.data import cache
from benchmarks.evaluation import evaluation
from benchmarks.evidence import (
    collapses,
    coverage_page,
    families_page,
    relative_margin,
    rules,
    seeds_needed_page,
    verdicts_page,
    videos,
)
from benchmarks.evidence.marks import Share
from benchmarks.evidence.scenarios import many_tasks, rare_failures, scenarios
from benchmarks.models import experts, models
from benchmarks.mutants import page as mutants_page
from benchmarks.mutants.__main__ import AFTER, BEFORE, read_outcomes
from benchmarks.mutants.catalogue import read_catalogue
from benchmarks.planted import page as pool_page
from benchmarks.planted import scale, structure
from benchmarks.sweep import scaling, soak_page, sweep_page
from benchmarks.training import throughput_page, workers

DOCS = Path(__file__).parents[2] / "docs"
TEMPLATES = [
    ("collapses.md", collapses, ("_OPENING", "_REQUIRED", "_COLUMNS")),
    ("coverage.md", coverage_page, ("_OPENING", "_NO_VERDICT", "_METHODS", "_RARE")),
    ("families.md", families_page, ("_OPENING", "_CRITICAL_VALUES", "_FAR_TAIL", "_POWER", "_WHOLE_PATH")),
    ("models.md", experts, ("_OPENING",)),
    ("models.md", models, ("_OPENING",)),
    ("mutants.md", mutants_page, ("_OPENING", "_BY_ROOM", "_EVERY")),
    ("performance.md", cache, ("_BUILDING", "_OPENING")),
    ("performance.md", evaluation, ("_SPEED", "_PAIRS", "_RUNS")),
    ("performance.md", scaling, ("_OPENING", "_PLANNED", "_TRAINED")),
    ("performance.md", sweep_page, ("_OPENING",)),
    ("performance.md", throughput_page, ("_OPENING", "_TARGET")),
    ("performance.md", workers, ("_OPENING",)),
    ("planted.md", pool_page, ("_PLANTED", "_VERDICTS_INTRODUCTION", "_NULL")),
    ("planted.md", scale, ("_SECTION",)),
    ("planted.md", structure, ("_SECTION",)),
    ("relative_margin.md", relative_margin, ("_OPENING",)),
    ("reliability.md", soak_page, ("_TEXT",)),
    ("seeds_needed.md", seeds_needed_page, ("_OPENING", "_LEGEND", "_NUMBERS", "_WITHOUT", "_FRESH")),
    ("too_few.md", rules, ("_OPENING", "_REFUSALS", "_VERDICTS")),
    ("verdicts.md", verdicts_page, ("_OPENING", "_NULL", "_PLANTED")),
    ("videos.md", videos, ("_OPENING", "_REQUIRED", "_FRAMES")),
]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        pytest.param(page, getattr(module, name), id=f"{module.__name__}.{name}")
        for page, module, names in TEMPLATES
        for name in names
    ],
)
def test_a_page_contains_the_text_that_its_benchmark_writes(page: str, text: str) -> None:
    pattern = re.sub(r"\\\{[^}]*\\\}", ".{0,200}?", re.escape(" ".join(text.split())))
    assert re.search(pattern, " ".join((DOCS / page).read_text().split()))


def test_the_page_of_mutants_lists_the_catalogue_and_each_killed_one_names_an_existing_test() -> None:
    before, outcomes, mutants = read_outcomes(BEFORE), read_outcomes(AFTER), read_catalogue()
    written = mutants_page.page(mutants, before, outcomes)
    assert (DOCS / "mutants.md").read_text().partition("## Every")[2] == written.partition("## Every")[2]
    assert set(outcomes) == {mutant.name for mutant in mutants if not mutant.equivalent}
    for name, outcome in outcomes.items():
        file, _, test = outcome.test.partition("[")[0].partition("::")
        assert outcome.verdict == "fast", name
        assert f"def {test}(" in (DOCS.parent / file).read_text(), outcome.test


def test_the_tables_about_coverage_have_the_columns_and_worlds_that_the_benchmark_writes() -> None:
    def table_rows(text: str) -> list[str]:
        unmarked = re.sub(r" \*\*(misses|wide)\*\*", "", text)
        return [re.sub(r"[\d.]+", "0", line) for line in unmarked.splitlines() if line.startswith("| ")]

    worlds = (*scenarios(), *many_tasks(), rare_failures())
    names = [world.name for world in worlds]
    cells = {
        (name, seeds, subjects): coverage_page.Covered((0.95,) * 4)
        for name in names
        for seeds in coverage_page.SEEDS
        for subjects in coverage_page.SUBJECTS
    }
    written, failures = coverage_page.report(worlds, cells, 5000)
    assert not failures
    missing = cells | {(names[0], 3, 30): coverage_page.Covered((0.90,) * 4)}
    text, failures = coverage_page.report(worlds, missing, 5000)
    assert len(failures) == 1
    assert "90.0 ± 0.4 % **misses**" in failures[0]
    assert "90.0 **misses**" in text
    assert "misses: 1, wide: 0" in " ".join(text.split())
    assert table_rows(written) == table_rows((DOCS / "coverage.md").read_text())


def test_verdicts_are_marked_where_false_ones_are_frequent_or_planted_ones_are_missed() -> None:
    null = {"world": {"clinical": Share(28, 800), "unified": Share(64, 800)}}
    planted = [
        verdicts_page.Planted("world", 0.1, {"gain": 150, "no_loss": 5, "loss": 0, "undecided": 45}),
        verdicts_page.Planted("world", -0.1, {"gain": 0, "no_loss": 0, "loss": 130, "undecided": 70}),
    ]
    text, failures = verdicts_page.report(400, 12, null, planted)
    assert failures == [
        "world, unified, false gain or loss: 8.0 ± 1.0 % **misses**",
        "world, -0.100, loss: 65.0 ± 3.4 % **misses**",
    ]
    assert "| world | 3.5 ± 0.6 % | 8.0 ± 1.0 % **misses** |" in text
    assert "| world | +0.100 | 75.0 ± 3.1 % | 2.5 ± 1.1 % | 0.0 ± 0.5 % | 22.5 ± 3.0 % |" in text


@pytest.mark.parametrize(
    ("page", "stated"),
    [
        ("relative_margin.md", "simulated in 10,000 studies"),
        ("seeds_needed.md", "simulated in 2,000 studies"),
        ("too_few.md", "2,000 simulated studies per cell"),
        ("too_few.md", "in 1,000 studies per cell"),
    ],
)
def test_a_page_is_measured_with_the_default_number_of_repetitions(page: str, stated: str) -> None:
    assert stated in " ".join((DOCS / page).read_text().split())
