"""With what a run was made: versions of the packages that its numbers depend on, and the commit of the tool."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "usaggr", "torch", "torchvision", "pytorch-lightning", "segmentation-models-pytorch", "timm", "monai", "numpy",
    "opencv-python-headless", "pandas", "scikit-learn", "scipy",
)  # fmt: skip


def provenance() -> dict[str, Any]:
    """For run.yaml: `packages`, `python`, `platform`, and `git_commit` where the tool runs from a repository."""
    return {
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "git_commit": git_commit(Path(__file__).parents[3]),
    }


def git_commit(folder: Path) -> str | None:
    """Commit that is checked out in a repository's top folder, with `-dirty` where files differ from it; else None."""
    if not (folder / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
