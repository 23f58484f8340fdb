"""Topic of the comparison of groupings over all tasks together."""

from collections.abc import Iterator

from usaggr.report.across_tasks.chapter import write_across
from usaggr.report.material import Material
from usaggr.report.topic import Entry, Term, Topic

_TERMS = (
    Term(
        "probability of improvement",
        "probability that a run of a grouping scores higher than a run of the reference on a task",
        after="adjusted p",
    ),
)


def _describe_methods(material: Material) -> Iterator[Entry]:
    if not material.comparison.other_groupings:
        return
    content = (
        "Groupings were compared over tasks in mean skill, by Friedman's test and, in pairs, by Wilcoxon's signed-rank "
        "test (adjusted by Holm within a scale). The probability of improvement is the mean over tasks of the "
        "probability that a run of the grouping scores higher than a run of the reference (Agarwal et al. 2021). The "
        "negative-transfer rate is the share of losses among the cells with a verdict, with Wilson's interval. These "
        "statistics treat tasks as independent and are descriptive."
    )
    yield "Across tasks", content


TOPIC = Topic(write_across, methods=_describe_methods, terms=lambda material: _TERMS)
