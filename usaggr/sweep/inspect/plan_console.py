"""Shows a plan on a terminal: what is asked, which runs that makes, what is done, and what the rest will take."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from usaggr.config.executor import SlurmConfig
from usaggr.config.study import StudyConfig
from usaggr.data.split.manifest import MIN_TEST_SUBJECTS, describe, prove_split
from usaggr.errors import UsaggrError
from usaggr.results import contract
from usaggr.results.run_result import State
from usaggr.sweep.execution.parent_weights import find_weightless
from usaggr.sweep.execution.run_order import sort_longest_first
from usaggr.sweep.inspect.detectable_difference import Decidable, decidable
from usaggr.sweep.planning.study_plan import Plan, PlannedRun
from usaggr.sweep.planning.time_and_disk import estimate_pace, estimate_time_and_disk

LISTED = 200
"""Runs that are shown one by one; of more, sums are."""
_NUMBERS = ("tasks", "training samples", "examples")
"""Columns of runs."""
STATE_STYLES: dict[State, str] = {"done": "green", "running": "cyan", "failed": "red", "stale": "yellow"}
STATE_STYLES |= {"queued": "blue", "pending": ""}


def print_plan(plan: Plan, console: Console) -> None:
    """Tables of tasks and of runs (of many runs their sums), then what is left."""
    console.print(_tasks(plan))
    states = [run.state() for run in plan.runs]
    console.print(_listed(plan, states) if len(plan.runs) <= LISTED else _summed(plan, states))
    if len(plan.runs) > LISTED:
        console.print(
            f"each run by name: {plan.directory / contract.PLAN}, which a sweep writes",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    for line in input_lines(plan):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print_decidable(decidable(plan), plan.study, console)
    counts = Counter(states)
    said = ", ".join(f"{counts[state]} {state}" for state in STATE_STYLES if counts[state])
    shared = plan.runs_without_sharing - len(plan.runs)
    console.print(f"{len(plan.runs)} runs: {said}; {shared} more are the same run under another grouping")
    for run in find_weightless(plan.runs):
        console.print(f"{run.directory.name} is trained again: others start from its weights, which were not kept")
    console.print(_rest(plan))
    if isinstance(plan.study.executor, SlurmConfig):
        console.print(slurm_jobs(plan, plan.study.executor), highlight=False, soft_wrap=True)
    for warning in plan.manifest.dataset.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}", highlight=False)
    proof = prove_split(plan.manifest.dataset, plan.manifest.split)
    if not proof.disjoint:
        console.print(f"[red]warning:[/] {escape(proof.sentence())}", highlight=False)


def input_lines(plan: Plan) -> list[str]:
    """Say for each network with pretrained weights which scale of images it assumes, and why; torch is loaded then."""
    models = {run.study.model.model_dump_json(): run.study.model for run in plan.runs if run.study.model.weights}
    if not models:
        return []
    from usaggr.models.assumed_input import find_input_scale

    lines = []
    for model in models.values():
        try:
            scale = find_input_scale(model)
        except UsaggrError as error:  # a sweep ends with it
            lines.append(str(error))
        else:
            lines += [] if scale is None else [f"input: {scale.line()}"]
    return list(dict.fromkeys(lines))


def _listed(plan: Plan, states: Sequence[State]) -> Table:
    """A row a run."""
    table = Table(title=f"runs of {plan.study.name}", title_justify="left")
    staged = any(run.spec.parent for run in plan.runs)
    for column in ("run", "groupings", *(("starts from",) if staged else ()), *_NUMBERS, "state"):
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    for run, state in zip(plan.runs, states, strict=True):
        samples = sum(len(ids) for ids in run.spec.train_samples.values())
        above = (run.spec.parent or "",) if staged else ()
        cells = (run.directory.name, _holders(run), *above, str(len(run.spec.tasks)), str(samples))
        table.add_row(*cells, str(run.examples), f"[{STATE_STYLES[state]}]{state}[/]" if STATE_STYLES[state] else state)
    return table


def _holders(run: PlannedRun) -> str:
    return ", ".join(run.groupings) or "first stage, of no grouping"


def _summed(plan: Plan, states: Sequence[State]) -> Table:
    """A row for the runs that have groupings, variant and scale in common."""
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
        key = (_holders(run), run.spec.variant, f"{run.spec.scale:g}")
        counts[key][state] += 1
        examples[key] += run.examples
    for key, of in counts.items():
        table.add_row(*key, str(of.total()), str(examples[key]), *(str(of[state] or "") for state in seen))
    return table


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


def print_decidable(tasks: Sequence[Decidable], study: StudyConfig, console: Console) -> None:
    """A table of the differences that the study can decide, and what it says of the margins."""
    if not tasks:
        console.print("nothing can be decided: all groupings make the same runs as the reference")
        return
    seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
    table = Table(title=f"smallest difference that {seeds} would find (80 % power)", title_justify="left")
    table.add_column("task", no_wrap=True)
    table.add_column("metric")
    for column in ("components", "finds", "alone", "margin", "seeds"):
        table.add_column(column, justify="right", overflow="fold")
    for task in tasks:
        sizes = [_size(value, task) for value in (task.smallest, task.alone, task.margin)]
        table.add_row(task.task, task.metric.name, str(task.subjects), *sizes, str(task.seeds or "-"))
    console.print(table)
    for line in _remarks(tasks, study, seeds):
        console.print(line, highlight=False)


def _remarks(tasks: Sequence[Decidable], study: StudyConfig, seeds: str) -> Iterator[str]:
    """What the table says of the margins, and what it rests on."""
    judged = [task for task in tasks if not task.reason]
    short = [task for task in judged if task.smallest > task.margin]
    helped = [task.seeds for task in short if task.seeds is not None]
    said = f"with {seeds} the margin can be decided on {len(judged) - len(short)} of {len(tasks)} tasks"
    if helped:
        said += f", with about {max(helped)} on {len(helped)} more"
    if len(helped) < len(short):
        said += f"; on {len(short) - len(helped)} no number of seeds would do, only more test subjects"
    yield said
    for reason in sorted({task.reason for task in tasks} - {""}):
        yield f"no verdict on {', '.join(task.task for task in tasks if task.reason == reason)}: {reason}"
    if len(study.seeds) == 1:
        yield "with one seed nothing is known of how training varies: every verdict will be provisional"
    yield (
        "components: independent ones of the test fold; finds: as one of a grouping's tasks, at Holm's first level; "
        "alone: as its only task; seeds: enough for the margin; %: of the reference's mean"
    )
    over = [f"{study.report.assumed_subject_sd:g} over subjects (report.assumed_subject_sd; AUC: by its classes)"]
    measured = sum(task.measured for task in tasks)
    if measured < len(tasks):
        over.insert(0, f"{study.report.assumed_seed_sd:g} over seeds (report.assumed_seed_sd)")
    if measured:
        yield f"spread over seeds measured on the finished runs of {measured} of {len(tasks)} tasks"
    yield f"assumed standard deviation of a difference: {', '.join(over)}"


def slurm_jobs(plan: Plan, config: SlurmConfig) -> str:
    """How many jobs of how many runs a sweep would submit, and what they would cost."""
    from usaggr.sweep.executors.slurm.packing import machine_of, packs

    left = [run for run in sort_longest_first(plan.runs) if run.state() in ("pending", "stale")]
    if not left:
        return "jobs of Slurm: none to submit"
    pace = estimate_pace(plan.runs)
    planned = {run.spec.run_id for run in left}
    # Each generation of a staged study is submitted once its parents are done.
    later = [run for run in left if run.spec.parent in planned]
    first = [run for run in left if run.spec.parent not in planned]
    jobs = [
        pack
        for runs in (first, later)
        for pack in packs(config, runs, [None if pace is None else pace * run.examples for run in runs])
    ]
    sizes = [len(pack) for pack in jobs]
    runs_each = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    head = f"jobs of Slurm: {len(jobs)} of {runs_each} runs, {config.cpus} cores and {config.gpus} GPUs each"
    if pace is None:
        return f"{head}; core-hours: not known before the first run is done (at most {config.time} minutes a job)"
    workers = machine_of(config).workers or 1
    hours = sum(run.examples for run in left) * pace / workers / 3600
    gpus = f" and {_hours(hours * config.gpus)} GPU-hours" if config.gpus else ""
    return f"{head}; about {_hours(hours * config.cpus)} core-hours{gpus}, if runs take what the finished ones took"


def _hours(value: float) -> str:
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def _size(value: float, task: Decidable) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if task.metric.best == 1.0 else f"{100 * value:.0f} %"


def _rest(plan: Plan) -> str:
    found = estimate_time_and_disk(plan.runs)
    if found.seconds is None or found.bytes is None:
        return "time and disk: not known before the first run is done"
    duration = timedelta(seconds=round(found.seconds))
    return f"what is left: about {duration} of one worker; disk of all runs: about {found.bytes / 2**20:.0f} MiB"
