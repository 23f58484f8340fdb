"""Variants of the network or its training against the study's first one: in words, as a picture, in tables.

The question behind them is whether it is a variant's size that decides what sharing does, or what it does with it.
"""

from dataclasses import replace
from typing import Any

import pandas as pd

from usaggr.evidence.verdicts import ALPHA
from usaggr.report import formatting as text
from usaggr.report.chapters import marks
from usaggr.report.chapters.capacity import read_capacity, say_sizes
from usaggr.report.chapters.material import Material, Scale, capital, paragraph, section
from usaggr.report.document import Block, Cell, Details, Items, Paragraph, Section, TextTable, literal
from usaggr.report.words import grouping_label, listed, plural, scale_label

Row = dict[Any, Any]
CERTAIN = "*"
"""Follows a difference whose adjusted p is under .05."""


def write_variants(material: Material) -> Section | None:
    """Sections on sharing, on each grouping, and the tables; none where there is one variant, or no run is done."""
    effects = material.tables.variants.effects
    if not material.done or effects.empty:
        return None
    against = literal(effects["against"].iloc[0])
    confidence = text.share(material.study.confidence)
    intro = paragraph(
        f"Every variant is compared with {against}, the study's first, under the same grouping and with the same "
        "seeds, in skill on the main metrics.",
        f"Intervals are unadjusted {confidence} intervals over seeds and test subjects, taken jointly over the tasks "
        f"of a mean; a difference is called certain where p adjusted by Holm is under {_short(ALPHA)}.",
        "Margins and verdicts are for groupings: variants have differences, intervals and adjusted p values alone.",
        "With one seed all of this is provisional: intervals cover test subjects alone."
        if len(material.study.seeds) == 1
        else "",
        _without_runs(material),
    )
    inner = (_sharing(material), _same_grouping(material), _tables(material))
    return section("Variants compared", intro, sections=inner)


def _without_runs(material: Material) -> str:
    """Variants that the plan has no runs of: theirs are another variant's, to the last setting."""
    none = [literal(name) for name, of in material.tables.variants.capacities.items() if not of.runs]
    if not none:
        return ""
    have = "has" if len(none) == 1 else "have"
    return f"{listed(none)} {have} no runs: with all settings in effect, they are those of an earlier variant."


def _scales(material: Material) -> list[Scale]:
    return sorted(material.study.scales, reverse=True)


def _rows(material: Material, level: str, scale: Scale, grouping: str | None = None) -> list[Row]:
    table = material.tables.variants.effects
    chosen = table[(table["level"] == level) & (table["scale"] == scale)]
    if grouping is not None:
        chosen = chosen[chosen["grouping"] == grouping]
    rows: list[Row] = chosen.to_dict("records")
    return rows


def _sharing(material: Material) -> Section | None:
    """Whether sharing does better or worse under a variant, and whether that is a matter of size."""
    blocks: list[Block] = []
    for scale in _scales(material):
        items = []
        for grouping in material.others:
            rows = _rows(material, "interaction", scale, grouping)
            if rows:
                items.append(_what_sharing_does(material, rows))
        if items:
            blocks += [Paragraph(f"**{capital(literal(scale_label(scale)))}:**"), Items(tuple(items))]
    if not blocks:
        return None
    sizes = paragraph(say_sizes(material.tables.variants.capacities))
    return section("Capacity or interference: what a variant makes of sharing", sizes, *blocks)


def _what_sharing_does(material: Material, rows: list[Row]) -> str:
    """Sentences on one grouping at one scale."""
    label, reference = literal(grouping_label(rows[0]["grouping"])), literal(material.reference)
    against = literal(rows[0]["against"])
    known = [row for row in rows if pd.notna(row["delta_skill"])]
    if not known:
        reasons = listed(list(dict.fromkeys(str(row["note"]).split("; ")[0] for row in rows)))
        return f"**{label}**: nothing to compare with {against} ({literal(reasons)})."
    fullest = max(known, key=lambda row: (row["tasks"], row["seeds"]))
    said = [
        f"**{label}** instead of {reference} changes mean skill by {text.signed(fullest['sharing_against'], 'skill')} "
        f"under {against}."
    ]
    rest = [row for row in known if not is_certain(row)]
    for which, sign in (("worse", -1), ("better", 1)):
        chosen = [row for row in known if is_certain(row) and sign * row["delta_skill"] > 0]
        if chosen:
            under = listed([f"under {literal(row['variant'])}, by {_size(row)}" for row in chosen])
            said.append(f"It does certainly {which} {under}.")
    if rest:
        others = listed([f"{literal(row['variant'])} ({_difference(row)})" for row in rest])
        said.append(f"No certain change under {others}.")
    missing = [literal(row["variant"]) for row in rows if pd.isna(row["delta_skill"])]
    if missing:
        said.append(f"Nothing to compare under {listed(missing)}.")
    doubtful = [literal(row["variant"]) for row in known if row["invalid"]]
    if doubtful:
        said.append(f"For {listed(doubtful)} this rests in part on models that are collapsed or have not converged.")
    reading = read_capacity(known, material.tables.variants.capacities, is_certain)
    return " ".join([*said, *([f"**{reading}**"] if reading else [])])


