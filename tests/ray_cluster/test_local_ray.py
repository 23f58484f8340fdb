"""A sweep that starts Ray on this machine survives the death of Ray's own processes: no run is lost or called done."""

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.ray_cluster.test_cluster import start
from tests.sweep.test_faults import count_starts, family_of, find_results, until
from usaggr.results.run_directory import RunDirectory

pytestmark = pytest.mark.cluster
pytest.importorskip("ray", reason="ray is not installed: pip install usaggr[ray]")

SERVERS = ("raylet", "gcs_server", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Programs by which Ray serves a node."""


def find_server(family: list[psutil.Process], name: str) -> psutil.Process | None:
    """Return the process of a program of Ray; None if there is none."""
    for process in family:
        try:
            words = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        if words and words[0].rpartition("/")[2].strip() == name:
            return process
    return None


@pytest.mark.parametrize("name", SERVERS)
def test_a_killed_server_of_ray_loses_no_run(tmp_path: Path, name: str) -> None:
    runs: list[dict[str, Any]] = [{"sleeps": 0.1}, {"sleeps": 20}, {"sleeps": 20.1}, {"sleeps": 0.2}]
    sweep = start(tmp_path, runs)
    until(lambda: len(find_results(tmp_path)) >= 1 and sum(count_starts(tmp_path).values()) >= 3, seconds=150)
    server = find_server(family_of(sweep), name)
    assert server is not None, [" ".join(process.cmdline()[:3]) for process in family_of(sweep)]
    server.send_signal(signal.SIGKILL)
    out, _ = sweep.communicate(timeout=240)
    states = Counter(RunDirectory(path).read_state() for path in (tmp_path / "fake" / "runs").iterdir())
    assert "Traceback" not in out
    assert states["failed"] == 0, out
    assert (sweep.returncode == 0) == (states["done"] == len(runs)), out
    if sweep.returncode != 0:
        assert name == "gcs_server" or "same command" in out, out  # without it, Ray itself ends the sweep
        resumed = start(tmp_path, runs)
        out, _ = resumed.communicate(timeout=240)
        assert resumed.returncode == 0, out
    assert len(find_results(tmp_path)) == len(runs)
