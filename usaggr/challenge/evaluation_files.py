"""Output of an evaluation: tables on the terminal, `evaluation.json` for programs and `evaluation.md` for people."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usaggr.challenge.challenge_scores import CHALLENGE_METRICS, CONFIDENCE, Mode, find_mode_differences
from usaggr.challenge.evaluate import Evaluation, TaskEvaluation
from usaggr.challenge.findings import MEANINGS, Finding, count_by_kind
from usaggr.document.numbers import MISSING
from usaggr.io.atomic_files import write_atomic
from usaggr.metrics.names import METRICS
from usaggr.metrics.score_texts import format_score
from usaggr.tasks import TASK_TYPES, TaskType

if TYPE_CHECKING:
    from rich.console import Console

EVALUATION_FILES = ("evaluation.json", "evaluation.md")
"""Files that an evaluation writes into the folder of the predictions."""
EVALUATION_VERSION = 1
"""Version of the layout of `evaluation.json`."""
MAX_SHOWN = 5
"""Errors of each kind that are listed for people; `evaluation.json` has all of them."""

_AUC_REASON = (
    "a class is absent from the labels; the challenge then sets AUC to 0, strict mode averages over the other classes"
)


def get_scores(task: TaskEvaluation, mode: Mode) -> dict[str, float]:
    """Return the scores of a task; empty if no sample was scored."""
    return {} if task.scored is None else dict(getattr(task.scored, mode))


def get_intervals(task: TaskEvaluation, mode: Mode) -> dict[str, tuple[float, float]]:
    """Return the intervals of the scores that have one; in challenge mode those of scores equal to the strict ones."""
    if task.scored is None:
        return {}
    # Both name and value must agree, so the challenge's AUC of 0 does not get the interval of the strict AUC.
    shared_scores = get_scores(task, mode).items() & task.scored.strict.items()
    return {name: task.scored.intervals[name] for name, _ in sorted(shared_scores) if name in task.scored.intervals}


def average_by_task_type(evaluation: Evaluation, mode: Mode) -> dict[TaskType, dict[str, float]]:
    """Return the unweighted mean of each score over the tasks of each type that have the score."""
    values: dict[TaskType, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for task in evaluation.tasks:
        for name, value in get_scores(task, mode).items():
            values[task.task.type][name].append(value)
    return {kind: {n: sum(v) / len(v) for n, v in values[kind].items()} for kind in TASK_TYPES if kind in values}


def make_evaluation_json(evaluation: Evaluation, mode: Mode) -> dict[str, Any]:
    """Return the content of `evaluation.json`."""
    return {
        "schema_version": EVALUATION_VERSION,
        "mode": mode,
        "fold": evaluation.fold,
        "data": {"content_hash": evaluation.dataset.content_hash},
        "complete": evaluation.complete,
        "tasks": {task.task.id: get_scores(task, mode) for task in evaluation.tasks},
        "intervals": {task.task.id: get_intervals(task, mode) for task in evaluation.tasks},
        "confidence": CONFIDENCE,
        "type_means": average_by_task_type(evaluation, mode),
        "counts": {
            task.task.id: {
                "samples": task.samples,
                "scored": task.samples - task.missing - task.unusable,
                "missing": task.missing,
                "unusable": task.unusable,
                "components": task.components,
            }
            for task in evaluation.tasks
        },
        "notes": {t.task.id: t.scored.notes for t in evaluation.tasks if t.scored is not None and t.scored.notes},
        "differences": [
            {"task": task, "metric": name, "challenge": pair[0], "strict": pair[1], "why": _AUC_REASON}
            for task, name, pair in _list_differences(evaluation)
        ],
        "findings": [
            {
                "kind": finding.kind,
                "task": finding.task_id,
                "image_path": finding.image_path,
                "file": finding.file,
                "message": finding.message,
            }
            for finding in evaluation.findings
        ],
    }


def write_evaluation(evaluation: Evaluation, mode: Mode) -> tuple[Path, Path]:
    """Write evaluation.json and evaluation.md into the folder of the predictions.

    Raises:
        OSError: The folder cannot be written to.
    """
    # A score that is NaN would give a file that is not JSON, so json.dumps refuses it.
    content = json.dumps(make_evaluation_json(evaluation, mode), indent=1, allow_nan=False)
    paths = evaluation.folder / EVALUATION_FILES[0], evaluation.folder / EVALUATION_FILES[1]
    for path, text in zip(paths, (content + "\n", make_evaluation_markdown(evaluation, mode)), strict=True):
        write_atomic(path, text)
    return paths


def make_evaluation_markdown(evaluation: Evaluation, mode: Mode) -> str:
    """Return the content of `evaluation.md`."""
    samples = f"the {evaluation.fold} subset" if evaluation.fold else "all samples"
    lines = [
        "# Evaluation",
        "",
        f"Scores of {samples} ({mode} mode), with {CONFIDENCE:.0%} intervals over components (patients or videos). The "
        "intervals hold for this one model and do not cover another training. Distances are in pixels of the original "
        "image.",
    ]
    for kind, table in _make_tables(evaluation, mode):
        header, *body = table
        lines += ["", f"## {kind.capitalize()}", ""]
        lines += [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *body)]
    notes = _list_notes(evaluation)
    if notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in notes)]
    lines += ["", "## Errors in predictions", "", *(_format_errors(evaluation.findings) or ["None."])]
    return "\n".join(lines) + "\n"


def print_evaluation(evaluation: Evaluation, mode: Mode, console: "Console") -> None:
    """Print the tables, the notes and the errors in the predictions.

    Args:
        evaluation: Scores and errors.
        mode: Scores to print.
        console: Console to print to.
    """
    from rich.table import Table

    for kind, (header, *body) in _make_tables(evaluation, mode):
        table = Table(*header, title=kind, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for i, cells in enumerate(body):
            table.add_row(*cells, end_section=i == len(body) - 2)  # a line above the last row, which is the mean
        console.print(table)
    for line in (*_list_notes(evaluation), *_format_errors(evaluation.findings)):
        console.print(line.removeprefix("- "), highlight=False, markup=False)


def _make_tables(evaluation: Evaluation, mode: Mode) -> Iterator[tuple[TaskType, list[list[str]]]]:
    """Yield a table for each task type: the header, one row per task, and the mean over tasks."""
    means = average_by_task_type(evaluation, mode)
    for kind in TASK_TYPES:
        tasks = [task for task in evaluation.tasks if task.task.type == kind]
        if not tasks:
            continue
        metrics = [metric.name for metric in METRICS[kind]] if mode == "strict" else CHALLENGE_METRICS[kind]
        lines = [["task", "scored", *metrics]]
        for task in tasks:
            values, bounds = get_scores(task, mode), get_intervals(task, mode)
            scored = f"{task.samples - task.missing - task.unusable} of {task.samples}"
            cells = [_format_cell(values.get(name), bounds.get(name), name) for name in metrics]
            lines.append([task.task.id, scored, *cells])
        lines.append(["mean", "", *(format_score(means.get(kind, {}).get(name), name) for name in metrics)])
        yield kind, lines


def _format_cell(value: float | None, bounds: tuple[float, float] | None, metric: str) -> str:
    if value is None:
        return MISSING
    shown = format_score(value, metric)
    return (
        shown if bounds is None else f"{shown} [{format_score(bounds[0], metric)}, {format_score(bounds[1], metric)}]"
    )


def _list_differences(evaluation: Evaluation) -> Iterator[tuple[str, str, tuple[float | None, float | None]]]:
    for task in evaluation.tasks:
        if task.scored is not None:
            for name, pair in find_mode_differences(task.scored).items():
                yield task.task.id, name, pair


def _list_notes(evaluation: Evaluation) -> list[str]:
    notes = [
        f"{task}: {name} is {format_score(challenge, name)} in challenge mode, {format_score(strict, name)} in strict "
        f"mode: {_AUC_REASON}"
        for task, name, (challenge, strict) in _list_differences(evaluation)
    ]
    for task in evaluation.tasks:
        notes += [f"{task.task.id}: {note}" for note in (task.scored.notes if task.scored is not None else ())]
        if task.scored is None:
            notes.append(
                f"{task.task.id}: no score, because none of its {task.samples} samples has a usable prediction"
            )
        elif task.missing + task.unusable:
            notes.append(f"{task.task.id}: only samples with a usable prediction are scored, as in the challenge")
    return notes


def _format_errors(findings: Sequence[Finding]) -> list[str]:
    lines = []
    by_kind: Mapping[str, list[Finding]] = {kind: [] for kind in MEANINGS}
    for finding in findings:
        by_kind[finding.kind].append(finding)
    for kind, number in count_by_kind(findings).items():
        lines.append(f"- {number} {kind}: {MEANINGS[kind]}")
        lines += [f"  - {finding}" for finding in by_kind[kind][:MAX_SHOWN]]
        if number > MAX_SHOWN:
            lines.append(f"  - ... and {number - MAX_SHOWN} more (evaluation.json lists all)")
    return lines
