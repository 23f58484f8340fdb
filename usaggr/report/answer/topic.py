"""Which grouping to use, and what each costs."""

from collections.abc import Iterator

from usaggr.report.answer.chapter import write_answer
from usaggr.report.answer.cost_figure import draw_cost
from usaggr.report.figures import Drawing
from usaggr.report.tables import Tables
from usaggr.report.topic import Topic


def _drawings(tables: Tables, variant: str) -> Iterator[Drawing]:
    comparison = tables.comparison
    models = {name: comparison.models(name) for name in comparison.study.groupings}
    yield Drawing(
        "score_against_cost",
        "Score against cost",
        "A point a grouping and scale, larger markers for larger scales: mean relative change from the reference with "
        "its interval against the number of models, the parameters of all of them, and the time that all seeds took to "
        "train. The reference stands at nought.",
        "cost",
        draw_cost(comparison.summary, comparison.study, models, variant),
    )


TOPIC = Topic(write_answer, drawings=_drawings)
