"""A damaged plan.csv never makes a finished, planned run removable, also in folders without checksums."""

from pathlib import Path

import pytest

from tests.report.sweeps import FakeSweep
from tests.report.test_build import scorer
from usaggr.analysis.collect import collect
from usaggr.errors import RunError
from usaggr.sweep.inspect.clean import list_removable

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
    refusals = []
    path.write_text(lines[0])
    with pytest.raises(RunError, match=r"plan\.csv: lists no run"):
        list_removable(sweep.directory)
    for count in range(2, len(lines)):
        path.write_text("".join(lines[:count]))
        try:
            assert list_removable(sweep.directory) == [], count
        except RunError as error:
            refusals.append(str(error))
            with pytest.raises(RunError, match="does not list the runs"):
                collect([sweep.directory])
    assert len(refusals) >= 5
    assert all("plan.csv: does not list the runs of study.yaml" in message for message in refusals)


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
