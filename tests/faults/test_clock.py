"""Clocks that jump or differ between hosts: no living run is taken over, no dead one keeps its claim for good."""

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
from tests.sweep.test_faults import count_starts, done, until
from usaggr.io.heartbeats import is_recent
from usaggr.results import run_directory
from usaggr.results.run_directory import STALE_SECONDS, RunDirectory
from usaggr.results.run_result import Status
from usaggr.sweep.execution.jobs import Job

ROOT = Path(__file__).parents[2]
HOURS = 7200.0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run that another host trains; a take-over watches it for 1.2 seconds."""
    monkeypatch.setattr(run_directory, "HEARTBEAT_SECONDS", 0.6)
    run = RunDirectory(tmp_path / "runs" / "run")
    run.path.mkdir(parents=True)
    run.write_status(Status("running", 1, "another-host", time.time(), attempt=1))
    return run


def set_written(run: RunDirectory, ago: float) -> None:
    """Have the file server say that the last heartbeat was so many seconds ago."""
    then = time.time() - ago
    os.utime(run.path / "status.json", (then, then))


def claims(run: RunDirectory) -> bool:
    with run.claim(attempt=2) as mine:
        return mine


@pytest.mark.parametrize("skew", [-HOURS, HOURS])
def test_the_clock_of_another_host_is_of_no_consequence(run: RunDirectory, skew: float) -> None:
    status = run.status()
    assert status is not None
    run.write_status(replace(status, heartbeat=time.time() + skew))
    assert run.state() == "running"
    assert not claims(run)
    set_written(run, STALE_SECONDS + 1)
    assert run.state() == "stale"
    assert claims(run)


@pytest.mark.parametrize("skew", [-HOURS, HOURS])
def test_the_clock_of_this_host_is_of_no_consequence(
    run: RunDirectory, skew: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    assert run.state() == "running"
    assert not claims(run)


@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_a_living_run_is_not_taken_over_when_the_file_servers_clock_has_jumped(run: RunDirectory, jump: float) -> None:
    set_written(run, jump)
    assert run.state() == "stale"  # as far as one look can tell
    beat = threading.Timer(0.3, run.beat)
    beat.start()
    assert not claims(run)
    beat.join()
    assert run.state() == "running"


@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_a_dead_run_is_taken_over_when_the_file_servers_clock_has_jumped(run: RunDirectory, jump: float) -> None:
    set_written(run, jump)
    assert claims(run)
    status = run.status()
    assert status is not None
    assert status.attempt == 2


def test_who_may_not_write_goes_by_the_own_clock(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert is_recent(run.path / "status.json", STALE_SECONDS)
    set_written(run, STALE_SECONDS + 1)
    assert not is_recent(run.path / "status.json", STALE_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_no_run_is_ended_for_a_limit_that_only_the_clock_has_passed(
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
    """Sweeps of one folder on hosts of their own names, as far as processes can tell."""

    def __init__(self, outputs: Path, settings: list[dict[str, object]]) -> None:
        self._words = [sys.executable, "-m", "tests.sweep.fakes", str(outputs), json.dumps(settings)]
        self._started: list[subprocess.Popen[str]] = []

    def start(self, host: str) -> subprocess.Popen[str]:
        named = f'hostname {host} && exec "$@"'
        process = subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", named, "sh", *self._words],
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
        pytest.skip(f"no hosts of other names can be made here: {error}")
    hosts = Hosts(tmp_path, [{"hangs": 1}, *({"sleeps": 0.3, "number": i} for i in range(8))])
    yield hosts
    hosts.end()


@pytest.mark.slow
def test_two_hosts_train_each_run_once_and_a_dead_ones_is_taken_over_when_its_claim_is_stale(
    tmp_path: Path, hosts: Hosts
) -> None:
    sweeps = {host: hosts.start(host) for host in ("host-a", "host-b")}
    until(lambda: len(done(tmp_path)) == 8 and sum(count_starts(tmp_path).values()) == 9, seconds=120)
    assert set(count_starts(tmp_path).values()) == {1}
    (hanging,) = [
        run for path in (tmp_path / "fake" / "runs").iterdir() if (run := RunDirectory(path)).state() == "running"
    ]
    status = hanging.status()
    assert status is not None
    other = "host-b" if status.host == "host-a" else "host-a"
    os.killpg(sweeps[status.host].pid, signal.SIGKILL)

    said, _ = hosts.start(other).communicate(timeout=120)
    assert "1 left to another process" in said
    assert "left to another process" in sweeps[other].communicate(timeout=120)[0]
    assert set(count_starts(tmp_path).values()) == {1}

    set_written(hanging, STALE_SECONDS + 1)
    sweep = hosts.start(other)
    assert "9 of 9 runs are done" in sweep.communicate(timeout=120)[0]
    assert sweep.returncode == 0
    assert sorted(count_starts(tmp_path).values()) == [1] * 8 + [2]
