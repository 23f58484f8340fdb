"""Topic of the variants of the network or its training."""

from collections.abc import Iterator

from usaggr.analysis.capacity import SIZE_TOLERANCE
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label
from usaggr.document.elements import escape_markdown
from usaggr.report.figures import Drawing
from usaggr.report.material import Material
from usaggr.report.tables import Tables
from usaggr.report.topic import Entry, TableFile, Term, Topic
from usaggr.report.variants.chapter import write_variants
from usaggr.report.variants.figure import draw_variants
from usaggr.report.variants.tables import VARIANT_COLUMNS, make_variant_table, make_variants

_TERMS = (
    Term("active parameters", "parameters that take part in the prediction for one task", after="variant"),
    Term(
        "change of sharing",
        "a grouping's difference from the reference under a variant, minus the same under the first variant; below 0, "
        "sharing does worse under the variant",
        after="variant",
    ),
)
_COLUMNS = (
    Term(
        "level",
        "in variants.csv: all (mean over tasks), task, or interaction (change of the grouping's effect)",
        after="negative_transfer",
    ),
    Term(
        "against",
        "in variants.csv: the variant that the row's variant is compared with, the study's first",
        after="negative_transfer",
    ),
)


def _drawings(tables: Tables) -> Iterator[Drawing]:
    study, reference = tables.comparison.study, grouping_label(tables.comparison.study.reference)
    first = next(iter(study.variants), "")
    yield Drawing(
        "variants",
        f"Variants compared with {first}",
        f"Rows are variants, marks groupings; each scale has its own panels. Left: mean difference in skill from "
        f"{first} under the same grouping, with its unadjusted interval; right is better. Right: the grouping's "
        f"difference from {reference} under the variant, minus the same difference under {first}; left of zero, "
        f"sharing does worse under the variant. An asterisk marks adjusted p below .05, and ≈ a variant with as many "
        f"active parameters as {first}.",
        "variants",
        draw_variants(tables.compute(make_variants).effects, study, tables.compute(make_variants).capacities),
    )


def _tables(tables: Tables) -> Iterator[TableFile]:
    yield TableFile("variants", VARIANT_COLUMNS, make_variant_table(tables.compute(make_variants).effects))


def _describe_methods(material: Material) -> Iterator[Entry]:
    variants = list(material.study.variants)
    if len(variants) < 2:
        return
    sharing = (
        " The change of sharing under a variant is the interaction of variant and grouping: the grouping's difference "
        f"from the reference under the variant, minus the same difference under {escape_markdown(variants[0])}, as the "
        "mean over tasks, without tasks that use the same model as under the reference. Variants whose active "
        "parameters (those that take part in the prediction for one task) are within "
        f"{text.format_share(SIZE_TOLERANCE)} of those of {escape_markdown(variants[0])} on the same tasks are called "
        "of the same size."
        if material.comparison.other_groupings
        else ""
    )
    content = (
        f"Each variant was compared with {escape_markdown(variants[0])} under the same grouping, scale and seeds, in "
        "skill on the main metrics, from pseudo-values of both runs paired by seed and test component. Means over "
        "tasks treat tasks as fixed, and seeds and components as random, jointly over tasks. p values were adjusted by "
        "Holm's method over the variants of one grouping and scale; those of single tasks over the tasks of one "
        f"grouping, scale and variant.{sharing} There are no margins and no verdicts for variants."
    )
    yield "Variants", content


TOPIC = Topic(
    write_variants,
    tables=_tables,
    common_drawings=_drawings,
    methods=_describe_methods,
    terms=lambda material: _TERMS,
    columns=lambda material: _COLUMNS,
)
