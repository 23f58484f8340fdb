"""A damaged plan.csv never makes a finished, planned run removable, also in folders without checksums."""

from pathlib import Path

import pytest

from tests.report.sweeps import FakeSweep
from tests.report.test_build import scorer
from usaggr.analysis.collect import collect
from usaggr.errors import RunError
from usaggr.results.contract_sums import write_contract_file
from usaggr.sweep.inspect.clean import list_removable
from usaggr.sweep.inspect.status import read_sweep_status

TASKS = ("breast_2cls", "fetal_femur")


@pytest.fixture
def sweep(tmp_path: Path) -> FakeSweep:
    made = FakeSweep(tmp_path / "study", tasks=TASKS, groupings=("task_specific", "unified"), scales=(0.5, 1.0),
                     seeds=(0, 1))  # fmt: skip
    return made.finish(scorer)


def test_a_plan_that_is_cut_off_between_two_lines_makes_no_run_removable(sweep: FakeSweep) -> None:
    path = sweep.directory / "plan.csv"
    lines = path.read_text().splitlines(keepends=True)
    assert list_removable(sweep.directory) == []
    path.write_text(lines[0])
    with pytest.raises(RunError, match=r"plan\.csv: lists no run"):
        list_removable(sweep.directory)
    with pytest.raises(RunError, match=r"plan\.csv: lists no run"):
        read_sweep_status(sweep.directory)
    for count in range(2, len(lines)):
        path.write_text("".join(lines[:count]))
        for read in (list_removable, read_sweep_status, lambda directory: collect([directory])):
            with pytest.raises(RunError, match=r"plan\.csv: does not list the runs of study\.yaml"):
                read(sweep.directory)


def test_a_scale_or_grouping_without_a_line_is_a_gap_before_any_run_is_done(sweep: FakeSweep) -> None:
    path = sweep.directory / "plan.csv"
    for result in sweep.directory.glob("runs/*/result.json"):
        result.unlink()
    header, *lines = path.read_text().splitlines(keepends=True)
    scale, grouping = (header.split(",").index(name) for name in ("scale", "groupings"))
    at_scale = [line for line in lines if line.split(",")[scale] == "0.5"]
    path.write_text("".join([header, *at_scale]))
    with pytest.raises(RunError, match=r"\(task_specific, seed 0, scale 1: no run of fetal_femur\)"):
        collect([sweep.directory])
    kept_lines = [line for line in lines if line not in at_scale and line.split(",")[grouping] != "unified"]
    path.write_text("".join([header, *at_scale, *kept_lines]))
    with pytest.raises(RunError, match=r"\(unified, seed 0, scale 1: no run of fetal_femur\)"):
        collect([sweep.directory])


@pytest.mark.parametrize(("tasks", "scales"), [(TASKS, (200, 300)), (("breast_2cls",), (0.5, 1.0))],
                         ids=["caps above the samples", "one classification"])  # fmt: skip
def test_only_finished_runs_show_a_scale_that_may_have_the_samples_of_another(
    tmp_path: Path, tasks: tuple[str, ...], scales: tuple[float | int, ...]
) -> None:
    """A scale without lines is no gap by itself: its runs may be equal to those of another scale."""
    sweep = FakeSweep(tmp_path / "study", tasks=tasks, groupings=("task_specific", "unified"), scales=scales,
                      seeds=(0, 1)).finish(scorer)  # fmt: skip
    path = sweep.directory / "plan.csv"
    header, *lines = path.read_text().splitlines(keepends=True)
    scale = header.split(",").index("scale")
    path.write_text("".join([header, *(line for line in lines if float(line.split(",")[scale]) == scales[0])]))
    with pytest.raises(RunError, match=r"\(not \S+-k\d-\w{8}, which is done\)"):
        collect([sweep.directory])
    for run, _ in sweep.runs():
        if run.scale == scales[1]:
            (sweep.directory / "runs" / run.run_id / "result.json").unlink()
    assert len(collect([sweep.directory]).planned) == len(lines) // 2


def test_a_seed_without_a_line_of_a_further_scale_is_a_gap_before_any_run_is_done(sweep: FakeSweep) -> None:
    path = sweep.directory / "plan.csv"
    lines = path.read_text().splitlines(keepends=True)
    for result in sweep.directory.glob("runs/*/result.json"):
        result.unlink()
    scale, tasks = (lines[0].split(",").index(name) for name in ("scale", "tasks"))
    cells = [line.split(",") for line in lines]
    last = max(n for n, row in enumerate(cells) if row[scale] in ("1", "1.0") and row[tasks] == "breast_2cls")
    path.write_text("".join(lines[:last] + lines[last + 1 :]))
    with pytest.raises(RunError, match=r"scale 1: seeds 0 and 1 have different runs"):
        collect([sweep.directory])


def test_a_plan_with_a_checksum_is_complete_without_runs_of_an_edited_study(sweep: FakeSweep) -> None:
    path = sweep.directory / "plan.csv"
    header, *lines = path.read_text().splitlines(keepends=True)
    scale = header.split(",").index("scale")
    write_contract_file(path, "".join([header, *(line for line in lines if line.split(",")[scale] == "0.5")]))
    assert len(collect([sweep.directory]).planned) == len(lines) // 2


def test_a_changed_fingerprint_makes_no_run_removable(sweep: FakeSweep) -> None:
    path = sweep.directory / "plan.csv"
    text = path.read_text()
    for run, _ in sweep.runs():
        path.write_text(text.replace(f",{run.fingerprint},", f",{'0' * 64},"))
        with pytest.raises(RunError, match=f"the fingerprint of {run.run_id} is not that of its directory"):
            list_removable(sweep.directory)


def test_runs_of_an_edited_study_stay_removable(sweep: FakeSweep) -> None:
    edited = FakeSweep(sweep.directory, tasks=TASKS, groupings=("task_specific", "unified"), scales=(0.5, 1.0),
                       seeds=(0, 1), settings={"training": {"steps": 7}})  # fmt: skip
    old = {run.run_id for run, _ in sweep.runs()}
    edited.finish(scorer)
    items = list_removable(sweep.directory)
    assert {item.path.name for item in items} == old
    assert {item.kind for item in items} == {"unplanned run"}
