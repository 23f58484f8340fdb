"""Slurm without a cluster: options, submitted and adopted runs, and the outcome of runs whose jobs are gone."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.sweep import fakes
from usaggr.config.compose import compose_study
from usaggr.config.executor import MachineConfig, SlurmConfig
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.jobs import Job, JobEnd
from usaggr.sweep.executors.choose_executor import make_executor
from usaggr.sweep.executors.slurm import executor as slurm_room
from usaggr.sweep.executors.slurm.executor import SlurmExecutor
from usaggr.sweep.executors.slurm.queue import SlurmQueue
from usaggr.sweep.executors.slurm.submit import Submitter
from usaggr.sweep.planning.study_plan import PlannedRun
from usaggr.sweep.queued_runs import describe_queued, select_runs


class Cluster(Submitter):
    """A Slurm that accepts jobs and reports the states that a test sets."""

    def __init__(self, config: SlurmConfig) -> None:
        super().__init__(config, "cpu", fakes.TARGET)
        self.sent: list[list[str]] = []
        """The run_ids of each job, whose index is its id."""
        self.live: dict[str, str] = {}
        self.ends: dict[str, str] = {}
        self.cancelled: list[str] = []

    def check(self) -> None:
        pass

    def send(self, folder: Path, groups: Sequence[Sequence[Job]], machine: MachineConfig) -> list[str]:
        self.sent += [[job.spec.run_id for job in group] for group in groups]
        ids = [str(number) for number in range(len(self.sent) - len(groups), len(self.sent))]
        self.live |= dict.fromkeys(ids, "PENDING")
        return ids

    def __call__(self, command: Sequence[str]) -> str | None:
        match command[0]:
            case "squeue":
                return "".join(f"{job}|{state}|None\n" for job, state in self.live.items())
            case "sacct":
                return "".join(f"{job}|{state}\n" for job, state in self.ends.items())
        self.cancelled += command[1:]
        self.end("CANCELLED", *command[1:])
        return ""

    def end(self, state: str, *jobs: str) -> None:
        for job in jobs:
            del self.live[job]
            self.ends[job] = state


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_CHECK_SECONDS", "_LAST_WRITE_SECONDS"):
        monkeypatch.setattr(slurm_room, name, 0.0)


def study_of(outputs: Path, *overrides: str) -> StudyConfig:
    return fakes.study(outputs, "executor=slurm", "executor.workers=null", "executor.runs_per_job=2", *overrides)


def make_slurm_executor(
    outputs: Path, *overrides: str, runs: int = 3
) -> tuple[SlurmExecutor, Cluster, list[PlannedRun]]:
    study = study_of(outputs, *overrides)
    assert isinstance(study.executor, SlurmConfig)
    cluster = Cluster(study.executor)
    executor = SlurmExecutor(study.executor, "cpu", fakes.TARGET, SlurmQueue(cluster, seconds=0), cluster)
    return executor, cluster, [fakes.planned(study, seed) for seed in range(runs)]


def make_job(run: PlannedRun) -> Job:
    status = RunDirectory(run.directory).read_status()
    return Job(run.spec, run.directory, run.study, None, 1 if status is None else status.attempt + 1)


def test_a_study_may_select_slurm() -> None:
    assert isinstance(make_executor(compose_study("demo", ["executor=slurm"])), SlurmExecutor)


def test_a_missing_package_or_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    study = study_of(tmp_path)
    assert isinstance(study.executor, SlurmConfig)
    monkeypatch.setenv("PATH", str(tmp_path))
    pytest.importorskip("submitit", reason="submitit is not installed: pip install usaggr[slurm]")
    with pytest.raises(ConfigError, match="command sbatch is not on the path"), SlurmExecutor(study.executor, "cpu"):
        pass
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match=r"pip install usaggr\[slurm\]"), SlurmExecutor(study.executor, "cpu"):
        pass


def test_a_gpu_run_without_gpus_per_job_is_refused(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    assert isinstance(study.executor, SlurmConfig)
    with pytest.raises(ConfigError, match=r"executor\.gpus"), SlurmExecutor(study.executor, "gpu"):
        pass


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("{partition: x}", r"executor\.partition"),
        ("{mem: 4G}", r"executor\.memory"),
        ("{output: x}", "cannot be changed"),
        ("{job_name: x}", "cannot be changed"),
        ("{no.such: 1}", "long names of options"),
    ],
)
def test_an_option_that_the_executor_sets_is_refused(option: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose_study("demo", ["executor=slurm", f"executor.options={option}"])


def test_an_option_must_be_one_line(tmp_path: Path) -> None:
    config = study_of(tmp_path).executor
    with pytest.raises(ValidationError, match="one line"):
        SlurmConfig.model_validate({**config.model_dump(), "options": {"comment": "a\n#SBATCH --x"}})


def test_every_key_reaches_sbatch(tmp_path: Path) -> None:
    study = study_of(
        tmp_path,
        "executor.partition=long",
        "executor.account=us",
        "executor.qos=high",
        "executor.constraint=a100",
        "executor.gpus=2",
        "executor.cpus=6",
        "executor.memory=1.5",
        "executor.time=33",
        "executor.setup=[module load cuda]",
        "executor.options={exclude: node7, exclusive: true, oversubscribe: false, nice: 100}",
        "executor.jobs=5",
        "executor.grace=9.5",
    )
    slurm = pytest.importorskip("submitit.slurm.slurm", reason="submitit is not installed: pip install usaggr[slurm]")
    assert isinstance(study.executor, SlurmConfig)
    parameters = Submitter(study.executor, "cpu", fakes.TARGET).make_parameters("mine")
    script = slurm._make_sbatch_string(command="python", folder=tmp_path, map_count=7, **parameters)
    for line in (
        "--partition=long", "--account=us", "--qos=high", "--constraint=a100", "--gpus-per-node=2", "--cpus-per-task=6",
        "--mem=1536M", "--time=33", "--exclude=node7", "--nice=100", "--exclusive", "--array=0-6%5", "--requeue",
        "--signal=USR2@70", "--job-name=usaggr-mine", "--ntasks-per-node=1",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script, line
    assert "oversubscribe" not in script
    assert "\nmodule load cuda\n" in script
    assert "--cpus-per-task=6 python" in script


def test_collected_runs_are_submitted_as_packs_and_marked_as_queued(tmp_path: Path) -> None:
    executor, cluster, runs = make_slurm_executor(tmp_path)
    with executor:
        assert executor.has_free_slot
        for run in runs:
            executor.submit(make_job(run))
        assert cluster.sent == []
        assert executor.wait(0) == []
        ids = [run.spec.run_id for run in runs]
        assert cluster.sent == [[ids[0], ids[2]], [ids[1]]]
        assert [run.read_state() for run in runs] == ["queued"] * 3
        status = RunDirectory(runs[1].directory).read_status()
        assert status is not None
        assert (status.job, status.attempt) == ("slurm 1", 0)
    assert cluster.cancelled == []


def test_a_second_sweep_takes_queued_runs_over_and_submits_only_new_ones(tmp_path: Path) -> None:
    executor, cluster, runs = make_slurm_executor(tmp_path)
    with executor:
        for run in runs[:2]:
            executor.submit(make_job(run))
        executor.wait(0)
    second = SlurmExecutor(executor._config, "cpu", fakes.TARGET, SlurmQueue(cluster, seconds=0), cluster)
    with second:
        assert [second.is_adoptable(run.directory) for run in runs] == [True, True, False]
        for run in runs:
            second.submit(make_job(run))
        second.wait(0)
        assert cluster.sent[1:] == [[runs[2].spec.run_id]]
        for run in runs:
            RunDirectory(run.directory).write_result(fakes.RESULT)
        assert sorted(ended.job.spec.run_id for ended in second.wait(0)) == sorted(run.spec.run_id for run in runs)


def ended(executor: SlurmExecutor) -> list[JobEnd]:
    for _ in range(5):
        if jobs := executor.wait(0):
            return jobs
    return []


def test_a_run_of_a_canceled_job_is_left_and_one_of_a_lost_job_continues_a_few_times(
    tmp_path: Path,
) -> None:
    executor, cluster, (run,) = make_slurm_executor(tmp_path, runs=1)
    with executor:
        outcomes = []
        for number, state in enumerate(["NODE_FAIL", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "CANCELLED"]):
            executor.submit(make_job(run))
            assert executor.wait(0) == []
            cluster.end(state, str(number))
            (end,) = ended(executor)
            outcomes.append(end.outcome)
            assert state in end.message
            assert f"jobs/{number}_0_log.out" in end.message
        assert outcomes == ["interrupted", "interrupted", "interrupted", "died", "cancelled"]


@pytest.mark.parametrize(("has_started", "outcome"), [(True, "died"), (False, "interrupted")])
def test_a_failed_job_costs_an_attempt_only_the_runs_that_it_had_started(
    tmp_path: Path, has_started: bool, outcome: str
) -> None:
    executor, cluster, (run,) = make_slurm_executor(tmp_path, runs=1)
    directory = RunDirectory(run.directory)
    with executor:
        executor.submit(make_job(run))
        executor.wait(0)
        if has_started:
            status = directory.read_status()
            assert status is not None
            directory.write_status(replace(status, state="running", attempt=1, host="far", heartbeat=9e12))
            assert run.read_state() == "running"
        cluster.end("OUT_OF_MEMORY", "0")
        (end,) = ended(executor)
        assert end.outcome == outcome
        assert run.read_state() in ("queued", "pending")


def test_a_failure_is_read_from_the_run_once_its_job_has_ended(tmp_path: Path) -> None:
    executor, cluster, (run,) = make_slurm_executor(tmp_path, runs=1)
    with executor:
        executor.submit(make_job(run))
        executor.wait(0)
        RunDirectory(run.directory).record_end("failed", 1, "no luck\n\nTraceback")
        cluster.end("COMPLETED", "0")
        (end,) = ended(executor)
    assert (end.outcome, end.message) == ("failed", "no luck")


def test_a_run_that_moved_to_another_job_is_followed_there(tmp_path: Path) -> None:
    executor, cluster, (run,) = make_slurm_executor(tmp_path, runs=1)
    with executor:
        executor.submit(make_job(run))
        executor.wait(0)
        cluster.live["77"] = "RUNNING"
        RunDirectory(run.directory).enqueue("slurm 77")
        cluster.end("COMPLETED", "0")
        assert ended(executor) == []
        cluster.end("NODE_FAIL", "77")
        (end,) = ended(executor)
        assert "slurm 77 ended as NODE_FAIL" in end.message


def test_stopping_cancels_the_jobs_of_this_sweep_and_releases_claims(tmp_path: Path) -> None:
    executor, cluster, runs = make_slurm_executor(tmp_path)
    with executor:
        for run in runs:
            executor.submit(make_job(run))
        executor.wait(0)
        status = RunDirectory(runs[0].directory).read_status()
        assert status is not None
        RunDirectory(runs[0].directory).write_status(replace(status, state="running", host="far", heartbeat=9e12))
        cluster.live["other"] = "RUNNING"
        assert len(executor.stop()) == 3
    assert cluster.cancelled == ["0", "1"]
    assert runs[0].read_state() == "pending"


def test_without_waiting_runs_are_reported_as_queued(tmp_path: Path) -> None:
    executor, cluster, runs = make_slurm_executor(tmp_path, "executor.wait=false")
    with executor:
        for run in runs:
            executor.submit(make_job(run))
        assert [end.outcome for end in executor.wait(0)] == ["queued"] * 3
    message = describe_queued(tmp_path, runs)
    assert "3 in the queue (slurm 0: 2 runs in 1 job, slurm 1: 1 run in 1 job)" in message
    assert cluster.cancelled == []


@pytest.mark.parametrize(
    ("has_slurm", "live", "expected_runs", "skipped_runs"),
    [(True, True, 1, 1), (True, False, 2, 0), (False, False, 1, 1)],
)
def test_another_executor_leaves_queued_runs_to_live_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_slurm: bool, live: bool, expected_runs: int, skipped_runs: int
) -> None:
    monkeypatch.setattr("usaggr.sweep.queued_runs.has_slurm", lambda: has_slurm)
    _, cluster, runs = make_slurm_executor(tmp_path, runs=2)
    RunDirectory(runs[0].directory).enqueue("slurm 5")
    cluster.live |= {"5": "PENDING"} if live else {}
    local = fakes.plan(fakes.study(tmp_path), *runs)
    states = {run.spec.run_id: run.read_state() for run in runs}
    runs_by_kind = select_runs(local, states, False, SlurmQueue(cluster))
    assert (len(runs_by_kind[0]), len(runs_by_kind[1])) == (expected_runs, skipped_runs)
    slurm = select_runs(fakes.plan(study_of(tmp_path), *runs), states, False, SlurmQueue(cluster))
    assert (len(slurm[0]), slurm[1]) == (2, [])
