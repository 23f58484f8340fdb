"""Tests that the pages of docs/ contain the sentences that the benchmarks write now, with any numbers."""

import re
from pathlib import Path

import pytest

from benchmarks.data import cache
from benchmarks.evaluation import evaluation
from benchmarks.evidence import coverage_page, verdicts
from benchmarks.models import experts, models
from benchmarks.mutants import page as mutants_page
from benchmarks.mutants.catalogue import read_catalogue
from benchmarks.planted import page as pool_page
from benchmarks.planted import scale, structure
from benchmarks.sweep import scaling, soak_page, sweep_page
from benchmarks.training import throughput_page, workers

DOCS = Path(__file__).parents[2] / "docs"
TEMPLATES = [
    ("coverage.md", coverage_page, ("_OPENING", "_METHODS", "_POOLING", "_RARE")),
    ("models.md", experts, ("_OPENING",)),
    ("models.md", models, ("_OPENING",)),
    ("mutants.md", mutants_page, ("_OPENING", "_BY_ROOM", "_EQUIVALENT")),
    ("performance.md", cache, ("_BUILDING", "_OPENING")),
    ("performance.md", evaluation, ("_SPEED", "_PAIRS", "_RUNS")),
    ("performance.md", scaling, ("_OPENING", "_PLANNED", "_TRAINED")),
    ("performance.md", sweep_page, ("_OPENING",)),
    ("performance.md", throughput_page, ("_OPENING", "_TARGET")),
    ("performance.md", workers, ("_OPENING",)),
    ("planted.md", pool_page, ("_PLANTED", "_FOUND", "_NULL")),
    ("planted.md", scale, ("_SECTION",)),
    ("planted.md", structure, ("_SECTION",)),
    ("reliability.md", soak_page, ("_TEXT",)),
    ("verdicts.md", verdicts, ("_OPENING", "_NULL", "_PLANTED")),
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


def test_the_page_of_mutants_has_the_current_faults_and_names_existing_tests() -> None:
    text = (DOCS / "mutants.md").read_text()
    for mutant in read_catalogue():
        assert f"| `{mutant.name}` | {mutant.why} | {mutant.equivalent}" in text, mutant.name
    tests = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)` \|", text)
    assert tests
    for file, test in tests:
        assert f"def {test}(" in (DOCS.parent / file).read_text(), (file, test)
