"""Provenance of a run: versions of the packages that its numbers depend on, and the commit of usaggr."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "usaggr", "torch", "torchvision", "pytorch-lightning", "segmentation-models-pytorch", "timm", "monai", "numpy",
    "opencv-python-headless", "pandas", "scikit-learn", "scipy",
)  # fmt: skip

_GIT_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
"""Options with which git runs no program that the configuration of a repository names."""


def collect_provenance() -> dict[str, Any]:
    """Return the versions for run.yaml: `packages`, `python`, `platform` and `git_commit`.

    `git_commit` is None if usaggr does not run from a git repository.
    """
    return {
        "packages": {name: number for name in _PACKAGES if (number := _read_version(name)) is not None},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "git_commit": read_git_commit(Path(__file__).parents[3]),
    }


def read_git_commit(folder: Path) -> str | None:
    """Return the commit of a repository, with the suffix `-dirty` if files differ from it; None without a repository.

    `folder` is the repository's top folder.
    """
    # Without this check git would find a repository in any parent folder, such as one around site-packages.
    if not (folder / ".git").exists():
        return None

    try:
        filters = _list_filter_options(folder)
        changed = _run_git(folder, *filters, "status", "--porcelain", "--untracked-files=no")
        return _run_git(folder, "rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _list_filter_options(folder: Path) -> list[str]:
    """Return options with which git runs no filter of the repository, which is a program for the content of files."""
    try:
        names = _run_git(folder, "config", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$").splitlines()
    except subprocess.CalledProcessError:  # there is none
        return []
    return [word for name in names for word in ("-c", f"{name}=")]


def _run_git(folder: Path, *arguments: str) -> str:
    finished = subprocess.run(
        ["git", *_GIT_OPTIONS, *arguments],
        cwd=folder,
        capture_output=True,
        timeout=10,
        check=True,
        encoding="utf-8",
        errors="replace",
    )
    return finished.stdout.strip()


def _read_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
