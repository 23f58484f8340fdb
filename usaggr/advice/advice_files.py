"""Advice as people and programs read it: on the terminal, and as advice.md, advice.html and advice.json."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usaggr.advice.advise import Advice, TaskAdvice, WayAdvice
from usaggr.advice.document import advice_document
from usaggr.advice.evidence import CONFIDENCE, EvidenceCell, unit_of
from usaggr.advice.meta_analysis import FEWEST
from usaggr.advice.rule import WIDE
from usaggr.advice.sentences import KIND_LABELS, advised, counted, phantom_sentences, predicted, reason, steps_sentences
from usaggr.advice.undecided import Undecided
from usaggr.document.display_names import grouping_label, plural
from usaggr.document.html import render_page
from usaggr.document.markdown import render_markdown
from usaggr.io.atomic_files import write_atomic
from usaggr.metrics.names import main_metric
from usaggr.statistics.scale_trend import NEAR

if TYPE_CHECKING:
    from rich.console import Console

ADVICE_VERSION = 1
SHOWN = 5
"""Undecided cells on the terminal."""


def write_advice(advice: Advice, folder: Path) -> tuple[Path, Path, Path]:
    """Write advice.md, advice.html and advice.json into a folder, which is made if need be.

    Raises:
        WriteError: it cannot be written to.
    """
    document = advice_document(advice)
    paths = folder / "advice.md", folder / "advice.html", folder / "advice.json"
    write_atomic(paths[0], render_markdown(document))
    write_atomic(paths[1], render_page(document, folder))
    write_atomic(paths[2], json.dumps(as_json(advice), indent=1, allow_nan=False) + "\n")
    return paths


def print_advice(advice: Advice, console: "Console") -> None:
    """Print a row a task, what depends on the amount of data, and the undecided cells that need the fewest seeds."""
    from rich.table import Table
    from rich.text import Text

    table = Table("task", "n_train", "advice", "because")
    table.columns[1].justify = "right"
    for column in table.columns[:3]:
        column.no_wrap = True
    for task in advice.tasks:
        table.add_row(task.new.task.id, f"{task.new.n_train:,}", KIND_LABELS[task.kind], Text(_because(task)))
    console.print(table)
    lines = [
        counted(advice),
        *phantom_sentences(advice),
        *(line for task in advice.tasks for line in steps_sentences(task)),
    ]
    for line in (*lines, *_undecided_lines(advice)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _because(task: TaskAdvice) -> str:
    """With whom and how much, where there is advice; then what it rests on."""
    if task.best is None:
        return reason(task)
    much = predicted(task.best.answer.prediction, task.new.task.type)
    return f"{advised(task.best)}\n{much}: {reason(task)}"


def _undecided_lines(advice: Advice) -> list[str]:
    decidable = [one for one in advice.undecided if one.command]
    if not decidable:
        return []
    lines = [f"{plural(len(decidable), 'undecided cell')} that speak of these tasks, the fewest seeds first:"]
    for one in decidable[:SHOWN]:
        cell = one.cell
        where = f"{cell.task.id}, {grouping_label(cell.grouping)}, {cell.n_train:,} training samples"
        lines.append(f"  {where}: {cell.seeds} seeds, {cell.seeds_needed} needed")
    lines += [f"  {line}" for line in dict.fromkeys(one.command for one in decidable[:SHOWN])]
    return lines


def as_json(advice: Advice) -> dict[str, Any]:
    """What advice.json holds."""
    return {
        "schema_version": ADVICE_VERSION,
        "data": {
            "name": advice.data.name,
            "where": advice.data.where,
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
        "rule": {"confidence": CONFIDENCE, "near": NEAR, "fewest_tasks": FEWEST, "wide": WIDE},
        "tasks": [_task(task) for task in advice.tasks],
        "undecided": [_undecided(one) for one in advice.undecided],
    }


def _task(task: TaskAdvice) -> dict[str, Any]:
    new = task.new.task
    return {
        "task": new.id,
        "task_type": new.type,
        "clinical_group": new.clinical_group,
        "organ": new.organ,
        "n_train": task.new.n_train,
        "advice": task.kind,
        "grouping": None if task.best is None else task.best.answer.way,
        "because": reason(task),
        "ways": [_way(way, main_metric(new.type).name) for way in task.ways],
        "alone": list(task.alone),
    }


def _way(way: WayAdvice, metric: str) -> dict[str, Any]:
    found = way.answer.prediction
    return {
        "grouping": way.answer.way,
        "verdict": way.answer.verdict,
        "because": way.answer.why,
        "level": way.answer.level,
        "with": list(way.shares_with),
        "predicted": None
        if found is None
        else {
            "metric": metric,
            "unit": unit_of(metric),
            "mean": found.mean,
            "low": found.low,
            "high": found.high,
            "margin": found.margin,
            "effects": found.effects,
            "spread": found.tau,
        },
        "by_n_train": [{"from": step.n_train, "verdict": step.verdict} for step in way.steps],
        "cells": [_cell(cell) for cell in way.answer.cells],
        "left_out": [_cell(cell) | {"reason": cell.unusable} for cell in way.answer.left_out],
    }


def _cell(cell: EvidenceCell) -> dict[str, Any]:
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
        "delta": cell.delta,
        "delta_low": _number(cell.delta_low),
        "delta_high": _number(cell.delta_high),
        "verdict": cell.verdict,
        "note": cell.note,
        "seeds_needed": cell.seeds_needed,
    }


def _undecided(one: Undecided) -> dict[str, Any]:
    return _cell(one.cell) | {"bears_on": list(one.bears_on), "level": one.level, "command": one.command or None}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
