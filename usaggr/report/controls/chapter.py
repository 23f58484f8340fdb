"""Is it the taxonomy, or just the number of tasks? Groupings among those drawn by lot."""

import numpy as np

from usaggr.analysis.row_tables import group_rows
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, plural
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.controls.tables import Control, make_controls
from usaggr.report.material import Material, capital, paragraph, section
from usaggr.statistics.verdicts import ALPHA


def write_controls(material: Material) -> Section | None:
    """Where each grouping falls among the draws that have its block sizes; none where nothing was drawn."""
    controls = material.collection.controls
    real = [row for row in material.tables.of(make_controls) if not row.drawn]
    whole = [row for row in real if row.task == "" and row.draws is not None]
    if not whole or controls is None:
        return None
    done = sum(run.state == "done" for run in controls.runs)
    intro = paragraph(
        "A grouping may help because it puts the right tasks together, or because it puts several together at all.",
        f"So tasks were also drawn by lot into blocks of the same sizes ({_draws(material)}), and each draw was",
        f"trained like the others: {done} of {plural(len(controls.runs), 'run')} are done, those of the reference",
        "and of the groupings themselves included. The draws stand nowhere else in this report.",
    )
    said = Items(tuple(_sentence(material, row) for row in whole))
    shown = (*(_table(material, whole),), *material.pictures("controls"))
    return section("Taxonomy or number of tasks", intro, said, *shown, _tasks(material, real))


def _draws(material: Material) -> str:
    study = material.study
    counts = {like: sum(of == like for of in study.controls.values()) for like in study.controls.values()}
    return ", ".join(f"{count} like {literal(grouping_label(like))}" for like, count in counts.items())


def _sentence(material: Material, row: Control) -> str:
    label, draws, beaten = literal(grouping_label(row.like)), row.draws or 0, row.beaten or 0
    where = capital(literal(material.where(row.variant, row.scale)))
    p = f"p {text.p_value(row.p)}"
    if row.p < ALPHA:
        found = f"does better than {_of(beaten, draws)} of its size, more than the number of tasks explains ({p})"
    elif beaten == draws:
        found = (
            f"does better than {_of(beaten, draws)} of its size; with so few draws that proves nothing yet ({p}, and "
            f"{plural(_needed(), 'draw')} could reach .05)"
        )
    else:
        found = (
            f"does better than {_of(beaten, draws)} of its size: what it does, any grouping of its size may do ({p})"
        )
    return f"**{where}.** {label} {found}."


def _of(beaten: int, draws: int) -> str:
    return f"each of the {draws} draws" if beaten == draws else f"{beaten} of {plural(draws, 'draw')}"


def _needed() -> int:
    """Draws with which p can be under ALPHA."""
    return round(1 / ALPHA)


def _table(material: Material, rows: list[Control]) -> Block:
    names = ("scale", "draws", "Δ skill", "draws: mean", "draws: lowest to highest", "better than", "p")
    several = len(material.study.variants) > 1
    draws = group_rows(
        (row for row in material.tables.of(make_controls) if row.drawn and not row.task),
        lambda row: (row.like, row.scale, row.variant),
    )
    shown = []
    for row in rows:
        drawn = np.array([draw.delta_skill for draw in draws[row.like, row.scale, row.variant]])
        drawn = drawn[np.isfinite(drawn)]
        ends = f"{text.signed(drawn.min(), 'skill')} to {text.signed(drawn.max(), 'skill')}"
        shown.append(
            (
                grouping_label(row.like),
                *((row.variant,) if several else ()),
                Cell(f"{row.scale:g}", float(row.scale)),
                table_cells.count(row.draws),
                table_cells.number(text.difference(row.delta_skill, row.low, row.high, "skill"), row.delta_skill),
                table_cells.number(text.signed(drawn.mean(), "skill"), drawn.mean()),
                ends,
                table_cells.count(row.beaten),
                table_cells.p_value(row.p),
            )
        )
    caption = (
        f"Mean difference in skill from {literal(material.reference)} over all tasks (nought where a task has a model "
        "of its own) with its interval over seeds and test subjects, beside those of the draws. p: (1 + draws that are "
        "as good or better) / (1 + draws); it is not adjusted."
    )
    columns = ("grouping", *(("variant",) if several else ()), *names)
    return TextTable(columns, tuple(shown), names, name="controls", caption=caption)


def _tasks(material: Material, rows: list[Control]) -> Block | None:
    """Tasks for which the grouping stands at either end of its draws."""
    scale = max(material.study.scales)
    variant = next(iter(material.study.variants))
    own = [r for r in rows if r.task and r.draws is not None and (r.scale, r.variant) == (scale, variant)]
    items = []
    for like in dict.fromkeys(row.like for row in own):
        ends = {
            "better than every draw": [r for r in own if r.like == like and r.beaten == r.draws],
            "no better than any draw": [r for r in own if r.like == like and r.beaten == 0],
        }
        parts = [f"{which}: {', '.join(literal(row.task) for row in found)}" for which, found in ends.items() if found]
        if parts:
            where = literal(material.where(variant, scale))
            items.append(f"{literal(grouping_label(like))}, task by task ({where}), is {'; '.join(parts)}.")
    return Items(tuple(items)) if items else None
