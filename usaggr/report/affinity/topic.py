"""Topic of affinity: estimates of how much tasks help each other, and the measured changes."""

from collections.abc import Iterator

from usaggr.document.display_names import grouping_label
from usaggr.report.affinity.chapter import write_affinity
from usaggr.report.affinity.figure import draw_predictions
from usaggr.report.affinity.tables import AFFINITY_COLUMNS, make_affinity, make_affinity_table
from usaggr.report.figures import Drawing
from usaggr.report.tables import Tables
from usaggr.report.topic import TableFile, Topic


def _drawings(tables: Tables) -> Iterator[Drawing]:
    """Yield the figure of the one variant that affinities were estimated under."""
    study = tables.comparison.study
    drawn = tuple(dict.fromkeys(point.grouping for point in tables.compute(make_affinity).points))
    yield Drawing(
        "affinity",
        "Predicted and measured changes",
        "Panels are measures of affinity, marks tasks of trained blocks. Farther right: the block's other tasks have a "
        f"higher affinity to the task. Farther up: its score is better than under {grouping_label(study.reference)} "
        "(relative change).",
        "affinity",
        draw_predictions(
            tables.compute(make_affinity).shown_points(), tuple(dict.fromkeys((*study.groupings, *drawn)))
        ),
    )


def _tables(tables: Tables) -> Iterator[TableFile]:
    yield TableFile("affinity", AFFINITY_COLUMNS, make_affinity_table(tables.compute(make_affinity).points))


TOPIC = Topic(write_affinity, tables=_tables, common_drawings=_drawings)
