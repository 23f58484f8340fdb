"""Damaged or incomplete run directories: no wrong result is counted, and the same command repairs them."""

import io
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.report.sweeps import FakeSweep
from tests.report.test_build import scorer
from tests.sweep import fakes
from usaggr.analysis.collect import collect
from usaggr.report.build import build_report
from usaggr.report.tables import make_tables
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.execution.damaged_results import set_damaged_aside
from usaggr.sweep.inspect.status import read_sweep_status
from usaggr.sweep.planning.study_plan import Plan
from usaggr.sweep.sweep import SweepOutcome, run_sweep

pytestmark = pytest.mark.usefixtures("kept_server")

WRITTEN = {"run.yaml", "status.json", "result.json", "predictions.parquet", "log.txt"}
SLOW = partial(pytest.param, marks=pytest.mark.slow)


def sweep(plan: Plan) -> tuple[SweepOutcome, str]:
    out = io.StringIO()
    outcome = run_sweep(
        plan,
        console=Console(file=out, width=300),
        executor=fakes.executor(plan.study),
        prepare=lambda plan, runs, progress: lambda run: None,
        build_report=lambda directories: directories[0],
    )
    return outcome, out.getvalue()


def make_sweep(tmp_path: Path, **changes: Any) -> FakeSweep:
    tasks = ("breast_lesion", "fetal_femur")
    return FakeSweep(tmp_path / "study", tasks=tasks, seeds=(0, 1), spread=0.1, **changes).finish(scorer)


def run_to_damage(sweep_on_disk: FakeSweep) -> RunDirectory:
    (path,) = sweep_on_disk.directory.glob("runs/unified-s1-k1-*")
    return RunDirectory(path)


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def change_score(path: Path) -> None:
    content = json.loads(path.read_text())
    scores = next(iter(content["scores"].values()))
    scores[next(iter(scores))] += 0.001
    path.write_text(json.dumps(content))


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("result.json", change_score, "result.json: has changed since it was written (its SHA-256 differs)"),
        ("result.json", cut_in_half, "result.json: cannot be read"),
        (
            "predictions.parquet",
            cut_in_half,
            "predictions.parquet: has changed since it was written (its size differs)",
        ),
        ("predictions.parquet", lambda path: flip(path, 300), "predictions.parquet: has changed since it was written"),
    ],
    ids=[
        "a changed score",
        "half a result",
        "half of the predictions",
        "a flipped bit in the predictions",
    ],
)
def test_a_damaged_result_counts_as_failed_and_the_report_names_it(
    tmp_path: Path, name: str, damage: Any, message: str
) -> None:
    sweep_on_disk = make_sweep(tmp_path)
    run = run_to_damage(sweep_on_disk)
    damage(run.path / name)
    collection = collect([sweep_on_disk.directory])
    (failed,) = [run for run in collection.runs if run.state == "failed"]
    assert failed.path == run.path
    assert message in str(failed.error)
    assert "the same `usaggr sweep` to train" in str(failed.error)


@pytest.mark.parametrize(
    ("name", "damage"),
    [("result.json", change_score), SLOW("result.json", cut_in_half), SLOW("predictions.parquet", cut_in_half)],
)
def test_the_same_sweep_trains_a_run_with_a_damaged_result_again_and_no_other(
    tmp_path: Path, name: str, damage: Any
) -> None:
    study = fakes.study(tmp_path)
    runs = [fakes.planned(study, seed) for seed in range(2)]
    plan = fakes.plan(study, *runs)
    assert sweep(plan)[0].exit_status == 0
    damage(runs[0].directory / name)
    outcome, message = sweep(plan)
    assert (outcome.exit_status, outcome.done, outcome.skipped) == (0, 2, 1)
    assert f"{runs[0].directory / name}: " in message
    assert fakes.executions(study).count(runs[0].spec.run_id) == 2
    assert fakes.executions(study).count(runs[1].spec.run_id) == 1
    assert list(set_damaged_aside(plan.runs)) == []


def test_results_without_checksums_of_older_versions_are_accepted(tmp_path: Path) -> None:
    sweep_on_disk = make_sweep(tmp_path)
    for path in sweep_on_disk.directory.glob("runs/*/result.json"):
        content = json.loads(path.read_text())
        assert {"sha256", "predictions"} <= set(content)
        path.write_text(json.dumps({k: v for k, v in content.items() if k not in ("sha256", "predictions")}))
    assert {run.state for run in collect([sweep_on_disk.directory]).runs} == {"done"}


def test_runs_without_predictions_are_named_by_the_report_and_keep_their_scores(tmp_path: Path) -> None:
    sweep_on_disk = make_sweep(tmp_path)
    run = run_to_damage(sweep_on_disk)
    run.predictions_path.unlink()
    collection = collect([sweep_on_disk.directory])
    assert {run.state for run in collection.runs} == {"done"}
    page = (build_report([sweep_on_disk.directory]) / "report.md").read_text()
    (line,) = [line for line in page.splitlines() if "predictions.parquet is missing in 1 finished run" in line]
    assert run.path.name in line.replace("\\", "")
    assert "or remove these runs" in line


@pytest.mark.parametrize("name", [name if name == "result.json" else SLOW(name) for name in sorted(WRITTEN)])
def test_a_run_directory_without_a_file_is_never_counted_wrongly_and_can_be_repaired(tmp_path: Path, name: str) -> None:
    study = fakes.study(tmp_path)
    run = fakes.planned(study, 0)
    plan = fakes.plan(study, run)
    sweep(plan)
    assert {path.name for path in run.directory.iterdir()} == {*WRITTEN, ".lock"}
    (run.directory / name).unlink()
    outcome, _ = sweep(plan)
    trained = 2 if name == "result.json" else 1
    assert (outcome.exit_status, outcome.done) == (0, 1)
    assert len(fakes.executions(study)) == trained
    assert read_sweep_status(plan.directory).count("done") == 1
    shutil.rmtree(run.directory)
    assert read_sweep_status(plan.directory).count("pending") == 1
    assert sweep(plan)[0].done == 1
    assert len(fakes.executions(study)) == trained + 1


def test_a_smaller_study_ignores_the_other_runs_and_keeps_them(tmp_path: Path) -> None:
    sweep_on_disk = make_sweep(tmp_path)
    run_count = len(list(sweep_on_disk.directory.glob("runs/*")))
    smaller = FakeSweep(sweep_on_disk.directory, tasks=sweep_on_disk.tasks, seeds=(0,), spread=0.1)
    smaller.write_plan()
    collection = collect([sweep_on_disk.directory])
    assert collection.unplanned == len(read_sweep_status(sweep_on_disk.directory).unplanned) == run_count // 2
    assert {run.row.seed for run in collection.runs} == {0}
    assert set(make_tables(collection).scores["seed"]) == {0}
    assert len(list(sweep_on_disk.directory.glob("runs/*/result.json"))) == run_count
