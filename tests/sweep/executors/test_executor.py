"""Worker processes of this machine: logs, and runs that fail, hang or die, without anything left behind."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.sweep import fakes
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError, RunError
from usaggr.results.find_runs import find_runs
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.jobs import Job, JobEnd
from usaggr.sweep.executors.local.executor import LocalExecutor, explain_worker_exit
from usaggr.sweep.planning.study_plan import PlannedRun


def job(run: PlannedRun, attempt: int = 1) -> Job:
    return Job(run.spec, run.directory, run.study, None, attempt, {"packages": {"torch": "0"}})


def finish(executor: LocalExecutor, jobs: list[Job], seconds: float = 20) -> dict[int, JobEnd]:
    """Run all jobs, each as soon as a slot is free, and return by seed how each ended."""
    waiting, ended, running = list(jobs), {}, 0
    end = time.monotonic() + seconds
    while len(ended) < len(jobs):
        assert time.monotonic() < end, f"only {ended} ended in time"
        while waiting and running < executor.slots:
            executor.submit(waiting.pop(0))
            running += 1
        for job_end in executor.wait(0.5):
            ended[job_end.job.spec.seed] = job_end
            running -= 1
    return ended


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    return fakes.study(tmp_path_factory.mktemp("outputs"))


@pytest.fixture(scope="module")
def executor(study: StudyConfig) -> Iterator[LocalExecutor]:
    with fakes.executor(study) as started:
        yield started


def test_a_run_is_executed_and_records_its_settings_and_machine(study: StudyConfig, executor: LocalExecutor) -> None:
    run = fakes.planned(study, 1)
    assert finish(executor, [job(run)])[1].outcome == "done"
    directory = RunDirectory(run.directory)
    assert directory.read_state() == "done"
    assert directory.read_result() == fakes.RESULT
    assert find_runs(study.directory)[run.spec.fingerprint] == run.directory
    text = (run.directory / "run.yaml").read_text()
    for expected in ("packages:", "host:", "device: cpu", "threads: 1"):
        assert expected in text


def test_all_output_of_a_run_is_in_its_log_and_none_on_the_terminal(
    study: StudyConfig, executor: LocalExecutor, capfd: pytest.CaptureFixture[str]
) -> None:
    run = fakes.planned(study, 2, raises="no luck\nat all")
    finish(executor, [job(run)])
    log = (run.directory / "log.txt").read_text()
    assert "attempt 1" in log
    assert "said on stdout" in log
    assert "said by a child" in log
    assert "Traceback" in log
    assert capfd.readouterr() == ("", "")


def test_a_run_that_raises_has_failed_and_stores_the_reason_before_the_traceback(
    study: StudyConfig, executor: LocalExecutor
) -> None:
    run = fakes.planned(study, 3, raises="no luck\nat all")
    ended = finish(executor, [job(run)])[3]
    assert (ended.outcome, ended.message) == ("failed", "ValueError: no luck")
    status = RunDirectory(run.directory).read_status()
    assert status is not None
    assert status.error is not None
    assert (status.state, status.error.splitlines()[0]) == ("failed", "ValueError: no luck")
    assert "Traceback" in status.error


def test_a_run_that_ends_without_a_result_has_failed(study: StudyConfig, executor: LocalExecutor) -> None:
    run = fakes.planned(study, 4, writes=False)
    ended = finish(executor, [job(run)])[4]
    assert (ended.outcome, ended.message) == ("failed", "the run ended without a result")
    assert RunDirectory(run.directory).read_state() == "failed"


def test_a_killed_worker_affects_only_its_own_run(study: StudyConfig, executor: LocalExecutor) -> None:
    dying, other = fakes.planned(study, 5, dies=1), fakes.planned(study, 6, sleeps=0.5)
    ended = finish(executor, [job(dying), job(other)])
    assert (ended[5].outcome, ended[5].message) == ("killed", "worker died (signal 9); out of memory?")
    assert ended[6].outcome == "done"
    assert RunDirectory(dying.directory).read_state() == "stale"
    assert finish(executor, [job(dying, attempt=2)])[5].outcome == "done"


def test_a_worker_that_exits_silently_is_noticed(
    study: StudyConfig, executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool does not notice a process that ends with status 0 in the middle of a run."""
    monkeypatch.setattr("usaggr.sweep.executors.local.executor._OWNER_CHECK_SECONDS", 0.2)
    run = fakes.planned(study, 7, exits=1)
    assert finish(executor, [job(run)])[7].outcome == "died"
    assert finish(executor, [job(run, attempt=2)])[7].outcome == "done"


