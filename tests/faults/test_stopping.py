"""Real trainings that are stopped and killed, in processes of their own: the same command goes on at a step."""

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
from usaggr.stopping import Asker

ROOT = Path(__file__).parents[2]
FIXED = (
    "data=fmuia", "data.image_size=32", "scales=[1.0]", "seeds=[0]", "groupings=[unified]", "reference=unified",
    "executor.workers=1", "executor.grace=100", "training.accelerator=cpu", "training.validations=2",
    "training.budget=20000 examples", "training.checkpoint=0.003",
)  # fmt: skip
"""Some ten thousand steps, stopped long before their end, with a checkpoint every 0.2 seconds."""


class Study:
    """One study, and the processes that have been started on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []
        tiny_data(folder / "data", n=24)

    def start(self, command: str, *before: str) -> subprocess.Popen[str]:
        """`usaggr command` in a group of its own, as a shell starts it, behind the words `before`."""
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
        """Kill whatever is left."""
        for process in self._started:
            for member in members(process.pid):
                member.kill()
            process.wait()

    def left(self) -> list[psutil.Process]:
        """Processes of all that was started which still live."""
        return [member for process in self._started for member in members(process.pid)]

    @property
    def run(self) -> RunDirectory:
        (path,) = (self._folder / "outputs").glob("*/runs/*")
        return RunDirectory(path)

    def log(self) -> str:
        found = [path.read_text() for path in (self._folder / "outputs").glob("*/runs/*/log.txt")]
        return "".join(found)

    def checkpoints(self) -> set[int]:
        """Which file the checkpoint is now: another one each time it is written."""
        return {path.stat().st_ino for path in (self._folder / "outputs").glob("*/runs/*/checkpoint/state.bin")}

    def worker(self) -> psutil.Process:
        status = self.run.status()
        assert status is not None
        assert status.state == "running"
        return psutil.Process(status.pid)

    def goes_on(self, attempt: int) -> int:
        """Wait until an attempt has gone on from a checkpoint and written one; the step that it went on from."""
        said = r"continues at step (\d+) of"
        until(lambda: len(re.findall(said, self.log())) == attempt - 1)
        self.trains()
        return int(re.findall(said, self.log())[-1])

    def trains(self) -> None:
        """Wait until another checkpoint is written."""
        before = self.checkpoints()
        until(lambda: bool(self.checkpoints() - before))


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    study = Study(tmp_path)
    yield study
    study.end()


def members(group: int) -> list[psutil.Process]:
    """Living processes of a group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def until(what: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.05)


def output_of(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=120)[0]


def stopped_at(said: str) -> int:
    """The last step at which a run says that it was stopped, with a checkpoint."""
    return int(re.findall(r"^stopped at step (\d+) of \d+$", said, re.MULTILINE)[-1])


def test_signals_within_a_second_of_the_first_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([70.0, 70.0, 70.9, 71.0, 90.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    asker = Asker()
    assert [asker.again() for _ in range(5)] == [False, False, False, True, True]


@pytest.mark.slow
def test_whatever_ends_a_training_the_same_command_goes_on_at_its_step(study: Study) -> None:
    """A killed worker; `timeout`, which sends SIGTERM twice and to the whole group; a killed sweep; Ctrl-C."""
    sweep = study.start("sweep", "timeout", "1000")
    study.trains()
    study.worker().kill()
    assert study.goes_on(attempt=2) > 0

    sweep.send_signal(signal.SIGTERM)
    assert "Traceback" not in output_of(sweep)
    until(lambda: not study.left())  # the server of workers sees that its parent is gone
    assert study.run.state() == "pending"
    step = stopped_at(study.log())

    sweep = study.start("sweep")
    assert study.goes_on(attempt=3) == step
    sweep.kill()
    until(lambda: not study.left())
    assert study.run.state() == "stale"

    sweep = study.start("sweep")
    assert study.goes_on(attempt=4) > step
    os.killpg(sweep.pid, signal.SIGINT)  # as a terminal does
    assert "Traceback" not in output_of(sweep)
    assert sweep.returncode == 130
    until(lambda: not study.left())  # the server of workers sees that its parent is gone
    assert stopped_at(study.log()) > step
    assert study.log().count("--- attempt") == 4


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once_and_the_last_checkpoint_stays(study: Study) -> None:
    """The run, which did not hear of the first, goes on in the foreground, where Ctrl-C stops it as well."""
    sweep = study.start("sweep")
    study.trains()
    worker = study.worker()
    worker.suspend()
    sweep.send_signal(signal.SIGINT)
    time.sleep(2)
    assert sweep.poll() is None
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(timeout=60) == 130
    worker.resume()
    until(lambda: not study.left())
    assert "stopped at step" not in study.log()

    train = study.start("train")
    study.trains()
    train.send_signal(signal.SIGINT)
    said = output_of(train)
    assert "Traceback" not in said
    assert train.returncode == 130
    assert "run the same command to continue" in said
    first, last = re.search(r"continues at step (\d+) of", said), re.search(r"stopped at step (\d+) of \d+", said)
    assert first is not None
    assert last is not None
    assert 0 < int(first.group(1)) < int(last.group(1))
    assert study.run.state() == "pending"
