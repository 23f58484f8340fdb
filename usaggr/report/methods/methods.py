"""Methods of the comparison, written as a paper's methods section with this study's numbers."""

from collections.abc import Sequence

from usaggr.document import numbers as text
from usaggr.document.display_names import join_names
from usaggr.document.elements import Paragraph, Section
from usaggr.metrics.names import METRICS, get_main_metric, get_metric_label
from usaggr.report.material import Material, make_section
from usaggr.report.score_means import describe_aggregation
from usaggr.report.topic import Entry
from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS
from usaggr.statistics.power import POWER
from usaggr.statistics.verdicts import ALPHA, ALPHA_NI

_CONDITION = (
    "All intervals and verdicts are conditional on this training fold: they do not cover the variation between "
    "training folds (Nadeau and Bengio 2003; Bouthillier et al. 2021)."
)


def write_methods(material: Material, design: Sequence[Entry], topic_methods: Sequence[Entry]) -> Section | None:
    """Write a paragraph for each step, from the data to the verdicts; None if the study has no runs.

    Args:
        material: Tables and collected runs of the report.
        design: Titles and texts of the steps that topics add before the comparison, such as data and training.
        topic_methods: Titles and texts of the steps that topics add after the comparison.
    """
    if not material.collection.runs:
        return None
    steps = (
        *design,
        ("Scores", _describe_scores(material)),
        ("Intervals", _describe_intervals(material)),
        ("Verdicts", _describe_verdicts(material)),
        ("Averages over tasks", _describe_averages(material)),
        *topic_methods,
    )
    # A topic that does not apply to this study gives an empty text.
    return make_section("Methods", *(Paragraph(f"**{title}.** {content}") for title, content in steps if content))


def _describe_scores(material: Material) -> str:
    data = material.collection.data
    types = sorted({data.tasks[task].task.type for task in material.collection.tasks})
    mains = join_names([f"{get_metric_label(get_main_metric(kind).name)} for {kind}" for kind in types])
    sentences = (
        f"The main metric is {mains}. All scores are computed on the complete test set at the original resolution of "
        "the images, from stored predictions for single samples.",
        describe_aggregation(material),
        "Scores in different metrics are never averaged. Where tasks of different types are combined, skill is used: "
        "(score − trivial) / (best possible − trivial), in which the trivial predictor ignores the image.",
    )
    return " ".join(sentence for sentence in sentences if sentence)


def _describe_intervals(material: Material) -> str:
    confidence = text.format_share(material.study.confidence)
    types = {material.collection.data.tasks[task].task.type for task in material.collection.tasks}
    set_metrics = [metric.label for kind in sorted(types) for metric in METRICS[kind] if not metric.is_per_sample]
    metrics = (
        f"both metrics of single samples and metrics of the whole test set ({', '.join(set_metrics)})"
        if set_metrics
        else "all metrics"
    )
    base = (
        "Each grouping is compared with the reference, paired by seed and test sample. The score of each run is "
        "expressed as jackknife pseudo-values, one per test component; for a mean, these are the components' "
        f"contributions to it. The same analysis thus applies to {metrics}. "
    )
    if len(material.study.seeds) < 2:
        return base + (
            f"With a single seed, the {confidence} interval is based on Student's t over test components and covers "
            f"only the variation between test subjects. {_CONDITION}"
        )
    return base + (
        "The differences of pseudo-values, seeds × components, are analyzed with two crossed random factors, seeds as "
        "readers and components as cases (Dorfman, Berbaum and Metz 1992; Hillis et al. 2005). The critical value of "
        f"the {confidence} interval depends on the estimated share of the seeds in the variance (Welch 1947). From "
        "three seeds on, the size of a test at level .05 is near its level for every true share; with two seeds, and "
        "at the far smaller levels of large families, it is not (docs/families.md). No interval is narrower than the "
        "one over test components alone. The variance between seeds is moderated: a cell's own variance is combined "
        "with the one that the other tasks with the same metric, grouping and scale predict for it (Smyth 2004), and "
        f"more closely so if these tasks vary alike. {_CONDITION}"
    )


def _describe_verdicts(material: Material) -> str:
    study = material.study
    # The order of these sentences is that of the rules in statistics/verdicts.py.
    return (
        "Differences are positive where the grouping is better. For each cell (task × grouping × scale × variant), two "
        "null hypotheses were tested: no difference (two-sided, p), and a loss of at least the margin (one-sided, "
        f"p_ni). Both p values were adjusted by Holm's method within {_describe_family(material)}. The margin is "
        f"{study.margin:g} for metrics whose best value is 1, and "
        f"{text.format_share(study.relative_margin)} of the reference's mean for distances. The verdict is the first "
        f"that applies: gain, if adjusted p < {_format_level(ALPHA)} and the difference is positive; no loss, if "
        f"adjusted p_ni < {_format_level(ALPHA_NI)}; loss, if adjusted p < {_format_level(ALPHA)} and the difference "
        "is negative; otherwise undecided. Intervals in tables and figures are not adjusted. There is no verdict with "
        f"fewer than {FEWEST_SUBJECTS} independent test subjects (those that share images count as one), in total or "
        "in the rarer class, or if the difference depends on fewer: intervals are not reliable there. No loss holds "
        "apart from failures rarer than 1 in N, unless the metric is a mean between 0 and 1 and the test subjects "
        "suffice to show failures that would cost the margin (docs/methodology.md); for AUC, N counts subjects of the "
        "rarer class. A verdict from one or two seeds is provisional. For an "
        "undecided cell, seeds_needed is the number of seeds with which a true difference of 0, or of the size of the "
        f"margin, is decided with a probability of {text.format_share(POWER)}, with the current test subjects; it "
        "allows for the uncertainty of the variances between seeds and between test subjects."
    )


def _describe_family(material: Material) -> str:
    if material.study.family == "study":
        return "one family of all cells of the study (report.family=study)"
    number = material.comparison.tested_families
    several = f"; the {number} families of this study are not adjusted for each other" if number > 1 else ""
    return f"the family of all tasks of one grouping, scale and variant{several}"


def _describe_averages(material: Material) -> str:
    return (
        "delta_m is the mean over tasks of the relative change of the main metric from the reference (Maninis, "
        "Radosavovic and Kokkinos 2019); delta_skill is the mean over tasks of the difference in skill. Their "
        "intervals treat tasks as fixed, and seeds and components as random, jointly over tasks, because one seed and "
        "one patient may affect several tasks. Tasks that use the same model as under the reference are excluded. The "
        "trivial predictor's test score, which skill contains, is taken as known: the intervals of delta_skill do not "
        "cover its variation between test subjects."
    )


def _format_level(level: float) -> str:
    return f"{level:g}".removeprefix("0")
