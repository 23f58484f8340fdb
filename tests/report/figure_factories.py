"""Factories of the tables behind the report's figures, with known numbers, and functions that read figures."""

from collections.abc import Mapping
from typing import Any, get_type_hints

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from usaggr.analysis.cell_rows import CellVerdict
from usaggr.analysis.summary import SummaryLine
from usaggr.results.stored_study import StudyFacts

FACTS = {
    "breast_lesion": ("segmentation", "breast", "dsc"),
    "breast_2cls": ("classification", "breast", "auc"),
    "fetal_femur": ("regression", "obstetrics", "mre"),
}
TASKS = tuple(FACTS)
NAN = float("nan")


def study(
    groupings: tuple[str, ...] = ("task_specific", "clinical", "unified"), scales: tuple[float | int, ...] = (1.0,)
) -> StudyFacts:
    return StudyFacts("study", groupings, "task_specific", scales, (0, 1, 2), {"base": ()}, 0.95, ("png",), {})


def compared(task: str, grouping: str, delta: float | None, scale: float | int = 1.0, **changes: Any) -> CellVerdict:
    """Return a verdict: an interval of delta ± 0.01 and a margin of 0.02; `changes` are further fields."""
    task_type, group, metric = FACTS[task]
    value = NAN if delta is None else delta
    fields: dict[str, Any] = {
        "variant": "base", "scale": scale, "grouping": grouping, "task": task, "metric": metric,
        "task_type": task_type, "clinical_group": group, "n_train": 100, "n_test": 24, "n_subjects": 12,
        "main": True, "planned": 3, "seeds": 3, "same": False, "mean": 0.7 + value, "reference_mean": 0.7,
        "trivial": 0.4, "delta": value, "delta_low": value - 0.01, "delta_high": value + 0.01, "df": 2.0, "se": 0.005,
        "relative": value / 0.7, "delta_skill": value, "margin": 0.02, "p": NAN, "p_adjusted": NAN, "p_ni": NAN,
        "p_ni_adjusted": NAN, "seeds_needed": None, "verdict": "undecided", "note": "", "collapsed": False,
        "collapsed_reference": False, "unconverged": False, "unconverged_reference": False, "diverged": False,
    }  # fmt: skip
    fields |= changes
    return CellVerdict(**({"failure_subjects": fields["n_subjects"]} | fields))


def comparison(cells: Mapping[tuple[str, str], dict[str, Any]], scale: float | int = 1.0) -> list[CellVerdict]:
    """Return verdicts from the fields to set, such as delta, by (task, grouping)."""
    return [compared(*key, **{"delta": 0.0, "scale": scale, **set_}) for key, set_ in cells.items()]


def summary_line(grouping: str, scale: float | int = 1.0, **changes: Any) -> SummaryLine:
    """Return a line of the summary whose only numbers are those of `changes`."""
    hints = get_type_hints(SummaryLine)
    empty = {name: NAN if kind is float else None if kind == int | None else 0 for name, kind in hints.items()}
    return SummaryLine(**(empty | {"grouping": grouping, "scale": scale, "variant": "base"} | changes))


def inside(figure: Figure) -> bool:
    """Return True if no axes, text or legend is cut off at the figure's edge."""
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
