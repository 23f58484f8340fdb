"""Sweeps on a real Slurm of one node whose jobs, node or main process are ended."""

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
from tests.sweep.test_faults import count_starts, find_results, until
from usaggr.config.executor import SlurmConfig
from usaggr.errors import ConfigError
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import State, Status
from usaggr.sweep.execution.jobs import Job
from usaggr.sweep.executors.slurm.executor import SlurmExecutor
from usaggr.sweep.inspect.status import describe_status, read_sweep_status

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("slurm")]
USUAL = ("executor.workers=null", "executor.cpus=1", "executor.runs_per_job=1", "executor.grace=4")


def start(outputs: Path, runs: list[dict[str, Any]], *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.slurm.sweeps", str(outputs), json.dumps(runs), *USUAL, *overrides]
    env = os.environ | {"PYTHONPATH": str(ROOT)}  # jobs do not search the folder in which they start
    out, err = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=out, stderr=err, start_new_session=True)


def end_of(sweep: subprocess.Popen[str], seconds: float = 240, status: int = 0) -> str:
    """Return the output of a sweep, after checking the status with which it ended."""
    out, _ = sweep.communicate(timeout=seconds)
    assert sweep.returncode == status, out
    return out


def ask_slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def is_accepted(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def jobs() -> list[str]:
    """Return the ids of all jobs in Slurm's queue."""
    return ask_slurm("squeue", "--noheader", "--array", "--format=%i").split()


def steps(outputs: Path) -> list[tuple[str, int]]:
    """Return the run_id and first step of each execution of a run with steps."""
    path = outputs / "fake" / "steps.txt"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(line[0], int(line[2])) for line in lines]


def states(outputs: Path) -> list[State]:
    return [run.state for run in read_sweep_status(outputs / "fake").runs]


def find_status(outputs: Path, named: str) -> Status:
    (path,) = (path for path in (outputs / "fake" / "runs").iterdir() if named in path.name)
    status = RunDirectory(path).read_status()
    assert status is not None
    return status


def at_step(outputs: Path, count: int = 1) -> Callable[[], bool]:
    return lambda: len(steps(outputs)) >= count


@pytest.fixture(autouse=True)
def _empty_queue(slurm: Path) -> None:
    until(lambda: not jobs(), seconds=120)  # after a suspension the controller needs some time


def test_runs_share_the_jobs_of_an_array_and_each_has_its_own_end(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"dies": 1}, {"raises": "no luck"}, {"hangs": 9}, {"dies": 99}, {"sleeps": 0.1}]
    sweep = start(tmp_path, [*runs, {"sleeps": 0.2}], "executor.runs_per_job=3", "executor.timeout=8")
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, out
    assert len(find_results(tmp_path)) == 3
    for text in ("no luck", "executor.timeout=8", "worker died"):
        assert text in out
    assert "Traceback" not in out
    statuses = [RunDirectory(path).read_status() for path in (tmp_path / "fake" / "runs").iterdir()]
    job_names = {str(status.job) for status in statuses if status is not None}
    assert len(job_names) == 2
    assert {job[:-1] for job in job_names} == {f"{min(job_names)[:-2]}_"}
    output = "\n".join(describe_status(tmp_path / "fake", read_sweep_status(tmp_path / "fake")))
    job = min(job_names).removeprefix("slurm ")
    assert f"log: {tmp_path}/fake/jobs/{job}_0_log.out" in output
    assert (tmp_path / "fake" / "jobs" / f"{job}_0_log.out").exists()


def test_a_canceled_job_is_resubmitted_only_by_the_next_sweep(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"steps": 50}, {"steps": 51}, {"steps": 52}]
    sweep = start(tmp_path, runs)
    until(at_step(tmp_path, 3), seconds=150)
    ask_slurm("scancel", jobs()[0])
    out = end_of(sweep, status=1)
    assert "1 left to train" in out
    assert len(find_results(tmp_path)) == 2
    assert sorted(states(tmp_path)) == ["done", "done", "pending"]
    before = len(steps(tmp_path))
    out = end_of(start(tmp_path, runs))
    assert "1 to train" in out
    assert before == 3
    (_, first) = steps(tmp_path)[3]
    assert 0 < first < 53  # the canceled run had time for a checkpoint
    assert len(steps(tmp_path)) == 4


def test_a_job_requeued_by_an_administrator_continues_at_its_step(tmp_path: Path) -> None:
    sweep = start(tmp_path, [{"steps": 120}])
    until(at_step(tmp_path), seconds=150)
    time.sleep(1)
    (job,) = jobs()
    ask_slurm("scontrol", "requeue", job)
    end_of(sweep)
    (run_id, _), (resumed_id, first) = steps(tmp_path)
    assert resumed_id == run_id
    assert 0 < first < 120
    (path,) = find_results(tmp_path)
    status = RunDirectory(path.parent).read_status()
    assert status is not None
    assert status.job == f"slurm {job}"


def test_a_job_at_its_time_limit_is_queued_again_and_continues_at_its_step(tmp_path: Path) -> None:
    sweep = start(tmp_path, [{"steps": 400}, {"sleeps": 0.1}], "executor.runs_per_job=2", "executor.time=5")
    until(at_step(tmp_path), seconds=150)
    (job,) = jobs()
    ask_slurm("scontrol", "update", f"jobid={job}", "TimeLimit=1")
    until(at_step(tmp_path, 2), seconds=120)
    # Slurm refuses this while it puts the job back into the queue, which takes longer on a slow machine.
    until(lambda: is_accepted("scontrol", "update", f"jobid={job}", "TimeLimit=9"))
    first = steps(tmp_path)[1][1]
    assert 0 < first < 400
    end_of(sweep)
    assert len(find_results(tmp_path)) == 2


