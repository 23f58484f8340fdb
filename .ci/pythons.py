"""Interpreters on this machine that usaggr supports; as a program, print the path of the oldest or the newest one.

They are searched on PATH and among the versions of pyenv.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

OLDEST = (3, 11)
"""`requires-python` of pyproject.toml."""
NEWEST = (3, 14)
"""Newest version on which the tests are expected to pass."""


def find_interpreters(candidates: Iterable[Path]) -> dict[tuple[int, ...], Path]:
    """Return the path of each version that works and is supported, from the oldest to the newest."""
    interpreters: dict[tuple[int, ...], Path] = {}
    for path in candidates:
        version = read_version(path)
        if version is not None and OLDEST <= version[:2] <= NEWEST:
            interpreters.setdefault(version, path)
    return dict(sorted(interpreters.items()))


def list_candidates() -> list[Path]:
    """Return paths of interpreters on PATH and in the folder of pyenv; some may not work."""
    names = [f"python{major}.{minor}" for major, minor in ((3, minor) for minor in range(OLDEST[1], NEWEST[1] + 1))]
    on_path = [Path(path) for name in ["python3", *names] if (path := shutil.which(name))]
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    return [*on_path, *sorted(pyenv.glob("*/bin/python3"))]


def read_version(path: Path) -> tuple[int, ...] | None:
    """Return the version of an interpreter; None if it does not start, as a shim of pyenv without a version."""
    try:
        finished = subprocess.run([path, "--version"], capture_output=True, encoding="utf-8", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"Python (\d+)\.(\d+)\.(\d+)$", finished.stdout.strip())
    return tuple(map(int, match.groups())) if match and finished.returncode == 0 else None


def main() -> int:
    """Print the path of the interpreter that the argument chooses: oldest or newest."""
    interpreters = list(find_interpreters(list_candidates()).values())
    if not interpreters:
        print(f"no Python from {OLDEST} to {NEWEST} is installed", file=sys.stderr)
        return 1
    print(interpreters[0 if sys.argv[1:] == ["oldest"] else -1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
