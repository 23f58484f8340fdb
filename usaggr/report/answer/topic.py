"""Topic: the grouping to use, and the cost of each."""

from collections.abc import Iterator

from usaggr.report.answer.chapter import write_answer
from usaggr.report.answer.cost_figure import draw_cost
from usaggr.report.figures import Drawing
from usaggr.report.tables import Tables
from usaggr.report.topic import Topic


def _drawings(tables: Tables, variant: str) -> Iterator[Drawing]:
    comparison = tables.comparison
    models = {name: comparison.count_models(name) for name in comparison.study.groupings}
    yield Drawing(
        "score_against_cost",
        "Score against cost",
        "Each point is one grouping at one amount of training data; larger markers mean more data. The vertical axis "
        "is the mean relative change from the reference, with its interval; up is better. The horizontal axes are the "
        "number of models, the parameters of all models, and the training time of all seeds. The reference is at zero.",
        "cost",
        draw_cost(comparison.summary, comparison.study, models, variant),
    )


TOPIC = Topic(write_answer, drawings=_drawings)
