"""Measures of a package's documentation and names, the same for every project."""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

from benchmarks.readability.vague_words import (
    BANNED_NAMES,
    VAGUE_DOCSTRING_WORDS,
    VAGUE_MODULES,
    VAGUE_OPENINGS,
    find_banned_names,
    local_names,
)

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Counts:
    """Counts over the modules of a package."""

    modules: int = 0
    lines: int = 0
    """Lines that are not empty."""
    docstrings: int = 0
    """Docstrings of modules, classes and functions, and of attributes (a text below an assignment)."""
    vague_openings: int = 0
    vague_words: int = 0
    locals: int = 0
    vague_locals: int = 0
    long_functions: int = 0
    """Public functions of three or more parameters, beside `self` and `cls`."""
    documented_functions: int = 0
    """Those of them whose docstring has an `Args:` section."""
    comments: int = 0
    vague_modules: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def count_package(folder: Path) -> Counts:
    """Count over all modules under a folder.

    Raises:
        SyntaxError: a module is not Python.
    """
    return sum((count_module(path) for path in sorted(folder.rglob("*.py"))), Counts())


def count_module(path: Path) -> Counts:
    """Count in one module."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    docstrings = list(_docstrings(tree))
    functions = list(_public_functions(tree))
    return Counts(
        modules=1,
        lines=sum(bool(line.strip()) for line in source.splitlines()),
        docstrings=len(docstrings),
        vague_openings=sum(text.split(maxsplit=1)[:1] != [] and _opens_vaguely(text) for text in docstrings),
        vague_words=sum(_has_vague_word(text) for text in docstrings),
        locals=sum(1 for _ in local_names(tree)),
        vague_locals=sum(1 for _ in find_banned_names(tree, BANNED_NAMES)),
        long_functions=len(functions),
        documented_functions=sum("Args:" in (ast.get_docstring(function) or "") for function in functions),
        comments=sum(_is_comment(token) for token in tokenize.generate_tokens(io.StringIO(source).readline)),
        vague_modules=int(path.stem in VAGUE_MODULES or path.stem in BANNED_NAMES),
    )


def _docstrings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text
        body = getattr(node, "body", None)
        statements = body if isinstance(body, list) else []  # the body of a lambda is one expression
        for before, after in pairwise(statements):
            if isinstance(before, ast.Assign | ast.AnnAssign) and (text := _string_statement(after)):
                yield text


def _string_statement(node: ast.AST) -> str | None:
    """Return the text of a statement that is a string alone: the docstring of the attribute above it."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return None


def _public_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if sum(argument.arg not in ("self", "cls") for argument in arguments) >= 3:
                yield node


def _opens_vaguely(text: str) -> bool:
    return text.split(maxsplit=1)[0].strip("`*:,.").lower() in VAGUE_OPENINGS


def _has_vague_word(text: str) -> bool:
    words = f" {' '.join(''.join(c if c.isalnum() else ' ' for c in text.lower()).split())} "
    return any(f" {word} " in words for word in VAGUE_DOCSTRING_WORDS)


def _is_comment(token: tokenize.TokenInfo) -> bool:
    """Return whether a token is a comment for people, and not an instruction to a tool."""
    tools = ("# noqa", "# type:", "# fmt:", "# pragma", "# mypy:", "# ruff:", "#!")
    return token.type == tokenize.COMMENT and not token.string.startswith(tools)
