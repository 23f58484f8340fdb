"""How sharing depends on the amount of training data, on task type and on clinical group."""

from typing import Any

import pandas as pd

from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, listed
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, literal
from usaggr.report import table_cells
from usaggr.report.material import Material, paragraph, section
from usaggr.report.scale.tables import make_interplay

Row = dict[Any, Any]
Rows = tuple[tuple[str | Cell, ...], ...]


def write_interplay(material: Material) -> Section | None:
    """Sections on data scale, types and groups; none where nothing is compared."""
    if not material.comparison.runs_done or not material.comparison.others:
        return None
    parts = (_data_scale(material), _types(material), _groups(material))
    intro = paragraph(
        "Means are over fixed tasks, in skill or as relative change; their intervals take seeds and test subjects",
        "jointly over all tasks of a mean, and are not adjusted. Tasks whose model is the reference's own run are left",
        "out.",
    )
    return section("Data scale, task types and clinical groups", intro, sections=parts) if any(parts) else None


def _data_scale(material: Material) -> Section | None:
    pictures = material.pictures("scale")
    slopes = _whole(material.tables.of(make_interplay).slopes)
    slopes = slopes[slopes["unit"] == "skill"]
    shown = slopes[slopes["level"].isin(["all", "type", "difference"])]
    if shown.empty:
        said = paragraph(
            "Whether sharing depends on the amount of data is not told by this sweep: no task has two scales."
        )
        return section("With more training data", said, *pictures)
    names = ("tasks", "slope of Δ skill per tenfold samples", "p, adjusted")
    rows: Rows = tuple(
        (
            *_setting(material, row), _scope(row), table_cells.count(row["tasks"]), _interval(row, "slope"),
            table_cells.p_value(row["p_adjusted"]),
        )
        for row in shown.to_dict("records")
    )  # fmt: skip
    caption = (
        "Within tasks: how the difference in skill changes with ten times the training samples, by least squares over "
        "each task's scales; type is a factor. p is adjusted by Holm over the types."
    )
    table = TextTable((*_settings(material), "tasks of", *names), rows, names, name="slopes", caption=caption)
    return section("With more training data", *pictures, table, *_crossings(material), *_between(material))


def _crossings(material: Material) -> tuple[Block, ...]:
    """Sizes at which sharing turns from help to harm, in words; then for which tasks there is none, and why."""
    table = _whole(material.tables.of(make_interplay).crossings)
    table = table[(table["unit"] == "skill") & table["level"].isin(["all", "type"])]
    said, without = [], dict[str, list[str]]()
    for row in table.to_dict("records"):
        who = f"{', '.join(_setting(material, row))} on {_scope(row)}"
        if pd.isna(row["size"]):
            without.setdefault(str(row["why"]), []).append(who)
            continue
        bounds = " to ".join(text.count(row[name]) if pd.notna(row[name]) else "no bound" for name in ("low", "high"))
        said.append(
            f"{literal(who)}: sharing helps {row['helps']} about {text.count(row['size'])} training samples a task "
            f"(Fieller's interval {bounds})."
        )
    said += [f"No size for {literal(listed(names))}: {literal(why)}." for why, names in without.items()]
    head = paragraph("**The size at which sharing turns from help to harm**, only where the data bear it:")
    return (head, Items(tuple(said))) if said and head is not None else ()


def _between(material: Material) -> tuple[Block, ...]:
    table = _whole(material.tables.of(make_interplay).between)
    table = table[table["unit"] == "skill"]
    if table.empty:
        return ()
    rows: Rows = tuple(
        (
            *_setting(material, row), str(row["over"]), table_cells.count(row["points"]),
            table_cells.number(text.signed(row["rho"], "skill"), row["rho"]),
            table_cells.p_value(row["p"]), _interval(row, "slope"), str(row["note"]),
        )
        for row in table.to_dict("records")
    )  # fmt: skip
    names = ("number", "rank correlation", "p", "slope per tenfold samples")
    caption = "Between tasks and between clinical groups, as the paper compared: **confounded** and descriptive."
    columns = (*_settings(material), "between", *names, "remark")
    return (TextTable(columns, rows, names, name="between", caption=caption),)


