"""What is easily written a second time, and then differs in a detail, stands in `usaggr/io` alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import usaggr

PACKAGE = Path(usaggr.__file__).parent
HOMES = {
    "fcntl.flock": ("io/locks.py", "take `exclusive` or `is_held` of usaggr.io.locks"),
    "fcntl.lockf": ("io/locks.py", "take `exclusive` or `is_held` of usaggr.io.locks"),
    "sqlite3.connect": ("io/sqlite_store.py", "take `open_store` of usaggr.io.sqlite_store"),
    "hashlib.file_digest": ("io/checksums.py", "take `file_hash` of usaggr.io.checksums"),
}
"""By what is called, the file that may call it, and what others call instead."""
FOLDERS = {"report/build.py", "data/batches/cache_build.py"}
"""Files that build a whole folder under a temporary name and rename it, which `replacing` is not for."""


def calls() -> Iterator[tuple[str, str, int]]:
    """Name each call `module.function(...)` or `name(...)` in the package, with its file and line."""
    for path in sorted(PACKAGE.rglob("*.py")):
        where = str(path.relative_to(PACKAGE))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), where, node.lineno


@pytest.mark.parametrize("function", HOMES)
def test_a_function_of_the_system_is_called_in_one_file(function: str) -> None:
    home, instead = HOMES[function]
    short = function.partition(".")[2]
    strays = [f"{where}:{line}" for name, where, line in calls() if name in (function, short) and where != home]
    assert not strays, f"{function} is called outside {home}: {instead}"


def test_files_are_written_under_a_temporary_name_in_one_file() -> None:
    strays = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if str(path.relative_to(PACKAGE)) not in FOLDERS | {"io/atomic_files.py"}
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".tmp")
    ]
    assert not strays, "take `replacing` or `write_atomic` of usaggr.io.atomic_files"
