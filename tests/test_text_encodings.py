"""Every text file and every text that another program prints is read and written with a named encoding.

Otherwise Python uses the encoding of the locale, and a table written on one machine cannot be read on another.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for room in ("usaggr", "benchmarks", ".ci") for path in (ROOT / room).rglob("*.py"))
BINARY_OWNERS = {"os", "Image", "tarfile"}
"""Modules whose `open` returns no text file."""
STARTERS = {"run", "Popen", "check_output", "check_call", "call"}


def calls_without_encoding(source: str) -> Iterator[str]:
    """Yield each call that reads or writes text and names no encoding."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(word.arg == "encoding" for word in node.keywords):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
        keywords = {word.arg: word.value for word in node.keywords}
        if name in ("read_text", "write_text", "NamedTemporaryFile", "TextIOWrapper"):
            is_text = not is_binary(keywords.get("mode"))
        elif name in ("open", "fdopen") and owner not in BINARY_OWNERS:
            position = 0 if owner else 1
            mode = node.args[position] if len(node.args) > position else keywords.get("mode")
            is_text = not is_binary(mode)
        else:
            is_text = name in STARTERS and bool({"text", "universal_newlines"} & keywords.keys())
        if is_text:
            yield f"line {node.lineno}: {ast.unparse(node)[:80]}"


def is_binary(mode: ast.expr | None) -> bool:
    return isinstance(mode, ast.Constant) and "b" in str(mode.value)


def test_text_has_an_encoding_wherever_it_is_read_or_written() -> None:
    assert len(FILES) > 300
    without = [
        f"{path.relative_to(ROOT)}, {call}"
        for path in FILES
        for call in calls_without_encoding(path.read_text(encoding="utf-8"))
    ]
    assert without == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("path.open()", 1),
        ("path.open('w', newline='')", 1),
        ("open(path, 'r')", 1),
        ("path.with_suffix('.x').write_text(text)", 1),
        ("subprocess.run(words, text=True)", 1),
        ("path.open('rb')", 0),
        ("open(path, mode='wb')", 0),
        ("Image.open(path)", 0),
        ("path.read_text(encoding='utf-8')", 0),
        ("subprocess.run(words, capture_output=True)", 0),
    ],
)
def test_the_search_finds_text_of_the_locale(source: str, count: int) -> None:
    assert len(list(calls_without_encoding(source))) == count
