"""Small study of tiny data, trained with `keep_weights`."""

from collections.abc import Sequence
from pathlib import Path

from tests.data.factories import tiny_data
from usaggr.config.compose import compose_study
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import select_run_data
from usaggr.results.run_directory import RunDirectory
from usaggr.results.spec import Placement
from usaggr.sweep.planning.study_plan import Plan, PlannedRun, make_plan, write_plan

SMALL = (
    "name=demo",
    "data=fmuia",
    "data.image_size=32",
    "scales=[1.0]",
    "seeds=[0]",
    "training.budget=24 examples",
    "training.min_examples=1",
    "training.validations=1",
    "groupings=[task_specific,unified]",
)


def plan_of(folder: Path, *overrides: str, n: int = 30) -> Plan:
    """Write the plan; make the data (tasks seg, cls, det, reg) if they do not exist."""
    if not (folder / "data").is_dir():
        tiny_data(folder / "data", n=n)
    folders = (f"data.root={folder / 'data'}", f"outputs={folder / 'outputs'}")
    plan = make_plan(compose_study("demo", [*SMALL, *folders, "training.keep_weights=scored", *overrides]))
    write_plan(plan)
    return plan


def train(plan: Plan, blocks: Sequence[str] = ("unified",)) -> list[PlannedRun]:
    """Train the runs of these blocks, of all seeds."""
    from usaggr.training.run import execute_run

    cache = build_or_open(plan.manifest.dataset, plan.study.data)
    runs = [run for run in plan.runs if run.spec.block in blocks]
    for run in runs:
        with RunDirectory(run.directory).claim(1) as mine:
            assert mine
            RunDirectory(run.directory).write_spec(run.spec, packages={"torch": "2"})
            execute_run(
                run.spec,
                run.directory,
                run.study,
                Placement(threads=1),
                select_run_data(plan.manifest, run.spec, cache),
            )
    return runs
