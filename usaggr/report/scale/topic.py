"""Topic: effect of the amount of training data, the task type and the clinical group on the answer."""

from collections.abc import Iterator

from usaggr.report.figures import Drawing
from usaggr.report.material import Material
from usaggr.report.scale.chapter import write_effects
from usaggr.report.scale.curves_figure import draw_curves
from usaggr.report.scale.groups_figure import draw_consistency, draw_sensitivity
from usaggr.report.scale.tables import analyze_effects
from usaggr.report.tables import Tables
from usaggr.report.topic import Entry, Term, Topic

_TERMS = (
    Term(
        "spread",
        "standard deviation over clinical groups of their mean differences, after removing random variation; small "
        "means that sharing has a similar effect in all groups",
        after="negative transfer",
    ),
    Term(
        "slope per tenfold samples",
        "change of the difference when the number of training samples is multiplied by ten",
        after="negative transfer",
    ),
    Term(
        "Δ log error, Δ log skill",
        "logarithm of the reference's error (1 - skill) over that of the grouping, and of the grouping's skill over "
        "that of the reference, both positive if the grouping is better; skill below 0.05 counts as 0.05",
        after="negative transfer",
    ),
)


def _draw_figures(tables: Tables, variant: str) -> Iterator[Drawing]:
    collection, study = tables.comparison.collection, tables.comparison.study
    yield Drawing(
        "score_against_scale",
        "Score against training samples",
        "Panels are tasks, lines are groupings. Each point is the mean score over seeds at one number of training "
        "samples; the band (bars, where bands would fill the panel) is its interval, which may extend beyond the "
        "panel. The dashed line is the trivial predictor, which ignores the image; its score is written as a number "
        "where it lies far outside the panel.",
        "scale",
        draw_curves(tables.comparison.cells, study, collection.tasks, variant),
    )
    # All cells count here, also those of models that collapsed or did not converge.
    effects = tables.compute(analyze_effects)
    yield Drawing(
        "sensitivity",
        "Sensitivity of task types",
        "Rows are task types, panels are amounts of training data, marks are groupings; right is better. Each mark is "
        "the mean difference in skill from the reference over the tasks of the type, with its interval. In brackets: "
        "the number of tasks.",
        "types",
        draw_sensitivity(effects.type_means, study, variant),
    )
    yield Drawing(
        "consistency",
        "Consistency across clinical groups",
        "Rows are clinical groups, panels are amounts of training data, marks are groupings; right is better. Each "
        "mark is the mean relative change from the reference, with its interval. In brackets: the number of tasks "
        "compared. The bottom row shows how much the effect of sharing differs between clinical groups, as a standard "
        "deviation after removing random variation. Small means similar.",
        "groups",
        draw_consistency(effects.group_means, effects.group_sds, study, variant),
    )


def _describe_methods(material: Material) -> Iterator[Entry]:
    if not material.comparison.other_groupings:
        return
    slope = (
        "The effect of the amount of training data on the difference is estimated within tasks. It is the "
        "least-squares slope of the difference on log10 of the task's training samples, over its amounts of data. "
        "Slopes are averaged over all tasks and over the tasks of each type. A slope in skill alone may come from the "
        "scale of measurement, because a difference in skill must shrink at a ceiling and is 0 where nothing is "
        "learned (Loftus 1978; Wagenmakers et al. 2012). Slopes are therefore also estimated in log error and log "
        "skill, by the delta method. The number of samples at which the line "
        "crosses zero has Fieller's interval: the numbers at which the interval of the line's height includes zero "
        "(Fieller 1954). It is reported only if the slope's interval excludes zero and the number lies near those that "
        "were trained. "
        if len(material.study.scales) > 1
        else ""
    )
    text = (
        f"{slope}Means of a task type or clinical group, like delta_m, vary seeds and components jointly over tasks. "
        "The spread over clinical groups is the standard deviation of their true means, after removing random "
        "variation. Comparisons between tasks or clinical groups of different size are descriptive, because they "
        "differ in more than size (confounding). Intervals of such quantities decide each claim of the paper; there is "
        "no multiplicity correction across claims."
    )
    yield "Data scale, task types and clinical groups", text


TOPIC = Topic(write_effects, drawings=_draw_figures, methods=_describe_methods, terms=lambda material: _TERMS)
