"""The groupings over all tasks together."""

from collections.abc import Iterator

from usaggr.report.across_tasks.chapter import write_across
from usaggr.report.material import Material
from usaggr.report.topic import Entry, Term, Topic

_TERMS = (
    Term(
        "probability of improvement",
        "how probably a run of a grouping beats one of the reference on a task",
        after="adjusted p",
    ),
)


def _methods(material: Material) -> Iterator[Entry]:
    if not material.comparison.others:
        return
    said = (
        "Friedman's test and Wilcoxon's signed-rank test of pairs of groupings (adjusted by Holm within a scale) are "
        "over the tasks' mean skill. The probability of improvement is the mean over tasks of the probability that a "
        "run of the grouping scores higher than one of the reference (Agarwal et al. 2021). The rate of negative "
        "transfer is the share of losses among the cells with a verdict, with Wilson's interval. These treat tasks as "
        "independent and are descriptive."
    )
    yield "Across tasks", said


TOPIC = Topic(write_across, methods=_methods, terms=lambda material: _TERMS)
