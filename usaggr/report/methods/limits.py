"""Limits of this study and of the method."""

from collections.abc import Sequence

from usaggr.document.display_names import pluralize
from usaggr.document.elements import Items, Section
from usaggr.report.material import Material, make_section
from usaggr.statistics.verdicts import PROVISIONAL_SEEDS


def _limit_collapses(seeds: int) -> str:
    """Write that verdicts apply to runs that do not collapse, and how many runs may collapse unseen.

    If a share q of runs collapses, no collapse is seen in K seeds with probability (1 - q)^K; q is the one for 5 %.
    """
    share = 1 - 0.05 ** (1 / seeds)
    return (
        "Gains and verdicts of no loss apply to runs that do not collapse, because cells with a collapsed seed get "
        f"none. Even if no run collapsed in {pluralize(seeds, 'seed')}, up to {100 * share:.0f} % of runs may do so "
        "(95 % confidence)."
    )


def write_limits(material: Material, topic_limits: Sequence[str]) -> Section | None:
    """Write a list of limits, those of this study first.

    Args:
        material: Tables and collected runs of the report.
        topic_limits: Limits that the report's topics add.
    """
    study = material.study
    limits = []
    if len(study.seeds) < 2:
        limits.append(
            "Only one seed was trained, so intervals do not cover the variation between training runs, and every "
            "verdict is provisional. Training two more seeds is the best next step."
        )
    elif len(study.seeds) <= PROVISIONAL_SEEDS:
        limits.append(
            "With two seeds, one degree of freedom estimates the variance between seeds. Intervals are wide, and tests "
            "at the small levels of Holm's adjustment may err more often than stated (docs/families.md), so every "
            "verdict is provisional. Training one more seed is the best next step."
        )
    limits += [_limit_collapses(len(study.seeds)), *topic_limits]
    limits += [
        "Averages and their intervals apply to the tasks of this study, not to tasks in general. Test subjects come "
        "from the same sources as training subjects; results may differ for other hospitals or devices.",
        "Each variant compares groupings with one architecture, one budget and one set of training settings; the "
        "effect of sharing may differ for another network.",
        "The differences of tasks that share a model are correlated, because one run serves several tasks. Tests that "
        "treat tasks as independent are therefore descriptive.",
        "If predictions fail badly on a few percent of the subjects, the intervals may miss the true difference more "
        "often than stated. There is therefore no verdict where a few patients drive the difference. Only the "
        "verdict of no loss states which failures it does not exclude; a gain may hide failures that no patient shows.",
    ]
    return make_section("Limits", Items(tuple(limits)))
