"""Sweeps whose temporary folder ($TMPDIR) is missing, read-only, too long for sockets, or removed meanwhile."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.faults.disks import set_read_only, small_disk
from tests.sweep.test_faults import ROOT, count_starts, find_results, until


def start_sweep(outputs: Path, temporary: Path, runs: list[dict[str, object]]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.sweep.fakes", str(outputs), json.dumps(runs)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=pipe, stderr=subprocess.STDOUT)


@contextmanager
def missing(folder: Path) -> Iterator[Path]:
    yield folder / "missing"


@contextmanager
def file(folder: Path) -> Iterator[Path]:
    (folder / "file").write_text("")
    yield folder / "file"


@contextmanager
def long(folder: Path) -> Iterator[Path]:
    path = folder / ("x" * 200) / ("y" * 200) / ("z" * 200)
    path.mkdir(parents=True)
    yield path


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    with small_disk(folder / "disk") as disk:
        set_read_only(disk, True)
        yield disk


@pytest.mark.slow
@pytest.mark.parametrize("make", [missing, file, long, read_only])
def test_a_sweep_trains_all_runs_without_a_usable_temporary_folder(
    tmp_path: Path, make: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    with make(tmp_path) as temporary:
        sweep = start_sweep(tmp_path, temporary, [{"number": number} for number in range(3)])
        out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 0, out
    assert "Traceback" not in out
    assert len(find_results(tmp_path)) == 3


@pytest.mark.slow
def test_a_temporary_folder_that_is_removed_while_runs_train_costs_no_run(tmp_path: Path) -> None:
    """The sockets of the server of workers are in it, through which it is asked for the workers of later runs."""
    temporary = Path("/tmp") / f"usaggr-test-{os.getpid()}"  # a short path, so that the sockets are in it
    temporary.mkdir()
    runs: list[dict[str, object]] = [{"sleeps": 2}, *({"dies": 1, "sleeps": 0.1, "number": i} for i in range(3))]
    try:
        sweep = start_sweep(tmp_path, temporary, runs)
        until(lambda: sum(count_starts(tmp_path).values()) >= 1)
        assert list(temporary.glob("pymp-*/listener-*"))
    finally:
        shutil.rmtree(temporary)
    started = time.monotonic()
    out, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == 0, out
    assert time.monotonic() - started < 60
    assert "Traceback" not in out
    assert len(find_results(tmp_path)) == 4
    assert sorted(count_starts(tmp_path).values()) == [1, 2, 2, 2]
