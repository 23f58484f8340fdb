"""Tables as the report's figures take them, with known numbers, and what a figure shows."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from usaggr.results.stored_study import StudyFacts

FACTS = {
    "breast_lesion": ("segmentation", "breast", "dsc"),
    "breast_2cls": ("classification", "breast", "auc"),
    "fetal_femur": ("regression", "obstetrics", "mre"),
}
TASKS = tuple(FACTS)


def study(
    groupings: tuple[str, ...] = ("task_specific", "clinical", "unified"), scales: tuple[float | int, ...] = (1.0,)
) -> StudyFacts:
    return StudyFacts("study", groupings, "task_specific", scales, (0, 1, 2), {"base": ()}, 0.95, ("png",), {})


def compared(task: str, grouping: str, delta: float | None, scale: float | int = 1.0, **changes: Any) -> dict[str, Any]:
    """A row of the comparison: an interval of delta ± 0.01 and a margin of 0.02; `changes` are further columns."""
    task_type, group, metric = FACTS[task]
    known = float("nan") if delta is None else delta
    row: dict[str, Any] = {
        "task": task, "task_type": task_type, "clinical_group": group, "metric": metric, "grouping": grouping,
        "scale": scale, "variant": "base", "main": True, "delta": known, "delta_low": known - 0.01,
        "delta_high": known + 0.01, "delta_skill": known, "margin": 0.02, "seeds": 3, "planned": 3, "same": False,
        "verdict": "undecided", "collapsed": False, "collapsed_reference": False, "unconverged": False,
        "unconverged_reference": False, "valid": True,
    }  # fmt: skip
    return row | changes


def comparison(cells: Mapping[tuple[str, str], dict[str, Any]], scale: float | int = 1.0) -> pd.DataFrame:
    """Rows of (task, grouping): columns that are to be set, of which delta is one."""
    return pd.DataFrame([compared(*key, **{"delta": 0.0, "scale": scale, **set_}) for key, set_ in cells.items()])


def inside(figure: Figure) -> bool:
    """Whether nothing is cut off at the figure's edge: axes, their texts, legends."""
    figure.draw_without_rendering()
    page = figure.bbox
    boxes = [axes.get_tightbbox() for axes in figure.axes if axes.axison]
    boxes += [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    return all(
        page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1 and page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1
        for box in boxes
        if box is not None
    )


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]
