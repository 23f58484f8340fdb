"""Sweeps on a real Ray cluster of several raylets on this machine, parts of which are killed."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.sweep.test_faults import count_starts, family_of, find_results, lives, until
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Status

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.cluster
pytest.importorskip("ray", reason="ray is not installed: pip install usaggr[ray]")


def retry_start(start_node: Callable[[], Any], times: int = 4) -> Any:
    """Return the result of a start that Ray may give up too early, tried at most `times` times."""
    for left in reversed(range(times)):
        try:
            return start_node()
        except Exception as error:
            if not left or "timed out" not in str(error):
                raise
    raise AssertionError("times: at least 1")


class Nodes:
    """A cluster whose head node trains no runs.

    Ray allows a node 30 seconds to start and has no setting for that, so on a busy machine the start is tried again.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = retry_start(
            lambda: Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        )

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self, cpus: int = 1, **more: Any) -> psutil.Process:
        """Add a node, and return its raylet."""
        node = retry_start(lambda: self._cluster.add_node(num_cpus=cpus, **more))
        return psutil.Process(node.all_processes["raylet"][0].process.pid)

    def end(self) -> None:
        self._cluster.shutdown()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    cluster = Nodes()
    yield cluster
    cluster.end()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Yield the address of a cluster with two cores and one simulated GPU, for tests that do not damage it."""
    cluster = Nodes()
    cluster.add(cpus=2, num_gpus=1)
    yield cluster.address
    cluster.end()


def start(outputs: Path, runs: list[dict[str, Any]], *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.ray_cluster.sweeps", str(outputs), json.dumps(runs), *overrides]
    out = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)


def owner(raylet: psutil.Process, outputs: Path) -> list[str]:
    """Return the run_ids that a raylet's processes train."""
    family = {process.pid for process in raylet.children(recursive=True)}
    lines = [line.split() for line in (outputs / "fake" / "executions.txt").read_text().splitlines()]
    return [run_id for run_id, pid, *_ in lines if int(pid) in family]


def find_status(outputs: Path, named: str) -> Status:
    (path,) = (path for path in (outputs / "fake" / "runs").iterdir() if named in path.name)
    status = RunDirectory(path).read_status()
    assert status is not None
    return status


def trainers(family: list[psutil.Process]) -> list[psutil.Process]:
    """Return a killed raylet's processes except Ray's agents, which take some time to notice its death."""
    return [process for process in family if "Agent" not in process.name()]


def running_alone(raylet: psutil.Process, outputs: Path) -> bool:
    return (outputs / "fake" / "executions.txt").exists() and bool(owner(raylet, outputs))


def test_all_runs_are_finished_although_a_raylet_is_killed(tmp_path: Path, nodes: Nodes) -> None:
    surviving, lost = nodes.add(), nodes.add()
    runs: list[dict[str, Any]] = [{"sleeps": 12, "number": i} for i in range(3)]
    sweep = start(tmp_path, runs, f"executor.address={nodes.address}", "executor.attempts=1", "executor.workers=null")
    until(lambda: running_alone(lost, tmp_path) and running_alone(surviving, tmp_path), seconds=150)
    family = trainers(lost.children(recursive=True))
    lost.send_signal(signal.SIGKILL)  # its child processes notice it within five seconds, once it is no zombie
    lost.wait()
    until(lambda: not any(lives(process) for process in family))
    finished = len(find_results(tmp_path))
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0, out
    assert finished < len(find_results(tmp_path)) == 3
    assert sorted(count_starts(tmp_path).values()) == [1, 1, 2], out
    assert "2 workers" in out
    assert "raylet" not in out


def test_a_node_that_joins_later_is_used(tmp_path: Path, nodes: Nodes) -> None:
    nodes.add()
    runs: list[dict[str, Any]] = [{"sleeps": 4, "number": i} for i in range(6)]
    sweep = start(tmp_path, runs, f"executor.address={nodes.address}", "executor.workers=null")
    until(lambda: sum(count_starts(tmp_path).values()) == 1, seconds=150)
    later = nodes.add()
    until(lambda: bool(owner(later, tmp_path)), seconds=150)
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0, out
    assert set(count_starts(tmp_path).values()) == {1}


