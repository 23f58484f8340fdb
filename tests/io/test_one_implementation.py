"""Code that is easily duplicated with small differences exists only in `usaggr/io`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import usaggr

PACKAGE = Path(usaggr.__file__).parent
ALLOWED_FILES = {
    "fcntl.flock": ("io/locks.py", "take `hold_lock` or `is_held` of usaggr.io.locks"),
    "fcntl.lockf": ("io/locks.py", "take `hold_lock` or `is_held` of usaggr.io.locks"),
    "sqlite3.connect": ("io/sqlite_store.py", "take `open_store` of usaggr.io.sqlite_store"),
    "hashlib.file_digest": ("io/checksums.py", "take `hash_file` of usaggr.io.checksums"),
}
"""For each function, the only file that may call it, and the replacement for other files."""
FOLDERS = {"report/build.py", "data/batches/cache_build.py"}
"""Files that build a complete folder under a temporary name and rename it, for which `replace_file` is not made."""


def calls() -> Iterator[tuple[str, str, int]]:
    """Yield each call `module.function(...)` or `name(...)` in the package, with its file and line."""
    for path in sorted(PACKAGE.rglob("*.py")):
        file = str(path.relative_to(PACKAGE))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), file, node.lineno


@pytest.mark.parametrize("function", ALLOWED_FILES)
def test_a_function_of_the_system_is_called_in_one_file(function: str) -> None:
    allowed_file, instead = ALLOWED_FILES[function]
    short = function.partition(".")[2]
    violations = [
        f"{file}:{line}" for name, file, line in calls() if name in (function, short) and file != allowed_file
    ]
    assert not violations, f"{function} is called outside {allowed_file}: {instead}"


def test_files_are_written_under_a_temporary_name_in_one_file() -> None:
    violations = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if str(path.relative_to(PACKAGE)) not in FOLDERS | {"io/atomic_files.py"}
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".tmp")
    ]
    assert not violations, "take `replace_file` or `write_atomic` of usaggr.io.atomic_files"
