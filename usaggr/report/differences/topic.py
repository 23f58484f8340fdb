"""Topic: the difference of each grouping from the reference, per task."""

from collections.abc import Iterator

from usaggr.document.display_names import QUALIFIED_MARK, QUALIFIED_MEANING, grouping_label, scale_label
from usaggr.report.differences.chapter import write_differences
from usaggr.report.differences.forest import draw_forest
from usaggr.report.differences.heatmap import draw_heatmap
from usaggr.report.figures import Drawing
from usaggr.report.tables import Tables
from usaggr.report.topic import Topic


def _drawings(tables: Tables, variant: str) -> Iterator[Drawing]:
    collection, study = tables.comparison.collection, tables.comparison.study
    reference = grouping_label(study.reference)
    yield Drawing(
        "delta_heatmap",
        f"Difference from {reference}, all tasks",
        "Rows are tasks, columns are groupings, panels are amounts of training data. Each cell shows the verdict's "
        "mark and the difference from the reference in the metric's own units; positive is better. The color shows the "
        "difference in skill: blue is better, red is worse. A triangle means that a model collapsed (filled) or did "
        "not converge (open): at the top the grouping's model, at the bottom the reference's. "
        f"{QUALIFIED_MARK}: {QUALIFIED_MEANING}; the tables give N.",
        "answer",
        draw_heatmap(tables.comparison.verdicts, study, collection.tasks, variant),
    )
    for scale in sorted(study.scales, reverse=True):
        yield Drawing(
            f"forest-{scale:g}",
            f"Differences with their intervals, {scale_label(scale)}",
            "Rows are tasks, panels are groupings; right is better. Each mark is the difference from the reference "
            "with its interval, divided by the task's margin (the largest loss that we accept). The axis is "
            "logarithmic beyond two margins. Gray band: worse, but by less than the margin. An interval entirely "
            "right of the dashed line means no loss, if the test also holds after Holm's correction for the number of "
            "tasks. An arrow means that the interval extends beyond the axis. The numbers are in the metric's own "
            f"units. {QUALIFIED_MARK}N: {QUALIFIED_MEANING}.",
            "answer",
            draw_forest(tables.comparison.verdicts, study, collection.tasks, variant, scale),
        )


TOPIC = Topic(write_differences, drawings=_drawings)
