"""Variants of the network or its training against the first one."""

from collections.abc import Iterator

from usaggr.analysis.capacity import NEAR
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label
from usaggr.document.elements import literal
from usaggr.report.figures import Drawing
from usaggr.report.material import Material
from usaggr.report.tables import Tables
from usaggr.report.topic import Entry, TableFile, Term, Topic
from usaggr.report.variants.chapter import write_variants
from usaggr.report.variants.figure import draw_variants
from usaggr.report.variants.tables import VARIANT_COLUMNS, make_variant_table, make_variants

_TERMS = (
    Term("active parameters", "parameters of a network that take part in its prediction for one task", after="variant"),
    Term(
        "change of sharing",
        "a grouping's difference from the reference under a variant, less the same under the first variant: below 0, "
        "sharing does worse under the variant",
        after="variant",
    ),
)
_COLUMNS = (
    Term(
        "level",
        "in variants.csv: all (mean over tasks), task, or interaction (change of what a grouping does)",
        after="negative_transfer",
    ),
    Term(
        "against",
        "in variants.csv: the variant that the row's is compared with, the study's first",
        after="negative_transfer",
    ),
)


def _drawings(tables: Tables) -> Iterator[Drawing]:
    study, reference = tables.comparison.study, grouping_label(tables.comparison.study.reference)
    against = next(iter(study.variants), "")
    yield Drawing(
        "variants",
        f"Variants against {against}",
        f"A row a variant, a mark a grouping, panels below each other by scale. Left: mean difference in skill from "
        f"{against} under the same grouping, with its unadjusted interval, better to the right. Right: by how much the "
        f"grouping differs from {reference} under the variant more than it does under {against}; left of nought, "
        f"sharing does worse under the variant. An asterisk at the end of a line: adjusted p under .05; ≈ after a "
        f"name: as many active parameters as {against}.",
        "variants",
        draw_variants(tables.of(make_variants).effects, study, tables.of(make_variants).capacities),
    )


def _tables(tables: Tables) -> Iterator[TableFile]:
    yield TableFile("variants", VARIANT_COLUMNS, make_variant_table(tables.of(make_variants).effects))


def _methods(material: Material) -> Iterator[Entry]:
    variants = list(material.study.variants)
    if len(variants) < 2:
        return
    sharing = (
        " What a variant makes of sharing is the interaction of both: the grouping's difference from the reference "
        f"under the variant, less the same under {literal(variants[0])}, as the mean over tasks whose model is not the "
        "reference's own run. Variants whose active parameters (those that take part in the prediction for one task) "
        f"are within {text.share(NEAR)} of {literal(variants[0])}'s on the same tasks are said to be of its size."
        if material.comparison.others
        else ""
    )
    said = (
        f"Each variant is compared with {literal(variants[0])} under the same grouping, scale and seeds, in skill on "
        "the main metrics, from pseudo-values of both runs paired by seed and test component; means over tasks keep "
        "the tasks fixed and take seeds and components jointly over them. p is adjusted by Holm's method over the "
        "variants of one grouping and scale, for single tasks over the tasks of one grouping, scale and variant."
        f"{sharing} There are no margins and no verdicts for variants."
    )
    yield "Variants", said


TOPIC = Topic(
    write_variants,
    tables=_tables,
    drawings_of_all=_drawings,
    methods=_methods,
    terms=lambda material: _TERMS,
    columns=lambda material: _COLUMNS,
)
