"""Real trainings that are stopped or killed in separate processes continue at a step with the same command."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.data.factories import tiny_data
from usaggr.results.run_directory import RunDirectory
from usaggr.stopping import StopSignals

ROOT = Path(__file__).parents[2]
FIXED = (
    "data=fmuia", "data.image_size=32", "scales=[1.0]", "seeds=[0]", "groupings=[unified]", "reference=unified",
    "executor.workers=1", "executor.grace=100", "training.accelerator=cpu", "training.validations=2",
    "training.budget=20000 examples", "training.checkpoint=0.003",
)  # fmt: skip
"""About ten thousand steps, stopped long before their end, with a checkpoint every 0.2 seconds."""


class Study:
    """One study, and the processes that were started for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []
        tiny_data(folder / "data", n=24)

    def start(self, command: str, *before: str) -> subprocess.Popen[str]:
        """Start `usaggr command` in a separate process group, as a shell does, after the words `before`."""
        where = [f"data.root={self._folder / 'data'}", f"outputs={self._folder / 'outputs'}"]
        program = [*before, sys.executable, "-c", "from usaggr.cli.main import main; main()", command, "demo"]
        process = subprocess.Popen(
            [*program, *FIXED, *where],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Kill all remaining processes."""
        for process in self._started:
            for member in members(process.pid):
                member.kill()
            process.wait()

    def live_processes(self) -> list[psutil.Process]:
        """Return all live processes of the commands that were started."""
        return [member for process in self._started for member in members(process.pid)]

    @property
    def run(self) -> RunDirectory:
        (path,) = (self._folder / "outputs").glob("*/runs/*")
        return RunDirectory(path)

    def log(self) -> str:
        texts = [path.read_text() for path in (self._folder / "outputs").glob("*/runs/*/log.txt")]
        return "".join(texts)

    def checkpoints(self) -> set[int]:
        """Return the identity of the checkpoint's file, which is another one each time it is written."""
        return {path.stat().st_ino for path in (self._folder / "outputs").glob("*/runs/*/checkpoint/state.bin")}

    def worker(self) -> psutil.Process:
        status = self.run.read_status()
        assert status is not None
        assert status.state == "running"
        return psutil.Process(status.pid)

    def wait_for_resume(self, attempt: int) -> int:
        """Wait until an attempt has continued from a checkpoint and written another; return the step it started at."""
        output = r"continues at step (\d+) of"
        until(lambda: len(re.findall(output, self.log())) == attempt - 1)
        self.wait_for_checkpoint()
        return int(re.findall(output, self.log())[-1])

    def wait_for_checkpoint(self) -> None:
        """Wait until another checkpoint is written."""
        before = self.checkpoints()
        until(lambda: bool(self.checkpoints() - before))


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    study = Study(tmp_path)
    yield study
    study.end()


def members(group: int) -> list[psutil.Process]:
    """Return the live processes of a group."""
    processes = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return processes


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.05)


def output_of(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=120)[0]


def stopped_at(output: str) -> int:
    """Return the last step at which a run reports that it stopped with a checkpoint."""
    return int(re.findall(r"^stopped at step (\d+) of \d+$", output, re.MULTILINE)[-1])


def test_signals_within_a_second_of_the_first_are_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([70.0, 70.0, 70.9, 71.0, 90.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    stop_signals = StopSignals()
    assert [stop_signals.is_second_request() for _ in range(5)] == [False, False, False, True, True]


@pytest.mark.slow
def test_a_training_ended_in_any_way_continues_at_its_step_with_the_same_command(study: Study) -> None:
    """Tested ends: a killed worker; `timeout`, which signals twice and the whole group; a killed sweep; Ctrl-C."""
    sweep = study.start("sweep", "timeout", "1000")
    study.wait_for_checkpoint()
    study.worker().kill()
    assert study.wait_for_resume(attempt=2) > 0

    sweep.send_signal(signal.SIGTERM)
    assert "Traceback" not in output_of(sweep)
    until(lambda: not study.live_processes())  # the server of workers sees that its parent is gone
    assert study.run.read_state() == "pending"
    step = stopped_at(study.log())

    sweep = study.start("sweep")
    assert study.wait_for_resume(attempt=3) == step
    sweep.kill()
    until(lambda: not study.live_processes())
    assert study.run.read_state() == "stale"

    sweep = study.start("sweep")
    assert study.wait_for_resume(attempt=4) > step
    os.killpg(sweep.pid, signal.SIGINT)  # as a terminal does
    assert "Traceback" not in output_of(sweep)
    assert sweep.returncode == 130
    until(lambda: not study.live_processes())  # the server of workers sees that its parent is gone
    assert stopped_at(study.log()) > step
    assert study.log().count("--- attempt") == 4


@pytest.mark.slow
def test_a_second_ctrl_c_ends_immediately_and_keeps_the_last_checkpoint(study: Study) -> None:
    """The suspended run misses the first signal. It continues in the foreground, where Ctrl-C stops it too."""
    sweep = study.start("sweep")
    study.wait_for_checkpoint()
    worker = study.worker()
    worker.suspend()
    sweep.send_signal(signal.SIGINT)
    time.sleep(2)
    assert sweep.poll() is None
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(timeout=60) == 130
    worker.resume()
    until(lambda: not study.live_processes())
    assert "stopped at step" not in study.log()

    train = study.start("train")
    study.wait_for_checkpoint()
    train.send_signal(signal.SIGINT)
    output = output_of(train)
    assert "Traceback" not in output
    assert train.returncode == 130
    assert "run the same command to continue" in output
    first, last = re.search(r"continues at step (\d+) of", output), re.search(r"stopped at step (\d+) of \d+", output)
    assert first is not None
    assert last is not None
    assert 0 < int(first.group(1)) < int(last.group(1))
    assert study.run.read_state() == "pending"
