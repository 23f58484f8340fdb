"""Unified runs of a tiny data set for probes: four tasks of all types, a few steps."""

from pathlib import Path

from tests.data.factories import tiny_data
from usaggr.config.compose import compose_study
from usaggr.config.study import StudyConfig
from usaggr.data.batches.cache import build_or_open
from usaggr.data.batches.run_data import RunData, select_run_data
from usaggr.sweep.planning.study_plan import PlannedRun, make_plan


def study_of(folder: Path, *overrides: str) -> StudyConfig:
    """Make a study of the data in a folder; write the data if they do not exist."""
    if not (folder / "data").is_dir():
        tiny_data(folder / "data", n=30)
    fixed = ["data=fmuia", f"data.root={folder / 'data'}", "data.image_size=32", f"outputs={folder / 'outputs'}"]
    small = ["name=tiny", "scales=[1.0]", "seeds=[0]", "training.budget=32 examples", "training.min_examples=1"]
    return compose_study("demo", [*fixed, *small, "training.accelerator=cpu", *overrides])


def unified(folder: Path, *overrides: str) -> tuple[PlannedRun, RunData]:
    """Return the unified run and its data."""
    plan = make_plan(study_of(folder, "groupings=[unified]", "reference=unified", *overrides))
    run = plan.runs[0]
    return run, select_run_data(plan.manifest, run.spec, build_or_open(plan.manifest.dataset, run.study.data))
