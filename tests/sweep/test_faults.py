"""Sweeps in separate processes that are killed by signals: finished runs stay done and no worker keeps training."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.sweep import fakes
from usaggr.results.run_directory import RunDirectory

ROOT = Path(__file__).parents[2]


def start(outputs: Path, runs: list[dict[str, Any]], *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.sweep.fakes", str(outputs), json.dumps(runs), *overrides]
    out = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)


def family_of(sweep: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(sweep.pid).children(recursive=True)


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.02)


def find_results(outputs: Path) -> list[Path]:
    return sorted((outputs / "fake" / "runs").glob("*/result.json"))


def count_starts(outputs: Path) -> Counter[str]:
    return Counter(fakes.executions(fakes.study(outputs)))


@pytest.mark.slow
def test_after_a_killed_sweep_no_worker_keeps_training_and_the_same_command_finishes_it(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"sleeps": 0.1, "number": i} for i in range(4)]
    runs += [{"hangs": 1, "number": i} for i in range(4, 6)]
    sweep = start(tmp_path, runs)
    until(lambda: sum(count_starts(tmp_path).values()) == 6)
    family = family_of(sweep)
    assert len(family) >= 3
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    until(lambda: not any(lives(process) for process in family))
    before = {path: path.stat().st_mtime_ns for path in find_results(tmp_path)}
    assert len(before) == 4
    again = start(tmp_path, runs)
    assert again.wait(timeout=120) == 0
    assert len(find_results(tmp_path)) == len(runs)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert sorted(count_starts(tmp_path).values()) == [1, 1, 1, 1, 2, 2]


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_own_run_an_attempt(tmp_path: Path) -> None:
    sweep = start(tmp_path, [{"dies": 1}, {"sleeps": 0.2}, {"sleeps": 0.3}])
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 0, out
    assert sorted(count_starts(tmp_path).values()) == [1, 1, 2]


@pytest.mark.slow
def test_a_run_whose_workers_always_die_fails_and_the_others_finish(tmp_path: Path) -> None:
    sweep = start(tmp_path, [{"dies": 99}, {"sleeps": 0.1}, {"sleeps": 0.2}])
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 1, out
    assert len(find_results(tmp_path)) == 2
    failed = [
        RunDirectory(p) for p in (tmp_path / "fake" / "runs").iterdir() if RunDirectory(p).read_state() == "failed"
    ]
    status = failed[0].read_status()
    assert len(failed) == 1
    assert status is not None
    assert "out of memory?" in str(status.error)


@pytest.mark.slow
def test_a_failing_run_never_stops_the_others_and_is_tried_again_only_on_request(tmp_path: Path) -> None:
    runs = [{"raises": "no luck"}, {"sleeps": 0.0}, {"sleeps": 0.1}]
    for message in ("no luck", "1 failed in an earlier sweep; --retry-failed"):
        sweep = start(tmp_path, runs)
        out, _ = sweep.communicate(timeout=120)
        assert sweep.returncode == 1
        assert message in out
    assert sorted(count_starts(tmp_path).values()) == [1, 1, 1]
    assert len(find_results(tmp_path)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_sweep_stops_cleanly_and_the_same_command_continues_it(tmp_path: Path, number: int) -> None:
    runs = [{"sleeps": 0.1}, {"sleeps": 0.11}, {"hangs": 1}, {"hangs": 1, "number": 1}]
    sweep = start(tmp_path, runs)
    until(lambda: sum(count_starts(tmp_path).values()) == 4)
    family = family_of(sweep)
    if number == signal.SIGHUP:  # a closed terminal sends it to the whole group, and the shell sends it again
        os.killpg(sweep.pid, number)
        time.sleep(1.1)
        with suppress(ProcessLookupError):
            os.killpg(sweep.pid, number)
    else:
        sweep.send_signal(number)
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 130, out
    assert "Traceback" not in out
    assert "stopped; run the same command to continue" in out
    until(lambda: not any(lives(process) for process in family))
    states = {RunDirectory(path).read_state() for path in (tmp_path / "fake" / "runs").iterdir()}
    assert "running" not in states
    again = start(tmp_path, runs)
    assert again.wait(timeout=120) == 0
    assert len(find_results(tmp_path)) == 4


@pytest.mark.slow
def test_two_sweeps_at_once_train_every_run_once(tmp_path: Path) -> None:
    runs = [{"sleeps": 0.2, "number": i} for i in range(10)]
    sweeps = [start(tmp_path, runs) for _ in range(2)]
    for sweep in sweeps:
        sweep.communicate(timeout=120)
    assert len(find_results(tmp_path)) == 10
    assert set(count_starts(tmp_path).values()) == {1}


@pytest.mark.slow
def test_runs_that_hang_are_ended_and_the_others_finish(tmp_path: Path) -> None:
    """One sleeps, one ignores SIGTERM, one blocks signals as if it hung in C code, and one is stopped."""
    hang = {"sleeps": 600}
    hanging: list[dict[str, Any]] = [hang, {**hang, "stubborn": True}, {**hang, "deaf": True}, {**hang, "stops": 1}]
    sweep = start(tmp_path, [*hanging, {"sleeps": 0.1}], "executor.timeout=4", "executor.workers=4")
    until(lambda: sum(count_starts(tmp_path).values()) >= 4)
    family = family_of(sweep)
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 1, out
    assert out.count("ended after executor.timeout=4 seconds") == len(hanging)
    assert len(find_results(tmp_path)) == 1
    assert set(count_starts(tmp_path).values()) == {1}
    until(lambda: not any(lives(process) for process in family))


@pytest.mark.slow
def test_a_worker_that_ignores_signals_does_not_delay_an_interrupted_sweep(tmp_path: Path) -> None:
    sweep = start(tmp_path, [{"sleeps": 600, "stubborn": True}], "executor.grace=1")
    until(lambda: sum(count_starts(tmp_path).values()) == 1)
    family = family_of(sweep)
    sweep.send_signal(signal.SIGINT)
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 130, out
    # A killed process is gone a moment after its parent has left.
    until(lambda: not any(lives(process) for process in family))


@pytest.mark.slow
def test_a_second_interruption_ends_the_sweep_at_once_and_its_workers_with_it(tmp_path: Path) -> None:
    sweep = start(tmp_path, [{"sleeps": 600, "stubborn": True}], "executor.grace=600")
    until(lambda: sum(count_starts(tmp_path).values()) == 1)
    family = family_of(sweep)
    for number in (signal.SIGINT, signal.SIGTERM):  # within a moment: they count as one interruption
        sweep.send_signal(number)
    time.sleep(2)
    assert sweep.poll() is None
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(timeout=60) == 130
    until(lambda: not any(lives(process) for process in family))


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.4])
def test_a_ctrl_c_at_the_terminal_while_workers_start_leaves_no_traceback_and_no_process(
    tmp_path: Path, delay: float
) -> None:
    """A terminal sends SIGINT to every process of the group, including those that are still importing."""
    sweep = start(tmp_path, [{"sleeps": 60, "number": i} for i in range(4)])
    until(lambda: any("forkserver" in " ".join(process.cmdline()) for process in family_of(sweep)))
    time.sleep(delay)
    os.killpg(sweep.pid, signal.SIGINT)
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 130, out
    assert "Traceback" not in out
    assert "run the same command to continue" in out
    until(lambda: not any(_group(process.pid) == sweep.pid and lives(process) for process in psutil.process_iter()))


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