def _types(material: Material) -> Section | None:
    table = _whole(material.tables.of(make_interplay).sensitivity)
    if table.empty:
        return None
    names = ("tasks", "Δ skill", "relative change")
    rows: Rows = tuple(
        (
            *_setting(material, row),
            _scale(row),
            str(row["task_type"]),
            table_cells.count(row["tasks"]),
            _interval(row, "delta_skill"),
            table_cells.number(
                text.percent(row["relative"], row["relative_low"], row["relative_high"]), row["relative"]
            ),
        )
        for row in table.to_dict("records")
    )
    caption = "Mean difference of each task type."
    columns = (*_settings(material), "scale", "task type", *names)
    table_ = TextTable(columns, rows, ("scale", *names), name="types", caption=caption)
    return section("By task type", *material.pictures("types"), table_)


def _groups(material: Material) -> Section | None:
    means = _whole(material.tables.of(make_interplay).consistency)
    if means.empty:
        return None
    names = ("tasks", "training samples", "relative change", "Δ skill")
    rows: Rows = tuple(
        (
            *_setting(material, row), _scale(row), str(row["clinical_group"]), table_cells.count(row["tasks"]),
            table_cells.count(row["n_train"]),
            table_cells.number(text.percent(row["delta"], row["low"], row["high"]), row["delta"]),
            table_cells.number(
                text.difference(row["delta_skill"], row["skill_low"], row["skill_high"], "skill"), row["delta_skill"]
            ),
        )
        for row in means.to_dict("records")
    )  # fmt: skip
    columns = (*_settings(material), "scale", "clinical group", *names)
    caption = "Mean difference of each clinical group."
    table = TextTable(columns, rows, ("scale", *names), name="groups", caption=caption)
    return section("Across clinical groups", *material.pictures("groups"), table, _spread(material))


def _spread(material: Material) -> Block | None:
    table = _whole(material.tables.of(make_interplay).spread)
    rows: Rows = tuple(
        (
            *_setting(material, row), _scale(row), table_cells.count(row["groups"]),
            table_cells.number(_percents(row["spread"], row["low"], row["high"]), row["spread"]),
            table_cells.number(
                text.difference(row["spread_skill"], row["skill_low"], row["skill_high"], "skill").replace("+", ""),
                row["spread_skill"],
            ),
        )
        for row in table.to_dict("records")
    )  # fmt: skip
    names = ("scale", "groups", "spread of relative change", "spread of Δ skill")
    caption = (
        "Consistency: standard deviation over clinical groups of their true mean differences, chance taken out; small "
        "is consistent."
    )
    return TextTable((*_settings(material), *names), rows, names, name="spread", caption=caption) if rows else None


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """Rows over all cells, collapsed and unconverged ones too."""
    return table[~table["valid_only"].astype(bool)]


def _settings(material: Material) -> tuple[str, ...]:
    return ("grouping", "variant") if len(material.study.variants) > 1 else ("grouping",)


def _setting(material: Material, row: Row) -> tuple[str, ...]:
    label = grouping_label(row["grouping"])
    return (label, str(row["variant"])) if len(material.study.variants) > 1 else (label,)


def _scale(row: Row) -> Cell:
    return Cell(f"{row['scale']:g}", float(row["scale"]))


def _scope(row: Row) -> str:
    return {"all": "all types"}.get(row["level"], str(row["scope"]).replace(" - ", " minus "))


def _interval(row: Row, name: str) -> Cell:
    return table_cells.number(text.difference(row[name], row["low"], row["high"], "skill"), row[name])


def _percents(value: Any, low: Any, high: Any) -> str:
    return text.percent(value, low, high).replace("+", "")
