"""Variants of the network or its training against the study's first one, in words.

The question behind them is whether it is a variant's size that decides what sharing does, or what it does with it.
"""

from math import isnan

from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, listed, plural, scale_label
from usaggr.document.elements import Block, Items, Paragraph, Section, literal
from usaggr.report.material import Material, capital, paragraph, section
from usaggr.report.variants.capacity_sentences import read_capacity, say_sizes
from usaggr.report.variants.table_blocks import is_certain, rows_of, scales_of, short, write_tables
from usaggr.report.variants.tables import VariantRow, make_variants
from usaggr.statistics.verdicts import ALPHA


def write_variants(material: Material) -> Section | None:
    """Sections on sharing, on each grouping, and the tables; none where there is one variant, or no run is done."""
    if not material.comparison.runs_done or len(material.study.variants) < 2:
        return None
    against = literal(next(iter(material.study.variants)))
    confidence = text.share(material.study.confidence)
    intro = paragraph(
        f"Every variant is compared with {against}, the study's first, under the same grouping and with the same "
        "seeds, in skill on the main metrics.",
        f"Intervals are unadjusted {confidence} intervals over seeds and test subjects, taken jointly over the tasks "
        f"of a mean; a difference is called certain where p adjusted by Holm is under {short(ALPHA)}.",
        "Margins and verdicts are for groupings: variants have differences, intervals and adjusted p values alone.",
        "With one seed all of this is provisional: intervals cover test subjects alone."
        if len(material.study.seeds) == 1
        else "",
        _without_runs(material),
    )
    inner = (_sharing(material), _same_grouping(material), write_tables(material))
    return section("Variants compared", intro, sections=inner)


def _without_runs(material: Material) -> str:
    """Variants that the plan has no runs of: theirs are another variant's, to the last setting."""
    none = [literal(name) for name, of in material.tables.of(make_variants).capacities.items() if not of.runs]
    if not none:
        return ""
    have = "has" if len(none) == 1 else "have"
    return f"{listed(none)} {have} no runs: with all settings in effect, they are those of an earlier variant."


def _sharing(material: Material) -> Section | None:
    """Whether sharing does better or worse under a variant, and whether that is a matter of size."""
    blocks: list[Block] = []
    for scale in scales_of(material):
        items = []
        for grouping in material.comparison.others:
            rows = rows_of(material, "interaction", scale, grouping)
            if rows:
                items.append(_what_sharing_does(material, rows))
        if items:
            blocks += [Paragraph(f"**{capital(literal(scale_label(scale)))}:**"), Items(tuple(items))]
    if not blocks:
        return None
    if not _differ_in_network(material):
        return section("What a variant makes of sharing", *blocks)
    sizes = paragraph(say_sizes(material.tables.of(make_variants).capacities))
    return section("Capacity or interference: what a variant makes of sharing", sizes, *blocks)


def _differ_in_network(material: Material) -> bool:
    """Whether size may be a matter at all; where variants change training alone, all networks are the same."""
    changes = [one for overrides in material.study.variants.values() for one in overrides]
    return not all(one.lstrip("+").startswith("training.") for one in changes)


def _what_sharing_does(material: Material, rows: list[VariantRow]) -> str:
    """Sentences on one grouping at one scale."""
    label, reference = literal(grouping_label(rows[0].grouping)), literal(material.reference)
    against = literal(rows[0].against)
    known = [row for row in rows if not isnan(row.delta_skill)]
    if not known:
        reasons = listed(list(dict.fromkeys(row.note.split("; ")[0] for row in rows)))
        return f"**{label}**: nothing to compare with {against} ({literal(reasons)})."
    fullest = max(known, key=lambda row: (row.tasks, row.seeds))
    said = [
        f"**{label}** instead of {reference} changes mean skill by {text.signed(fullest.sharing_against, 'skill')} "
        f"under {against}."
    ]
    rest = [row for row in known if not is_certain(row)]
    for which, sign in (("worse", -1), ("better", 1)):
        chosen = [row for row in known if is_certain(row) and sign * row.delta_skill > 0]
        if chosen:
            under = listed([f"under {literal(row.variant)}, by {_size(row)}" for row in chosen])
            said.append(f"It does certainly {which} {under}.")
    if rest:
        others = listed([f"{literal(row.variant)} ({_difference(row)})" for row in rest])
        said.append(f"No certain change under {others}.")
    missing = [literal(row.variant) for row in rows if isnan(row.delta_skill)]
    if missing:
        said.append(f"Nothing to compare under {listed(missing)}.")
    said.append(_doubt([row.variant for row in known if row.invalid]))
    capacities = material.tables.of(make_variants).capacities
    reading = read_capacity(known, capacities, is_certain) if _differ_in_network(material) else ""
    said.append(f"**{reading}**" if reading else "")
    return " ".join(part for part in said if part)


def _doubt(variants: list[str]) -> str:
    if not variants:
        return ""
    names = listed([literal(name) for name in variants])
    return f"For {names} this rests in part on models that are collapsed or have not converged."


def _size(row: VariantRow) -> str:
    """How large a certain change is, without its sign, with its interval turned to match."""
    sign = -1.0 if row.delta_skill < 0 else 1.0
    bounds = [text.score(end, "skill") for end in sorted((sign * row.low, sign * row.high))]
    size = text.score(sign * row.delta_skill, "skill")
    return f"{size} [{', '.join(bounds)}] (adjusted p {text.p_value(row.p_adjusted)})"


def _difference(row: VariantRow) -> str:
    """A change that is not certain; why, where it is not tested."""
    said = text.difference(row.delta_skill, row.low, row.high, "skill")
    if not isnan(row.p):
        return said
    return f"{said}, {literal(str(row.note).split('; ')[0] or 'without an interval')}"


def _same_grouping(material: Material) -> Section | None:
    """Which variants do better or worse than the first one where nothing else differs."""
    items = []
    for scale in scales_of(material):
        known = [row for row in rows_of(material, "all", scale) if not isnan(row.delta_skill)]
        if not known:
            continue
        where, against = capital(literal(scale_label(scale))), literal(known[0].against)
        certain = [row for row in known if is_certain(row)]
        parts = []
        for which, sign in (("worse", -1), ("better", 1)):
            chosen = [row for row in certain if sign * row.delta_skill > 0]
            if chosen:
                named = [
                    f"{literal(row.variant)} with {literal(grouping_label(row.grouping))}, by {_size(row)}"
                    for row in chosen
                ]
                parts.append(f"Certainly {which} than {against}: {'; '.join(named)}.")
        left = len(known) - len(certain)
        of = plural(len(known), "comparison")
        doubtful = sorted({row.variant for row in certain if row.invalid})
        parts.append(_doubt(doubtful))
        parts.append(f"{left} of {of} with {against} {'is' if left == 1 else 'are'} not certain." if left else "")
        items.append(" ".join([f"**{where}.**", *(part for part in parts if part)]))
    head = paragraph("Mean differences over tasks, every grouping by itself:")
    return section("Under the same grouping", head, Items(tuple(items))) if items else None
