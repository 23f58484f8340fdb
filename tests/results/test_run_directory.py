"""Run directories: claims, states, results, and files that a dead or racing process may have left."""

import errno
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.results.specs import spec
from usaggr.errors import RunError, WriteError
from usaggr.results import run_directory
from usaggr.results.integrity import SCHEMA_VERSION
from usaggr.results.run_directory import RunDirectory
from usaggr.results.run_result import Cost, RunResult, Status

COST = Cost(10.0, 8.0, 100.0, 500.0, 1000)
RESULT = RunResult(
    scores={"lung": {"dsc": 0.8}}, trivial={}, validation={}, trivial_validation={}, n_train={"lung": 5},
    n_test={"lung": 2}, n_subjects={"lung": 2}, examples={"lung": 10}, cost=COST,
)  # fmt: skip


def elsewhere(state: str = "running", age: float = 0.0) -> Status:
    return Status(state, 1, "another-host", time.time() - age, attempt=1)  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "runs" / spec().run_id)


# States and claims


def test_a_run_is_pending_then_running_then_done(run: RunDirectory) -> None:
    assert run.read_state() == "pending"
    with run.claim(attempt=1) as mine:
        assert mine
        assert run.read_state() == "running"
        run.write_result(RESULT)
        assert run.read_state() == "done"
    assert run.read_state() == "done"
    status = run.read_status()
    assert status is not None
    assert (status.state, status.attempt) == ("done", 1)


def test_a_claim_that_ends_without_a_result_leaves_a_stale_run_that_is_free(run: RunDirectory) -> None:
    with run.claim(attempt=1):
        pass
    assert run.read_state() == "stale"
    with run.claim(attempt=2) as mine:
        assert mine


def test_a_done_run_whose_result_was_removed_is_pending(run: RunDirectory) -> None:
    with run.claim(attempt=1):
        run.write_result(RESULT)
    run.result_path.unlink()
    status = run.read_status()
    assert status is not None
    assert (status.state, run.read_state()) == ("done", "pending")


def test_a_done_run_is_not_claimed_again(run: RunDirectory) -> None:
    with run.claim(attempt=1):
        run.write_result(RESULT)
    with run.claim(attempt=2) as mine:
        assert not mine
    status = run.read_status()
    assert status is not None
    assert status.attempt == 1


def test_a_run_of_a_killed_process_is_free_at_once_though_its_pid_lives_again(run: RunDirectory) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from usaggr.results.run_directory import RunDirectory\n"
        "with RunDirectory(Path(sys.argv[1])).claim(1) as mine: os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(run.path)], check=False)
    status = run.read_status()
    assert status is not None
    assert status.state == "running"
    run.write_status(replace(status, pid=os.getpid()))  # the pid belongs to a living process now
    assert run.read_state() == "stale"
    with run.claim(attempt=2) as mine:
        assert mine


def silent(run: RunDirectory, seconds: float) -> None:
    """Have the last heartbeat of a run so many seconds ago."""
    then = time.time() - seconds
    os.utime(run.path / "status.json", (then, then))


def test_a_run_of_another_host_lives_by_its_heartbeat(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_directory, "HEARTBEAT_SECONDS", 0.1)
    run.path.mkdir(parents=True)
    run.write_status(elsewhere())
    silent(run, run_directory.STALE_SECONDS / 2)
    assert run.read_state() == "running"
    with run.claim(attempt=2) as mine:
        assert not mine
    silent(run, run_directory.STALE_SECONDS + 1)
    assert run.read_state() == "stale"
    with run.claim(attempt=2) as mine:
        assert mine


def test_a_run_that_failed_on_another_host_is_free(run: RunDirectory) -> None:
    run.path.mkdir(parents=True)
    run.write_status(elsewhere("failed"))
    assert run.read_state() == "failed"
    with run.claim(attempt=2) as mine:
        assert mine


def _claim_often(path: Path, go: object, won: object) -> None:
    go.wait()  # type: ignore[attr-defined]
    with RunDirectory(path).claim(attempt=1) as mine:
        if mine:
            won.put(os.getpid())  # type: ignore[attr-defined]
            time.sleep(2)  # longer than the others wait


