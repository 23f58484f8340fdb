"""No process imports a module from the current folder, whatever its name is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.module_decoys import read_executed, write_decoys
from usaggr.safe_path import SafeSearch, _is_started_as_module, list_search_folders

ROOT = Path(__file__).parents[2]
PROCESSES = """
import sys
from usaggr.data.synthetic.process_pool import map_in_processes
from usaggr.sweep.executors.local.forkserver import start_server

if __name__ == "__main__":
    process = start_server(["usaggr.results.spec"], 1).Process(target=sys.exit, args=(7,))
    process.start()
    process.join()
    print(process.exitcode, sorted(map_in_processes(abs, range(8), 2)))
"""
"""Starts the server, the resource tracker, a worker, and the processes that draw phantoms."""


def run_in(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    env |= {"PYTHONPATH": str(ROOT), **variables}
    return subprocess.run([sys.executable, *command], cwd=folder, env=env, text=True, capture_output=True, timeout=300)


@pytest.mark.parametrize("as_packages", [False, True], ids=["files", "folders"])
def test_no_process_imports_a_module_of_the_current_folder(tmp_path: Path, as_packages: bool) -> None:
    marker = write_decoys(tmp_path / "study", as_packages)
    script = tmp_path / "script.py"
    script.write_text(PROCESSES)
    completed = run_in(tmp_path / "study", str(script))
    assert completed.stdout == f"7 {list(range(8))}\n", completed.stderr
    assert read_executed(marker) == []


def test_the_decoys_are_executed_by_a_process_that_searches_the_current_folder(tmp_path: Path) -> None:
    marker = write_decoys(tmp_path / "study")
    run_in(tmp_path / "study", "-c", "import queue")
    assert "queue" in {line.split()[0] for line in read_executed(marker)}


def test_python_dash_m_imports_no_module_of_the_current_folder_but_a_package_of_its_own_name(tmp_path: Path) -> None:
    """Python itself searches for `usaggr` there before any line of usaggr is executed."""
    marker = write_decoys(tmp_path / "study", without=("usaggr",))
    completed = run_in(tmp_path / "study", "-m", "usaggr", "--version")
    assert (completed.returncode, completed.stderr) == (0, "")
    assert read_executed(marker) == []


@pytest.mark.parametrize(
    ("command", "is_usaggr"),
    [
        ("python -m usaggr sweep", True),
        ("python -B -musaggr", True),
        ("python -m usaggr.cli.main sweep -m", True),
        ("python -m study sweep", False),
        ("python script.py", False),
    ],
)
def test_the_command_that_starts_usaggr_as_a_module_is_recognized(command: str, is_usaggr: bool) -> None:
    words = command.split()
    start = next((i for i, word in enumerate(words) if word.startswith("-m")), None)
    arguments = words[1:] if start is None else ["-m", *words[start + (2 if words[start] == "-m" else 1) :]]
    assert _is_started_as_module(arguments, words) == is_usaggr


def test_the_search_path_and_the_environment_are_restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setattr(sys, "path", before := ["", "/libraries"])
    assert list_search_folders() == ["/libraries"]
    with SafeSearch({"OMP_NUM_THREADS": "3"}):
        assert (sys.path, os.environ["PYTHONSAFEPATH"], os.environ["OMP_NUM_THREADS"]) == (["/libraries"], "1", "3")
    assert sys.path is before
    assert "PYTHONSAFEPATH" not in os.environ
    monkeypatch.chdir(ROOT)
    assert list_search_folders() == [str(ROOT), "/libraries"]
