"""Clocks that jump or differ between hosts: no live run is taken over, and no dead run keeps its claim forever."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sweep import fakes
from tests.sweep.test_faults import count_starts, find_results, until
from usaggr.io.heartbeats import is_recent
from usaggr.results import run_directory
from usaggr.results.run_directory import STALE_SECONDS, RunDirectory
from usaggr.results.run_result import Status
from usaggr.sweep.execution.jobs import Job

ROOT = Path(__file__).parents[2]
HOURS = 7200.0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """Return a run that another host trains; before a take-over it is watched for 1.2 seconds."""
    monkeypatch.setattr(run_directory, "HEARTBEAT_SECONDS", 0.6)
    run = RunDirectory(tmp_path / "runs" / "run")
    run.path.mkdir(parents=True)
    run.write_status(Status("running", 1, "another-host", time.time(), attempt=1))
    return run


def set_written(run: RunDirectory, ago: float) -> None:
    """Set the time at which the file server received the last heartbeat to `ago` seconds before now."""
    then = time.time() - ago
    os.utime(run.path / "status.json", (then, then))


def claims(run: RunDirectory) -> bool:
    with run.claim(attempt=2) as mine:
        return mine


@pytest.mark.parametrize("skew", [-HOURS, HOURS])
def test_the_clock_of_another_host_does_not_matter(run: RunDirectory, skew: float) -> None:
    status = run.read_status()
    assert status is not None
    run.write_status(replace(status, heartbeat=time.time() + skew))
    assert run.read_state() == "running"
    assert not claims(run)
    set_written(run, STALE_SECONDS + 1)
    assert run.read_state() == "stale"
    assert claims(run)


@pytest.mark.parametrize("skew", [-HOURS, HOURS])
def test_the_clock_of_this_host_does_not_matter(
    run: RunDirectory, skew: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    assert run.read_state() == "running"
    assert not claims(run)


# Names, because the times would differ between the processes that run the tests.
JUMPS = {
    "2 hours forward": -HOURS, "2 hours back": HOURS, "to 1970": time.time(), "to a day before 1970": time.time() + 1e5,
    "to 2445": time.time() - 15e9,
}  # fmt: skip


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
def test_a_live_run_is_not_taken_over_after_a_jump_of_the_file_server_s_clock(run: RunDirectory, jump: float) -> None:
    set_written(run, jump)
    assert run.read_state() == "stale"  # a single look cannot tell
    beat = threading.Timer(0.3, run.write_heartbeat)
    beat.start()
    assert not claims(run)
    beat.join()
    assert run.read_state() == "running"


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
def test_a_dead_run_is_taken_over_after_a_jump_of_the_file_server_s_clock(run: RunDirectory, jump: float) -> None:
    set_written(run, jump)
    assert claims(run)
    status = run.read_status()
    assert status is not None
    assert status.attempt == 2


def test_without_write_permission_the_local_clock_is_used(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert is_recent(run.path / "status.json", STALE_SECONDS)
    set_written(run, STALE_SECONDS + 1)
    assert not is_recent(run.path / "status.json", STALE_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_a_jump_of_the_clock_does_not_end_a_run_at_its_time_limit(
    tmp_path: Path, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = fakes.study(tmp_path, "executor.timeout=600")
    run = fakes.planned(study, 0, sleeps=2)
    now = time.time
    with fakes.executor(study) as executor:
        executor.submit(Job(run.spec, run.directory, study, None, 1, {}))
        until(lambda: bool(fakes.executions(study)))
        monkeypatch.setattr(time, "time", lambda: now() + jump)
        ended = executor.wait(1)
        while not ended:
            ended = executor.wait(1)
    assert ended[0].outcome == "done"


class Hosts:
    """Sweeps of one folder on simulated hosts, which differ in their host name."""

    def __init__(self, outputs: Path, settings: list[dict[str, object]]) -> None:
        self._words = [sys.executable, "-m", "tests.sweep.fakes", str(outputs), json.dumps(settings)]
        self._started: list[subprocess.Popen[str]] = []

    def start(self, host: str) -> subprocess.Popen[str]:
        shell_command = f'hostname {host} && exec "$@"'
        process = subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", shell_command, "sh", *self._words],
            cwd=ROOT,
            env={**os.environ, "FAKE_HEARTBEAT": "1"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    try:
        subprocess.run(["unshare", "--uts", "hostname", "other"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no hosts with other names can be simulated here: {error}")
    hosts = Hosts(tmp_path, [{"hangs": 1}, *({"sleeps": 0.3, "number": i} for i in range(8))])
    yield hosts
    hosts.end()


@pytest.mark.slow
def test_two_hosts_train_each_run_once_and_the_run_of_a_dead_host_is_taken_over_when_its_claim_expires(
    tmp_path: Path, hosts: Hosts
) -> None:
    sweeps = {host: hosts.start(host) for host in ("host-a", "host-b")}
    until(lambda: len(find_results(tmp_path)) == 8 and sum(count_starts(tmp_path).values()) == 9, seconds=120)
    assert set(count_starts(tmp_path).values()) == {1}
    (hanging,) = [
        run for path in (tmp_path / "fake" / "runs").iterdir() if (run := RunDirectory(path)).read_state() == "running"
    ]
    status = hanging.read_status()
    assert status is not None
    other = "host-b" if status.host == "host-a" else "host-a"
    os.killpg(sweeps[status.host].pid, signal.SIGKILL)

    output, _ = hosts.start(other).communicate(timeout=120)
    assert "1 left to another process" in output
    assert "left to another process" in sweeps[other].communicate(timeout=120)[0]
    assert set(count_starts(tmp_path).values()) == {1}

    set_written(hanging, STALE_SECONDS + 1)
    sweep = hosts.start(other)
    assert "9 of 9 runs are done" in sweep.communicate(timeout=120)[0]
    assert sweep.returncode == 0
    assert sorted(count_starts(tmp_path).values()) == [1] * 8 + [2]
