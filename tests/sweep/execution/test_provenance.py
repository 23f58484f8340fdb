"""A run says with which versions and which commit it was made."""

import subprocess
from importlib.metadata import version
from pathlib import Path

from usaggr.sweep.execution.provenance import collect_provenance, read_git_commit


def git(folder: Path, *arguments: str) -> str:
    own = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *own, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_versions_are_those_installed() -> None:
    found = collect_provenance()
    assert found["packages"]["torch"] == version("torch")
    assert found["packages"]["usaggr"] == version("usaggr")
    assert "python" in found


def test_the_commit_is_named_and_marked_where_files_differ_from_it(tmp_path: Path) -> None:
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
