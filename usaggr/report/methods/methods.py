"""Methods of the comparison, in words that can go into a paper's methods section, with this study's numbers."""

from collections.abc import Sequence

from usaggr.data.split.manifest import MIN_TEST_SUBJECTS
from usaggr.document import numbers as text
from usaggr.document.display_names import listed
from usaggr.document.elements import Paragraph, Section
from usaggr.metrics.names import main_metric, metric_label
from usaggr.report.material import Material, section
from usaggr.report.topic import Entry
from usaggr.statistics.minimum_evidence import FEWEST
from usaggr.statistics.verdicts import ALPHA, ALPHA_NI


def write_methods(material: Material, design: Sequence[Entry], of_topics: Sequence[Entry]) -> Section | None:
    """Write a paragraph for each step, from the data to the verdicts; None where nothing is planned.

    Args:
        material: of the report.
        design: titles and texts of the steps that topics add before the comparison, such as data and training.
        of_topics: titles and texts of the steps that topics add after it.
    """
    if not material.collection.runs:
        return None
    steps = (
        *design,
        ("Scores", _scores(material)),
        ("Intervals", _intervals(material)),
        ("Verdicts", _verdicts(material)),
        ("Averages over tasks", _averages(material)),
        *of_topics,
    )
    return section("Methods", *(Paragraph(f"**{title}.** {said}") for title, said in steps if said))


def _scores(material: Material) -> str:
    data = material.collection.data
    types = sorted({data.tasks[task].task.type for task in material.collection.tasks})
    mains = listed([f"{metric_label(main_metric(kind).name)} for {kind}" for kind in types])
    return (
        f"The main metric is {mains}. All scores are taken over the whole test fold at the images' original "
        "resolution, from stored predictions of single samples, and never averaged over metrics of different units."
    )


def _intervals(material: Material) -> str:
    confidence = text.share(material.study.confidence)
    types = {material.collection.data.tasks[task].task.type for task in material.collection.tasks}
    of_folds = "and those of a whole fold (AUC, F1, MCC)" if "classification" in types else "and those of a whole fold"
    base = (
        "A difference from the reference is paired by seed and test sample. Both runs' scores are written as jackknife "
        "pseudo-values of the test components (for a mean over samples, the components' own parts of it), so that the "
        f"same analysis serves per-sample metrics {of_folds}. "
    )
    if len(material.study.seeds) < 2:
        return base + (
            f"With a single seed the {confidence} interval is Student's t over test components, and covers test "
            "sampling alone."
        )
    return base + (
        "The table seeds × components is analysed as two crossed random factors, seeds as readers and components as "
        "cases (Dorfman, Berbaum and Metz 1992; Hillis 2007). The critical value of the "
        f"{confidence} interval is the mean of the two factors' t quantiles, weighted by their parts of the variance "
        "(Cochran and Cox 1957). A task's variance between seeds is pooled over its groupings and scales where "
        "Bartlett's test does not reject equality at level .25."
    )


def _verdicts(material: Material) -> str:
    study = material.study
    return (
        "A family is the tasks of one grouping, scale and variant. Two p values of each cell are adjusted by Holm's "
        "method within the family: p (two-sided, no difference) and p_ni (one-sided, a difference of at most minus the "
        f"margin). The verdict is, in this order: gain, where adjusted p < {_short(ALPHA)} and the difference is "
        f"positive; no loss, where adjusted p_ni < {_short(ALPHA_NI)}; loss, where adjusted p < {_short(ALPHA)} and "
        f"the difference is negative; else undecided. Margins are {study.margin:g} for metrics whose best value is 1 "
        f"and {text.share(study.relative_margin)} of the reference's mean for distances. Intervals shown are not "
        f"adjusted. There is no verdict with under {MIN_TEST_SUBJECTS} test subjects, and none where the rarer class "
        f"has, or the difference hangs on, under {FEWEST}: no interval holds there. A verdict from one seed is "
        "provisional. For an undecided cell, seeds_needed is the number of seeds at which the difference observed "
        "would be decided with the present subjects."
    )


def _averages(material: Material) -> str:
    return (
        "delta_m is the mean over tasks of the relative change of the main metric against the reference (Maninis, "
        "Radosavovic and Kokkinos 2019), delta_skill that of the difference in skill. Their intervals keep the tasks "
        "fixed and take seeds and components jointly over tasks, since one seed and one patient act on several tasks "
        "at once. Tasks whose model is the reference's own run are left out."
    )


def _short(level: float) -> str:
    return f"{level:g}".removeprefix("0")
