"""Chapter that compares variants of the network or its training with the study's first variant.

Its question is whether the effect of sharing depends on the size of the network or on its design.
"""

from math import isnan

from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, join_names, pluralize, scale_label
from usaggr.document.elements import Block, Items, Paragraph, Section, escape_markdown
from usaggr.metrics import score_texts
from usaggr.report.grouping_names import explain_label
from usaggr.report.material import Material, capitalize, make_paragraph, make_section
from usaggr.report.variants.capacity_sentences import describe_sizes, interpret_sizes
from usaggr.report.variants.table_blocks import format_level, is_detectable, list_scales, select_effects, write_tables
from usaggr.report.variants.tables import VariantRow, make_variants
from usaggr.statistics.verdicts import ALPHA, PROVISIONAL_SEEDS


def write_variants(material: Material) -> Section | None:
    """Write sections on sharing, on each grouping, and the tables; None with one variant or without a finished run."""
    if not material.comparison.runs_done or len(material.study.variants) < 2:
        return None
    first = escape_markdown(next(iter(material.study.variants)))
    confidence = text.format_share(material.study.confidence)
    intro = make_paragraph(
        f"Each variant is compared with {first}, the study's first variant, under the same grouping and with the same "
        "seeds. Differences are in skill on the main metrics.",
        f"The groupings are {join_names([explain_label(name) for name in material.study.groupings])}.",
        f"Intervals are unadjusted {confidence} intervals over seeds and test subjects, jointly over the tasks of a "
        f"mean. A difference is called detectable if p, adjusted by Holm, is below {format_level(ALPHA)}.",
        "Margins and verdicts apply only to groupings; variants have differences, intervals and adjusted p values.",
        _explain_provisional(len(material.study.seeds)),
        _name_variants_without_runs(material),
    )
    inner = (_write_sharing(material), _write_same_grouping(material), write_tables(material))
    return make_section("Variants compared", intro, sections=inner)


def _explain_provisional(seeds: int) -> str:
    """Write why all results of a study with so few seeds are provisional; empty if they are not."""
    if seeds == 1:
        return "With one seed, all results are provisional: intervals cover only test subjects."
    if seeds <= PROVISIONAL_SEEDS:
        return "With two seeds, all results are provisional: two seeds hardly show how training runs vary."
    return ""


def _name_variants_without_runs(material: Material) -> str:
    """Name variants without planned runs, because all their settings equal those of an earlier variant."""
    none = [
        escape_markdown(name)
        for name, size in material.tables.compute(make_variants).capacities.items()
        if not size.runs
    ]
    if not none:
        return ""
    if len(none) == 1:
        return f"{join_names(none)} has no runs, because all its settings equal those of an earlier variant."
    return f"{join_names(none)} have no runs, because all their settings equal those of an earlier variant."


def _write_sharing(material: Material) -> Section | None:
    """Write the section on the effect of sharing under each variant, and on the role of size."""
    blocks: list[Block] = []
    for scale in list_scales(material):
        items = []
        for grouping in material.comparison.other_groupings:
            effects = select_effects(material, "interaction", scale, grouping)
            if effects:
                items.append(_describe_sharing(material, effects))
        if items:
            blocks += [Paragraph(f"**{capitalize(escape_markdown(scale_label(scale)))}:**"), Items(tuple(items))]
    if not blocks:
        return None
    if not _has_several_networks(material):
        return make_section("Effect of sharing under each variant", *blocks)
    sizes = make_paragraph(describe_sizes(material.tables.compute(make_variants).capacities))
    return make_section("Capacity or interference: effect of sharing under each variant", sizes, *blocks)


def _has_several_networks(material: Material) -> bool:
    """Return true unless all variants change only the training, so that all networks are the same."""
    changes = [override for overrides in material.study.variants.values() for override in overrides]
    # Hydra marks a key that the configuration does not have yet by a plus sign.
    return not all(override.lstrip("+").startswith("training.") for override in changes)


