"""Studies of M2DINO on a few phantoms, started on the command line: trained variants, and their reports."""

import subprocess
import sysconfig
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(sysconfig.get_path("scripts")) / "usaggr"
SMALL = (
    "data=synthetic", "data.image_size=32", "data.synthetic.samples_per_task=40",
    "data.synthetic.tasks=[breast_lesion,breast_2cls,fetal_head]", "model=m2dino_tiny", "model.weights=null",
    "training=quick", "training.precision=32-true", "training.budget=16 examples", "training.min_examples=1",
    "seeds=[0,1]",
)  # fmt: skip


def sweep(folder: Path, study: str, *overrides: str) -> Path:
    command = [SCRIPT, "sweep", study, *SMALL, f"outputs={folder}", "name=small", *overrides]
    subprocess.run(command, check=True, timeout=280, capture_output=True)
    return folder / "small" / "report"


@pytest.mark.slow
def test_the_demos_report_shows_how_experts_are_used(tmp_path: Path) -> None:
    report = sweep(tmp_path, "demo_m2dino")
    table = pd.read_csv(report / "tables" / "routing.csv")
    assert set(table["task"]) == {"breast_lesion", "breast_2cls", "fetal_head"}
    assert set(table["grouping"]) == {"task_specific", "clinical", "unified"}
    assert "Use of experts" in (report / "report.md").read_text()
    assert list((report / "figures").glob("*shares*.png"))


@pytest.mark.slow
def test_the_ablations_report_compares_its_variants(tmp_path: Path) -> None:
    report = sweep(tmp_path, "m2dino_ablation")
    table = pd.read_csv(report / "tables" / "variants.csv")
    assert set(table["variant"]) == {"dense", "wide", "blind", "lora", "film"}
    assert set(table["level"]) == {"task", "all", "interaction"}
    assert set(pd.read_csv(report / "tables" / "routing.csv")["variant"]) == {"base", "blind"}
    assert "Variants compared" in (report / "report.md").read_text()
