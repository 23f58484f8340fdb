"""Every executor gives the same scores, to the last digit, for the same small study on the command line."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from usaggr.results.run_directory import RunDirectory

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.cluster
STUDY = (
    "demo", "name=small", "data.synthetic.samples_per_task=24", "data.image_size=32", "seeds=[0]", "scale=full",
    "training.budget='16 examples'", "groupings=[task_specific,unified]", "training.accelerator=cpu",
    "tasks=[breast_2cls,fetal_head,FUGC]",
)  # fmt: skip
EXECUTORS = {
    "local": ("executor.workers=2", "executor.threads=1"),
    "slurm": ("executor=slurm", "executor.cpus=2", "executor.threads=1", "executor.runs_per_job=2"),
    "ray": ("executor=ray", "executor.workers=2"),
}


def usaggr(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call the command line; all executors share data and caches."""
    command = [str(Path(sys.executable).parent / "usaggr"), *words]
    environment = {**os.environ, "USAGGR_CACHE": str(folder / "cache")}
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=900)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contract")


@pytest.fixture(scope="module")
def local_scores(shared: Path) -> str:
    """Return the study's scores.csv from this machine."""
    return scores(shared, "local")


def scores(shared: Path, executor: str) -> str:
    made = usaggr(shared, "sweep", *STUDY, f"outputs={shared / executor}", *EXECUTORS[executor])
    assert made.returncode == 0, made.stdout + made.stderr
    assert "4 of 4 runs are done" in made.stderr
    return (shared / executor / "small" / "report" / "tables" / "scores.csv").read_text()


def require_cluster(name: str, request: pytest.FixtureRequest) -> None:
    """Start the cluster that an executor needs, or skip the test."""
    if name == "slurm":
        request.getfixturevalue("slurm")
    if name == "ray":
        pytest.importorskip("ray", reason="ray is not installed: pip install usaggr[ray]")


@pytest.mark.parametrize("executor", list(EXECUTORS))
def test_scores_equal_those_of_one_machine_and_repeating_the_command_trains_nothing(
    executor: str, local_scores: str, shared: Path, request: pytest.FixtureRequest
) -> None:
    require_cluster(executor, request)
    assert (local_scores if executor == "local" else scores(shared, executor)) == local_scores
    cells = list(csv.DictReader(local_scores.splitlines()))
    assert {row["grouping"] for row in cells} == {"task_specific", "unified"}
    assert {row["status"] for row in cells} == {"done"}
    results = {path: path.stat().st_mtime_ns for path in (shared / executor).glob("small/runs/*/result.json")}
    assert len(results) == 4
    weights = [path.parent / "weights" / "scored.safetensors" for path in results]
    assert all(path.is_file() for path in weights), "training.keep_weights=auto is the same on every machine"
    repeated = usaggr(shared, "sweep", *STUDY, f"outputs={shared / executor}", *EXECUTORS[executor])
    assert repeated.returncode == 0, repeated.stderr
    assert "nothing to train: 4 of 4 runs are done" in repeated.stderr
    assert {path: path.stat().st_mtime_ns for path in results} == results
    assert all(RunDirectory(path.parent).read_state() == "done" for path in results)
