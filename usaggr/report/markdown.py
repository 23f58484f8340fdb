"""report.md: what was asked, what was run, and the answer so far, in words and tables, with the figures.

Whatever comes from the data (names, errors) is escaped, so that no pipe or line break of it breaks a table.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from usaggr.metrics.names import METRICS
from usaggr.report import formatting, sections
from usaggr.report.collect import Collection
from usaggr.report.figures import FigureFile
from usaggr.report.sections import TextTable
from usaggr.report.tables import Tables
from usaggr.report.words import describe_groupings, describe_metrics, grouping_label, scale_label

_TEMPLATES = Path(__file__).parent / "templates"


def render_markdown(collection: Collection, tables: Tables, figures: Sequence[FigureFile]) -> str:
    """The whole of report.md; figures are linked as figures/NAME."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML: the filter `md` escapes what comes from the data
    )
    environment.filters |= {"md": escape, "table": markdown_table, "count": formatting.count}
    page = environment.get_template("report.md.j2").render(_context(collection, tables, figures))
    page = re.sub(r"[ \t]+\n", "\n", page)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def escape(value: object) -> str:
    r"""Text that Markdown shows as it is, on one line: `a|b` becomes `a\|b`, markup and HTML lose their meaning."""
    line = " ".join(str(value).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*|~])", r"\\\1", line)
    line = re.sub(r"\](?=[(\[:])", r"\\]", line)  # of a link; intervals keep their brackets
    # An underscore within a word, as in fetal_head, is no markup, and a name stays legible in the source.
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)


def markdown_table(table: TextTable) -> str:
    """A table of GitHub-flavoured Markdown."""
    rule = ["---:" if name in table.numbers else "---" for name in table.columns]
    lines = [[escape(name) for name in table.columns], rule, *([escape(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _context(collection: Collection, tables: Tables, figures: Sequence[FigureFile]) -> dict[str, Any]:
    study, data = collection.study, collection.data
    planned = {(run.row.variant, run.row.scale) for run in collection.runs}
    answers = [
        (variant, scale_label(scale), sections.answer_table(collection, tables, variant, scale))
        for variant in study.variants
        for scale in study.scales
        if (variant, scale) in planned
    ]
    types = {data.tasks[task].task.type for task in collection.tasks}
    metrics = [metric.name for task_type, of_type in METRICS.items() if task_type in types for metric in of_type]
    return {
        "study": study,
        "data": data,
        "directories": collection.directories,
        "n_tasks": len(collection.tasks),
        "n_runs": len(collection.runs),
        "states": Counter(run.state for run in collection.runs),
        "shared": sum(len(run.row.groupings) - 1 for run in collection.runs),
        "unplanned": collection.unplanned,
        "reference": grouping_label(study.reference),
        "findings": _findings(tables, study.reference),
        "above_trivial": _above_trivial(tables),
        "answers": answers,
        "summaries": [(variant, sections.summary_table(tables, variant)) for variant in study.variants],
        "tasks": sections.tasks_table(collection),
        "blocks": sections.blocks_table(collection),
        "runs": sections.runs_table(collection),
        "trivial": sections.trivial_table(tables),
        "cost": sections.cost_table(collection, tables),
        "failures": sections.failures_table(collection),
        "holes": sections.holes_table(collection),
        "holes_count": _holes_count(tables),
        "remarks": _remarks(collection),
        "figures": figures,
        "groupings": describe_groupings(study.groupings),
        "metrics": describe_metrics(metrics),
        "confidence": f"{100 * study.confidence:g} %",
    }


def _findings(tables: Tables, reference: str) -> list[str]:
    """A sentence a grouping and scale: the mean relative change, with its interval where it has one."""
    variants = tables.summary["variant"].nunique()
    said = []
    for row in tables.summary.to_dict("records"):
        if row["grouping"] == reference or pd.isna(row["delta_m"]):
            continue
        where = f"scale {row['scale']:g}" + (f", variant {row['variant']}" if variants > 1 else "")
        change = formatting.percent(row["delta_m"], row["low"], row["high"])
        tasks = f"{row['tasks']} task{'s' if row['tasks'] != 1 else ''}"
        said.append(f"{grouping_label(row['grouping'])} at {where}: {change} over {tasks}")
    return said


def _above_trivial(tables: Tables) -> tuple[int, int]:
    """Cells whose mean main score beats the trivial predictor, and all cells that have a score."""
    main = tables.cells[tables.cells["main"]]["beats_trivial"].dropna()
    return int(main.sum()), len(main)


def _remarks(collection: Collection) -> list[tuple[str, str]]:
    """Task and remark of its runs, each once."""
    found = {
        (task, note)
        for run in collection.runs
        if run.result is not None
        for task, notes in run.result.notes.items()
        for note in notes
    }
    return [(task, note) for task in collection.tasks for note in sorted(n for t, n in found if t == task)]


def _holes_count(tables: Tables) -> tuple[int, int]:
    """Cells with fewer seeds than planned, and all cells."""
    main = tables.cells[tables.cells["main"]]
    return int((main["seeds"] < main["planned"]).sum()), len(main)
