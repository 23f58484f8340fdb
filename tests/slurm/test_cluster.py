"""A real Slurm of one node, and what becomes of a sweep when its jobs, its node or itself are ended."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.slurm.sweeps import TARGET
from tests.sweep import fakes
from tests.sweep.test_faults import begun, done, until
from usaggr.config.executor import SlurmConfig
from usaggr.errors import ConfigError
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State, Status
from usaggr.sweep.execution.jobs import Job
from usaggr.sweep.executors.slurm.executor import SlurmExecutor
from usaggr.sweep.inspect.status import describe, status_of

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("slurm")]
USUAL = ("executor.workers=null", "executor.cpus=1", "executor.runs_per_job=1", "executor.grace=4")


def start(outputs: Path, runs: list[dict[str, Any]], *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.slurm.sweeps", str(outputs), json.dumps(runs), *USUAL, *overrides]
    out = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)


def end_of(sweep: subprocess.Popen[str], seconds: float = 240) -> str:
    """What it said, once it has ended with status 0."""
    out, _ = sweep.communicate(timeout=seconds)
    assert sweep.returncode == 0, out
    return out


def slurm_says(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def is_accepted(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def jobs() -> list[str]:
    """Ids of all jobs that Slurm has."""
    return slurm_says("squeue", "--noheader", "--array", "--format=%i").split()


def steps(outputs: Path) -> list[tuple[str, int]]:
    """run_id and first step of each execution of a run with steps."""
    path = outputs / "fake" / "steps.txt"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(line[0], int(line[2])) for line in lines]


def states(outputs: Path) -> list[State]:
    return [run.state for run in status_of(outputs / "fake").runs]


def one_status(outputs: Path, named: str) -> Status:
    (path,) = (path for path in (outputs / "fake" / "runs").iterdir() if named in path.name)
    found = RunDirectory(path).status()
    assert found is not None
    return found


def at_step(outputs: Path, count: int = 1) -> Callable[[], bool]:
    return lambda: len(steps(outputs)) >= count


@pytest.fixture(autouse=True)
def _empty_queue(slurm: Path) -> None:
    until(lambda: not jobs(), seconds=120)  # after a silence the controller takes its time


def test_runs_are_packed_into_the_jobs_of_an_array_and_ends_are_their_own(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"dies": 1}, {"raises": "no luck"}, {"hangs": 9}, {"dies": 99}, {"sleeps": 0.1}]
    sweep = start(tmp_path, [*runs, {"sleeps": 0.2}], "executor.runs_per_job=3", "executor.timeout=8")
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, out
    assert len(done(tmp_path)) == 3
    for said in ("no luck", "executor.timeout=8", "worker died"):
        assert said in out
    assert "Traceback" not in out
    found = [RunDirectory(path).status() for path in (tmp_path / "fake" / "runs").iterdir()]
    jobs_had = {str(status.job) for status in found if status is not None}
    assert len(jobs_had) == 2
    assert {job[:-1] for job in jobs_had} == {f"{min(jobs_had)[:-2]}_"}
    said = "\n".join(describe(tmp_path / "fake", status_of(tmp_path / "fake")))
    job = min(jobs_had).removeprefix("slurm ")
    assert f"log: {tmp_path}/fake/jobs/{job}_0_log.out" in said
    assert (tmp_path / "fake" / "jobs" / f"{job}_0_log.out").exists()


def test_a_cancelled_job_is_left_by_its_sweep_and_submitted_anew_by_the_next_alone(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"steps": 50}, {"steps": 51}, {"steps": 52}]
    sweep = start(tmp_path, runs)
    until(at_step(tmp_path, 3), seconds=150)
    slurm_says("scancel", jobs()[0])
    out = end_of(sweep)
    assert "1 left to train" in out
    assert len(done(tmp_path)) == 2
    assert sorted(states(tmp_path)) == ["done", "done", "pending"]
    before = len(steps(tmp_path))
    out = end_of(start(tmp_path, runs))
    assert "1 to train" in out
    assert before == 3
    (_, first) = steps(tmp_path)[3]
    assert 0 < first < 53  # it had time for a checkpoint
    assert len(steps(tmp_path)) == 4


def test_a_job_that_an_administrator_requeues_goes_on_at_its_step(tmp_path: Path) -> None:
    sweep = start(tmp_path, [{"steps": 120}])
    until(at_step(tmp_path), seconds=150)
    time.sleep(1)
    (job,) = jobs()
    slurm_says("scontrol", "requeue", job)
    end_of(sweep)
    (run_id, _), (again, first) = steps(tmp_path)
    assert again == run_id
    assert 0 < first < 120
    (path,) = done(tmp_path)
    status = RunDirectory(path.parent).status()
    assert status is not None
    assert status.job == f"slurm {job}"


def test_a_job_whose_time_is_up_is_queued_again_and_goes_on_at_its_step(tmp_path: Path) -> None:
    sweep = start(tmp_path, [{"steps": 400}, {"sleeps": 0.1}], "executor.runs_per_job=2", "executor.time=5")
    until(at_step(tmp_path), seconds=150)
    (job,) = jobs()
    slurm_says("scontrol", "update", f"jobid={job}", "TimeLimit=1")
    until(at_step(tmp_path, 2), seconds=120)
    # Refused while the job is on its way back to the queue once more, as on a machine that starts it slowly.
    until(lambda: is_accepted("scontrol", "update", f"jobid={job}", "TimeLimit=9"))
    first = steps(tmp_path)[1][1]
    assert 0 < first < 400
    end_of(sweep)
    assert len(done(tmp_path)) == 2


def test_a_job_that_takes_too_much_memory_costs_its_run_an_attempt_each_time(tmp_path: Path) -> None:
    sweep = start(tmp_path, [{"swells": 9}, {"sleeps": 0.1}], "executor.memory=2")
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, out
    assert len(done(tmp_path)) == 1
    status = one_status(tmp_path, "-k0-")
    assert (status.state, status.attempt) == ("failed", 2)
    said = re.search(r"its job slurm (\d+) ended as \w+ before it was done; see (\S+) \(tried 2 times\)", out)
    assert said is not None, out
    assert status.job == f"slurm {said[1]}"
    assert "memory limit" in (tmp_path / "fake" / said[2]).read_text()


def test_a_node_that_is_drained_ends_what_it_has_and_takes_no_more_until_it_is_resumed(tmp_path: Path) -> None:
    node = slurm_says("sinfo", "--noheader", "--format=%n").strip()
    sweep = start(tmp_path, [{"steps": 60}, {"steps": 61}], "executor.jobs=1")
    until(at_step(tmp_path), seconds=150)
    try:
        slurm_says("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        until(lambda: len(done(tmp_path)) == 1, seconds=150)
        time.sleep(4)
        assert sorted(states(tmp_path)) == ["done", "queued"]
        said = "\n".join(describe(tmp_path / "fake", status_of(tmp_path / "fake")))
        assert "queued: 1 in slurm" in said
        assert "PENDING" in said
    finally:
        slurm_says("scontrol", "update", f"nodename={node}", "state=resume")
    end_of(sweep)
    assert len(steps(tmp_path)) == 2


def test_a_node_that_is_lost_gives_its_jobs_back_to_the_queue(tmp_path: Path) -> None:
    node = slurm_says("sinfo", "--noheader", "--format=%n").strip()
    sweep = start(tmp_path, [{"steps": 100}])
    until(at_step(tmp_path), seconds=150)
    time.sleep(1)
    slurm_says("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    until(lambda: slurm_says("squeue", "--noheader", "--format=%T").strip() in ("PENDING", "RUNNING"), seconds=90)
    # A node that answers comes back by itself, before or after this.
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False, capture_output=True)
    end_of(sweep)
    assert len(steps(tmp_path)) == 2


def test_a_sweep_that_does_not_wait_is_followed_by_status_and_finished_by_the_same_command(tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = {"until": str(go), "steps": 1}
    runs: list[dict[str, Any]] = [waits, {**waits, "number": 1}, {"sleeps": 0.1, "child": True}]
    out = end_of(start(tmp_path, runs, "executor.wait=false"))
    assert "2 in the queue" in out
    assert "1 left to train; those whose parents are in the queue are submitted" in out
    assert states(tmp_path)[2] == "pending"
    until(lambda: states(tmp_path)[:2] == ["running", "running"], seconds=150)
    said = "\n".join(describe(tmp_path / "fake", status_of(tmp_path / "fake")))
    assert "slurm " in said
    out = end_of(start(tmp_path, runs, "executor.wait=false"))
    assert "2 in the queue" in out
    assert len(jobs()) == 2
    go.touch()
    until(lambda: len(done(tmp_path)) == 2, seconds=150)
    assert "1 in the queue" in end_of(start(tmp_path, runs, "executor.wait=false"))
    assert "3 of 3 runs are done" in end_of(start(tmp_path, runs))
    assert len(steps(tmp_path)) == 2


def test_two_sweeps_at_once_submit_each_run_once(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"sleeps": 2, "number": i} for i in range(4)]
    for sweep in [start(tmp_path, runs), start(tmp_path, runs)]:
        assert "4 of 4 runs are done" in end_of(sweep)
    assert sorted(begun(tmp_path).values()) == [1, 1, 1, 1]


def test_the_jobs_of_a_killed_sweep_live_on_and_the_same_command_takes_them_over(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"steps": 80}, {"steps": 81}, {"sleeps": 0.1, "child": True}]
    sweep = start(tmp_path, runs, "executor.jobs=1")
    until(at_step(tmp_path), seconds=150)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    had = jobs()
    assert len(had) == 2
    out = end_of(start(tmp_path, runs, "executor.jobs=1"))
    assert "3 of 3 runs are done" in out
    assert [first for _, first in steps(tmp_path)] == [0, 0]
    parent, child = (one_status(tmp_path, f"-k{seed}-") for seed in (1, 2))
    assert parent.heartbeat <= (child.started or 0.0)


def test_after_an_interrupt_no_job_is_left_and_the_same_command_goes_on_at_the_step(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"steps": 80}, {"steps": 81}]
    sweep = start(tmp_path, runs, "executor.jobs=1")
    until(at_step(tmp_path), seconds=150)
    time.sleep(1)
    sweep.send_signal(signal.SIGINT)
    out, _ = sweep.communicate(timeout=200)
    assert sweep.returncode == 130, out
    assert jobs() == []
    assert states(tmp_path) == ["pending", "pending"]
    end_of(start(tmp_path, runs))
    firsts = sorted(first for _, first in steps(tmp_path)[1:])
    assert firsts[0] == 0
    assert firsts[1] > 0


def test_a_controller_that_does_not_answer_for_a_while_is_waited_for(tmp_path: Path, slurm: Path) -> None:
    sweep = start(tmp_path, [{"steps": 200}])
    until(at_step(tmp_path), seconds=150)
    controller = psutil.Process(int((slurm / "slurmctld.pid").read_text()))
    controller.suspend()
    try:
        until(lambda: len(done(tmp_path)) == 1, seconds=150)
        assert "1 of 1 runs are done" in end_of(sweep)
    finally:
        controller.resume()
    assert len(steps(tmp_path)) == 1


def test_what_sbatch_refuses_is_said_in_one_line(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor=slurm", "executor.partition=nowhere")
    assert isinstance(study.executor, SlurmConfig)
    run = fakes.planned(study, 0)
    with SlurmExecutor(study.executor, "cpu", TARGET) as executor:
        executor.submit(Job(run.spec, run.directory, study, None, 1))
        with pytest.raises(ConfigError, match=r"sbatch refuses the jobs: .*partition") as error:
            executor.wait(0)
    assert "\n" not in str(error.value)
    assert run.state() == "pending"
