"""Files and folders get the modes that follow from the user's umask and from their folder."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.sweep.scaling import tiny_study

ROOT = Path(__file__).parents[2]
WRITERS = """
import os, sys, torch
from pathlib import Path
os.umask(int(sys.argv[1]))
here = Path(sys.argv[2])
from usaggr.data.read.paths import ListedFile
from usaggr.data.read.file_facts import ProbeKey, probe_files
from usaggr.results.predictions import write_predictions
from usaggr.progress import NoProgress
from usaggr.io.atomic_files import apply_umask, write_atomic
from usaggr.results.run_directory import RunDirectory
from usaggr.training.checkpoint import CheckpointFile, Position
write_atomic(here / "new" / "a.json", "x")
write_predictions(here / "predictions.parquet", [])
(here / "run").mkdir()
CheckpointFile(here / "run", "f", "32-true").write(Position(0, 1, 1), {"a": torch.zeros(2)})
with RunDirectory(here / "claimed").claim(1):
    pass
probe_files([ProbeKey(ListedFile(str(here / "no.png"), 1, 1), False)], here / "cache", 10**8, 1, NoProgress())
from safetensors.torch import save_file
save_file({"a": torch.zeros(2)}, here / "scored.safetensors")
apply_umask(here / "scored.safetensors")
"""


def wrong_modes(folder: Path, umask: int, setgid: bool) -> list[str]:
    """Return the paths whose mode differs from that of a file or folder created without special measures."""
    wrong_paths = []
    for path in folder.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        expected = (0o777 if path.is_dir() else 0o666) & ~umask | (stat.S_ISGID if setgid and path.is_dir() else 0)
        if not path.is_symlink() and mode != expected:
            wrong_paths.append(f"{path.relative_to(folder)} {mode:o}, not {expected:o}")
    return sorted(wrong_paths)


@pytest.mark.parametrize("umask", [0o002, pytest.param(0o077, marks=pytest.mark.slow)])
def test_files_written_by_runs_follow_the_user_s_umask(tmp_path: Path, umask: int) -> None:
    tmp_path.chmod(0o2770)
    completed = subprocess.run([sys.executable, "-c", WRITERS, str(umask), tmp_path], cwd=ROOT, capture_output=True)
    assert completed.returncode == 0, completed.stderr.decode()
    assert len(list(tmp_path.rglob("*"))) >= 10
    assert wrong_modes(tmp_path, umask, setgid=True) == []


@pytest.mark.slow
def test_all_files_of_a_sweep_can_be_written_by_its_group(tmp_path: Path) -> None:
    """The folders pass their group on to new files, the umask is 002, and the cache is shared too."""
    for name in ("outputs", "cache"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o2775)
    words = [*tiny_study(tmp_path / "outputs", tmp_path / "cache", 5, 2), "training.keep_weights=scored"]
    command = [shutil.which("usaggr", path=Path(sys.executable).parent) or "usaggr", "sweep", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    completed = subprocess.run(command, env=environment, umask=0o002, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    assert len(list(tmp_path.glob("outputs/demo/runs/*/weights/*.safetensors"))) == 5
    assert wrong_modes(tmp_path / "outputs", 0o002, setgid=True) == []
    assert wrong_modes(tmp_path / "cache", 0o002, setgid=True) == []
