"""`usaggr plan` lists a few runs by name, and many by their totals."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.sweep import fakes
from usaggr.data.split.make_split import Split
from usaggr.data.split.manifest import Manifest
from usaggr.results.run_directory import RunDirectory
from usaggr.sweep.inspect import plan_console
from usaggr.sweep.inspect.plan_console import print_plan
from usaggr.sweep.planning.study_plan import Plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    study = fakes.study(tmp_path, "tasks=[lung_2cls]", "groupings=[task_specific]")
    return fakes.plan(study, *(fakes.planned(study, seed, examples=100 + seed) for seed in range(5)))


def shown(plan: Plan) -> list[str]:
    file = io.StringIO()
    print_plan(plan, Console(file=file, width=200))
    return file.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _nothing_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_console, "compute_detectable_differences", lambda plan: ())


def test_the_normalization_of_images_is_printed_if_weights_are_pretrained(plan: Plan) -> None:
    assert not any(line.startswith("input: ") for line in shown(plan))
    model = plan.study.model.model_copy(update={"encoder": "resnet18", "weights": "imagenet"})
    study = plan.study.model_copy(update={"model": model})
    lines = shown(replace(plan, runs=tuple(replace(run, study=study) for run in plan.runs)))
    assert [line for line in lines if line.startswith("input: ")] == [
        "input: resnet18 with weights imagenet gets images normalized with mean 0.485, 0.456, 0.406 and std 0.229, "
        "0.224, 0.225: assumed, because the network mh_mtl does so for every encoder and all weights"
    ]


def test_few_runs_are_shown_one_by_one(plan: Plan) -> None:
    lines = shown(plan)
    for run in plan.runs:
        row = next(line for line in lines if run.directory.name in line)
        assert str(run.examples) in row
        assert "pending" in row
    assert not any("plan.csv" in line for line in lines)


def test_notes_are_shown_unchanged_and_a_split_that_is_not_disjoint_is_a_warning(plan: Plan) -> None:
    manifest = plan.manifest
    assert not any(line.startswith("warning: ") for line in shown(plan))
    data = replace(manifest.dataset, warnings=("'[b]17[/]' and '[/red]'",))
    components = (0, *range(39))
    subsets = ("train", "test", *manifest.split.subsets[2:])
    broken = Manifest(data, Split(components, subsets), manifest.ranks)
    lines = shown(replace(plan, manifest=broken))
    assert "note: '[b]17[/]' and '[/red]'" in lines
    (warning,) = [line for line in lines if line.startswith("warning: ")]
    assert (
        "not disjoint: of 39 components, 40 images, 40 files, 40 subjects, these are in two subsets: 1 compo" in warning
    )


def test_many_runs_are_summed_by_groupings_variant_and_scale(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_console, "MAX_LISTED_RUNS", 4)
    RunDirectory(plan.runs[0].directory).mark_failed("no", 1)
    lines = shown(plan)
    assert not any(run.directory.name in line for run in plan.runs for line in lines)
    table = [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines]
    assert ["groupings", "variant", "scale", "runs", "examples", "failed", "pending"] in table
    assert ["task_specific", "base", "1", "5", "510", "1", "4"] in table
    assert any(str(plan.directory / "plan.csv") in line for line in lines)
    assert any(line.startswith("5 runs: 1 failed, 4 pending") for line in lines)
