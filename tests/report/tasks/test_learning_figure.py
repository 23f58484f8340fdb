"""Learning curves show the values of curve.csv; missing and damaged files are left out."""

from pathlib import Path

import numpy as np
import pytest

from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import Collection, collect
from usaggr.report.tasks.learning_figure import draw_learning, read_curves

POSITIONS = {"task_specific": 0, "clinical": 1, "unified": 2}


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    return level(CATALOGUE[task], 0.5)


def swept(folder: Path, damage: str = "") -> Collection:
    """Return a sweep with curves of two points; `damage` is the way in which those of unified are damaged."""
    sweep = FakeSweep(folder / "s", scales=(0.25, 1.0), seeds=(0, 1)).finish(scorer)
    for run, _ in sweep.runs():
        columns = {"progress": (0.5, 1.0), "skill": (0.2, 0.5)}
        for task in run.tasks:
            metric = {"breast_lesion": "dsc", "breast_2cls": "auc", "fetal_femur": "mre"}[task]
            columns[f"{task}:{metric}"] = (0.5 + 0.1 * run.seed, 0.7 + 0.1 * run.seed)
        text = "\n".join([",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))])
        if run.block == "unified" and damage == "missing":
            continue
        if run.block == "unified" and damage:
            text = {"text": text.replace("0.7", "high"), "cut": text[:-3] + ",,,,,,,\n0.2", "empty": ""}[damage]
        (sweep.directory / "runs" / run.run_id / "curve.csv").write_text(text)
    return collect([sweep.directory])


def test_each_task_has_one_line_per_grouping_and_seed(tmp_path: Path) -> None:
    by_task = {curves.task: curves for curves in read_curves(swept(tmp_path), "base", 1.0)}
    assert set(by_task) == {"breast_lesion", "breast_2cls", "fetal_femur"}
    lesion = by_task["breast_lesion"]
    assert list(lesion.lines) == ["task_specific", "clinical", "unified"]
    assert [(line.seed, line.progress, line.score) for line in lesion.lines["unified"]] == [
        (0, (0.5, 1.0), (0.5, 0.7)),
        (1, (0.5, 1.0), (0.6, pytest.approx(0.8))),
    ]
    assert lesion.trivial == pytest.approx(0.4)


def test_a_run_shared_by_groupings_has_a_line_in_each_of_them(tmp_path: Path) -> None:
    """The task fetal_femur is the only one of its clinical group."""
    femur = next(c for c in read_curves(swept(tmp_path), "base", 1.0) if c.task == "fetal_femur")
    assert femur.lines["clinical"] == femur.lines["task_specific"]


@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_a_missing_or_damaged_curve_is_left_out(tmp_path: Path, damage: str) -> None:
    curves_by_task = list(read_curves(swept(tmp_path, damage), "base", 1.0))
    assert curves_by_task
    for curves in curves_by_task:
        assert set(curves.lines) == {"task_specific", "clinical"}


def test_a_value_that_is_not_a_number_is_left_out_of_its_line(tmp_path: Path) -> None:
    lesion = next(c for c in read_curves(swept(tmp_path, "text"), "base", 1.0) if c.task == "breast_lesion")
    assert [(line.seed, line.progress, line.score) for line in lesion.lines["unified"]] == [
        (0, (0.5,), (0.5,)),
        (1, (0.5,), (0.6,)),
    ]


def test_each_grouping_has_a_panel_with_its_lines_and_the_trivial_predictor(tmp_path: Path) -> None:
    curves = next(c for c in read_curves(swept(tmp_path), "base", 1.0) if c.task == "breast_lesion")
    figure = draw_learning(curves, POSITIONS)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["TS", "CG", "AU"]
    assert figure.axes[0].get_ylabel() == "DSC ↑"
    for axes in figure.axes:
        lines = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in axes.lines}
        assert lines["seed 0"] == pytest.approx([0.5, 0.7])
        assert lines["trivial"] == pytest.approx([0.4, 0.4])
        low, high = axes.get_ylim()
        assert low < 0.4 < 0.8 < high


def test_a_large_initial_error_is_cut_off_so_that_later_errors_stay_distinguishable(tmp_path: Path) -> None:
    collection = swept(tmp_path)
    for path in tmp_path.rglob("curve.csv"):
        lines = path.read_text().splitlines()
        if "fetal_femur:mre" in lines[0]:
            column = lines[0].split(",").index("fetal_femur:mre")
            first = lines[1].split(",")
            first[column] = "100000"
            path.write_text("\n".join([lines[0], ",".join(first), *lines[2:]]))
    femur = next(c for c in read_curves(collection, "base", 1.0) if c.task == "fetal_femur")
    assert draw_learning(femur, POSITIONS).axes[0].get_ylim()[1] < 1000
