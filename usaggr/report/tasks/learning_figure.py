"""Figures of each task's validation score during training, with a line per seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from usaggr.analysis.collect import Collection
from usaggr.document.display_names import grouping_label
from usaggr.metrics.names import Metric, get_main_metric, get_metric_label
from usaggr.report.figure_style import GRAY, compute_limits, make_style, put_reference_first
from usaggr.results import contract
from usaggr.results.curve import read_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL, _LEFT = 1.75, 0.62
"""Inches: width of a panel, and of the labels left of the first panel."""
_MARKS = 5
"""Smallest number of markers on a line with many points; there may be up to twice as many."""


@dataclass(frozen=True)
class Line:
    """Main score of a task on the validation set during one run."""

    seed: int
    """Seed of the run."""
    progress: tuple[float, ...]
    """Progress of the run at each validation, in (0, 1]."""
    score: tuple[float, ...]
    """Validation score at each of `progress`; same length."""


@dataclass(frozen=True)
class LearningCurves:
    """Content of a task's figure."""

    task: str
    metric: Metric
    lines: Mapping[str, tuple[Line, ...]]
    """Lines by grouping, the reference first."""
    trivial: float | None
    """Validation score of the trivial predictor, which ignores the image."""


def read_curves(collection: Collection, variant: str, scale: float | int) -> tuple[LearningCurves, ...]:
    """Read the curves of each task at a scale; runs whose curve.csv is missing or damaged are left out.

    Args:
        collection: Runs of the study.
        variant: Variant of the runs.
        scale: Scale of the runs.

    Returns:
        One item for each task with a curve, in the order of the study.
    """
    study = collection.study
    groupings = put_reference_first(study.groupings, study.reference)
    lines: dict[tuple[str, str], list[Line]] = {}
    trivial_scores: dict[str, list[float]] = {}
    for run in collection.runs:
        if run.result is None or run.path is None or (run.row.variant, run.row.scale) != (variant, scale):
            continue
        curve = read_curve(run.path / contract.CURVE)
        if curve is None:
            continue
        for task in run.row.tasks:
            metric = get_main_metric(collection.data.tasks[task].task.type).name
            line = _make_line(curve, run.row.seed, f"{task}:{metric}")
            if line is None:
                continue
            for grouping in run.row.groupings:
                lines.setdefault((task, grouping), []).append(line)
            if metric in run.result.trivial_validation.get(task, {}):
                trivial_scores.setdefault(task, []).append(run.result.trivial_validation[task][metric])
    curves = []
    for task in collection.tasks:
        task_lines = {name: tuple(lines[task, name]) for name in groupings if (task, name) in lines}
        if task_lines:
            trivial = fmean(trivial_scores[task]) if task in trivial_scores else None
            curves.append(
                LearningCurves(task, get_main_metric(collection.data.tasks[task].task.type), task_lines, trivial)
            )
    return tuple(curves)


def _make_line(curve: pd.DataFrame, seed: int, column: str) -> Line | None:
    """Return the finite points of a column of curve.csv; None without any.

    Args:
        curve: Content of curve.csv.
        seed: Seed of the run.
        column: Column of the score.
    """
    if column not in curve:
        return None
    finite = curve[np.isfinite(curve["progress"]) & np.isfinite(curve[column])]
    return Line(seed, tuple(finite["progress"].tolist()), tuple(finite[column].tolist())) if len(finite) else None


def draw_learning(curves: LearningCurves, positions: Mapping[str, int]) -> "Figure":
    """Draw a panel per grouping and a line per seed, on one axis of scores.

    Args:
        curves: Curves of one task.
        positions: Position of each grouping, which determines its marker and color.
    """
    from matplotlib.figure import Figure

    columns = len(curves.lines)
    width = 0.75 + _PANEL * columns
    figure = Figure(figsize=(width, 1.75))
    # Panels have the same positions in all figures, because computing a layout takes longer than drawing.
    figure.subplots_adjust(left=_LEFT / width, right=1 - 0.1 / width, bottom=0.25, top=0.86, wspace=0.1)
    axes: Sequence[Axes] = figure.subplots(1, columns, squeeze=False, sharey=True)[0].tolist()
    low, high = _compute_score_limits(curves)
    for panel, (grouping, lines) in zip(axes, curves.lines.items(), strict=True):
        style = make_style(positions[grouping], size=3.0)
        for line in lines:
            every = max(1, len(line.progress) // _MARKS)
            panel.plot(line.progress, line.score, alpha=0.8, label=f"seed {line.seed}", markevery=every, **style)
        if curves.trivial is not None:
            panel.axhline(curves.trivial, color=GRAY, linestyle="--", linewidth=1, label="trivial", zorder=1)
        panel.set_title(grouping_label(grouping), loc="left", fontweight="bold", pad=3)
        panel.set_xlim(0, 1.03)
        panel.set_ylim(low, high)
        panel.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    axes[0].set_ylabel(f"{get_metric_label(curves.metric.name, True)} {'↑' if curves.metric.higher_is_better else '↓'}")
    figure.text(
        (_LEFT + _PANEL / 2 * columns) / width, 0.02, "progress of the run", ha="center", va="bottom", fontsize=8
    )
    return figure


def _compute_score_limits(curves: LearningCurves) -> tuple[float, float]:
    """Return the lower and upper end of the score axis; high initial errors are cut off, final ones are not."""
    lines = [line for grouping_lines in curves.lines.values() for line in grouping_lines]
    final_scores = [line.score[-1] for line in lines]
    trivial = [] if curves.trivial is None else [curves.trivial]
    scores = [score for line in lines for score in line.score]
    # A small margin, so that a line at 0 or 1 is not drawn on the frame.
    if curves.metric.higher_is_better:
        low, high = compute_limits([*trivial, *scores], [], min_width=0.04)
        return max(low, -0.03), min(high, 1.03)
    low, high = compute_limits([*trivial, *final_scores], scores, min_width=0.05 * max(final_scores), reach=0.5)
    return max(low, -0.03 * high), high