def test_incomplete_files_of_a_dead_attempt_are_removed(study: StudyConfig, executor: LocalExecutor) -> None:
    run = fakes.planned(study, 8)
    run.directory.mkdir(parents=True)
    (run.directory / ".result.json.1-1.tmp").write_text("{")
    (run.directory / "curve.csv").write_text("half")
    finish(executor, [job(run)])
    names = {path.name for path in run.directory.iterdir()}
    assert names == {".lock", "log.txt", "predictions.parquet", "result.json", "run.yaml", "status.json"}


def test_a_run_claimed_by_another_process_is_left_alone(study: StudyConfig, executor: LocalExecutor) -> None:
    run = fakes.planned(study, 9)
    with RunDirectory(run.directory).claim(1):
        assert finish(executor, [job(run)])[9].outcome == "elsewhere"
    assert run.spec.run_id not in fakes.executions(study)


def test_a_run_that_is_already_done_is_not_repeated(study: StudyConfig, executor: LocalExecutor) -> None:
    run = fakes.planned(study, 10)
    finish(executor, [job(run)])
    assert finish(executor, [job(run)])[10].outcome == "done"
    assert fakes.executions(study).count(run.spec.run_id) == 1


def test_a_directory_of_another_run_is_not_overwritten(study: StudyConfig, executor: LocalExecutor) -> None:
    other = fakes.planned(study, 11)
    run = fakes.planned(study, 12)
    RunDirectory(run.directory).write_spec(other.spec)
    ended = finish(executor, [job(run)])[12]
    assert ended.outcome == "failed"
    assert "holds another run" in ended.message
    assert other.spec.fingerprint in (run.directory / "run.yaml").read_text()


def test_a_killed_idle_worker_does_no_harm(study: StudyConfig, executor: LocalExecutor) -> None:
    finish(executor, [job(fakes.planned(study, 13))])
    time.sleep(0.3)
    for process in workers(os.getpid()):
        process.kill()
    time.sleep(0.3)
    ended = finish(executor, [job(fakes.planned(study, seed)) for seed in (14, 15)])
    assert {job_end.outcome for job_end in ended.values()} == {"done"}


@pytest.mark.parametrize(("runs_per_worker", "processes"), [("1", 3), ("null", 1)])
def test_each_run_has_a_new_process_if_configured_with_the_configured_threads(
    tmp_path: Path, runs_per_worker: str, processes: int
) -> None:
    study = fakes.study(
        tmp_path, "executor.workers=1", "executor.threads=3", f"executor.runs_per_worker={runs_per_worker}"
    )
    with fakes.executor(study) as executor:
        finish(executor, [job(fakes.planned(study, seed)) for seed in range(3)])
    executions = [line.split() for line in (study.directory / "executions.txt").read_text().splitlines()]
    assert len({pid for _, pid, _, _ in executions}) == processes
    assert {(threads, omp) for _, _, threads, omp in executions} == {("3", "3")}
    assert os.environ.get("OMP_NUM_THREADS") != "3"


@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_no_library_in_a_worker_uses_more_threads_than_configured(tmp_path: Path, threads: int) -> None:
    study = fakes.study(tmp_path, "executor.workers=1", f"executor.threads={threads}")
    run = fakes.planned(study, 0)
    with LocalExecutor(study.executor.machine, "cpu", "tests.sweep.busy:execute") as executor:
        assert finish(executor, [job(run)], seconds=60)[0].outcome == "done"
    usage = json.loads((run.directory / "threads.json").read_text())
    assert (usage["torch"], usage["torch between operations"], usage["opencv"]) == (threads, threads, threads)
    pools = usage["pools"]
    assert {name for name, _ in pools} >= {"openblas", "openmp"}
    assert {count for _, count in pools} == {threads}
    # Two more threads do not compute: the one that watches the parent process, and the heartbeat.
    assert usage["alive"] <= threads + 2 + (threads - 1) * len(pools)


