"""A run records the package versions and the commit that it was made with."""

import subprocess
from importlib.metadata import version
from pathlib import Path

from usaggr.sweep.execution.provenance import collect_provenance, read_git_commit


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    process = subprocess.run(["git", *settings, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return process.stdout.strip()


def test_recorded_versions_are_the_installed_ones() -> None:
    provenance = collect_provenance()
    assert provenance["packages"]["torch"] == version("torch")
    assert provenance["packages"]["usaggr"] == version("usaggr")
    assert "python" in provenance


def test_the_commit_is_recorded_and_marked_dirty_if_tracked_files_differ(tmp_path: Path) -> None:
    assert read_git_commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert read_git_commit(tmp_path) is None
    (tmp_path / "a.txt").write_text("x")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert read_git_commit(tmp_path) == commit
    (tmp_path / "untracked.txt").write_text("x")
    assert read_git_commit(tmp_path) == commit
    (tmp_path / "a.txt").write_text("y")
    assert read_git_commit(tmp_path) == f"{commit}-dirty"