def _size(row: Row) -> str:
    """How large a certain change is, without its sign, with its interval turned to match."""
    sign = -1.0 if row["delta_skill"] < 0 else 1.0
    bounds = [text.score(end, "skill") for end in sorted((sign * row["low"], sign * row["high"]))]
    size = text.score(sign * row["delta_skill"], "skill")
    return f"{size} [{', '.join(bounds)}] (adjusted p {text.p_value(row['p_adjusted'])})"


def _difference(row: Row) -> str:
    said = text.difference(row["delta_skill"], row["low"], row["high"], "skill")
    return said if pd.notna(row["low"]) else f"{said}, without an interval"


def is_certain(row: Row) -> bool:
    """Whether a difference is told from chance after Holm's adjustment."""
    return bool(row["p_adjusted"] < ALPHA)


def _same_grouping(material: Material) -> Section | None:
    """Which variants do better or worse than the first one where nothing else differs."""
    items = []
    for scale in _scales(material):
        known = [row for row in _rows(material, "all", scale) if pd.notna(row["delta_skill"])]
        if not known:
            continue
        where, against = capital(literal(scale_label(scale))), literal(known[0]["against"])
        certain = [row for row in known if is_certain(row)]
        parts = []
        for which, sign in (("worse", -1), ("better", 1)):
            chosen = [row for row in certain if sign * row["delta_skill"] > 0]
            if chosen:
                named = [f"{literal(row['variant'])} with {_label(row)}, by {_size(row)}" for row in chosen]
                parts.append(f"Certainly {which} than {against}: {'; '.join(named)}.")
        left = len(known) - len(certain)
        of = plural(len(known), "comparison")
        parts.append(f"{left} of {of} with {against} {'is' if left == 1 else 'are'} not certain." if left else "")
        items.append(" ".join([f"**{where}.**", *(part for part in parts if part)]))
    head = paragraph("Mean differences over tasks, every grouping by itself:")
    return section("Under the same grouping", head, Items(tuple(items))) if items else None


def _tables(material: Material) -> Section | None:
    overall = _overall(material)
    if overall is None:
        return None
    folded = [
        _by_task(material, variant, scale)
        for variant in material.study.variants
        for scale in _scales(material)
    ]  # fmt: skip
    return section("All variants and groupings", *material.pictures("variants"), _changes(material), overall, *folded)


def _changes(material: Material) -> Block:
    """What each variant is, and its size."""
    capacities = material.tables.variants.capacities
    rows = []
    for name, overrides in material.study.variants.items():
        of = capacities[name]
        ratio = text.MISSING if of.ratio is None else f"{of.ratio:.2f} ×"
        changes = " ".join(overrides) if overrides else "no change"
        rows.append((Cell(name), Cell(changes), marks.count(of.active), marks.number(ratio, of.ratio)))
    names = ("active parameters", "of the first's")
    caption = (
        "The variants: what they change, the parameters that take part in a prediction for one task (of the largest "
        "model), and how many these are beside the first variant's on the same tasks, where they differ most."
    )
    return TextTable(("variant", "changes", *names), tuple(rows), names, name="variant-sizes", caption=caption)