def _describe_sharing(material: Material, effects: list[VariantRow]) -> str:
    """Return sentences on the effect of one grouping at one scale under each variant."""
    label, reference = escape_markdown(grouping_label(effects[0].grouping)), escape_markdown(material.reference)
    first = escape_markdown(effects[0].against)
    estimated = [row for row in effects if not isnan(row.delta_skill)]
    if not estimated:
        reasons = join_names(list(dict.fromkeys(row.note.split("; ")[0] for row in effects)))
        return f"**{label}**: nothing to compare with {first} ({escape_markdown(reasons)})."
    # The effect under the first variant is the same for all rows, apart from missing tasks and seeds.
    fullest = max(estimated, key=lambda row: (row.tasks, row.seeds))
    change = score_texts.format_signed(fullest.sharing_against, "skill")
    sentences = [f"**{label}** instead of {reference} changes mean skill by {change} under {first}."]
    for direction, sign in (("worse", -1), ("better", 1)):
        detectable = [row for row in estimated if is_detectable(row) and sign * row.delta_skill > 0]
        if detectable:
            under = join_names(
                [f"under {escape_markdown(row.variant)}, by {_format_change(row)}" for row in detectable]
            )
            sentences.append(f"Sharing does detectably {direction} {under}.")
    if unclear := [row for row in estimated if not is_detectable(row)]:
        names = join_names([f"{escape_markdown(row.variant)} ({_format_unclear_change(row)})" for row in unclear])
        sentences.append(f"No detectable change under {names}.")
    missing = [escape_markdown(row.variant) for row in effects if isnan(row.delta_skill)]
    if missing:
        sentences.append(f"Nothing to compare under {join_names(missing)}.")
    sentences.append(_warn_of_invalid([row.variant for row in estimated if row.invalid]))
    capacities = material.tables.compute(make_variants).capacities
    conclusion = interpret_sizes(estimated, capacities, is_detectable) if _has_several_networks(material) else ""
    sentences.append(f"**{conclusion}**" if conclusion else "")
    return " ".join(sentence for sentence in sentences if sentence)


def _warn_of_invalid(variants: list[str]) -> str:
    if not variants:
        return ""
    names = join_names([escape_markdown(name) for name in variants])
    return f"For {names}, some of the models are collapsed or have not converged."


def _format_change(row: VariantRow) -> str:
    """Return the size of a detectable change without its sign, with its interval reversed to match."""
    sign = -1.0 if row.delta_skill < 0 else 1.0
    bounds = [score_texts.format_score(end, "skill") for end in sorted((sign * row.low, sign * row.high))]
    size = score_texts.format_score(sign * row.delta_skill, "skill")
    return f"{size} [{', '.join(bounds)}] (adjusted p {text.format_p_value(row.p_adjusted)})"


def _format_unclear_change(row: VariantRow) -> str:
    """Return a change that is not detectable, with the reason if it is not tested."""
    difference = score_texts.format_difference(row.delta_skill, row.low, row.high, "skill")
    if not isnan(row.p):
        return difference
    # The reason for no test is the first note.
    return f"{difference}, {escape_markdown(str(row.note).split('; ')[0] or 'without an interval')}"


def _write_same_grouping(material: Material) -> Section | None:
    """Write the section on variants that do better or worse than the first one under the same grouping."""
    items = []
    for scale in list_scales(material):
        estimated = [row for row in select_effects(material, "all", scale) if not isnan(row.delta_skill)]
        if not estimated:
            continue
        where, first = capitalize(escape_markdown(scale_label(scale))), escape_markdown(estimated[0].against)
        detectable = [row for row in estimated if is_detectable(row)]
        sentences = [f"**{where}.**"]
        for direction, sign in (("worse", -1), ("better", 1)):
            names = [
                f"{escape_markdown(row.variant)} with {escape_markdown(grouping_label(row.grouping))}, by "
                f"{_format_change(row)}"
                for row in detectable
                if sign * row.delta_skill > 0
            ]
            if names:
                sentences.append(f"Detectably {direction} than {first}: {'; '.join(names)}.")
        sentences.append(_warn_of_invalid(sorted({row.variant for row in detectable if row.invalid})))
        if unclear := len(estimated) - len(detectable):
            total = pluralize(len(estimated), "comparison")
            sentences.append(
                f"{unclear} of {total} with {first} {'shows' if unclear == 1 else 'show'} no detectable difference."
            )
        items.append(" ".join(sentence for sentence in sentences if sentence))
    introduction = make_paragraph("Mean differences over tasks, for each grouping separately:")
    return make_section("Variants under the same grouping", introduction, Items(tuple(items))) if items else None
