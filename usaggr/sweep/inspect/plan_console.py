"""Display of a plan on a terminal: tasks, runs and their states, detectable differences, remaining time and disk."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from usaggr.config.executor import SlurmConfig
from usaggr.config.study import StudyConfig
from usaggr.data.split.manifest import describe_manifest, prove_split
from usaggr.document.display_names import pluralize
from usaggr.errors import UsaggrError
from usaggr.io.terminal_text import escape_line
from usaggr.results import contract
from usaggr.results.run_result import State
from usaggr.statistics.minimum_evidence import FEWEST_SUBJECTS
from usaggr.statistics.verdicts import PROVISIONAL_SEEDS
from usaggr.sweep.execution.parent_weights import find_weightless
from usaggr.sweep.execution.run_order import sort_longest_first
from usaggr.sweep.inspect.detectable_difference import (
    DetectableDifference,
    collect_test_sets,
    compute_detectable_differences,
)
from usaggr.sweep.kept_weights import KeptWeights, describe_lacking, list_lacking
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.sweep.planning.time_and_disk import estimate_pace, estimate_time_and_disk

MAX_LISTED_RUNS = 200
"""Largest number of runs that are listed one by one; more runs are summed."""
_NUMBERS = ("tasks", "training samples", "examples")
"""Columns of the table of runs that contain numbers, which are aligned to the right."""
STATE_STYLES: dict[State, str] = {"done": "green", "running": "cyan", "failed": "red", "stale": "yellow"}
STATE_STYLES |= {"queued": "blue", "pending": ""}


def print_plan(plan: Plan, console: Console, decision: KeptWeights | None = None) -> None:
    """Print tables of tasks and runs, or of sums of many runs, then the remaining work.

    Args:
        plan: runs of the study.
        console: where to print.
        decision: whether the runs keep their weights; None leaves these lines out.
    """
    console.print(_make_task_table(plan))
    states = [run.read_state() for run in plan.runs]
    console.print(_make_run_table(plan, states) if len(plan.runs) <= MAX_LISTED_RUNS else _make_sum_table(plan, states))
    if len(plan.runs) > MAX_LISTED_RUNS:
        console.print(
            f"each run by name: {plan.directory / contract.PLAN}, which a sweep writes",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    for line in describe_inputs(plan):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print_detectable_differences(compute_detectable_differences(plan), plan.study, console)
    counts = Counter(states)
    summary = ", ".join(f"{counts[state]} {state}" for state in STATE_STYLES if counts[state])
    shared = plan.runs_without_sharing - len(plan.runs)
    shared_runs = pluralize(shared, "more is", "more are")
    console.print(f"{pluralize(len(plan.runs), 'run')}: {summary}; {shared_runs} the same run under another grouping")
    for run in find_weightless(plan.runs):
        console.print(f"{run.directory.name} is trained again: other runs start from its weights, which were not kept")
    for line in [] if decision is None else _describe_weights(plan, decision):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(_describe_remaining(plan))
    if isinstance(plan.study.executor, SlurmConfig):
        console.print(describe_slurm_jobs(plan, plan.study.executor), highlight=False, soft_wrap=True)
    for warning in plan.manifest.dataset.warnings:
        console.print(f"[yellow]note:[/] {escape(escape_line(warning))}", highlight=False)
    proof = prove_split(plan.manifest.dataset, plan.manifest.split)
    if not proof.is_disjoint:
        console.print(f"[red]warning:[/] {escape(proof.describe())}", highlight=False)


def _describe_weights(plan: Plan, decision: KeptWeights) -> Iterator[str]:
    """Yield whether the runs keep their weights and why, and how many finished runs have none."""
    yield decision.describe()
    # Otherwise only runs that others start from keep them, and only as long as these are not done.
    is_wanted = decision.keeps_automatic or decision.setting == "scored"
    if is_wanted and (lacking := list_lacking(plan, decision)):
        yield describe_lacking(lacking)


def describe_inputs(plan: Plan) -> list[str]:
    """Return the assumed normalization of images for each network with pretrained weights; this imports torch."""
    models = {run.study.model.model_dump_json(): run.study.model for run in plan.runs if run.study.model.weights}
    if not models:
        return []
    from usaggr.models.assumed_input import find_pixel_normalization

    lines = []
    for model in models.values():
        try:
            normalization = find_pixel_normalization(model)
        except UsaggrError as error:  # a sweep would end with this error
            lines.append(str(error))
        else:
            lines += [] if normalization is None else [f"input: {normalization.describe()}"]
    return list(dict.fromkeys(lines))


def _make_run_table(plan: Plan, states: Sequence[State]) -> Table:
    """Return a table with one row per run."""
    table = Table(title=f"runs of {plan.study.name}", title_justify="left")
    is_staged = any(run.spec.parent for run in plan.runs)
    for column in ("run", "groupings", *(("starts from",) if is_staged else ()), *_NUMBERS, "state"):
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    for run, state in zip(plan.runs, states, strict=True):
        samples = sum(len(ids) for ids in run.spec.train_samples.values())
        parent = (run.spec.parent or "",) if is_staged else ()
        cells = (run.directory.name, _format_groupings(run), *parent, str(len(run.spec.tasks)), str(samples))
        table.add_row(*cells, str(run.examples), f"[{STATE_STYLES[state]}]{state}[/]" if STATE_STYLES[state] else state)
    return table


def _format_groupings(run: PlannedRun) -> str:
    return ", ".join(run.groupings) or "first stage, of no grouping"


def _make_sum_table(plan: Plan, states: Sequence[State]) -> Table:
    """Return a table with one row for all runs of equal groupings, variant and scale."""
    seen = [state for state in STATE_STYLES if state in states]
    table = Table(title=f"runs of {plan.study.name}", title_justify="left")
    for column in ("groupings", "variant", "scale"):
        table.add_column(column)
    for column in ("runs", "examples"):
        table.add_column(column, justify="right")
    for state in seen:
        table.add_column(state, justify="right", style=STATE_STYLES[state])
    counts: defaultdict[tuple[str, str, str], Counter[State]] = defaultdict(Counter)
    examples: Counter[tuple[str, str, str]] = Counter()
    for run, state in zip(plan.runs, states, strict=True):
        key = (_format_groupings(run), run.spec.variant, f"{run.spec.scale:g}")
        counts[key][state] += 1
        examples[key] += run.examples
    for key, by_state in counts.items():
        table.add_row(*key, str(by_state.total()), str(examples[key]), *(str(by_state[state] or "") for state in seen))
    return table


def _make_task_table(plan: Plan) -> Table:
    table = Table(title="tasks", title_justify="left")
    for column in ("task", "type", "clinical group", "classes", "train", "val", "test", "test subjects"):
        table.add_column(column, justify="left" if column in ("task", "type", "clinical group") else "right")
    studied = {
        task_id for grouping in plan.groupings.values() for block in grouping.blocks.values() for task_id in block
    }
    test_sets = collect_test_sets(plan)
    for task in describe_manifest(plan.manifest)["tasks"]:
        if task["id"] in studied:
            _, components = test_sets[task["id"]]
            few = " (few)" if len(set(components.tolist())) < FEWEST_SUBJECTS else ""
            counts = (str(task[name]) for name in ("num_classes", "n_train", "n_val", "n_test", "subjects_test"))
            cells = [escape(task["id"]), task["type"], escape(task["clinical_group"]), *counts]
            table.add_row(*cells[:-1], cells[-1] + few)
    return table


def print_detectable_differences(tasks: Sequence[DetectableDifference], study: StudyConfig, console: Console) -> None:
    """Print a table of the differences that the study can detect, and what this means for the margins.

    Args:
        tasks: detectable difference of each task.
        study: the study.
        console: where to print.
    """
    if not tasks:
        console.print("no grouping can be compared: all groupings have the same runs as the reference")
        return
    seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
    table = Table(title=f"smallest difference that {seeds} can detect (80 % power)", title_justify="left")
    table.add_column("task", no_wrap=True)
    table.add_column("metric")
    for column in ("components", "corrected", "alone", "margin", "seeds"):
        table.add_column(column, justify="right", overflow="fold")
    for task in tasks:
        sizes = [_format_size(value, task) for value in (task.corrected, task.uncorrected, task.margin)]
        table.add_row(task.task, task.metric.name, str(task.subjects), *sizes, str(task.seeds or "-"))
    console.print(table)
    for line in _explain_table(tasks, study, seeds):
        console.print(line, highlight=False)


def _explain_table(tasks: Sequence[DetectableDifference], study: StudyConfig, seeds: str) -> Iterator[str]:
    """Yield lines about the margins, the columns and the assumptions of the table.

    Args:
        tasks: detectable difference of each task.
        study: the study.
        seeds: number of seeds as text.
    """
    tested = [task for task in tasks if not task.reason]
    undetectable = [task for task in tested if task.corrected > task.margin]
    needed_seeds = [task.seeds for task in undetectable if task.seeds is not None]
    text = f"with {seeds} the margin can be tested on {len(tested) - len(undetectable)} of {len(tasks)} tasks"
    if needed_seeds:
        text += f", with about {max(needed_seeds)} on {len(needed_seeds)} more"
    if len(needed_seeds) < len(undetectable):
        text += f"; {len(undetectable) - len(needed_seeds)} need more test patients, more seeds will not help"
    yield text
    for reason in sorted({task.reason for task in tasks} - {""}):
        yield f"no verdict on {', '.join(task.task for task in tasks if task.reason == reason)}: {reason}"
    if len(study.seeds) == 1:
        yield "one seed does not show how training varies: every verdict will be provisional"
    elif len(study.seeds) <= PROVISIONAL_SEEDS:
        yield (
            "two seeds hardly show how training varies, so errors may be more frequent than stated: every verdict will "
            "be provisional"
        )
    tests = "cells of the study" if study.report.family == "study" else "tasks"
    yield (
        f"components: independent test cases; corrected: detectable difference, corrected for the number of {tests} "
        "(Holm's first level); alone: without the correction; seeds: needed to test the margin; %: of the reference's "
        "mean"
    )
    assumptions = [
        f"{study.report.assumed_subject_sd:g} over subjects (report.assumed_subject_sd; AUC: by its classes)"
    ]
    n_measured = sum(task.is_measured for task in tasks)
    if n_measured < len(tasks):
        assumptions.insert(0, f"{study.report.assumed_seed_sd:g} over seeds (report.assumed_seed_sd)")
    if n_measured:
        yield f"spread over seeds measured on the finished runs of {n_measured} of {len(tasks)} tasks"
    yield f"assumed standard deviation of a difference: {', '.join(assumptions)}"


def describe_slurm_jobs(plan: Plan, config: SlurmConfig) -> str:
    """Return one line about the jobs that a sweep would submit, with their runs and their estimated cost."""
    from usaggr.sweep.executors.slurm.packing import assign_to_jobs, make_job_machine

    to_submit = [run for run in sort_longest_first(plan.runs) if run.read_state() in ("pending", "stale")]
    if not to_submit:
        return "jobs of Slurm: none to submit"
    pace = estimate_pace(plan.runs)
    to_submit_ids = {run.spec.run_id for run in to_submit}
    # Second stages are submitted after their parents are done, so they are in other jobs than their parents.
    first_stages = [run for run in to_submit if run.spec.parent not in to_submit_ids]
    second_stages = [run for run in to_submit if run.spec.parent in to_submit_ids]
    sizes: list[int] = []
    for runs in (first_stages, second_stages):
        seconds = [None if pace is None else pace * run.examples for run in runs]
        sizes += [len(runs_of_job) for runs_of_job in assign_to_jobs(config, runs, seconds)]
    runs_each = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    head = f"jobs of Slurm: {len(sizes)} of {runs_each} runs, {config.cpus} cores and {config.gpus} GPUs each"
    if pace is None:
        return f"{head}; core-hours: estimated after the first run (at most {config.time} minutes a job)"
    workers = make_job_machine(config).workers or 1
    hours = sum(run.examples for run in to_submit) * pace / workers / 3600
    cost = f"about {_format_hours(hours * config.cpus)} core-hours"
    if config.gpus:
        cost += f" and {_format_hours(hours * config.gpus)} GPU-hours"
    return f"{head}; {cost}, if runs take as long as the finished ones"


def _format_hours(value: float) -> str:
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def _format_size(value: float, task: DetectableDifference) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if task.metric.is_score else f"{100 * value:.0f} %"


def _describe_remaining(plan: Plan) -> str:
    estimate = estimate_time_and_disk(plan.runs)
    if estimate.seconds is None or estimate.bytes is None:
        return "time and disk: estimated after the first run"
    duration = timedelta(seconds=round(estimate.seconds))
    size = f"{estimate.bytes / 2**20:.0f} MiB"
    return f"remaining: about {duration} of one worker; disk of all runs without weights: about {size}"
