"""What the report cannot tell: limits of this study and of the method."""

from collections.abc import Sequence

from usaggr.document.elements import Items, Section
from usaggr.report.material import Material, section


def write_limits(material: Material, of_topics: Sequence[str]) -> Section | None:
    """Write a list of limits, those of this study first.

    Args:
        material: of the report.
        of_topics: limits that topics of the report add.
    """
    study = material.study
    said = []
    if len(study.seeds) < 2:
        said.append(
            "One seed: intervals do not cover the chance in training, and every verdict is provisional. Two more seeds "
            "are the best next step."
        )
    elif len(study.seeds) == 2:
        said.append("Two seeds: the variance between seeds is hardly known, so that intervals are wide.")
    said += of_topics
    said += [
        "The tasks are those of this study: intervals of averages speak of them, not of tasks in general. Test "
        "subjects are drawn from the same sources as training subjects; nothing is said of other hospitals or devices.",
        "One architecture, one budget and one set of training settings were compared in each variant; another network "
        "may share better or worse.",
        "Under a grouping that shares a model, the tasks' differences are correlated, as one run serves several of "
        "them: tests that count tasks as independent are descriptive.",
        "Rare failures: where a few per cent of the subjects fail badly, no interval of this kind covers; hence the "
        "rule of no verdict where a difference hangs on few subjects.",
    ]
    return section("Limits", Items(tuple(said)))
