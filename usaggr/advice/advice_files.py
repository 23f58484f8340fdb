"""Prints advice on the terminal, and writes it as advice.md, advice.html and advice.json."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usaggr.advice.advise import Advice, ModeAdvice, TaskAdvice
from usaggr.advice.document import compose_advice_document
from usaggr.advice.evidence import CONFIDENCE, EvidenceCell, get_margin_unit
from usaggr.advice.meta_analysis import MIN_EFFECTS
from usaggr.advice.rule import MAX_HALF_WIDTH
from usaggr.advice.sentences import (
    KIND_LABELS,
    count_advice,
    describe_mode,
    describe_recommendation,
    describe_steps,
    explain_advice,
    format_prediction,
    warn_of_further_looks,
    warn_of_phantoms,
)
from usaggr.advice.undecided import Undecided
from usaggr.document.display_names import pluralize
from usaggr.document.html import render_page
from usaggr.document.markdown import render_markdown
from usaggr.io.atomic_files import write_atomic
from usaggr.metrics.names import get_main_metric
from usaggr.statistics.scale_trend import NEAR

if TYPE_CHECKING:
    from rich.console import Console

ADVICE_VERSION = 1
"""Schema version of advice.json."""
SHOWN = 5
"""Maximum number of undecided cells that are printed."""


def write_advice(advice: Advice, folder: Path) -> tuple[Path, Path, Path]:
    """Write advice.md, advice.html and advice.json into a folder, which is created if necessary.

    Returns:
        Paths of the three files.

    Raises:
        WriteError: The folder cannot be written.
    """
    document = compose_advice_document(advice)
    paths = folder / "advice.md", folder / "advice.html", folder / "advice.json"
    write_atomic(paths[0], render_markdown(document))
    write_atomic(paths[1], render_page(document, folder))
    write_atomic(paths[2], json.dumps(make_advice_json(advice), indent=1, allow_nan=False) + "\n")
    return paths


def print_advice(advice: Advice, console: "Console") -> None:
    """Print one row per task, advice that depends on the amount of data, and the first undecided cells."""
    # Imported here, because rich slows down the start of commands that print no table.
    from rich.table import Table
    from rich.text import Text

    table = Table("task", "n_train", "advice", "because")
    table.columns[1].justify = "right"
    for column in table.columns[:3]:
        column.no_wrap = True
    for task in advice.tasks:
        table.add_row(task.new.task.id, f"{task.new.n_train:,}", KIND_LABELS[task.kind], Text(_describe_task(task)))
    console.print(table)
    lines = [
        count_advice(advice),
        *warn_of_phantoms(advice),
        *(line for task in advice.tasks for line in describe_steps(task)),
    ]
    for line in (*lines, *_undecided_lines(advice)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _describe_task(task: TaskAdvice) -> str:
    """Return the recommended mode and its predicted effect, if there is one, and the evidence."""
    if task.best is None:
        return explain_advice(task)
    effect = format_prediction(task.best.result.prediction, task.new.task.type)
    return f"{describe_recommendation(task.best)}\n{effect}: {explain_advice(task)}"


def _undecided_lines(advice: Advice) -> list[str]:
    decidable = [undecided for undecided in advice.undecided if undecided.command]
    if not decidable:
        return []
    shown = decidable[:SHOWN]
    counted_cells = pluralize(len(decidable), "undecided result of the sweeps", "undecided results of the sweeps")
    verb = "concerns" if len(decidable) == 1 else "concern"
    lines = [f"{counted_cells} {verb} these tasks; more seeds are likely to decide (fewest first):"]
    for undecided in shown:
        cell = undecided.cell
        name = f"{cell.task.id}, {describe_mode(cell.mode)}, {cell.n_train:,} training samples"
        lines.append(f"  {name}: {pluralize(cell.seeds, 'seed')}, {cell.seeds_needed} needed")
    # Cells of one sweep that need as many seeds have the same command.
    lines += [f"  {command}" for command in dict.fromkeys(undecided.command for undecided in shown)]
    return [*lines, warn_of_further_looks(advice)]


def make_advice_json(advice: Advice) -> dict[str, Any]:
    """Return the content of advice.json."""
    return {
        "schema_version": ADVICE_VERSION,
        "data": {
            "name": advice.data.name,
            "where": advice.data.location,
            "content_hash": advice.data.content,
            "remarks": list(advice.data.remarks),
        },
        "sweeps": [
            {
                "folders": list(s.folders),
                "study": s.study,
                "content_hash": s.content,
                "seeds": list(s.seeds),
                "phantoms": s.phantoms,
            }
            for s in advice.sweeps
        ],
        "rule": {"confidence": CONFIDENCE, "near": NEAR, "fewest_tasks": MIN_EFFECTS, "wide": MAX_HALF_WIDTH},
        "tasks": [_make_task_json(task) for task in advice.tasks],
        "undecided": [_undecided_json(undecided) for undecided in advice.undecided],
    }


def _make_task_json(task: TaskAdvice) -> dict[str, Any]:
    new = task.new.task
    return {
        "task": new.id,
        "task_type": new.type,
        "clinical_group": new.clinical_group,
        "organ": new.organ,
        "n_train": task.new.n_train,
        "advice": task.kind,
        "grouping": None if task.best is None else task.best.result.mode,
        "because": explain_advice(task),
        "ways": [_make_mode_json(mode, get_main_metric(new.type).name) for mode in task.modes],
        "alone": list(task.unshared_modes),
    }


def _make_mode_json(mode: ModeAdvice, metric: str) -> dict[str, Any]:
    prediction = mode.result.prediction
    return {
        "grouping": mode.result.mode,
        "verdict": mode.result.verdict,
        "because": mode.result.reason,
        "rarer_than": mode.result.rarer_than,
        "level": mode.result.level,
        "with": list(mode.shares_with),
        "predicted": None
        if prediction is None
        else {
            "metric": metric,
            "unit": get_margin_unit(metric),
            "mean": prediction.mean,
            "low": prediction.low,
            "high": prediction.high,
            "margin": prediction.margin,
            "effects": prediction.effects,
            "spread": prediction.tau,
        },
        "by_n_train": [
            {"from": step.n_train, "verdict": step.verdict, "rarer_than": step.rarer_than} for step in mode.steps
        ],
        "cells": [_make_cell_json(cell) for cell in mode.result.cells],
        "left_out": [_make_cell_json(cell) | {"reason": cell.unusable} for cell in mode.result.left_out],
    }


def _make_cell_json(cell: EvidenceCell) -> dict[str, Any]:
    return {
        "sweep": cell.sweep,
        "task": cell.task.id,
        "task_type": cell.task.type,
        "clinical_group": cell.task.clinical_group,
        "grouping": cell.grouping,
        "shares_with": [task.id for task in cell.shares_with],
        "scale": cell.scale,
        "n_train": cell.n_train,
        "seeds": cell.seeds,
        "metric": cell.metric,
        "delta": _convert_nan(cell.delta),
        "delta_low": _convert_nan(cell.delta_low),
        "delta_high": _convert_nan(cell.delta_high),
        "verdict": cell.verdict,
        "note": cell.note,
        "seeds_needed": cell.seeds_needed,
    }


def _undecided_json(undecided: Undecided) -> dict[str, Any]:
    facts = {"bears_on": list(undecided.task_ids), "level": undecided.level, "command": undecided.command or None}
    return _make_cell_json(undecided.cell) | facts


def _convert_nan(value: float) -> float | None:
    """Return a number, or None if it is NaN, which JSON cannot represent."""
    return value if math.isfinite(value) else None