def _overall(material: Material) -> Block | None:
    """Means over tasks: a row a scale, grouping and variant."""
    several = len(material.study.scales) > 1
    rows = []
    for scale in _scales(material):
        sharing = {(row["grouping"], row["variant"]): row for row in _rows(material, "interaction", scale)}
        for row in _rows(material, "all", scale):
            other = sharing.get((row["grouping"], row["variant"]))
            cells = [*([Cell(f"{scale:g}", float(scale))] if several else []), Cell(_label(row)), Cell(row["variant"])]
            own = (_mark(row), marks.p_value(row["p_adjusted"]))
            changed = (_mark(other), marks.p_value(None if other is None else other["p_adjusted"]))
            counts = (marks.count(row["tasks"]), marks.count(row["seeds"]))
            rows.append((*cells, *own, *changed, *counts, Cell(_remark(row, other))))
    if not rows:
        return None
    against, reference = material.tables.variants.effects["against"].iloc[0], material.reference
    numbers = ("Δ skill", "adjusted p", "change of sharing", "its adjusted p", "tasks", "seeds")
    caption = (
        f"Mean difference in skill from {literal(against)} under the same grouping, and by how much the grouping's "
        f"difference from {literal(reference)} changes, each with its unadjusted interval; {CERTAIN} marks adjusted p "
        f"under {_short(ALPHA)}, over the variants of one grouping and scale."
    )
    columns = (*(["scale"] if several else []), "grouping", "variant", *numbers, "remark")
    return _remarked(TextTable(columns, tuple(rows), numbers, name="variants", caption=caption))


def _remark(row: Row, other: Row | None) -> str:
    """What is to be known of both differences of a row; once, where it is the same."""
    own = str(row["note"])
    if other is None:
        return own
    of_sharing = str(other["note"])
    counted = plural(other["tasks"], "task") if 0 < other["tasks"] < row["tasks"] else ""
    said = ", ".join(part for part in (counted, of_sharing if of_sharing != own else "") if part)
    return "; ".join(part for part in (own, f"sharing: {said}" if said else "") if part)


def _by_task(material: Material, variant: str, scale: Scale) -> Block | None:
    """A variant's difference on each task, a column a grouping."""
    found = {(r["task"], r["grouping"]): r for r in _rows(material, "task", scale) if r["variant"] == variant}
    if not any(pd.notna(row["delta_skill"]) for row in found.values()):
        return None
    groupings = [name for name in material.groupings if any(grouping == name for _, grouping in found)]
    labels = [f"Δ {grouping_label(name)}" for name in groupings]
    rows = []
    for task in material.collection.tasks:
        of_task = [found.get((task, name)) for name in groupings]
        if any(of_task):
            said = dict.fromkeys(str(row["note"]) for row in of_task if row is not None and row["note"])
            kind = material.collection.data.tasks[task].task.type
            rows.append((Cell(task), Cell(kind), *map(_mark, of_task), Cell("; ".join(said))))
    against, where = next(iter(material.study.variants)), scale_label(scale)
    caption = (
        f"Difference in skill of {literal(variant)} from {literal(against)} on each task, {literal(where)}; "
        f"{CERTAIN} marks adjusted p under {_short(ALPHA)}, over the tasks of a column."
    )
    table = TextTable(
        ("task", "type", *labels, "remark"), tuple(rows), tuple(labels), name=f"variant-{variant}-s{scale:g}",
        caption=caption,
    )  # fmt: skip
    return Details(
        f"Task by task: {literal(variant)} against {literal(against)}, {literal(where)}", (_remarked(table),)
    )


def _remarked(table: TextTable) -> TextTable:
    """Without the last column, of remarks, where no row has one; with dashes where some have."""
    said = [bool(row[-1].text) for row in table.rows if isinstance(row[-1], Cell)]
    if not any(said):
        return replace(table, columns=table.columns[:-1], rows=tuple(row[:-1] for row in table.rows))
    pairs = zip(table.rows, said, strict=True)
    return replace(table, rows=tuple(row if some else (*row[:-1], Cell(text.MISSING)) for row, some in pairs))


def _mark(row: Row | None) -> Cell:
    if row is None or pd.isna(row["delta_skill"]):
        return Cell(text.MISSING)
    said = text.difference(row["delta_skill"], row["low"], row["high"], "skill")
    return marks.number(f"{said} {CERTAIN}" if is_certain(row) else said, row["delta_skill"])


def _label(row: Row) -> str:
    return grouping_label(row["grouping"])


def _short(level: float) -> str:
    return f"{level:g}".removeprefix("0")
