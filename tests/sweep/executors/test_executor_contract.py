"""What every executor owes: the same small study, by the command line, gives the same scores to the last digit."""

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
    """Call the command line; data and caches are shared by all executors."""
    command = [str(Path(sys.executable).parent / "usaggr"), *words]
    environment = {**os.environ, "USAGGR_CACHE": str(folder / "cache")}
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=900)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contract")


@pytest.fixture(scope="module")
def here(shared: Path) -> str:
    """scores.csv of the study on this machine."""
    return scores(shared, "local")


def scores(shared: Path, executor: str) -> str:
    made = usaggr(shared, "sweep", *STUDY, f"outputs={shared / executor}", *EXECUTORS[executor])
    assert made.returncode == 0, made.stdout + made.stderr
    assert "4 of 4 runs are done" in made.stderr
    return (shared / executor / "small" / "report" / "tables" / "scores.csv").read_text()


def on(name: str, request: pytest.FixtureRequest) -> None:
    """Have the cluster that an executor needs, or skip."""
    if name == "slurm":
        request.getfixturevalue("slurm")
    if name == "ray":
        pytest.importorskip("ray", reason="ray is not installed: pip install usaggr[ray]")


@pytest.mark.parametrize("executor", list(EXECUTORS))
def test_scores_are_those_of_one_machine_and_the_same_command_again_trains_nothing(
    executor: str, here: str, shared: Path, request: pytest.FixtureRequest
) -> None:
    on(executor, request)
    assert (here if executor == "local" else scores(shared, executor)) == here
    rows = list(csv.DictReader(here.splitlines()))
    assert {row["grouping"] for row in rows} == {"task_specific", "unified"}
    assert {row["status"] for row in rows} == {"done"}
    results = {path: path.stat().st_mtime_ns for path in (shared / executor).glob("small/runs/*/result.json")}
    assert len(results) == 4
    again = usaggr(shared, "sweep", *STUDY, f"outputs={shared / executor}", *EXECUTORS[executor])
    assert again.returncode == 0, again.stderr
    assert "nothing to train: 4 of 4 runs are done" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in results} == results
    assert all(RunDirectory(path.parent).state() == "done" for path in results)
