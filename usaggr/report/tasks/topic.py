"""Each task: its scores, how it was learned, and predictions of single samples."""

from collections.abc import Iterator

from usaggr.document.display_names import scale_label
from usaggr.report.figure_style import reference_first
from usaggr.report.figures import Drawing
from usaggr.report.tables import Tables
from usaggr.report.tasks.chapter import write_tasks
from usaggr.report.tasks.learning_figure import draw_learning, read_curves
from usaggr.report.topic import Topic


def _drawings(tables: Tables, variant: str) -> Iterator[Drawing]:
    collection = tables.comparison.collection
    study = collection.study
    places = {name: place for place, name in enumerate(reference_first(study.groupings, study.reference))}
    scale = max(study.scales)
    for curves in read_curves(collection, variant, scale):
        yield Drawing(
            f"curve-{curves.task}",
            f"Validation during training, {scale_label(scale)}",
            "A panel a grouping, a line a seed: the task's score on the validation fold against the progress of the "
            "run; the dashed line is the predictor that ignores the image.",
            f"task:{curves.task}",
            draw_learning(curves, places),
        )


TOPIC = Topic(write_tasks, drawings=_drawings)
