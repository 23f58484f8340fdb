"""Messages of plan and status about jobs."""

from pathlib import Path

import pytest
from rich.console import Console

from tests.report.sweeps import FakeSweep, level
from tests.slurm.test_queue import Answers
from tests.slurm.test_slurm import study_of
from tests.sweep import fakes
from usaggr.config.executor import SlurmConfig
from usaggr.report.build import build_report
from usaggr.results.run_directory import JOB_VARIABLE, RunDirectory
from usaggr.sweep.executors.slurm.queue import SlurmQueue
from usaggr.sweep.inspect.plan_console import describe_slurm_jobs
from usaggr.sweep.inspect.status import describe_status, print_status, read_sweep_status
from usaggr.sweep.planning.study_plan import write_plan
from usaggr.tasks import CATALOGUE


def test_a_plan_shows_the_number_of_jobs_and_their_cost(tmp_path: Path) -> None:
    study = study_of(tmp_path, "executor.cpus=8", "executor.gpus=2", "executor.threads=1")
    config = study.executor
    assert isinstance(config, SlurmConfig)
    runs = [fakes.planned(study, seed, examples=360_000) for seed in range(5)]
    child = fakes.planned(study, 9, examples=360_000, parent=runs[4].spec.run_id)
    plan = fakes.plan(study, *runs, child)
    message = describe_slurm_jobs(plan, config)
    assert message.startswith("jobs of Slurm: 4 of 1 to 2 runs, 8 cores and 2 GPUs each; core-hours: estimated")
    RunDirectory(runs[0].directory).write_result(fakes.RESULT)  # a run of one second
    RunDirectory(runs[0].directory).enqueue("slurm 1")
    # The five remaining runs take one second each, on two GPUs.
    message = describe_slurm_jobs(plan, config.model_copy(update={"runs_per_job": None}))
    assert message.startswith(
        "jobs of Slurm: 2 of 1 to 4 runs, 8 cores and 2 GPUs each; about 0.0056 core-hours and 0.0014 GPU"
    )
    hours = config.model_copy(update={"runs_per_job": None, "cpus": 3600})
    assert "about 2.5 core-hours" in describe_slurm_jobs(plan, hours)
    for run in [*runs, child]:
        RunDirectory(run.directory).write_result(fakes.RESULT)
    assert describe_slurm_jobs(plan, config) == "jobs of Slurm: none to submit"


def test_status_shows_queued_runs_by_job_with_the_state_in_slurm(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    runs = [fakes.planned(study, seed) for seed in range(4)]
    write_plan(fakes.plan(study, *runs))
    for run, job in zip(runs, ["7_0", "7_0", "7_1", "8"], strict=True):
        RunDirectory(run.directory).enqueue(f"slurm {job}")
    folder = study.directory
    queue = SlurmQueue(Answers("7_0|PENDING|Priority\n7_1|RUNNING|None\n"))
    assert describe_status(folder, read_sweep_status(folder), queue) == [
        f"{folder}: 4 runs: 4 queued",
        "  queued: 2 in slurm 7_0: PENDING, Priority",
        "  queued: 1 in slurm 7_1: RUNNING",
        "  queued: 1 in slurm 8: gone",
        "1 queued in jobs that are gone: the next `usaggr sweep` submits them again",
    ]
    lines = describe_status(folder, read_sweep_status(folder), SlurmQueue(Answers(None, None, None)))
    assert "  queued: 2 in slurm 7_0" in lines
    assert lines[-1] == "Slurm does not answer here: the queue is read from files alone"


def test_without_slurm_status_and_report_use_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = FakeSweep(tmp_path, tasks=("breast_2cls",), groupings=("task_specific",), seeds=(0, 1))
    sweep.finish(lambda task, block, scale, seed: level(CATALOGUE[task], 0.7))
    queued = RunDirectory(min((tmp_path / "runs").iterdir()))
    queued.result_path.unlink()
    assert queued.enqueue("slurm 7_0")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    console = Console(record=True, width=200)
    print_status(tmp_path, console)
    output = console.export_text()
    assert "2 runs: 1 done, 1 queued" in output
    assert "queued: 1 in slurm 7_0\n" in output
    assert "Slurm does not answer here: the queue is read from files alone" in output
    report = build_report([tmp_path])
    assert "breast_2cls" in (report / "tables" / "scores.csv").read_text()


def test_status_names_the_job_and_log_of_active_and_failed_runs(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    run = fakes.planned(study, 0)
    write_plan(fakes.plan(study, run))
    directory = RunDirectory(run.directory)
    directory.enqueue("slurm 7_3")
    directory.record_end("failed", 1, "no luck")
    lines = describe_status(study.directory, read_sweep_status(study.directory), SlurmQueue(Answers()))
    name = run.directory.name
    assert f"  failed: {name}: no luck; slurm 7_3, log: {study.directory}/jobs/7_3_0_log.out" in lines


def test_the_status_of_a_claimed_run_names_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory(tmp_path / "run")
    monkeypatch.setenv(JOB_VARIABLE, "slurm 5")
    with run.claim(1):
        status = run.read_status()
    assert status is not None
    assert (status.state, status.job) == ("running", "slurm 5")
    monkeypatch.delenv(JOB_VARIABLE)
    with run.claim(2):
        status = run.read_status()
    assert status is not None
    assert status.job is None
