"""Tests of building: the report folder is complete, can cover several folders, and needs no torch."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.report.controls.test_tables import sweep_of
from tests.report.reading import planted
from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis import compare_study
from usaggr.errors import RunError
from usaggr.io.locks import hold_lock
from usaggr.report import build
from usaggr.report.build import build_report, refresh_report

pytestmark = pytest.mark.usefixtures("without_figures")
"""Figures on the pages of a report are in test_figures.py."""


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], 0.3 + 0.1 * len(block) + 0.02 * seed)


def small(folder: Path) -> FakeSweep:
    """Return a finished sweep whose report is built quickly."""
    return FakeSweep(folder, tasks=("breast_2cls",), groupings=("task_specific",), seeds=(0,)).finish(scorer)


class Counting:
    """A progress that records its calls."""

    def __init__(self) -> None:
        self.works: list[list[int]] = []
        self.finished = 0

    def start(self, what: str, total: int) -> None:
        assert what
        self.works.append([0, total])

    def advance(self, n: int = 1) -> None:
        self.works[-1][0] += n

    def finish(self) -> None:
        self.finished += 1


def test_tables_on_disk_have_empty_fields_for_what_is_missing(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", seeds=(0,)).finish(scorer, skip=lambda run: run.block == "unified")
    tables = build_report([sweep.directory]) / "tables"
    lines = (tables / "comparison.csv").read_text().splitlines()
    row = next(line for line in lines if line.startswith("breast_lesion,") and ",clinical,base,dsc," in line)
    facts = "breast_lesion,segmentation,breast,1,100,clinical,base,dsc"
    assert row == f"{facts},0.64,0.7,0.06,,,,0.09375,,,,,0.02,1,24,12,,,no predictions"
    scores = pd.read_csv(tables / "scores.csv")
    assert scores.loc[scores["grouping"] == "unified", "value"].isna().all()
    assert set(scores.loc[scores["grouping"] == "unified", "status"]) == {"pending"}
    assert scores["higher_is_better"].dtype == bool


def test_the_report_of_several_folders_is_in_the_first(tmp_path: Path) -> None:
    first, second = (FakeSweep(tmp_path / str(i), seeds=(i,)).finish(scorer) for i in (0, 1))
    report = build_report([first.directory, second.directory])
    assert report == first.directory / "report"
    assert not (second.directory / "report").exists()
    assert set(pd.read_csv(report / "tables" / "scores.csv")["seed"]) == {0, 1}
    assert "Results are combined from" in (report / "report.md").read_text()


def test_an_error_leaves_the_old_report_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = small(tmp_path / "study")
    report = build_report([sweep.directory])
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}

    def fail(*_: object) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(build, "render_markdown", fail)
        with pytest.raises(RunError, match=r"study/report: cannot be written \(No space left on device\)"):
            build_report([sweep.directory])
    assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == before
    build_report([sweep.directory])
    assert not list(sweep.directory.glob("report.*"))


def test_files_of_a_killed_build_are_removed(tmp_path: Path) -> None:
    sweep = small(tmp_path / "study")
    for name in ("report.tmp", "report.old"):
        (sweep.directory / name / "figures").mkdir(parents=True)
        (sweep.directory / name / "figures" / "half.png").write_text("x")
    build_report([sweep.directory])
    assert not list(sweep.directory.glob("report.*"))


def test_two_builds_at_once_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = small(tmp_path / "study")
    monkeypatch.setattr(build, "_PATIENCE", 0.05)
    with hold_lock(sweep.directory / ".report.lock") as mine:
        assert mine
        with pytest.raises(RunError, match="another process is building this report"):
            build_report([sweep.directory])
    build_report([sweep.directory])


def test_progress_reaches_its_last_step(tmp_path: Path) -> None:
    sweep, progress = FakeSweep(tmp_path / "study").finish(scorer), Counting()
    build_report([sweep.directory], progress)
    assert progress.works == [[15, 15], [4, 4]]
    assert progress.finished == 2


def test_the_same_results_make_the_same_report(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study").finish(scorer)
    first = shutil.copytree(build_report([sweep.directory]), tmp_path / "first")
    again = build_report([sweep.directory])
    files = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert {path.suffix for path in files} == {".md", ".html", ".csv", ".tex"}
    assert all((first / path).read_bytes() == (again / path).read_bytes() for path in files)


LOOKS = "Reports of this sweep looked at its results with {} seeds; p values are not adjusted for it"


def test_reports_after_more_seeds_state_at_how_many_seeds_earlier_ones_gave_verdicts(tmp_path: Path) -> None:
    def build_with(seeds: int) -> str:
        sweep = planted(tmp_path / "study", {}, seeds=tuple(range(seeds)))
        return (build_report([sweep.directory]) / "report.md").read_text()

    assert "looked at its results" not in build_with(2)
    assert "looked at its results" not in build_with(2)
    assert LOOKS.format("2 and 3") in build_with(3)
    page = build_with(5)
    assert LOOKS.format("2, 3 and 5") in page
    assert build_with(5) == page
    assert (tmp_path / "study" / "reported_seeds.csv").read_text() == "seeds\n2\n3\n5\n"


def test_without_a_record_the_existing_report_is_the_earlier_one(tmp_path: Path) -> None:
    build_report([planted(tmp_path / "study", {}, seeds=(0, 1)).directory])
    (tmp_path / "study" / "reported_seeds.csv").unlink()
    report = build_report([planted(tmp_path / "study", {}, seeds=(0, 1, 2)).directory])
    assert LOOKS.format("2 and 3") in (report / "report.md").read_text()


@pytest.mark.parametrize("content", [b"", b"seeds\n\n-3\n2.5\nx\n" + b"9" * 5000, b"\xff\xfe", b'seeds\n"', b"\0"])
def test_a_damaged_record_prevents_no_report(tmp_path: Path, content: bytes) -> None:
    sweep = planted(tmp_path / "study", {}, seeds=(0, 1))
    (sweep.directory / "reported_seeds.csv").write_bytes(content)
    assert "looked at its results" not in (build_report([sweep.directory]) / "report.md").read_text()


DAMAGED = [b"", b"seeds\n\0", b"Seeds\n2\n3\n", b"seeds;time\n2;x\n", "seeds\n2\n".encode("utf-16"), b"seeds\n2.0\n"]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_record_is_kept_and_does_not_erase_the_earlier_report(tmp_path: Path, content: bytes) -> None:
    build_report([planted(tmp_path / "study", {}, seeds=(0, 1)).directory])
    record, damaged = (tmp_path / "study" / f"reported_seeds{name}.csv" for name in ("", ".damaged"))
    record.write_bytes(content)
    sweep = planted(tmp_path / "study", {}, seeds=(0, 1, 2))
    pages = [(build_report([sweep.directory]) / "report.md").read_text() for _ in range(2)]
    assert LOOKS.format("2 and 3") in pages[0]
    assert "Warning: the record of earlier reports, `reported_seeds.csv`, was damaged" in pages[0]
    assert pages[0] == pages[1]
    assert (record.read_text(), damaged.read_bytes()) == ("seeds\n2\n3\n", content)
    damaged.unlink()
    assert "Warning: the record" not in (build_report([sweep.directory]) / "report.md").read_text()


@pytest.mark.parametrize("plan", ["header", "reference alone"])
def test_a_report_is_built_without_anything_to_compare(tmp_path: Path, plan: str) -> None:
    sweep = FakeSweep(tmp_path / "study", groupings=("task_specific",)).finish(scorer)
    if plan == "header":
        path = sweep.directory / "plan.csv"
        path.write_text(path.read_text().splitlines()[0] + "\n")
    report = build_report([sweep.directory])
    assert (report / "tables" / "comparison.csv").read_text().count("\n") == 1
    text = (report / "report.md").read_text()
    assert ("This folder has no planned runs" in text) == (plan == "header")


@pytest.mark.parametrize("page", ["report.md", "index.html"])
def test_pictures_of_the_old_report_are_gone_with_it(tmp_path: Path, page: str) -> None:
    sweep = small(tmp_path / "study")
    report = build_report([sweep.directory])
    (report / "figures" / "old.png").write_text("x")
    assert "old.png" not in (build_report([sweep.directory]) / page).read_text()
    assert not (report / "figures" / "old.png").exists()


def test_neither_torch_nor_pyplot_is_imported(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "study", seeds=(0,)).finish(scorer)
    code = (
        "import sys; from pathlib import Path; from usaggr.report.build import build_report;"
        "build_report([Path(sys.argv[1])]);"
        "print(sorted({'torch', 'matplotlib.pyplot', 'sklearn'} & set(sys.modules)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(sweep.directory)], capture_output=True, text=True, check=True
    )
    assert (process.stdout.strip(), process.stderr) == ("[]", "")


def test_a_study_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study with random groupings is compared twice, because these are compared separately."""
    compared: list[int] = []
    judge = compare_study.judge_cells

    def counting(*arguments: Any) -> pd.DataFrame:
        compared.append(1)
        return judge(*arguments)

    monkeypatch.setattr(compare_study, "judge_cells", counting)
    build_report([small(tmp_path / "study").directory])
    assert len(compared) == 1
    build_report([sweep_of(tmp_path / "drawn", draws=2, gain=0.1).directory])
    assert len(compared) == 3


