"""The difference of each grouping from the reference, per task."""

from collections.abc import Iterator

from usaggr.document.display_names import grouping_label, scale_label
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
        "A row a task, a column a grouping and scale: the difference from the reference in the metric's own units, "
        "coloured by the difference in skill (blue is better, red is worse), with the verdict's mark. Triangles in a "
        "cell's corners: a model that is collapsed (filled) or did not converge (open); above the grouping's, below "
        "the reference's.",
        "answer",
        draw_heatmap(tables.comparison.verdicts, study, collection.tasks, variant),
    )
    for scale in sorted(study.scales, reverse=True):
        yield Drawing(
            f"forest-{scale:g}",
            f"Differences with their intervals, {scale_label(scale)}",
            "A row a task, a panel a grouping: the difference from the reference with its unadjusted interval, in "
            "units of the task's margin and better to the right; the axis is logarithmic past two margins. The grey "
            "band is worse by less than the margin. An interval right of the dashed line is no loss, if its test holds "
            "after Holm's adjustment. The numbers are in the metric's own units; an arrow's interval goes on.",
            "answer",
            draw_forest(tables.comparison.verdicts, study, collection.tasks, variant, scale),
        )


TOPIC = Topic(write_differences, drawings=_drawings)
