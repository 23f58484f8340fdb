"""Each hostile content of each file of a results folder ends as one line, within 10 s and bounded memory."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.contract_readers import path_of
from tests.faults.hostile_files import KINDS, READERS_BY_FILE, replaced, try_reader

SECONDS = 10
QUICK = {
    "plan.csv": "status",
    "data.json": "plan",
    "split.csv": "evaluate",
    "RUN/run.yaml": "status",
    "RUN/status.json": "status, of a run",
    "RUN/result.json": "result alone",
}
"""A quick reader of each of some files."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Interrupt a reader that waits, as for the writer of a pipe."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"still reading after {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("kind", KINDS)
def test_no_reader_waits_for_what_stands_in_the_place_of_a_file(complete_folder: Path, kind: str) -> None:
    for name, reader in QUICK.items():
        with replaced(path_of(complete_folder, name), KINDS[kind]), time_limit(SECONDS):
            outcome = try_reader(reader, complete_folder)
        assert "TRACEBACK" not in outcome, outcome
        assert "\n" not in outcome


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS_BY_FILE)
def test_every_hostile_content_ends_as_one_line_within_time_and_memory(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "tests.faults.hostile_files", str(tmp_path / "study"), name]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    completed = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=900)
    assert completed.returncode == 0, completed.stderr[-2000:]
    outcomes = [json.loads(line) for line in completed.stdout.splitlines()]
    assert len(outcomes) >= 7
    for outcome in outcomes:
        assert "TRACEBACK" not in outcome["outcome"], outcome
        assert "\n" not in outcome["outcome"], outcome
        assert outcome["seconds"] < SECONDS, outcome
    # A damaged record of reported seeds is ignored: it is a remark on a report.
    ignored = ("RUN/", "aff", "reported_seeds")
    assert any(outcome["outcome"].startswith("refused") for outcome in outcomes) or name.startswith(ignored)
