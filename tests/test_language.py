"""The project's texts and names are plain English: words and names of two lists occur nowhere.

The lists, and the reason for each, are in `benchmarks/readability/vague_words.py`; ruff checks docstrings, codespell
checks spelling. `python -m benchmarks.readability --list PATH` prints the findings of one file or folder.
"""

import ast
import json
from pathlib import Path

import pytest

from benchmarks.readability.vague_words import (
    BANNED_NAMES,
    VAGUE_MODULES,
    find_banned_member_names,
    find_banned_names,
    find_banned_package_names,
    find_banned_words,
)

ROOT = Path(__file__).parents[1]
LISTS = ROOT / "benchmarks" / "readability" / "vague_words.py"
EXAMPLES = ROOT / "tests" / "benchmarks" / "test_readability.py"
SOURCES = sorted(
    path for folder in ("usaggr", "tests", "benchmarks", ".ci") for path in (ROOT / folder).rglob("*.py")
)  # fmt: skip
TEXTS = sorted([
    *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "conf").rglob("*.yaml"),
    *(ROOT / "sweeps").glob("*.yaml"), *(ROOT / "benchmarks").rglob("*.yaml"), *(ROOT / ".ci").glob("*.toml"),
    ROOT / ".ci" / "run", ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "setup.py",
])  # fmt: skip
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

STORED_NAMES = {"usaggr/models/per_task.py: of"}
"""Members that keep a banned name, because it is part of the keys of stored weights."""

STORED_PACKAGE_NAMES = {"usaggr/config/study.py: samples_of", "usaggr/data/synthetic/difficulty.py: SPREAD"}
"""Members that keep such a name, because it is a key of the configuration or part of the name of a cached set."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_all_texts_are_searched() -> None:
    assert len(SOURCES) > 400
    assert len(TEXTS) > 60
    assert NOTEBOOKS


@pytest.mark.parametrize("folder", ["usaggr", "tests", "benchmarks", ".ci"])
def test_no_source_has_a_banned_word(folder: str) -> None:
    findings = [
        f"{relative(path)}:{word.line}: {word.text}"
        for path in SOURCES
        if path.is_relative_to(ROOT / folder) and path not in (LISTS, EXAMPLES)
        for word in find_banned_words(path.read_text(encoding="utf-8"))
    ]
    assert findings == []


@pytest.mark.parametrize("folder", ["usaggr", "tests", "benchmarks", ".ci"])
def test_no_local_variable_or_parameter_has_a_banned_name(folder: str) -> None:
    findings = [
        f"{relative(path)}:{name.line}: {name.text}"
        for path in SOURCES
        if path.is_relative_to(ROOT / folder)
        for name in find_banned_names(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert findings == []


@pytest.mark.parametrize("folder", ["usaggr", "tests", "benchmarks", ".ci"])
def test_no_function_class_field_or_attribute_has_a_banned_name(folder: str) -> None:
    findings = {
        f"{relative(path)}: {name.text}": name.line
        for path in SOURCES
        if path.is_relative_to(ROOT / folder)
        for name in find_banned_member_names(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert findings.keys() == {name for name in STORED_NAMES if name.startswith(f"{folder}/")}, findings


def test_no_function_or_field_of_the_package_is_named_by_a_question_word_or_a_relation() -> None:
    findings = {
        f"{relative(path)}: {name.text}": name.line
        for path in SOURCES
        if path.is_relative_to(ROOT / "usaggr")
        for name in find_banned_package_names(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert findings.keys() == STORED_PACKAGE_NAMES, findings


def test_every_module_says_in_its_name_what_it_holds() -> None:
    vague = VAGUE_MODULES | BANNED_NAMES
    assert [relative(path) for path in SOURCES if path.stem.removeprefix("test_") in vague] == []


def test_no_page_or_configuration_has_a_banned_word() -> None:
    findings = [
        f"{relative(path)}:{word.line}: {word.text}"
        for path in TEXTS
        for word in find_banned_words(path.read_text(encoding="utf-8"))
    ]
    assert findings == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_notebook_has_a_banned_word(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert [word.text for cell in cells for word in find_banned_words("".join(cell["source"]))] == []
