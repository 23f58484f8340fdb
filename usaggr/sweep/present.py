"""Shows a plan on a terminal: what is asked, which runs that makes, what is done, and what the rest will take."""

from collections import Counter
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from usaggr.data.manifest import MIN_TEST_SUBJECTS, describe
from usaggr.runs import State
from usaggr.sweep.estimate import estimate
from usaggr.sweep.plan import Plan

STATE_STYLES: dict[State, str] = {"done": "green", "running": "cyan", "failed": "red", "stale": "yellow", "pending": ""}


def print_plan(plan: Plan, console: Console) -> None:
    """Tables of tasks and of runs, then the sums."""
    console.print(_tasks(plan))
    states = {run.spec.fingerprint: run.state() for run in plan.runs}
    table = Table(title=f"runs of {plan.study.name}", title_justify="left")
    for column in ("run", "groupings", "tasks", "training samples", "examples", "state"):
        table.add_column(column, justify="right" if column in ("tasks", "training samples", "examples") else "left")
    for run in plan.runs:
        state = states[run.spec.fingerprint]
        samples = sum(len(ids) for ids in run.spec.train_samples.values())
        cells = (run.directory.name, ", ".join(run.groupings), str(len(run.spec.tasks)), str(samples))
        table.add_row(*cells, str(run.examples), f"[{STATE_STYLES[state]}]{state}[/]" if STATE_STYLES[state] else state)
    console.print(table)
    counts = Counter(states.values())
    said = ", ".join(f"{counts[state]} {state}" for state in STATE_STYLES if counts[state])
    shared = plan.asked - len(plan.runs)
    console.print(f"{len(plan.runs)} runs: {said}; {shared} more are the same run under another grouping")
    console.print(_rest(plan))
    for warning in plan.manifest.dataset.warnings:
        console.print(f"[yellow]note:[/] {warning}", highlight=False)


def _tasks(plan: Plan) -> Table:
    table = Table(title="tasks", title_justify="left")
    for column in ("task", "type", "clinical group", "classes", "train", "val", "test", "test subjects"):
        table.add_column(column, justify="left" if column in ("task", "type", "clinical group") else "right")
    asked = {task_id for grouping in plan.groupings.values() for block in grouping.blocks.values() for task_id in block}
    for task in describe(plan.manifest)["tasks"]:
        if task["id"] in asked:
            few = " (few)" if task["subjects_test"] < MIN_TEST_SUBJECTS else ""
            counts = (str(task[name]) for name in ("num_classes", "n_train", "n_val", "n_test", "subjects_test"))
            cells = [task["id"], task["type"], task["clinical_group"], *counts]
            table.add_row(*cells[:-1], cells[-1] + few)
    return table


def _rest(plan: Plan) -> str:
    found = estimate(plan.runs)
    if found.seconds is None or found.bytes is None:
        return "time and disk: not known before the first run is done"
    duration = timedelta(seconds=round(found.seconds))
    return f"what is left: about {duration} of one worker; disk of all runs: about {found.bytes / 2**20:.0f} MiB"
