"""60 errors of all kinds in real data: each is found once, listed in few lines, and repaired or named by --fix."""

import csv
import dataclasses
import io
import re
import shlex
import sys
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from tests.data.check.planted_faults import PLANTED, PlantedFault, plant_faults
from tests.data.factories import data_config
from usaggr.cli.main import main
from usaggr.config.study import DataConfig
from usaggr.data.check import command
from usaggr.data.check.command import Outputs, run_check
from usaggr.data.check.corrected_files import LOG
from usaggr.data.read.load_dataset import check_dataset
from usaggr.data.read.remedies import describe_with_remedy
from usaggr.data.samples import Dataset, Fault
from usaggr.progress import NoProgress, Progress

REMEDY = re.compile(
    r"; (save|set|give|write|remove|correct|raise|replace|exchange|empty|restore|move|names can|cells with|paths must"
    r"|they look like .* multiply|if the links .* add data\.follow_links)"
)
"""Beginnings of remedies."""
NOTES = tuple(f"note {number} about a column" for number in range(12))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[PlantedFault]]:
    folder = tmp_path_factory.mktemp("planted")
    return folder, plant_faults(real_data, folder / "data")


def test_the_generator_plants_60_errors_of_all_kinds() -> None:
    assert len(PLANTED) == 60
    described = {kind for kind, *_ in PLANTED}
    assert len(described) == 31
    plain = {kind for kind in described if "; " not in describe_with_remedy(Fault("a.csv", 2, "x", "", kind, "text"))}
    exceptions = {"orientation", "transparency", "link_outside", "empty_mask", "turned"}
    assert plain <= exceptions, "kinds whose messages contain their remedies"


def test_each_planted_error_is_found_once_in_fewer_than_40_lines(
    planted: tuple[Path, list[PlantedFault]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, faults = planted
    monkeypatch.setattr(command, "check_dataset", check_with_notes)
    console = Console(file=io.StringIO(), width=200)
    outputs = Outputs(faults=tmp_path / "faults.csv")
    status = run_check(data_config(folder / "data", folder / "cache"), outputs, console, NoProgress())
    assert status == 2
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue() + capsys.readouterr().out
    assert len(text.splitlines()) < 40
    assert f"note: {NOTES[0]}" in text
    assert re.search(r"^note: \d+ more notes \(--html FILE shows all\)$", text, re.MULTILINE)
    kinds = {fault.kind for fault in faults}
    assert all(f" {kind}" in text.splitlines()[-1] for kind in kinds)
    with (tmp_path / "faults.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    counts = Counter((row["kind"], row["csv_file"], int(row["row"])) for row in written)
    assert counts == Counter((fault.kind, *line) for fault in faults for line in fault.lines)
    without_remedy = [row["message"] for row in written if not REMEDY.search(row["message"])]
    assert without_remedy == []


def test_the_corrected_copy_passes_the_printed_check_and_the_other_rows_are_listed(
    planted: tuple[Path, list[PlantedFault]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, faults = planted
    monkeypatch.setenv("USAGGR_CACHE", str(folder / "cache"))
    fixed = tmp_path / "fixed"
    words = ["usaggr", "data", "check", "data=fmuia", f"data.root={folder / 'data'}", "--fix", str(fixed)]
    status, out = run(words, monkeypatch, capsys)
    assert status == 2, "some rows need a decision"
    with (fixed / LOG).open(newline="") as file:
        log = list(csv.DictReader(file))
    left_out = {(row["file"], int(row["row"])) for row in log if row["what"].startswith("left out")}
    repaired = {(row["file"], int(row["row"])) for row in log} - left_out
    assert left_out == {line for fault in faults if not fault.is_repaired for line in fault.lines}
    assert repaired == {line for fault in faults if fault.is_repaired for line in fault.lines}
    recheck = next(line for line in out.splitlines() if line.startswith("next: ")).removeprefix("next: ")
    status, out = run(shlex.split(recheck), monkeypatch, capsys)
    assert status == 0
    assert out.splitlines()[-1].endswith(" 0 errors")


def check_with_notes(data: DataConfig, progress: Progress) -> tuple[Dataset | None, tuple[Fault, ...]]:
    """Return what the check of the data returns, with as many notes as many small doubts give."""
    dataset, faults = check_dataset(data, progress)
    assert dataset is not None
    return dataclasses.replace(dataset, warnings=NOTES), faults


def run(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int | str | None, str]:
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, capsys.readouterr().out