def test_of_many_processes_at_once_exactly_one_claims_a_run(run: RunDirectory) -> None:
    context = multiprocessing.get_context("fork")
    go, won = context.Event(), context.Queue()
    processes = [context.Process(target=_claim_often, args=(run.path, go, won)) for _ in range(6)]
    for process in processes:
        process.start()
    go.set()
    for process in processes:
        process.join()
    assert won.get(timeout=1) in {process.pid for process in processes}
    assert won.empty()


def test_reading_the_state_continuously_does_not_prevent_a_claim(run: RunDirectory) -> None:
    run.path.mkdir(parents=True)
    with run.claim(1):
        pass
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            run.read_state()

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for attempt in range(2, 30):
            with run.claim(attempt) as mine:
                assert mine
    finally:
        over.set()
        for watcher in watchers:
            watcher.join()


@pytest.mark.parametrize("text", ["", "{", '{"state": "running"}', '{"state": "running", "color": 1}', "[]", "null"])
def test_an_incomplete_status_is_none_and_its_run_can_be_claimed(run: RunDirectory, text: str) -> None:
    run.path.mkdir(parents=True)
    (run.path / "status.json").write_text(text)
    assert run.read_status() is None
    assert run.read_state() == "pending"
    with run.claim(attempt=1) as mine:
        assert mine


# Failures and heartbeats


def test_a_failed_run_keeps_its_reason_and_its_start(run: RunDirectory) -> None:
    with run.claim(attempt=2):
        run.mark_failed("RuntimeError: out of luck\n\nTraceback ...", attempt=2)
    status = run.read_status()
    assert status is not None
    assert status.error is not None
    assert (run.read_state(), status.attempt, status.error.splitlines()[0]) == (
        "failed",
        2,
        "RuntimeError: out of luck",
    )
    assert status.started is not None
    assert status.started <= time.time()


def test_a_heartbeat_changes_only_the_time(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    with run.claim(attempt=1):
        before = run.read_status()
        assert before is not None
        monkeypatch.setattr(time, "time", lambda: before.heartbeat + 10)
        run.write_heartbeat()
        assert run.read_status() == replace(before, heartbeat=before.heartbeat + 10)


def test_a_heartbeat_does_not_change_the_state_of_a_failed_run(run: RunDirectory) -> None:
    over = threading.Event()

    def beat() -> None:
        while not over.is_set():
            run.write_heartbeat()

    with run.claim(attempt=1):
        hearts = [threading.Thread(target=beat) for _ in range(3)]
        for heart in hearts:
            heart.start()
        time.sleep(0.05)
        run.mark_failed("reason", attempt=1)
        time.sleep(0.05)
        over.set()
        for heart in hearts:
            heart.join()
        assert run.read_state() == "failed"
    assert [path.name for path in run.path.iterdir() if path.name.endswith(".tmp")] == []


def test_a_run_is_settled_only_if_it_is_unclaimed_and_not_done(run: RunDirectory) -> None:
    run.path.mkdir(parents=True)
    assert run.record_end("failed", 1, "worker died")
    assert run.read_state() == "failed"
    assert run.record_end("pending", 1)
    assert run.read_state() == "pending"
    with run.claim(attempt=2):
        assert not run.record_end("failed", 1, "worker died")
        assert run.read_state() == "running"
        run.write_result(RESULT)
    assert not run.record_end("failed", 1, "worker died")
    assert run.read_state() == "done"
    status = run.read_status()
    assert status is not None
    assert status.error is None


def test_a_run_in_a_queue_keeps_its_attempts_and_says_which_job_has_it(run: RunDirectory) -> None:
    with run.claim(attempt=3):
        assert not run.enqueue("slurm 7")  # somebody is at work on it
    assert run.enqueue("slurm 7")
    status = run.read_status()
    assert status is not None
    assert (run.read_state(), status.attempt, status.job) == ("queued", 3, "slurm 7")


# Files


def test_clearing_removes_incomplete_files_and_keeps_the_log(run: RunDirectory, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    with run.claim(attempt=1):
        run.write_spec(spec())
        (run.path / "log.txt").write_text("first attempt")
        (run.path / "predictions.parquet").write_text("half")
        (run.path / ".result.json.1-2.tmp").write_text("{")
        (run.path / "weights").mkdir()
        (run.path / "weights" / "scored.safetensors").write_text("half")
        (run.path / "link").symlink_to(outside)
        run.clear()
        assert sorted(path.name for path in run.path.iterdir()) == [".lock", "log.txt", "run.yaml", "status.json"]
    assert (outside / "precious").exists()


def test_the_checkpoint_is_removed_once_all_files_and_the_result_are_on_disk(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("checkpoint/state", "parent/scored.safetensors", "weights/scored.safetensors", "log.txt"):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("x")
    synced: list[tuple[Path, bool]] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), run.result_path.exists()))
        assert (run.path / "checkpoint" / "state").exists()

    monkeypatch.setattr(os, "fsync", record)
    run.write_result(RESULT)
    before_result = {path for path, has_result in synced if not has_result}
    weights = run.path / "weights"
    assert {run.path.parent, run.path, weights, weights / "scored.safetensors", run.log_path} <= before_result
    assert synced[-1] == (run.path, True)  # the name result.json is in the folder on disk
    assert sorted(path.name for path in run.path.iterdir()) == ["log.txt", "result.json", "weights"]


