"""The report's figures as files: which there are, in which formats, byte for byte the same for the same tables.

Figures are drawn on their own canvases (Agg and SVG), never through pyplot, and whatever style the user has set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.analysis.collect import Collection
from usaggr.document.display_names import grouping_label, scale_label
from usaggr.report.affinity.figure import draw_predictions
from usaggr.report.answer.cost_figure import draw_cost
from usaggr.report.controls.figure import draw_controls
from usaggr.report.differences.forest import draw_forest
from usaggr.report.differences.heatmap import draw_heatmap
from usaggr.report.figure_style import reference_first
from usaggr.report.routing.shares_figure import describe_entropy, describe_shares, draw_entropy, draw_shares
from usaggr.report.routing.similarity_figure import describe_similarity, draw_similarity
from usaggr.report.scale.curves_figure import draw_curves
from usaggr.report.scale.groups_figure import draw_consistency, draw_sensitivity
from usaggr.report.tables import Tables
from usaggr.report.tasks.learning_figure import draw_learning, read_curves
from usaggr.report.variants.figure import draw_variants

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150
_STYLE = {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.7,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8.0,
    "hatch.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a name with dollars is no formula, and must not end the report
    "svg.hashsalt": "usaggr",  # otherwise ids in the SVG are drawn at random
}


@dataclass(frozen=True)
class FigureFile:
    """A figure that was written."""

    name: str
    """Without folder and ending."""
    title: str
    description: str
    """What there is to see, for those who cannot see it."""
    formats: tuple[str, ...]
    place: str = "answer"
    """Chapter that it belongs to: answer, scale, groups, types, cost, controls, affinity, variants, routing:<variant>,
    or task:<id>."""


@dataclass(frozen=True)
class _Drawing:
    """A figure that is still to be written; None where there is nothing to show."""

    name: str
    title: str
    description: str
    place: str
    figure: "Figure | None"


@contextmanager
def figure_style() -> Iterator[None]:
    """The style of all figures, for as long as the context lasts."""
    from matplotlib import style

    with style.context(["default", _STYLE]):
        yield


def write_figures(collection: Collection, tables: Tables, folder: Path) -> tuple[FigureFile, ...]:
    """Draw all figures of the report into a folder: none where no run is done.

    Where there are several variants, each has its own, with its name at the end of theirs; then there is one of all.
    """
    if not (tables.scores["status"] == "done").any():
        return ()
    folder.mkdir(parents=True, exist_ok=True)
    study, written = collection.study, []
    with figure_style():
        for drawing, suffix, said in _all_drawings(collection, tables):
            if drawing.figure is None:
                continue
            name, title = f"{drawing.name}{suffix}", f"{drawing.title}{said}"
            file = FigureFile(name, title, drawing.description, study.formats, drawing.place)
            _save(drawing.figure, folder, file)
            written.append(file)
    return tuple(written)


def _all_drawings(collection: Collection, tables: Tables) -> Iterator[tuple[_Drawing, str, str]]:
    """Each with what its name and its title end in: the variant, where there are several."""
    variants = collection.study.variants
    for variant in variants:
        suffix, said = ("", "") if len(variants) == 1 else (f"-{variant}", f", variant {variant}")
        for drawing in _drawings(collection, tables, variant):
            yield drawing, suffix, said
    for drawing in _variant_drawings(collection, tables):
        yield drawing, "", ""
    yield _affinity_drawing(collection, tables), "", ""


def _drawings(collection: Collection, tables: Tables, variant: str) -> Iterator[_Drawing]:
    """One after the other, so that no more than one figure is in memory."""
    study, reference = collection.study, grouping_label(collection.study.reference)
    yield _Drawing(
        "delta_heatmap",
        f"Difference from {reference}, all tasks",
        "A row a task, a column a grouping and scale: the difference from the reference in the metric's own units, "
        "coloured by the difference in skill (blue is better, red is worse), with the verdict's mark. Triangles in a "
        "cell's corners: a model that is collapsed (filled) or did not converge (open); above the grouping's, below "
        "the reference's.",
        "answer",
        draw_heatmap(tables.comparison.verdicts, study, collection.tasks, variant),
    )
    for scale in sorted(study.scales, reverse=True):
        yield _Drawing(
            f"forest-{scale:g}",
            f"Differences with their intervals, {scale_label(scale)}",
            "A row a task, a panel a grouping: the difference from the reference with its unadjusted interval, in "
            "units of the task's margin and better to the right; the axis is logarithmic past two margins. The grey "
            "band is worse by less than the margin. An interval right of the dashed line is no loss, if its test holds "
            "after Holm's adjustment. The numbers are in the metric's own units; an arrow's interval goes on.",
            "answer",
            draw_forest(tables.comparison.verdicts, study, collection.tasks, variant, scale),
        )
    models = {
        name: len({run.row.tasks for run in collection.runs if name in run.row.groupings}) for name in study.groupings
    }
    yield _Drawing(
        "score_against_cost",
        "Score against cost",
        "A point a grouping and scale, larger markers for larger scales: mean relative change from the reference with "
        "its interval against the number of models, the parameters of all of them, and the time that all seeds took to "
        "train. The reference stands at nought.",
        "cost",
        draw_cost(tables.comparison.summary, study, models, variant),
    )
    yield _Drawing(
        "score_against_scale",
        "Score against training samples",
        "A panel a task: mean score over seeds with its interval as a band (as bars where they are wide) against "
        "the number of training samples, a line a grouping; the dashed line is the predictor that ignores the image, "
        "whose score is written where it is far off. A band may go on past the panel.",
        "scale",
        draw_curves(tables.comparison.cells, study, collection.tasks, variant),
    )
    yield _Drawing(
        "controls",
        "Groupings among those drawn by lot",
        "A panel a scale, a row a grouping: its mean difference in skill from the reference over all tasks, with its "
        "interval, better to the right; below it, a stroke for each grouping that was drawn by lot with blocks of the "
        "same sizes. Among the strokes, it is the number of tasks that counts, and not which they are.",
        "controls",
        draw_controls(tables.controls, study, variant),
    )
    yield from _group_drawings(collection, tables, variant)
    yield from _routing_drawings(collection, tables, variant)
    yield from _learning_drawings(collection, variant)


def _group_drawings(collection: Collection, tables: Tables, variant: str) -> Iterator[_Drawing]:
    """Over all cells, the collapsed and unconverged ones too: tables give both."""
    study = collection.study
    interplay = tables.interplay
    consistency, spread, sensitivity = (
        table[~table["valid_only"].astype(bool)]
        for table in (interplay.consistency, interplay.spread, interplay.sensitivity)
    )
    yield _Drawing(
        "sensitivity",
        "Sensitivity of task types",
        "A row a task type, a panel a scale, a mark a grouping: mean difference in skill from the reference over the "
        "type's tasks, with its interval; better to the right.",
        "types",
        draw_sensitivity(sensitivity, study, variant),
    )
    yield _Drawing(
        "consistency",
        "Consistency across clinical groups",
        "A row a clinical group (number of tasks compared), a panel a scale, a mark a grouping: mean relative change "
        "from the reference with its interval, better to the right; below, the standard deviation over groups of their "
        "true means, small where a grouping does the same to all.",
        "groups",
        draw_consistency(consistency, spread, study, variant),
    )


def _variant_drawings(collection: Collection, tables: Tables) -> Iterator[_Drawing]:
    """What is drawn once for all variants."""
    study, reference = collection.study, grouping_label(collection.study.reference)
    against = next(iter(study.variants), "")
    yield _Drawing(
        "variants",
        f"Variants against {against}",
        f"A row a variant, a mark a grouping, panels below each other by scale. Left: mean difference in skill from "
        f"{against} under the same grouping, with its unadjusted interval, better to the right. Right: by how much the "
        f"grouping differs from {reference} under the variant more than it does under {against}; left of nought, "
        f"sharing does worse under the variant. An asterisk at the end of a line: adjusted p under .05; ≈ after a "
        f"name: as many active parameters as {against}.",
        "variants",
        draw_variants(tables.variants.effects, study, tables.variants.capacities),
    )


def _affinity_drawing(collection: Collection, tables: Tables) -> _Drawing:
    """Of the one variant that affinities were estimated under."""
    drawn = tuple(dict.fromkeys(tables.affinity.points["grouping"]))
    return _Drawing(
        "affinity",
        "What affinity predicted, and what was measured",
        "A panel a measure, a mark a task of a trained block: to the right, the block's other tasks have more affinity "
        f"on it; up, its score is better than that of {grouping_label(collection.study.reference)} (relative change).",
        "affinity",
        draw_predictions(tables.affinity.shown(), tuple(dict.fromkeys((*collection.study.groupings, *drawn)))),
    )


def _routing_drawings(collection: Collection, tables: Tables, variant: str) -> Iterator[_Drawing]:
    """Of the runs that stand for a variant with experts."""
    runs = tables.routing.shown(variant) if variant in tables.routing.drawn() else ()
    if not runs:
        return
    facts = [collection.data.tasks[task].task for task in collection.tasks]
    groups = {task.id: task.clinical_group for task in facts}
    place = f"routing:{variant}"
    row = runs[0].run.row
    where = f"{', '.join(map(grouping_label, row.groupings))}, {scale_label(row.scale)}"
    if len(row.tasks) > 1:
        yield _Drawing(
            "routing_shares", f"Shares of experts, {where}", describe_shares(runs[0]), place,
            draw_shares(runs[0], collection.tasks, groups),
        )  # fmt: skip
        yield _Drawing(
            "routing_similarity", f"Tasks that are routed alike, {where}", describe_similarity(runs), place,
            draw_similarity(runs, facts),
        )  # fmt: skip
    yield _Drawing(
        "routing_entropy", f"Entropy of routing, {where}", describe_entropy(runs), place,
        draw_entropy(runs, collection.tasks, groups),
    )  # fmt: skip


def _learning_drawings(collection: Collection, variant: str) -> Iterator[_Drawing]:
    study = collection.study
    places = {name: place for place, name in enumerate(reference_first(study.groupings, study.reference))}
    scale = max(study.scales)
    for curves in read_curves(collection, variant, scale):
        yield _Drawing(
            f"curve-{curves.task}",
            f"Validation during training, {scale_label(scale)}",
            "A panel a grouping, a line a seed: the task's score on the validation fold against the progress of the "
            "run; the dashed line is the predictor that ignores the image.",
            f"task:{curves.task}",
            draw_learning(curves, places),
        )


def _save(figure: "Figure", folder: Path, file: FigureFile) -> None:
    """Write a figure in each of its formats, on the canvas of the format: `savefig` would draw it twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    _settle(figure)
    for kind in file.formats:
        path = folder / f"{file.name}.{kind}"
        figure.set_dpi(_DPI)  # printing an SVG leaves another
        if kind == "svg":
            FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})  # type: ignore[no-untyped-call]
        else:
            FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})  # type: ignore[no-untyped-call]


def _settle(figure: "Figure") -> None:
    """Find the layout once for all formats.

    The solver's last digits are not always the same, and an SVG names its clip rectangles after them: places are
    rounded to far less than a pixel.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    figure.set_dpi(_DPI)  # at which texts are as wide as they will be
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        x, y, width, height = (round(float(number), 5) for number in axes.get_position(original=True).bounds)
        axes.set_position((x, y, width, height))