def test_a_worker_trains_several_runs_until_one_fails(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor.workers=1", "executor.runs_per_worker=3")
    runs = [fakes.planned(study, seed, **({"raises": "x"} if seed == 4 else {})) for seed in range(6)]
    with fakes.executor(study) as executor:
        ended = finish(executor, [job(run) for run in runs])
    assert ended[4].message == "ValueError: x"
    assert [ended[seed].outcome for seed in range(6)] == ["done"] * 4 + ["failed", "done"]
    pids = [line.split()[1] for line in (study.directory / "executions.txt").read_text().splitlines()]
    assert pids[0] == pids[1] == pids[2]
    assert pids[3] == pids[4]
    assert len({pids[0], pids[3], pids[5]}) == 3


@pytest.mark.parametrize("runs_per_worker", [1, 3])
def test_a_run_that_exhausts_memory_is_reported_as_such_and_ends_its_process(
    tmp_path: Path, runs_per_worker: int
) -> None:
    study = fakes.study(tmp_path, "executor.workers=1", f"executor.runs_per_worker={runs_per_worker}")
    with fakes.executor(study) as executor:
        ended = finish(executor, [job(fakes.planned(study, 0, memory="python")), job(fakes.planned(study, 1))])
    assert (ended[0].outcome, ended[0].message, ended[0].crowded) == ("memory", "MemoryError: all is taken", False)
    assert ended[1].outcome == "done"
    status = RunDirectory(ended[0].job.directory).read_status()
    assert status is not None
    assert status.state == "failed"
    assert len(pids_of(study)) == 2


def test_a_job_that_must_run_alone_waits_for_others_and_blocks_new_ones(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor.workers=3")
    slow, lone, later = (fakes.planned(study, seed, sleeps=0.3, n=seed) for seed in range(3))
    with fakes.executor(study) as executor:
        executor.submit(job(slow))
        executor.submit(replace(job(lone), exclusive_scope="device"))
        assert not executor.has_free_slot
        with pytest.raises(RuntimeError, match="no slot"):
            executor.submit(job(later))
        order: list[JobEnd] = []
        wait_until(lambda: order.extend(executor.wait(0.1)) or len(order) == 1)
        assert not executor.has_free_slot
        wait_until(lambda: order.extend(executor.wait(0.1)) or len(order) == 2)
        assert executor.has_free_slot
    assert [(ended.job.spec.seed, ended.outcome, ended.crowded) for ended in order] == [
        (0, "done", False),
        (1, "done", False),
    ]


def test_runs_that_shared_a_device_are_marked_as_crowded(study: StudyConfig, executor: LocalExecutor) -> None:
    jobs = [job(fakes.planned(study, seed, sleeps=0.2)) for seed in (20, 21)]
    assert all(ended.crowded for ended in finish(executor, jobs).values())
    assert not finish(executor, [job(fakes.planned(study, 22))])[22].crowded


def test_a_run_beyond_its_time_limit_is_ended(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor.timeout=0.5")
    slow, quick = fakes.planned(study, 0, sleeps=60), fakes.planned(study, 1)
    with fakes.executor(study) as executor:
        started = time.monotonic()
        ended = finish(executor, [job(slow), job(quick)])
        assert time.monotonic() - started < 5
    assert (ended[0].outcome, ended[0].message) == ("timeout", "ended after executor.timeout=0.5 seconds")
    assert ended[1].outcome == "done"


def test_stopping_ends_active_runs_and_leaves_no_process(tmp_path: Path) -> None:
    study = fakes.study(tmp_path)
    runs = [fakes.planned(study, seed, sleeps=60) for seed in range(2)]
    before = workers(os.getpid())
    with fakes.executor(study) as executor:
        for run in runs:
            executor.submit(job(run))
        wait_until(lambda: len(fakes.executions(study)) == 2)
        started = time.monotonic()
        assert sorted(stopped.spec.seed for stopped in executor.stop()) == [0, 1]
        assert time.monotonic() - started < 3
        assert [RunDirectory(run.directory).read_state() for run in runs] == ["stale", "stale"]
    assert workers(os.getpid()) == before


def test_a_killed_server_costs_the_runs_no_attempt_and_is_replaced(tmp_path: Path) -> None:
    """The workers survive, but nobody could see how they end. So they are ended, and their runs are released."""
    study = fakes.study(tmp_path)
    hanging = [fakes.planned(study, seed, hangs=1) for seed in range(2)]
    with fakes.executor(study) as executor:
        for run in hanging:
            executor.submit(job(run))
        wait_until(lambda: len(fakes.executions(study)) == 2)
        (server,) = {process.parent() for process in workers(os.getpid()) if process.pid in pids_of(study)}
        server.kill()
        ended: list[JobEnd] = []
        wait_until(lambda: ended.extend(executor.wait(0.1)) or len(ended) == 2)
        outcomes = sorted((job_end.job.spec.seed, job_end.outcome) for job_end in ended)
        assert outcomes == [(0, "interrupted"), (1, "interrupted")]
        # Their locks are free: a sweep would otherwise leave the runs to another process.
        assert [RunDirectory(run.directory).read_state() for run in hanging] == ["stale", "stale"]
        # A spare worker of the killed server may be used once more before the slot notices.
        repeated = finish(executor, [job(run, attempt=2) for run in hanging])
        left = [run for run in hanging if repeated[run.spec.seed].outcome == "interrupted"]
        repeated |= finish(executor, [job(run, attempt=3) for run in left])
    assert {job_end.outcome for job_end in repeated.values()} == {"done"}


def test_two_concurrent_executors_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Each executor has its own server; the first server cannot exit while its workers wait for runs."""
    studies = [fakes.study(tmp_path / name) for name in ("a", "b")]
    with fakes.executor(studies[0]) as first:
        assert finish(first, [job(fakes.planned(studies[0], 0))])[0].outcome == "done"
        with fakes.executor(studies[1]) as second:
            assert finish(second, [job(fakes.planned(studies[1], 0))])[0].outcome == "done"
        ended = finish(first, [job(fakes.planned(studies[0], seed)) for seed in range(1, 5)])
    assert {job_end.outcome for job_end in ended.values()} == {"done"}


def test_a_target_that_cannot_be_imported_is_reported_before_any_run(tmp_path: Path) -> None:
    study = fakes.study(tmp_path)
    before = workers(os.getpid())
    with (
        pytest.raises(RunError, match=r"(?s)no_such_module:run cannot be loaded.*ModuleNotFoundError"),
        LocalExecutor(study.executor.machine, "cpu", "no_such_module:run"),
    ):
        pass
    assert workers(os.getpid()) == before


def test_a_gpu_that_does_not_exist_is_an_error_of_configuration(tmp_path: Path) -> None:
    study = fakes.study(tmp_path, "executor.devices=[0]")
    with pytest.raises(ConfigError, match=r"executor\.devices: no GPU 0"), fakes.executor(study):
        pass


def test_workers_do_not_run_the_main_script_again(tmp_path: Path) -> None:
    """Workers repeat neither the console script's imports nor the sweep of a script without a main guard."""
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path.cwd())!r})\n"
        "from pathlib import Path\n"
        "from tests.sweep import fakes\n"
        "from tests.sweep.executors.test_executor import finish, job\n"
        f"print('main', flush=True); study = fakes.study(Path({str(tmp_path)!r}))\n"
        "with fakes.executor(study) as executor:\n"
        "    print({e.outcome for e in finish(executor, [job(fakes.planned(study, s)) for s in range(3)]).values()})\n"
    )
    completed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert completed.stdout.splitlines() == ["main", "{'done'}"]
    assert completed.stderr == ""


@pytest.mark.parametrize(
    ("exitcode", "message"),
    [
        (-signal.SIGKILL, "worker died (signal 9); out of memory?"),
        (-signal.SIGSEGV, "worker died (signal 11): a library crashed, see log.txt"),
        (-signal.SIGTERM, "worker died (signal 15)"),
        (3, "worker died (exit status 3)"),
    ],
)
def test_the_message_gives_the_cause_of_a_worker_s_death(exitcode: int, message: str) -> None:
    assert explain_worker_exit(exitcode) == message


def pids_of(study: StudyConfig) -> set[int]:
    return {int(line.split()[1]) for line in (study.directory / "executions.txt").read_text().splitlines()}


def workers(pid: int) -> list[psutil.Process]:
    """Return the processes that were forked from the server of a sweep."""
    forked = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if child.status() != psutil.STATUS_ZOMBIE and "forkserver" in " ".join(child.cmdline()):
                forked.append(child)
        except psutil.NoSuchProcess:
            continue
    parents = {process.pid for process in forked}
    return [process for process in forked if process.ppid() in parents]


def wait_until(condition: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.02)