def test_a_run_whose_result_cannot_be_written_keeps_its_checkpoint(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, text: str) -> None:
        raise WriteError(f"{path}: no space left")

    (run.path / "checkpoint").mkdir(parents=True)
    monkeypatch.setattr(run_directory, "write_atomic", fail)
    with pytest.raises(WriteError):
        run.write_result(RESULT)
    assert (run.path / "checkpoint").is_dir()
    assert run.read_state() == "pending"


def test_a_folder_that_cannot_be_synced_does_not_prevent_a_result(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems refuse to sync folders."""
    fsync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    run.path.mkdir(parents=True)
    monkeypatch.setattr(os, "fsync", refuse_folders)
    run.write_result(RESULT)
    assert run.read_state() == "done"


def test_a_heartbeat_while_files_are_synced_does_not_prevent_a_result(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.path.mkdir(parents=True)
    temporary = run.path / ".status.json.1-2.tmp"
    temporary.write_text("{")
    is_file = Path.is_file

    def rename_once_seen(path: Path) -> bool:
        was_file = is_file(path)
        if path == temporary:
            path.unlink()
        return was_file

    monkeypatch.setattr(Path, "is_file", rename_once_seen)
    run.write_result(RESULT)
    assert not temporary.exists()
    assert run.read_state() == "done"


def test_a_result_is_read_as_it_was_written(run: RunDirectory) -> None:
    run.write_result(RESULT)
    assert run.read_result() == RESULT


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused_and_the_run_not_done(run: RunDirectory, value: float) -> None:
    with pytest.raises(RunError, match="dsc of lung is"):
        run.write_result(replace(RESULT, scores={"lung": {"dsc": value}}))
    assert not run.result_path.exists()


def test_a_result_of_a_newer_tool_is_refused(run: RunDirectory) -> None:
    run.write_result(replace(RESULT, schema_version=SCHEMA_VERSION + 1))
    with pytest.raises(RunError, match="newer than this tool"):
        run.read_result()


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"schema_version": 1}', '{"schema_version": 1, "cost": 3}'])
def test_an_unreadable_result_is_an_error_with_advice(run: RunDirectory, text: str | None) -> None:
    run.path.mkdir(parents=True)
    if text is not None:
        run.result_path.write_text(text)
    with pytest.raises(
        RunError, match="the same `usaggr sweep` to train the run again" if text is not None else "remove"
    ):
        run.read_result()


def test_the_specification_is_plain_yaml_with_its_fingerprint_on_top(run: RunDirectory) -> None:
    run.write_spec(spec(), host="here", packages={"torch": "2.6"})
    text = (run.path / "run.yaml").read_text()
    assert text.splitlines()[2] == f"fingerprint: {spec().fingerprint}"
    content = yaml.safe_load(text)
    assert content["train_samples"] == {"lung": ["b", "a"]}
    assert (content["run_id"], content["scale"], content["host"]) == (spec().run_id, 0.25, "here")
