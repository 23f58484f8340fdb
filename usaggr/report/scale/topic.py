"""How the amount of training data, the type and the clinical group of tasks change the answer."""

from collections.abc import Iterator

from usaggr.report.figures import Drawing
from usaggr.report.material import Material
from usaggr.report.scale.chapter import write_interplay
from usaggr.report.scale.curves_figure import draw_curves
from usaggr.report.scale.groups_figure import draw_consistency, draw_sensitivity
from usaggr.report.scale.tables import make_interplay
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
)


def _drawings(tables: Tables, variant: str) -> Iterator[Drawing]:
    collection, study = tables.comparison.collection, tables.comparison.study
    yield Drawing(
        "score_against_scale",
        "Score against training samples",
        "A panel a task: mean score over seeds with its interval as a band (as bars where they are wide) against "
        "the number of training samples, a line a grouping; the dashed line is the predictor that ignores the image, "
        "whose score is written where it is far off. A band may go on past the panel.",
        "scale",
        draw_curves(tables.comparison.cells, study, collection.tasks, variant),
    )
    # Over all cells, the collapsed and unconverged ones too.
    interplay = tables.of(make_interplay)
    yield Drawing(
        "sensitivity",
        "Sensitivity of task types",
        "A row a task type, a panel a scale, a mark a grouping: mean difference in skill from the reference over the "
        "type's tasks, with its interval; better to the right.",
        "types",
        draw_sensitivity(interplay.sensitivity, study, variant),
    )
    yield Drawing(
        "consistency",
        "Consistency across clinical groups",
        "A row a clinical group (number of tasks compared), a panel a scale, a mark a grouping: mean relative change "
        "from the reference with its interval, better to the right; below, the standard deviation over groups of their "
        "true means, small where a grouping does the same to all.",
        "groups",
        draw_consistency(interplay.consistency, interplay.spread, study, variant),
    )


def _methods(material: Material) -> Iterator[Entry]:
    if not material.comparison.others:
        return
    slope = (
        "How the difference depends on training data is estimated within tasks: the least-squares slope, over a task's "
        "scales, of the difference on log10 of its training samples, averaged over tasks and over those of each type. "
        "The size at which the line crosses zero has Fieller's interval (Fieller 1954), and is told only where the "
        "slope is certain and the size lies near those that were trained. "
        if len(material.study.scales) > 1
        else ""
    )
    said = (
        f"{slope}Means of a task type or clinical group, like delta_m, take seeds and components jointly over tasks. "
        "The spread over clinical groups is the standard deviation of their true means: what chance adds to that of "
        "the observed ones is taken out. Comparisons between tasks or clinical groups of different size are "
        "descriptive, as size is confounded there with all else in which they differ. Each claim of the paper is "
        "decided by the interval of one such quantity; claims are not adjusted for there being several."
    )
    yield "Data scale, task types and clinical groups", said


TOPIC = Topic(write_interplay, drawings=_drawings, methods=_methods, terms=lambda material: _TERMS)