@pytest.mark.parametrize(("share", "runs_at_once"), [(0.5, 2), (0.6, 1)])
def test_the_share_of_a_gpu_determines_how_many_runs_use_it_at_once(
    tmp_path: Path, address: str, share: float, runs_at_once: int
) -> None:
    runs: list[dict[str, Any]] = [{"sleeps": 1, "number": i} for i in range(4)]
    gpus = [f"executor.address={address}", "executor.workers=null", f"executor.gpus={share}"]
    sweep = start(tmp_path, runs, *gpus)
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0, out
    assert f"{runs_at_once} worker" in out
    results = [RunDirectory(path.parent).read_status() for path in find_results(tmp_path)]
    spans = sorted((status.started or 0.0, status.heartbeat) for status in results if status is not None)
    at_once = [sum(start <= begin < end for start, end in spans) for begin, _ in spans]
    assert max(at_once) == runs_at_once


def test_failures_deaths_and_hangs_affect_only_their_own_run(tmp_path: Path, address: str) -> None:
    runs: list[dict[str, Any]] = [{"dies": 1}, {"raises": "no luck"}, {"hangs": 9}, {"dies": 99}, {"memory": "torch"}]
    sweep = start(tmp_path, [*runs, {"sleeps": 0.1}], "executor.timeout=40", f"executor.address={address}")
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, out
    assert len(find_results(tmp_path)) == 2
    for message in ("no luck", "executor.timeout=40", "worker died", "CUDA out of memory"):
        assert message in out, out
    assert "Traceback" not in out
    assert "raylet" not in out
    pids = Counter(line.split()[1] for line in (tmp_path / "fake" / "executions.txt").read_text().splitlines())
    assert sum(pids.values()) in (8, 9)  # the run that exhausts memory is repeated alone if another one was active


def test_a_killed_process_of_ray_costs_only_its_run_an_attempt(tmp_path: Path, address: str) -> None:
    runs: list[dict[str, Any]] = [{"sleeps": 15}, {"sleeps": 15, "number": 1}, {"sleeps": 0.1, "child": True}]
    sweep = start(tmp_path, runs, f"executor.address={address}")
    until(lambda: sum(count_starts(tmp_path).values()) == 2, seconds=150)
    line = (tmp_path / "fake" / "executions.txt").read_text().splitlines()[0].split()
    server = psutil.Process(int(line[1])).parent()
    assert server is not None
    ray_worker = server.parent()
    assert ray_worker is not None
    assert "ray::" in ray_worker.name() + " ".join(ray_worker.cmdline())
    ray_worker.kill()
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0, out
    assert count_starts(tmp_path)[line[0]] == 2
    assert sum(count_starts(tmp_path).values()) == 4
    parent, child = (find_status(tmp_path, f"-k{seed}-") for seed in (1, 2))
    assert parent.heartbeat <= (child.started or 0.0)


@pytest.mark.parametrize(("number", "shared"), [(signal.SIGINT, "true"), (signal.SIGKILL, "false")])
def test_after_a_signal_no_process_is_left_and_the_same_command_continues(
    tmp_path: Path, number: int, shared: str
) -> None:
    # Two runs must be seen active at once, even if a worker takes many seconds to start.
    runs: list[dict[str, Any]] = [{"sleeps": 0.1}, {"sleeps": 30}, {"sleeps": 30.1}]
    marks = tmp_path / "fake" if shared == "true" else None
    sweep = start(tmp_path, runs, f"executor.shared={shared}")
    until(lambda: len(find_results(tmp_path)) == 1 and _two_run(tmp_path, marks), seconds=150)
    family = trainers(family_of(sweep))
    assert len(family) > 3
    os.kill(sweep.pid, number)
    out, _ = sweep.communicate(timeout=200)
    assert sweep.returncode == (130 if number == signal.SIGINT else -number), out
    until(lambda: not any(lives(process) for process in family), seconds=60)
    states = Counter(RunDirectory(path).read_state() for path in (tmp_path / "fake" / "runs").iterdir())
    assert states["done"] == 1
    assert states["running"] == 0
    resumed = start(tmp_path, runs, f"executor.shared={shared}")
    out, _ = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, out
    assert len(find_results(tmp_path)) == 3


def _two_run(outputs: Path, marks: Path | None) -> bool:
    states = Counter(RunDirectory(path).read_state() for path in (outputs / "fake" / "runs").iterdir())
    return states["running"] == 2 if marks is None else sum(count_starts(outputs).values()) == 3


