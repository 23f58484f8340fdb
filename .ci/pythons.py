"""Interpreters on this machine that usaggr supports; as a program, print the path of the oldest or the newest one.

They are searched on PATH and among the versions of pyenv. A stage of the checks runs with another version than that of
.venv only if pip has a CPU build of torch for it: the CUDA builds are several GB.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

OLDEST = (3, 11)
"""`requires-python` of pyproject.toml."""
NEWEST = (3, 14)
"""Newest version on which the tests are expected to pass."""
Version = tuple[int, ...]
_VERSION_PROGRAM = "import ensurepip, platform, venv; print('Python', platform.python_version())"
"""Fails in an interpreter that cannot make a virtual environment, as Debian's without python3-venv."""
_PIP_SECONDS = 120
_CUDA_PACKAGES = ("cuda-", "nvidia-")


@dataclass(frozen=True)
class Choice:
    """Interpreter of a stage; without a path the stage is skipped."""

    path: Path | None
    description: str
    """Version of the interpreter, or the reason why there is none."""


def find_interpreters(candidates: Iterable[Path]) -> dict[Version, Path]:
    """Return the path of each version that works and is supported, from the oldest to the newest."""
    interpreters: dict[Version, Path] = {}
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


def read_version(path: Path) -> Version | None:
    """Return the version of an interpreter; None if it does not start, as a shim of pyenv without a version."""
    try:
        finished = subprocess.run(
            [path, "-c", _VERSION_PROGRAM], capture_output=True, encoding="utf-8", timeout=20, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"Python (\d+)\.(\d+)\.(\d+)$", finished.stdout.strip())
    return tuple(map(int, match.groups())) if match and finished.returncode == 0 else None


def choose_other(
    which: Literal["oldest", "newest"],
    current: Version,
    interpreters: Mapping[Version, Path],
    find_obstacle: Callable[[Path], str | None],
) -> Choice:
    """Return the oldest or newest interpreter that is older or newer than the current one and can have torch.

    Versions are tried from the oldest, or newest, towards the current one. Of a minor version, the newest is tried.

    Args:
        which: End of the range of versions.
        current: Version whose tests run anyway.
        interpreters: Installed interpreters by version, from the oldest to the newest.
        find_obstacle: Returns why torch cannot be installed for an interpreter; None if it can.
    """
    word = "older" if which == "oldest" else "newer"
    of_minor = {version[:2]: version for version in interpreters}
    minors = [minor for minor in of_minor if (minor < current[:2] if which == "oldest" else minor > current[:2])]
    minors.sort(reverse=which == "newest")
    if not minors:
        return Choice(None, f"no Python {word} than {format_version(current[:2])} is installed")
    obstacles = []
    for version in (of_minor[minor] for minor in minors):
        obstacle = find_obstacle(interpreters[version])
        if obstacle is None:
            return Choice(interpreters[version], f"Python {format_version(version)}")
        obstacles.append(f"{format_version(version)}: {obstacle}")
    return Choice(None, f"no Python {word} than {format_version(current[:2])} has torch: {'; '.join(obstacles)}")


def find_torch_obstacle(python: Path, requirement: str, pip: Path) -> str | None:
    """Return why a CPU build of torch cannot be installed for an interpreter; None if it can. Nothing is installed.

    Args:
        python: The interpreter.
        requirement: torch with its versions, as pip reads it.
        pip: Folder of a pip that reads the metadata of a release without its wheel.
    """
    command = [python, pip, "install", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:", "--quiet"]
    try:
        finished = subprocess.run(
            [*command, "--report=-", requirement],
            capture_output=True, encoding="utf-8", timeout=_PIP_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"pip gives no answer within {_PIP_SECONDS} s"
    if finished.returncode:
        if "No matching distribution found" in finished.stderr:
            return f"there is no release of {requirement}"
        return f"pip fails: {(finished.stderr.strip().splitlines() or ['without a message'])[-1]}"
    return describe_cuda_build(json.loads(finished.stdout)["install"][0]["metadata"])


def describe_cuda_build(metadata: Mapping[str, object]) -> str | None:
    """Return a phrase about a release of torch that needs CUDA's packages; None if it needs none."""
    requirements = metadata.get("requires_dist")
    names = [re.split(r"[^\w-]", str(text))[0] for text in requirements] if isinstance(requirements, list) else []
    cuda = [name for name in names if name.startswith(_CUDA_PACKAGES)]
    if sys.platform != "linux" or not cuda:
        return None
    return f"torch {metadata['version']} is a CUDA build ({cuda[0]} and {len(cuda) - 1} more packages)"


def choose_installed(which: Literal["oldest", "newest"]) -> Choice:
    """Return the interpreter of this machine for a stage that repeats the tests of this one with another version."""
    root = Path(__file__).resolve().parent.parent
    dependencies = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    requirement = next(text for text in dependencies if re.match(r"torch\b", text))
    with tempfile.TemporaryDirectory(prefix="usaggr-pip-") as folder:
        pip = Path(folder) / "pip"

        def find_obstacle(python: Path) -> str | None:
            if not pip.is_dir():
                command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "pip>=24.2"]
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return find_torch_obstacle(python, requirement, pip)

        return choose_other(which, sys.version_info[:3], find_interpreters(list_candidates()), find_obstacle)


def format_version(version: Version) -> str:
    """Return a version as text, such as 3.11.7."""
    return ".".join(map(str, version))


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
