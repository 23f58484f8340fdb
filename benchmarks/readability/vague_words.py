"""Lists of words and names that make code hard to read, and functions that search for them.

`tests/test_language.py` fails where one of them occurs; `python -m benchmarks.readability` counts them in any project.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BANNED_WORDS = (
    r"anew", r"nought", r"by lot", r"drawn lots", r"spoil(?:t|s|ed)?", r"mend(?:s|ed|ing|able)?", r"begun", r"learnt",
    r"told", r"at the most", r"at the least", r"but for", r"goes? on", r"went on", r"knows? nothing", r"the very",
    r"lest", r"whilst", r"hence", r"thereof", r"whereof", r"thence", r"in vain", r"is said", r"are said",
    r"bear it", r"of theirs", r"of its own accord", r"wholly", r"nowise", r"aught",
)  # fmt: skip
"""Regular expressions of words that no text of the project uses: code, pages, messages and reports."""

BANNED_NAMES = frozenset({
    "found", "own", "of", "one", "rest", "whole", "rows", "places", "part", "asked", "said", "told", "good", "known",
    "above", "below", "at", "begun", "given", "meant", "taken", "gone", "done", "wanted", "kept", "held", "alike",
    "apart", "others", "another", "both", "much", "many", "here", "there", "so", "thing", "things",
})  # fmt: skip
"""Names that no local variable, parameter or module has, because they do not say what they hold."""

BANNED_MEMBER_NAMES = BANNED_NAMES - {"rows", "done"}
"""Names that no function, class, field, attribute or module-level variable has.

A table has rows, and `done` is the state of a run and a method of Python's futures, so members may have these names."""

BANNED_PACKAGE_NAMES = frozenset({
    "what", "why", "who", "about", "alone", "around", "kin", "look", "typed", "replacing", "spread", "spreads",
    "unfixed", "plural", "listed", "literal",
})  # fmt: skip
"""Further names that no member of the package has: question words, adjectives, and nouns that were functions."""

VAGUE_OPENINGS = ("what", "whether", "how", "where", "which")
"""First words of docstrings that state no complete sentence."""

VAGUE_DOCSTRING_WORDS = ("told", "said", "anew", "nought", "by lot", "spoilt", "mend", "begun", "learnt")
"""Words whose share of docstrings is counted, to compare projects."""

VAGUE_MODULES = frozenset({
    "told", "looks", "asked", "written", "words", "pace", "riding", "handing", "ways", "near", "present", "found",
    "utils", "helpers", "common", "manager", "misc",
})  # fmt: skip
"""Names of modules that do not say what the module holds."""

_SPACE = r"\s+(?:[#>]\s*)?"  # words may be separated by a line break, in a comment or a quotation too
_WORDS = re.compile(rf"\b(?:{'|'.join(words.replace(' ', _SPACE) for words in BANNED_WORDS)})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """One occurrence of a banned word or name."""

    line: int
    """Line in the file, from 1."""
    text: str
    """The word or name."""


def find_banned_words(text: str) -> Iterator[Finding]:
    """Yield each banned word of a text, also where a line break separates its words."""
    for match in _WORDS.finditer(text):
        yield Finding(text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()))


def local_names(tree: ast.AST) -> Iterator[Finding]:
    """Yield the name of each parameter and of each variable that is assigned inside a function or lambda."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    comprehensions = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    seen: set[tuple[int, int]] = set()
    for scope in ast.walk(tree):
        if not isinstance(scope, functions + comprehensions):
            continue
        for node in ast.walk(scope):
            if isinstance(node, ast.arg):
                name = node.arg
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                name = node.name
            else:
                continue
            position = (node.lineno, node.col_offset)
            if position not in seen:
                seen.add(position)
                yield Finding(node.lineno, name)


def find_banned_names(tree: ast.AST, names: Sequence[str] | frozenset[str] = BANNED_NAMES) -> Iterator[Finding]:
    """Yield each parameter or local variable that has a banned name, with or without a leading underscore."""
    yield from (name for name in local_names(tree) if name.text.strip("_") in names)


def member_names(tree: ast.AST) -> Iterator[Finding]:
    """Yield the name of each function, class, class field, module-level variable, and attribute that is assigned."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in ast.walk(tree):
        if isinstance(node, definitions):
            yield Finding(node.lineno, node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield Finding(node.lineno, node.attr)
        if isinstance(node, ast.Module | ast.ClassDef):
            yield from _names_assigned_in(node.body)


def _names_assigned_in(body: Sequence[ast.stmt]) -> Iterator[Finding]:
    """Yield the variables that a module's or class's statements assign, also below `if`, `for`, `with` and `try`."""
    scopes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    comprehensions = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, scopes + comprehensions):  # their variables are local
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield Finding(node.lineno, node.id)
        waiting.extend(ast.iter_child_nodes(node))


def find_banned_package_names(tree: ast.AST) -> Iterator[Finding]:
    """Yield each member of the package that has a further banned name, or one that begins or ends with "of"."""
    for name in member_names(tree):
        text = name.text.strip("_").lower()
        if text in BANNED_PACKAGE_NAMES or text.startswith("of_") or text.endswith("_of"):
            yield name


def find_banned_member_names(tree: ast.AST) -> Iterator[Finding]:
    """Yield each member of a module or class that has a banned name, in any case, with or without underscores."""
    yield from (name for name in member_names(tree) if name.text.strip("_").lower() in BANNED_MEMBER_NAMES)
