"""Tests of the heat map: numbers in the metric's own units, colors by skill, and marks where nothing is compared."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from tests.report.figure_factories import TASKS as FACTORY_TASKS
from tests.report.figure_factories import comparison, inside, study
from tests.report.sweeps import CATALOGUE, FakeSweep, level
from usaggr.analysis.collect import collect
from usaggr.report.differences.heatmap import draw_heatmap
from usaggr.report.tables import make_tables

TASKS = ("breast_lesion", "breast_2cls", "fetal_femur", "fetal_head")


def scorer(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
    """Return scores: blocks of two are better by .2 skill, the block of all four is worse by .1."""
    return level(CATALOGUE[task], 0.4 + {1: 0.0, 2: 0.2, 4: -0.1}[len(block)] + 0.01 * seed)


def drawn(sweep: FakeSweep) -> Figure:
    collection = collect([sweep.directory])
    figure = draw_heatmap(make_tables(collection).comparison.verdicts, collection.study, collection.tasks, "base")
    assert figure is not None
    figure.draw_without_rendering()
    return figure


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_title().endswith("data")]


def texts_by_cell(axes: Axes) -> dict[tuple[int, int], str]:
    """Return the text of each cell by row and column."""
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}


def cells(axes: Axes) -> dict[tuple[int, int], Rectangle]:
    return {(round(p.get_y() + 0.5), round(p.get_x() + 0.5)): p for p in axes.patches if isinstance(p, Rectangle)}


@pytest.fixture(scope="module")
def figure(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    return drawn(FakeSweep(tmp_path_factory.mktemp("map") / "s", tasks=TASKS, scales=(0.25, 1.0)).finish(scorer))


def test_panels_are_scales_and_columns_are_groupings_without_the_reference(figure: Figure) -> None:
    assert [axes.get_title() for axes in panels(figure)] == ["25 % of data", "all data"]
    for axes in panels(figure):
        assert [label.get_text() for label in axes.get_xticklabels()] == ["CG", "AU"]


def test_rows_are_tasks_with_their_metric_by_clinical_group_and_type(figure: Figure) -> None:
    labels = [label.get_text() for label in panels(figure)[0].get_yticklabels()]
    assert labels == ["breast_2cls  AUC", "breast_lesion  DSC", "fetal_femur  MRE (px)", "fetal_head  DSC"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["breast", "obstetrics"]


def test_cells_show_the_difference_in_the_metrics_own_units(figure: Figure) -> None:
    numbers = texts_by_cell(panels(figure)[1])
    assert numbers[0, 0] == "+0.120"  # .2 skill of an AUC between .4 and 1
    assert numbers[2, 0] == "+20.0"  # pixels: fewer are better
    assert numbers[2, 1] == "−10.0"
    assert numbers[3, 1] == "−0.060"


def test_tasks_of_all_types_have_the_same_color_for_the_same_skill(figure: Figure) -> None:
    colors = cells(panels(figure)[0])
    better, worse = ({colors[row, column].get_facecolor() for row in range(4)} for column in (0, 1))
    assert len({tuple(np.round(color, 6)) for color in better}) == 1
    (blue,), (red,) = {tuple(np.round(c, 6)) for c in better}, {tuple(np.round(c, 6)) for c in worse}
    assert blue[2] > blue[0]
    assert red[0] > red[2]


def test_zero_is_the_middle_of_the_color_scale(figure: Figure) -> None:
    bar = figure.axes[-1]
    low, high = bar.get_xlim()
    assert low == -high
    assert "difference in skill from TS" in bar.get_xlabel()
    assert "fewer seeds" not in bar.get_xlabel()


def test_the_same_run_and_missing_cells_are_hatched_and_named(tmp_path: Path) -> None:
    tasks = ("breast_lesion", "breast_2cls", "fetal_femur")

    def flat(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(CATALOGUE[task], 0.4)

    axes = panels(drawn(FakeSweep(tmp_path / "s", tasks=tasks).finish(flat, lambda run: run.block == "unified")))[0]
    assert texts_by_cell(axes)[2, 0] == "same run"
    assert texts_by_cell(axes)[0, 1] == texts_by_cell(axes)[2, 1] == "missing"
    hatches = cells(axes)
    assert hatches[2, 0].get_hatch()
    assert hatches[2, 1].get_hatch()
    assert hatches[2, 0].get_hatch() != hatches[2, 1].get_hatch()
    assert not hatches[0, 0].get_hatch()
    assert hatches[0, 0].get_facecolor() != to_rgba("black")


def test_a_difference_over_fewer_seeds_than_planned_has_a_star(tmp_path: Path) -> None:
    sweep = FakeSweep(tmp_path / "s", tasks=TASKS)
    figure = drawn(sweep.finish(scorer, skip=lambda run: (run.block, run.seed) == ("unified", 0)))
    assert texts_by_cell(panels(figure)[0])[0, 1] == "−0.060*"
    assert texts_by_cell(panels(figure)[0])[0, 0] == "+0.120"
    assert "* fewer seeds than planned" in figure.axes[-1].get_xlabel()


def test_one_collapsed_cell_does_not_set_the_color_scale(tmp_path: Path) -> None:
    def collapsed(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(
            CATALOGUE[task], -0.5 if task == "fetal_head" and len(block) == 4 else 0.4 + 0.1 * (len(block) == 2)
        )

    figure = drawn(FakeSweep(tmp_path / "s", tasks=TASKS).finish(collapsed))
    assert figure.axes[-1].get_xlim() == pytest.approx((-0.3, 0.3))


def test_noise_does_not_get_full_color(tmp_path: Path) -> None:
    def near(task: str, block: tuple[str, ...], scale: float | int, seed: int) -> dict[str, float]:
        return level(CATALOGUE[task], 0.4 + 0.001 * len(block))

    figure = drawn(FakeSweep(tmp_path / "s", tasks=TASKS, seeds=(0,)).finish(near))
    assert figure.axes[-1].get_xlim() == pytest.approx((-0.05, 0.05))


def test_text_is_legible_on_its_cell(figure: Figure) -> None:
    """The contrast is at least 3 to 1, the limit for large print (WCAG 2)."""

    def luminance(color: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for axes in panels(figure):
        faces = cells(axes)
        assert len(axes.texts) == 2 * len(faces)  # the mark and the number
        for text in axes.texts:
            place = (round(text.get_position()[1]), round(text.get_position()[0]))
            ink, face = luminance(to_rgba(text.get_color())), luminance(faces[place].get_facecolor())
            assert (max(ink, face) + 0.05) / (min(ink, face) + 0.05) >= 3


def test_a_study_of_one_grouping_has_no_heat_map(tmp_path: Path) -> None:
    collection = collect([FakeSweep(tmp_path / "s", groupings=("task_specific",)).finish(scorer).directory])
    assert draw_heatmap(make_tables(collection).comparison.verdicts, collection.study, collection.tasks, "base") is None


@pytest.mark.parametrize("scales", [(1.0,), (0.1, 0.25, 0.5, 1.0)])
def test_nothing_is_cut_off(tmp_path: Path, scales: tuple[float, ...]) -> None:
    figure = drawn(FakeSweep(tmp_path / "s", tasks=TASKS, scales=scales, seeds=(0,)).finish(scorer))
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box is not None
        assert figure.bbox.x0 - 1 <= box.x0 < box.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 - 1 <= box.y0 < box.y1 <= figure.bbox.y1 + 1


def marked(cells: dict[tuple[str, str], dict[str, Any]]) -> Figure:
    figure = draw_heatmap(comparison(cells), study(), FACTORY_TASKS, "base")
    assert figure is not None
    return figure


def test_each_verdict_has_its_mark_next_to_the_number() -> None:
    names = ("gain", "no_loss", "loss", "undecided", "")
    keys = [(task, grouping) for task in FACTORY_TASKS for grouping in ("clinical", "unified")]
    figure = marked({key: {"verdict": name} for key, name in zip(keys, names, strict=False)})
    marks = [text.get_text() for text in panels(figure)[0].texts][::2]
    assert marks[:5] == ["▲", "=", "▼", "?", "–"]
    (words,) = [text.get_text() for text in figure.texts]
    assert [label.split(maxsplit=1)[1] for label in words.split("     ")] == [
        "gain", "no loss", "loss", "undecided", "no verdict",
    ]  # fmt: skip


def test_collapsed_and_unconverged_cells_have_corners_which_the_legend_explains() -> None:
    figure = marked(
        {
            ("breast_lesion", "unified"): {"collapsed": True},
            ("breast_2cls", "unified"): {"unconverged_reference": True},
            ("fetal_femur", "unified"): {},
        }
    )
    corners = [patch for patch in panels(figure)[0].patches if isinstance(patch, Polygon)]
    triangles = {round(float(c.get_xy()[:, 1].mean())): (c.get_facecolor()[:3], c.get_xy()[0, 1]) for c in corners}
    assert set(triangles) == {0, 1}
    assert (triangles[0][0], triangles[1][0]) == ((0, 0, 0), (1, 1, 1))
    assert triangles[0][1] < 0 < 1 < triangles[1][1]  # at the top of its cell, and at the bottom of its cell
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["collapsed", "reference did not converge"]
    assert inside(figure)


def test_without_collapsed_cells_there_is_no_legend_of_corners() -> None:
    assert not marked(
        {("breast_lesion", "unified"): {}, ("breast_2cls", "unified"): {}, ("fetal_femur", "unified"): {}}
    ).legends


def test_a_qualified_no_loss_has_its_mark() -> None:
    cells = {
        ("breast_lesion", "unified"): {"verdict": "no_loss", "rarer_than": 24},
        ("breast_2cls", "unified"): {"verdict": "no_loss"},
    }
    figure = draw_heatmap(comparison(cells), study(), FACTORY_TASKS[:2], "base")
    assert figure is not None
    marks = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert (marks.count("=‡"), marks.count("=")) == (1, 1)
