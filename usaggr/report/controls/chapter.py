"""Chapter on random groupings: the effect of which tasks share a model, or only of how many do."""

from collections import Counter

import numpy as np

from usaggr.analysis.row_tables import group_rows
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, join_names, pluralize
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, escape_markdown
from usaggr.metrics import score_texts
from usaggr.report import table_cells
from usaggr.report.controls.tables import Control, make_controls
from usaggr.report.grouping_names import explain_label
from usaggr.report.material import Material, capitalize, make_paragraph, make_section
from usaggr.statistics.verdicts import ALPHA


def write_controls(material: Material) -> Section | None:
    """Compare each grouping with the random groupings of its block sizes; return None if there are none."""
    controls = material.collection.controls
    groupings = [row for row in material.tables.compute(make_controls) if not row.drawn]
    means = [row for row in groupings if row.task == "" and row.draws is not None]
    if not means or controls is None:
        return None
    finished = sum(run.state == "done" for run in controls.runs)
    intro = make_paragraph(
        "A grouping may help because it puts the right tasks together, or just because several tasks share a model.",
        "To separate the two, tasks were also assigned to groups of the same sizes at random:",
        f"{_count_draws(material)}. The random groupings were trained like the others;",
        f"{finished} of {pluralize(len(controls.runs), 'run')} are finished, which includes the runs of the reference "
        "and",
        f"of the compared groupings. Differences are from {explain_label(material.study.reference)}.",
        "The random groupings appear only in this chapter.",
    )
    results = Items(tuple(_describe_result(material, row) for row in means))
    table, pictures = _make_table(material, means), material.make_pictures("controls")
    return make_section(
        "Taxonomy or number of tasks", intro, results, table, *pictures, _list_tasks(material, groupings)
    )


def _count_draws(material: Material) -> str:
    numbers = Counter(material.study.controls.values())
    return join_names(
        [f"{pluralize(number, 'random grouping')} for {explain_label(like)}" for like, number in numbers.items()]
    )


def _describe_result(material: Material, row: Control) -> str:
    label, draws, beaten = escape_markdown(grouping_label(row.like)), row.draws or 0, row.beaten or 0
    setting = capitalize(escape_markdown(material.describe_setting(row.variant, row.scale)))
    p = f"p {text.format_p_value(row.p)}"
    result = f"{label} is better than {_name_beaten(beaten, draws)} of the same sizes"
    if row.p < ALPHA:
        conclusion = f", so the number of tasks alone does not explain its effect ({p})"
    elif beaten == draws:
        needed = pluralize(_count_needed_draws(), "random grouping")
        conclusion = f", but so few are no proof ({p}; at least {needed} are needed for .05)"
    else:
        conclusion = f"; random groupings of the same sizes do as well ({p})"
    return f"**{setting}.** {result}{conclusion}."


def _name_beaten(beaten: int, draws: int) -> str:
    return f"each of the {draws} random groupings" if beaten == draws else f"{beaten} of {draws} random groupings"


def _count_needed_draws() -> int:
    """Return the number of random groupings from which p can be below ALPHA."""
    # p is at least 1 / (1 + draws), which is below ALPHA from 1 / ALPHA draws on.
    return round(1 / ALPHA)


def _make_table(material: Material, controls: list[Control]) -> Block:
    names = ("scale", "random groupings", "Δ skill", "random: mean", "random: lowest to highest", "better than", "p")
    has_variants = len(material.study.variants) > 1
    draws = group_rows(
        (row for row in material.tables.compute(make_controls) if row.drawn and not row.task),
        lambda row: (row.like, row.scale, row.variant),
    )
    table = []
    for row in controls:
        skills = np.array([draw.delta_skill for draw in draws[row.like, row.scale, row.variant]])
        # Random groupings whose runs are not all finished have no mean difference.
        skills = skills[np.isfinite(skills)]
        extremes = (
            f"{score_texts.format_signed(skills.min(), 'skill')} to {score_texts.format_signed(skills.max(), 'skill')}"
        )
        table.append(
            (
                grouping_label(row.like),
                *((row.variant,) if has_variants else ()),
                Cell(f"{row.scale:g}", float(row.scale)),
                table_cells.make_count_cell(row.draws),
                table_cells.make_number_cell(
                    score_texts.format_difference(row.delta_skill, row.low, row.high, "skill"), row.delta_skill
                ),
                table_cells.make_number_cell(score_texts.format_signed(skills.mean(), "skill"), skills.mean()),
                extremes,
                table_cells.make_count_cell(row.beaten),
                table_cells.make_p_value_cell(row.p),
            )
        )
    caption = (
        f"Mean difference in skill from {escape_markdown(material.reference)} over all tasks (0 where the task uses "
        "the same run as the reference), with its interval over seeds and test patients, and the same for the random "
        "groupings. p = (1 + number of random groupings that are as good or better) / (1 + number of random "
        "groupings), not adjusted."
    )
    columns = ("grouping", *(("variant",) if has_variants else ()), *names)
    return TextTable(columns, tuple(table), names, name="controls", caption=caption)


def _list_tasks(material: Material, controls: list[Control]) -> Block | None:
    """List the tasks for which a grouping is better than all of its random groupings, or than none."""
    scale = max(material.study.scales)
    variant = next(iter(material.study.variants))
    by_task = [row for row in controls if row.task and row.draws is not None]
    by_task = [row for row in by_task if (row.scale, row.variant) == (scale, variant)]
    items = []
    for like in dict.fromkeys(row.like for row in by_task):
        tasks_by_result = {
            "better than every random grouping": [r for r in by_task if r.like == like and r.beaten == r.draws],
            "no better than any random grouping": [r for r in by_task if r.like == like and r.beaten == 0],
        }
        setting = escape_markdown(material.describe_setting(variant, scale))
        for result, members in tasks_by_result.items():
            if members:
                names = join_names([escape_markdown(row.task) for row in members])
                items.append(f"{capitalize(setting)}, {escape_markdown(grouping_label(like))} is {result} for {names}.")
    return Items(tuple(items)) if items else None
