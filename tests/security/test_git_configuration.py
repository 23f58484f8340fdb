"""The git configuration of a stranger's folder names programs; neither usaggr nor a tracker lets git run them there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.factories import tiny_data
from tests.module_decoys import MARKER, read_executed, write_decoys
from usaggr.sweep.execution.provenance import read_git_commit

ROOT = Path(__file__).parents[2]
PROGRAM = """#!/bin/sh
echo "$0 $@" >> {marker}
"""
KEYS = (
    "core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "diff.external", "filter.stranger.clean",
    "filter.stranger.smudge", "credential.helper", "gpg.program", "alias.status",
    "alias.rev-parse", "alias.config",
)  # fmt: skip
"""Keys whose values are programs."""
SWEEP = (
    "sweep", "demo", "data=fmuia", "data.image_size=32", "scales=[1.0]", "seeds=[0]", "groupings=[unified]",
    "reference=unified", "executor.workers=2", "training.accelerator=cpu", "training.validations=1",
    "training.budget=40 examples",
)  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def make_hostile_repository(folder: Path) -> Path:
    """Turn a folder into a repository whose configuration names a program; return the file that the program writes."""
    marker = folder / MARKER
    git(folder, "init", "--quiet")
    (folder / "notes.txt").write_text("notes")
    git(folder, "add", "notes.txt")
    git(folder, "commit", "--quiet", "--message=notes")
    hooks = folder / ".git" / "programs"
    for name in ("program", "post-index-change", "pre-commit"):
        path = hooks / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(PROGRAM.format(marker=marker))
        path.chmod(0o755)
    for key in KEYS:
        git(folder, "config", key, f"{'!' if key.startswith('alias') else ''}{hooks / 'program'}")
    git(folder, "config", "core.hooksPath", str(hooks))
    (folder / ".gitattributes").write_text("* filter=stranger\n")
    os.utime(folder / "notes.txt", (0, 0))  # git compares the content of a file with another time
    return marker


def test_git_runs_the_programs_of_a_hostile_repository(tmp_path: Path) -> None:
    marker = make_hostile_repository(tmp_path)
    git(tmp_path, "status")
    executed = read_executed(marker)
    assert any("/program 2 " in line for line in executed), "the file system monitor"
    assert any(line.endswith("/program ") for line in executed), "the filter"
    assert any("/post-index-change" in line for line in executed), "the hook"


@pytest.mark.parametrize("key", ["filter.stranger.clean", "filter.stranger.process"])
def test_the_commit_of_a_hostile_repository_is_read_without_its_programs(tmp_path: Path, key: str) -> None:
    marker = make_hostile_repository(tmp_path)
    git(tmp_path, "config", key, git(tmp_path, "config", "core.fsmonitor"))
    commit = read_git_commit(tmp_path)
    assert read_executed(marker) == []
    git(tmp_path, "config", "--unset", "core.fsmonitor")
    assert commit == git(tmp_path, "rev-parse", "HEAD")


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["csv", "mlflow", "wandb"])
def test_a_tracked_sweep_in_a_hostile_repository_full_of_decoys_executes_nothing(tmp_path: Path, tracker: str) -> None:
    """W&B reads the state of the repository by default, with git; its server and MLflow's database are real."""
    folder = tmp_path / "study"
    marker = write_decoys(folder)
    assert make_hostile_repository(folder) == marker
    tiny_data(tmp_path / "data", n=24)
    program = tmp_path / "usaggr"
    program.write_text("from usaggr.cli.main import main\n\nif __name__ == '__main__':\n    main()\n")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    env |= {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}
    outputs = tmp_path / "outputs"
    words = (*SWEEP, f"data.root={tmp_path / 'data'}", f"outputs={outputs}", f"logger={tracker}")
    finished = subprocess.run(
        [sys.executable, str(program), *words], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    assert "not tracked" not in finished.stderr
    files = {"csv": "*/runs/*/logs/metrics.csv", "mlflow": "mlflow.db", "wandb": "*/runs/*/logs/wandb/offline-run-*"}
    assert list(outputs.glob(files[tracker])), finished.stderr
    assert read_executed(marker) == []
