"""Topic: comparison of groupings with random groupings whose blocks have the same sizes."""

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
        "Groupings compared with random groupings",
        "Rows are groupings, panels are amounts of training data; right is better. The mark is the grouping's mean "
        "difference in skill from the reference over all tasks, with its interval. Each stroke below it is one random "
        "grouping with blocks of the same sizes. A mark among the strokes means that random groupings do as well.",
        "controls",
        draw_controls(tables.compute(make_controls), study, variant),
    )


def _tables(tables: Tables) -> Iterator[TableFile]:
    yield TableFile("controls", CONTROL_COLUMNS, make_controls_table(tables.compute(make_controls)))


TOPIC = Topic(write_controls, tables=_tables, drawings=_drawings)