def test_without_a_shared_file_system_runs_are_returned_completely(tmp_path: Path, address: str) -> None:
    runs: list[dict[str, Any]] = [{"sleeps": 0.1}, {"raises": "no luck", "times": 1}, {"exits": 1}]
    sweep = start(tmp_path, runs, "executor.shared=false", f"executor.address={address}")
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, out
    assert len(find_results(tmp_path)) == 2
    assert not count_starts(tmp_path), "it was trained in the run's own directory"
    directories = {path.name: RunDirectory(path) for path in (tmp_path / "fake" / "runs").iterdir()}
    failed = [run.read_status() for run in directories.values() if run.read_state() == "failed"]
    assert [("Traceback" in (status.error or "")) for status in failed if status is not None] == [True]
    for run in directories.values():
        assert "said on stdout" in run.log_path.read_text()
        assert (run.path / "run.yaml").exists()


@pytest.mark.parametrize("shared", ["true", "false"])
def test_a_stopped_run_continues_from_its_checkpoint_on_any_node(tmp_path: Path, address: str, shared: str) -> None:
    mark = tmp_path / "started"
    runs: list[dict[str, Any]] = [{"waits": str(mark)}]
    overrides = [f"executor.shared={shared}", f"executor.address={address}", "executor.grace=20"]
    sweep = start(tmp_path, runs, *overrides)
    until(mark.exists, seconds=150)
    sweep.send_signal(signal.SIGINT)
    out, _ = sweep.communicate(timeout=200)
    assert sweep.returncode == 130, out
    (path,) = (tmp_path / "fake" / "runs").iterdir()
    assert RunDirectory(path).read_state() == "pending"
    assert (path / "checkpoint" / "step").exists()
    resumed = start(tmp_path, runs, *overrides)
    out, _ = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, out
    assert (path / "predictions.parquet").read_text() == "from the checkpoint"
    assert not (path / "checkpoint").exists()


SMALL = (
    "data.synthetic.samples_per_task=24", "seeds=[0]", "scale=full", "training.budget='16 examples'",
    "groupings=[task_specific]", "training.accelerator=cpu", "tasks=[breast_2cls,fetal_head]",
)  # fmt: skip


def sweep_of(outputs: Path, cache: Path, *overrides: str) -> list[dict[str, str]]:
    """Sweep a small study with the command line, and return its scores."""
    command = [str(Path(sys.executable).parent / "usaggr"), "sweep", "demo", "name=small", f"outputs={outputs}"]
    environment = {**os.environ, "USAGGR_CACHE": str(cache)}
    made = subprocess.run(
        [*command, *SMALL, *overrides], cwd=ROOT, env=environment, text=True, capture_output=True, timeout=240
    )
    assert made.returncode == 0, made.stdout + made.stderr
    with (outputs / "small" / "report" / "tables" / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_scores_equal_those_of_one_machine_with_and_without_shared_files(tmp_path: Path, nodes: Nodes) -> None:
    caches = [tmp_path / f"cache{i}" for i in range(2)]
    for cache in caches:
        nodes.add(env_vars={"USAGGR_CACHE": str(cache)})
    local_scores = sweep_of(tmp_path / "local", tmp_path / "cache")
    assert local_scores
    address = f"executor.address={nodes.address}"
    assert sweep_of(tmp_path / "ray", tmp_path / "cache", "executor=ray", address) == local_scores
    assert not any(cache.exists() for cache in caches)
    separate_scores = sweep_of(
        tmp_path / "separate_scores", tmp_path / "cache", "executor=ray", address, "executor.shared=false"
    )
    assert separate_scores == local_scores
    assert any((cache / "images").exists() for cache in caches)
    assert {row["task"] for row in separate_scores} == {"breast_2cls", "fetal_head"}


def test_an_address_without_a_cluster_ends_with_one_line(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "usaggr"), "sweep", "demo", "name=small", f"outputs={tmp_path}"]
    overrides = [*SMALL, "executor=ray", "executor.address=127.0.0.1:1"]
    made = subprocess.run([*command, *overrides], cwd=ROOT, text=True, capture_output=True, timeout=200)
    assert made.returncode == 2, made.stderr
    assert "executor.address=127.0.0.1:1" in made.stderr
    assert "Traceback" not in made.stderr