def test_a_report_is_rebuilt_only_if_something_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = FakeSweep(tmp_path / "study").finish(scorer)
    built = []
    original = build.build_report
    monkeypatch.setattr(build, "build_report", lambda *arguments: (built.append(arguments), original(*arguments))[1])
    page = refresh_report([sweep.directory]) / "index.html"
    refresh_report([sweep.directory])
    assert len(built) == 1
    (sweep.directory / "study.yaml").write_text((sweep.directory / "study.yaml").read_text() + "# margin\n")
    refresh_report([sweep.directory])
    assert len(built) == 2
    (path,) = sweep.directory.glob("runs/unified-s1-k0-*/result.json")
    path.write_text(path.read_text() + " ")
    refresh_report([sweep.directory])
    assert len(built) == 3
    page.unlink()
    refresh_report([sweep.directory])
    assert len(built) == 4
    assert page.is_file()


def test_settings_of_the_command_replace_those_of_the_study_until_the_next_sweep(tmp_path: Path) -> None:
    sweep = small(tmp_path)
    report = build_report([sweep.directory], settings={"margin": 0.05})
    page = (report / "report.md").read_text()
    assert "The margin is 0.05 for metrics" in page
    assert "Settings of this report, in place of those of the study: report.margin=0.05." in page
    page = (refresh_report([sweep.directory]) / "report.md").read_text()
    assert "The margin is 0.02 for metrics" in page
    assert "in place of those of the study" not in page
