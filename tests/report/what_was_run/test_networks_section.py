"""Networks are described by their features and parameters, also for results of older versions."""

from pathlib import Path
from typing import Any

import pytest

from tests.report.reading import (
    chapters_of,
    find,
    material_of,
    read_cells,
    row_of,
    simple,
    tables,
    texts,
    with_settings,
)
from tests.report.routings import by_kind
from tests.report.sweeps import FakeSweep
from usaggr.document.elements import Items, Section, TextTable
from usaggr.report.contents import write_methods_and_limits
from usaggr.report.material import Material
from usaggr.report.what_was_run.chapter import write_run, write_settings
from usaggr.results.pixel_normalization import PixelNormalization

TASKS = ("breast_2cls", "breast_lesion", "fetal_femur")
M2DINO = {"name": "m2dino", "encoder": "vit_x", "norm": None, "conditioning": "experts", "conditioned_blocks": None,
          "experts": {"count": 8, "top_k": 2, "router": "task"}, "lora_rank": 4, "freeze": "none"}  # fmt: skip


def items(section: Section) -> list[str]:
    return [item for block in section.blocks if isinstance(block, Items) for item in block.items]


def networks(sweep: FakeSweep) -> TextTable:
    (table,) = [t for t in tables(chapters_of(material_of(sweep), write_run)) if t.name == "networks"]
    return table


def test_parameters_are_those_of_all_models_and_of_the_largest(tmp_path: Path) -> None:
    """A fake model has 1000 parameters, and 10 more for each task; 400 and 10 a task are trained, 710 active."""
    sweep = FakeSweep(tmp_path / "s", tasks=TASKS, router=lambda run: by_kind(["x"] * len(run.tasks)))
    lines = read_cells(networks(sweep.finish(simple)))
    assert networks(sweep).columns == (
        "grouping", "models", "parameters of all models", "largest model: total", "largest model: active",
        "largest model: trained",
    )  # fmt: skip
    assert lines == [
        ["TS", "3", "3,030", "1,010", "710", "410"],
        ["CG", "2", "2,030", "1,020", "710", "420"],
        ["AU", "1", "1,030", "1,030", "710", "430"],
    ]


def test_the_normalization_of_images_is_reported_as_the_runs_recorded_it(tmp_path: Path) -> None:
    """Once for all runs of a network; runs of older versions recorded nothing."""
    half = (0.5, 0.5, 0.5)
    settings = {"model": {"weights": "a.pth", "encoder": "vit_x"}}
    for folder, recorded, expected in (
        ("new", PixelNormalization("vit_x", "a.pth", half, half, "name"),
         "Normalization of images: vit_x with weights a.pth "
         "gets images normalized with mean 0.5 and std 0.5: assumed from the encoder's name, for which timm lists "
         "them; the file states none, and weights that were trained with another normalization perform worse."),
        ("old", None, "Normalization of images: not recorded for these runs; `usaggr plan` prints it for the study."),
    ):  # fmt: skip
        sweep = FakeSweep(tmp_path / folder, tasks=("fetal_femur",), settings=settings)
        sweep.write_plan()
        for run, _ in sweep.runs():
            scores = {task: simple(task, run.tasks, run.scale, run.seed) for task in run.tasks}
            sweep.write_run(run, scores, input_scale=recorded)
        settings_section = find(chapters_of(material_of(sweep), write_settings), "Study settings")
        lines = [item for item in items(settings_section) if item.startswith("Normalization of images")]
        assert [line.replace("\\", "") for line in lines] == [expected]


def test_results_without_counts_have_a_dash(tmp_path: Path) -> None:
    table = networks(FakeSweep(tmp_path / "s", tasks=TASKS).finish(simple))
    assert read_cells(table)[2] == ["AU", "1", "1,030", "1,030", "–", "–"]


def test_a_grouping_with_a_missing_model_has_no_sum(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "s", tasks=TASKS).finish(simple, skip=lambda run: run.block == "fetal_femur")
    assert row_of(networks(sweep), grouping="TS")["parameters of all models"] == "–"
    assert row_of(networks(sweep), grouping="TS")["models"] == "3"
    assert row_of(networks(sweep), grouping="AU")["parameters of all models"] == "1,030"


def test_one_finished_seed_or_scale_is_enough(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "s", tasks=TASKS, scales=(0.25, 1.0))
    sweep.finish(simple, skip=lambda run: (run.scale, run.seed) != (0.25, 1))
    assert row_of(networks(sweep), grouping="TS")["parameters of all models"] == "3,030"


def test_variants_have_rows_of_their_own(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "s", tasks=TASKS, variants={"base": [], "wide": []}, seeds=(0,)).finish(simple)
    assert [row[:2] for row in read_cells(networks(sweep))] == [
        [v, g] for v in ("base", "wide") for g in ("TS", "CG", "AU")
    ]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({}, "8 experts (2 per token, routed by token and task) in the second half of the transformer blocks"),
        ({"conditioned_blocks": [9, 12]}, "in transformer blocks 9 to 12"),
        ({"experts": {"count": 4, "top_k": 4, "router": "uniform"}}, "4 experts (4 per token, all weighted equally)"),
        ({"experts": {"count": 4, "top_k": 1, "router": "token"}}, "routing depends on the token only"),
        ({"conditioning": "lora"}, "task-specific low-rank adapters (LoRA, rank 4)"),
        ({"conditioning": "film"}, "task-specific scales and shifts (FiLM)"),
        ({"conditioning": "none"}, "the same MLP for all tasks"),
        ({"freeze": "early"}, "blocks before the conditioned ones frozen"),
        ({"freeze": "backbone"}, "backbone frozen"),
    ],
)
def test_the_features_of_a_network_are_described(usual: Material, model: dict[str, Any], expected: str) -> None:
    document = chapters_of(with_settings(usual, model=M2DINO | model), write_settings, write_methods_and_limits)
    for title in ("Study settings", "Methods"):
        assert expected in texts(find(document, title))
        assert "normalization" not in texts(find(document, title))
        assert "not recorded" not in texts(find(document, title))


def test_a_study_without_settings_of_its_network_says_that_they_are_not_recorded(usual: Material) -> None:
    document = chapters_of(with_settings(usual, model={"norm": None}), write_settings)
    assert "settings not recorded" in texts(document)
