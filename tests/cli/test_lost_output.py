"""A command finishes its work although nobody reads its output any longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.factories import tiny_data
from tests.module_decoys import read_executed, write_decoys
from usaggr.cli.lost_output import keep_working_without_output

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from usaggr.cli.lost_output import keep_working_without_output

with keep_working_without_output():
    sys.stdin.read(1)  # until the test has closed its end of the pipe
    for line in range(3000):
        print("line", line)
        print("line", line, file=sys.stderr, flush=True)
    open(sys.argv[1], "w", encoding="utf-8").write("finished")
sys.exit(3)
"""
SWEEP = (
    "data=fmuia", "data.image_size=32", "scales=[1.0]", "seeds=[0,1]", "groupings=[unified]",
    "reference=unified", "executor.workers=2", "training.accelerator=cpu", "training.validations=1",
    "training.budget=40 examples",
)  # fmt: skip


def run_without_reader(folder: Path, *command: str, **variables: str) -> int:
    """Run a command whose output goes to a pipe that has no reader, and return its exit status."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return _run(folder, writer, *command, **variables)
    finally:
        os.close(writer)


def _run(folder: Path, output: int, *command: str, **variables: str) -> int:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    env |= {"PYTHONPATH": str(ROOT), **variables}
    words = [sys.executable, *command]
    return subprocess.run(words, cwd=folder, env=env, input=b"x", stdout=output, stderr=output, timeout=300).returncode


def test_a_command_whose_reader_is_gone_finishes_with_its_own_exit_status(tmp_path: Path) -> None:
    assert run_without_reader(ROOT, "-c", PROGRAM, str(tmp_path / "done")) == 3
    assert (tmp_path / "done").read_text() == "finished"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_command_whose_log_is_on_a_full_disk_finishes_with_its_own_exit_status(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        assert _run(ROOT, full.fileno(), "-c", PROGRAM, str(tmp_path / "done")) == 3
    assert (tmp_path / "done").read_text() == "finished"


def test_output_that_can_be_written_is_complete_and_the_streams_return(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sys.stdout, sys.stderr
    with keep_working_without_output():
        print("scores")
        print("runs", file=sys.stderr)
        assert not sys.stdout.isatty()
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("scores\n", "runs\n")


@pytest.mark.slow
def test_a_sweep_without_a_reader_in_a_folder_of_decoys_trains_all_runs_and_writes_the_report(tmp_path: Path) -> None:
    """Its processes are those of a real training, and all of them search for modules elsewhere."""
    marker = write_decoys(tmp_path / "study")
    tiny_data(tmp_path / "data", n=24)
    program = tmp_path / "usaggr"
    program.write_text("from usaggr.cli.main import main\n\nmain()\n")
    where = (f"data.root={tmp_path / 'data'}", f"outputs={tmp_path / 'outputs'}")
    assert run_without_reader(tmp_path / "study", str(program), "sweep", "demo", *SWEEP, *where) == 0
    results = list((tmp_path / "outputs").glob("*/runs/*/result.json"))
    assert len(results) == len(list((tmp_path / "outputs").glob("*/runs/*"))) == 2
    assert (next((tmp_path / "outputs").glob("*")) / "report" / "index.html").is_file()
    with Path(os.devnull).open("wb") as nowhere:
        for command in ("check", "show"):
            words = (str(program), "data", command, "data=fmuia", where[0])
            assert _run(tmp_path / "study", nowhere.fileno(), *words) == 0
    assert read_executed(marker) == []
