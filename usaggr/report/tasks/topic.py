"""Topic of single tasks: scores, training curves, and predictions for single samples."""

from collections.abc import Iterator

from usaggr.document.display_names import scale_label
from usaggr.report.figure_style import put_reference_first
from usaggr.report.figures import Drawing
from usaggr.report.tables import Tables
from usaggr.report.tasks.chapter import write_tasks
from usaggr.report.tasks.learning_figure import draw_learning, read_curves
from usaggr.report.topic import Topic


def _draw_curves(tables: Tables, variant: str) -> Iterator[Drawing]:
    """Yield the figure of training curves of each task, at the largest scale."""
    collection = tables.comparison.collection
    study = collection.study
    positions = {name: position for position, name in enumerate(put_reference_first(study.groupings, study.reference))}
    scale = max(study.scales)
    for curves in read_curves(collection, variant, scale):
        yield Drawing(
            f"curve-{curves.task}",
            f"Validation during training, {scale_label(scale)}",
            "Panels are groupings, lines seeds: the task's score on the validation set during the run. The dashed line "
            "is the trivial predictor, which ignores the image.",
            f"task:{curves.task}",
            draw_learning(curves, positions),
        )


TOPIC = Topic(write_tasks, drawings=_draw_curves)