def test_a_job_that_exhausts_memory_costs_its_run_an_attempt_each_time(tmp_path: Path) -> None:
    sweep = start(tmp_path, [{"swells": 9}, {"sleeps": 0.1}], "executor.memory=2")
    out, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, out
    assert len(find_results(tmp_path)) == 1
    status = find_status(tmp_path, "-k0-")
    assert (status.state, status.attempt) == ("failed", 2)
    message = re.search(r"its job slurm (\d+) ended as \w+ before the run was done; see (\S+) \(tried 2 times\)", out)
    assert message is not None, out
    assert status.job == f"slurm {message[1]}"
    assert "memory limit" in (tmp_path / "fake" / message[2]).read_text()


def test_a_drained_node_finishes_its_jobs_and_accepts_others_after_it_is_resumed(tmp_path: Path) -> None:
    node = ask_slurm("sinfo", "--noheader", "--format=%n").strip()
    sweep = start(tmp_path, [{"steps": 60}, {"steps": 61}], "executor.jobs=1")
    until(at_step(tmp_path), seconds=150)
    try:
        ask_slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        until(lambda: len(find_results(tmp_path)) == 1, seconds=150)
        time.sleep(4)
        assert sorted(states(tmp_path)) == ["done", "queued"]
        output = "\n".join(describe_status(tmp_path / "fake", read_sweep_status(tmp_path / "fake")))
        assert "queued: 1 in slurm" in output
        assert "PENDING" in output
    finally:
        ask_slurm("scontrol", "update", f"nodename={node}", "state=resume")
    end_of(sweep)
    assert len(steps(tmp_path)) == 2


def test_the_jobs_of_a_lost_node_are_queued_again(tmp_path: Path) -> None:
    node = ask_slurm("sinfo", "--noheader", "--format=%n").strip()
    sweep = start(tmp_path, [{"steps": 100}])
    until(at_step(tmp_path), seconds=150)
    time.sleep(1)
    ask_slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    until(lambda: ask_slurm("squeue", "--noheader", "--format=%T").strip() in ("PENDING", "RUNNING"), seconds=90)
    # A node that answers may come back by itself, before or after this command.
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False, capture_output=True)
    end_of(sweep)
    assert len(steps(tmp_path)) == 2


def test_a_sweep_that_does_not_wait_is_shown_by_status_and_finished_by_the_same_command(tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = {"until": str(go), "steps": 1}
    runs: list[dict[str, Any]] = [waits, {**waits, "number": 1}, {"sleeps": 0.1, "child": True}]
    out = end_of(start(tmp_path, runs, "executor.wait=false"))
    assert "2 in the queue" in out
    assert "1 left to train; those that wait for queued parents are submitted by the same command" in out
    assert states(tmp_path)[2] == "pending"
    until(lambda: states(tmp_path)[:2] == ["running", "running"], seconds=150)
    output = "\n".join(describe_status(tmp_path / "fake", read_sweep_status(tmp_path / "fake")))
    assert "slurm " in output
    out = end_of(start(tmp_path, runs, "executor.wait=false"))
    assert "2 in the queue" in out
    assert len(jobs()) == 2
    go.touch()
    until(lambda: len(find_results(tmp_path)) == 2, seconds=150)
    assert "1 in the queue" in end_of(start(tmp_path, runs, "executor.wait=false"))
    assert "3 of 3 runs are done" in end_of(start(tmp_path, runs))
    assert len(steps(tmp_path)) == 2


def test_two_concurrent_sweeps_submit_each_run_once(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"sleeps": 2, "number": i} for i in range(4)]
    for sweep in [start(tmp_path, runs), start(tmp_path, runs)]:
        assert "4 of 4 runs are done" in end_of(sweep)
    assert sorted(count_starts(tmp_path).values()) == [1, 1, 1, 1]


def test_the_jobs_of_a_killed_sweep_continue_and_the_same_command_takes_them_over(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"steps": 80}, {"steps": 81}, {"sleeps": 0.1, "child": True}]
    sweep = start(tmp_path, runs, "executor.jobs=1")
    until(at_step(tmp_path), seconds=150)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    remaining_jobs = jobs()
    assert len(remaining_jobs) == 2
    out = end_of(start(tmp_path, runs, "executor.jobs=1"))
    assert "3 of 3 runs are done" in out
    assert [first for _, first in steps(tmp_path)] == [0, 0]
    parent, child = (find_status(tmp_path, f"-k{seed}-") for seed in (1, 2))
    assert parent.heartbeat <= (child.started or 0.0)


def test_an_interrupt_cancels_all_jobs_and_the_same_command_continues_at_the_step(tmp_path: Path) -> None:
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


def test_the_sweep_waits_for_a_controller_that_does_not_answer(tmp_path: Path, slurm: Path) -> None:
    sweep = start(tmp_path, [{"steps": 200}])
    until(at_step(tmp_path), seconds=150)
    controller = psutil.Process(int((slurm / "slurmctld.pid").read_text()))
    controller.suspend()
    try:
        until(lambda: len(find_results(tmp_path)) == 1, seconds=150)
        assert "1 of 1 runs are done" in end_of(sweep)
    finally:
        controller.resume()
    assert len(steps(tmp_path)) == 1


def test_a_refusal_by_sbatch_is_reported_in_one_line(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor=slurm", "executor.partition=nowhere")
    assert isinstance(study.executor, SlurmConfig)
    run = fakes.planned(study, 0)
    with SlurmExecutor(study.executor, "cpu", TARGET) as executor:
        executor.submit(Job(run.spec, run.directory, study, None, 1))
        with pytest.raises(ConfigError, match=r"sbatch refuses the jobs: .*partition") as error:
            executor.wait(0)
    assert "\n" not in str(error.value)
    assert run.read_state() == "pending"
