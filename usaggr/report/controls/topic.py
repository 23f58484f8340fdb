"""The grouping against random groupings with blocks of the same sizes."""

from collections.abc import Iterator

from usaggr.report.controls.chapter import write_controls
from usaggr.report.controls.figure import draw_controls
from usaggr.report.controls.tables import CONTROL_COLUMNS, make_controls, make_controls_table
from usaggr.report.figures import Drawing
from usaggr.report.tables import Tables
from usaggr.report.topic import TableFile, Topic


def _drawings(tables: Tables, variant: str) -> Iterator[Drawing]:
    study = tables.comparison.study
    yield Drawing(
        "controls",
        "Groupings among those drawn by lot",
        "A panel a scale, a row a grouping: its mean difference in skill from the reference over all tasks, with its "
        "interval, better to the right; below it, a stroke for each grouping that was drawn by lot with blocks of the "
        "same sizes. Among the strokes, it is the number of tasks that counts, and not which they are.",
        "controls",
        draw_controls(tables.of(make_controls), study, variant),
    )


def _tables(tables: Tables) -> Iterator[TableFile]:
    yield TableFile("controls", CONTROL_COLUMNS, make_controls_table(tables.of(make_controls)))


TOPIC = Topic(write_controls, tables=_tables, drawings=_drawings)
