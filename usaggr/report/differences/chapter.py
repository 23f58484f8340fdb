"""All cells of the main metrics: heat map and forest plot, and for each scale the scores and differences as a table."""

from typing import Any

import pandas as pd

from usaggr.analysis.compare_study import Scale
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label
from usaggr.document.elements import Block, Cell, Section, TextTable, literal
from usaggr.metrics.names import metric_label
from usaggr.report import table_cells
from usaggr.report.material import Material, capital, paragraph, section

Row = dict[Any, Any]


def write_differences(material: Material) -> Section | None:
    """Pictures of all differences, and a table a scale; none where no run is done."""
    if not material.comparison.runs_done:
        return None
    interval = text.share(material.study.confidence)
    reading = (
        f"Scores are means over seeds ± half the {interval} interval, on the whole test fold. Δ is the difference from "
        f"{literal(material.reference)}, paired by seed, in the metric's own units, with its unadjusted {interval} "
        "interval; positive is better, also where a lower score is better (↓). Marks are verdicts: ▲ gain, = no loss, "
        "▼ loss, ? undecided. † follows a mean that is not better than the trivial predictor's."
    )
    scales = tuple(
        section(capital(material.where(variant, scale)), _table(material, variant, scale))
        for variant, scale in material.comparison.scales_by_variant
    )
    return section("Scores and differences", paragraph(reading), *material.pictures("answer"), sections=scales)


def _table(material: Material, variant: str, scale: Scale) -> Block | None:
    """Task x grouping at one scale."""
    cells = material.comparison.main_cells(variant, scale)
    found = {(row["task"], row["grouping"]): row for row in cells.to_dict("records")}
    deltas = {
        (row["task"], row["grouping"]): row
        for row in material.comparison.main_verdicts(variant, scale).to_dict("records")
    }
    present = set(cells["grouping"])
    groupings = [name for name in material.comparison.groupings if name in present]
    columns = ["task", "clinical group", "metric", "train", "trivial"]
    for name in groupings:
        label = grouping_label(name)
        columns += [label] if name == material.study.reference else [label, f"Δ {label}"]
    rows = []
    for task in material.collection.tasks:
        facts = cells[cells["task"] == task]
        if not facts.empty:
            row = _facts(facts)
            for name in groupings:
                metric = str(facts["metric"].iloc[0])
                row.append(table_cells.mean(found.get((task, name)), metric))
                if name != material.study.reference:
                    row.append(table_cells.delta(deltas.get((task, name)), metric))
            rows.append(tuple(row))
    if not rows:
        return None
    several = f"-{variant}" if len(material.study.variants) > 1 else ""
    caption = f"Main metric of each task. {literal(capital(material.where(variant, scale)))}."
    return TextTable(
        tuple(columns), tuple(rows), tuple(columns[3:]), name=f"scores-s{scale:g}{several}", caption=caption
    )


def _facts(facts: pd.DataFrame) -> list[str | Cell]:
    """What stands before the groupings' columns."""
    metric, n_train, trivial = str(facts["metric"].iloc[0]), facts["n_train"].max(), facts["trivial"].mean()
    arrow = "↑" if facts["sign"].iloc[0] > 0 else "↓"
    few = " (few)" if table_cells.is_few(facts["n_subjects"].min()) else ""
    return [
        Cell(f"{facts['task'].iloc[0]}{few}"),
        Cell(str(facts["clinical_group"].iloc[0])),
        Cell(f"{metric_label(metric, True)} {arrow}"),
        table_cells.count(n_train),
        table_cells.number(text.score(float(trivial), metric), trivial),
    ]
