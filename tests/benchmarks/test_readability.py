"""Tests of the measures of readability, on texts with known counts."""

import ast
from pathlib import Path

import pytest

from benchmarks.readability.__main__ import main
from benchmarks.readability.measures import count_package
from benchmarks.readability.vague_words import (
    VAGUE_DOCSTRING_WORDS,
    find_banned_member_names,
    find_banned_names,
    find_banned_package_names,
    find_banned_words,
)

WORD, *_ = VAGUE_DOCSTRING_WORDS  # taken from the list, because this file must not contain the words either
VERB = next(word for word in VAGUE_DOCSTRING_WORDS if word.startswith("men"))
MODULE = f'''"""Which scores there are."""

LIMIT: int = 3
"""Largest count; it is {WORD} by the caller."""


def add(found, other, third):  # noqa: ANN001
    """Return the sum.

    Args:
        found: First.
        other: Second.
        third: Third.
    """
    total = found + other  # float32 rounds here
    return total + third


class Box:
    """A box."""

    def move(self, x, y, z):
        """Move the box."""
        own = x
        return [one for one in (own, y, z)]

    def _hidden(self, x, y, z):
        return lambda rest: rest
'''


def write_package(folder: Path) -> Path:
    package = folder / "package"
    package.mkdir()
    (package / "module.py").write_text(MODULE)
    (package / f"{WORD}.py").write_text("x = 1\n")
    return package


def test_docstrings_names_arguments_and_comments_are_counted(tmp_path: Path) -> None:
    counts = count_package(write_package(tmp_path))
    assert counts.modules == 2
    assert counts.docstrings == 5  # of the module, LIMIT, add, Box and move
    assert counts.vague_openings == 1
    assert counts.vague_words == 1
    assert counts.long_functions == 2
    assert counts.documented_functions == 1
    assert counts.comments == 1  # `noqa` is for a tool, not for a reader
    assert counts.vague_modules == 1


def test_every_local_and_parameter_is_seen_once() -> None:
    names = [name.text for name in find_banned_names(ast.parse(MODULE))]
    assert sorted(names) == ["found", "one", "own", "rest"]


@pytest.mark.parametrize(
    "code",
    [
        "def found(): ...", "class _Found: ...", "found: int", "a, *found = x", "with x as found: ...",
        "try:\n    found = 1\nfinally: ...", "class A:\n    found: int = 0", "class A:\n    def found(self): ...",
        "def f(self):\n    self._found = 1", "def f(self):\n    self.a, self.found = x", "if x:\n    found = 1",
        "for found in x: ...", "if (found := x): ...",
    ],
)  # fmt: skip
def test_a_banned_name_of_a_member_is_seen_once_wherever_it_is_defined(code: str) -> None:
    assert [name.text.strip("_").lower() for name in find_banned_member_names(ast.parse(code))] == ["found"]


@pytest.mark.parametrize(
    "code", ["x = [found for found in y]", "def f(found): ...", "x.found", "x.found()", "rows: int", "self.done = 1"]
)
def test_locals_uses_and_rows_of_tables_are_no_banned_members(code: str) -> None:
    assert not list(find_banned_member_names(ast.parse(code)))


@pytest.mark.parametrize("code", ["def what(): ...", "class A:\n    why: str", "x = 1\nname_of = x", "self.of_x = 1"])
def test_question_words_and_relations_are_banned_as_members_of_the_package(code: str) -> None:
    assert len(list(find_banned_package_names(ast.parse(code)))) == 1


def test_words_that_contain_a_relation_are_allowed_as_members() -> None:
    assert not list(find_banned_package_names(ast.parse("proof = 1\noffset = 2\ndef f(what): ...")))


@pytest.mark.parametrize(
    "text", [f"It is {WORD}.", "draws by\n    lot", "# drawn by\n# lot", f"{VERB.title()}ed: 3", "at the\nmost 4"]
)
def test_a_banned_word_is_seen_across_lines_and_cases(text: str) -> None:
    assert len(list(find_banned_words(text))) == 1


@pytest.mark.parametrize("text", ["untold", "amend the record", "a recommendation", "at most 4", "by a lot"])
def test_parts_of_other_words_are_not_banned(text: str) -> None:
    assert not list(find_banned_words(text))


def test_findings_are_listed_with_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = write_package(tmp_path)
    assert main(["--list", str(package)]) == 1
    assert f"{package / 'module.py'}:4: word '{WORD}'" in capsys.readouterr().out
    (package / "module.py").write_text("x = 1\n")
    assert main(["--list", str(package)]) == 0
