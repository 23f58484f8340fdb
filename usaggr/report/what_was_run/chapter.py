"""Sections on the study's settings and on its runs: counts by state, failed runs, and runs that are missing."""

from collections import Counter
from collections.abc import Mapping, Sequence

from usaggr.analysis.collect import CollectedRun
from usaggr.document.display_names import grouping_label, join_names, pluralize
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, escape_markdown
from usaggr.metrics.missing_metrics import REMEDY, find_missing_metrics
from usaggr.metrics.names import get_metric_label
from usaggr.report.grouping_names import explain_label
from usaggr.report.material import Material, make_paragraph, make_section
from usaggr.report.what_was_run.exposure_section import describe_exceptions
from usaggr.report.what_was_run.networks_section import describe_network, write_networks
from usaggr.results.run_result import State
from usaggr.results.stored_study import StudyFacts

_STATES: tuple[State, ...] = ("done", "failed", "running", "queued", "stale", "pending")
"""States in the order of columns and sentences."""
_MOST_FAILURES = 30
"""Largest number of runs that a table or sentence names."""


def write_settings(material: Material) -> Section | None:
    """Write the section on the study's settings: groupings, scales, seeds, variants, model and training."""
    return make_section("Study settings", _list_settings(material), _tabulate_blocks(material))


def write_run(material: Material) -> Section | None:
    """Write the section on runs: counts by state, networks, failed runs and missing runs."""
    runs = material.collection.runs
    planned = material.collection.planned
    # A first stage belongs to no grouping, and must not count as -1 shared run.
    shared = sum(max(1, len(run.row.groupings)) - 1 for run in planned)
    sentences = [f"{pluralize(len(planned), 'distinct run')}: {_list_states(planned) or 'none'}."]
    if shared:
        sentences.append(
            "A block that occurs in several groupings is trained once: "
            f"{pluralize(shared, 'run')} fewer than if each grouping were trained separately. The table counts it in "
            "each."
        )
    if first := material.collection.first_stages:
        sentences.append(
            f"Among them are {pluralize(len(first), 'first stage')} of staged groupings, whose models belong to no "
            f"grouping: {_list_states(first)}."
        )
    # `runs` are those of the study's own groupings.
    if random := len(planned) - len(first) - len(runs):
        sentences.append(
            f"{pluralize(random, 'run')} of them {'is' if random == 1 else 'are'} of random groupings only."
        )
    unplanned = material.collection.unplanned
    if unplanned:
        sentences.append(
            f"{pluralize(unplanned, 'finished run')} that {'is' if unplanned == 1 else 'are'} not part of the study "
            f"{'is' if unplanned == 1 else 'are'} excluded from this report."
        )
    directories = material.collection.directories
    if len(directories) > 1:
        sentences.append(f"Results are combined from {', '.join(escape_markdown(path) for path in directories)}.")
    failed = any(run.state == "failed" for run in planned)
    failures = make_section("Failed runs", *_tabulate_failures(material)) if failed else None
    unpredicted = [run for run in runs if run.state == "done" and run.pseudovalues is None]
    predictions = make_section("Runs without predictions", _name_unpredicted(unpredicted)) if unpredicted else None
    metrics = make_section("Runs without all metrics", _name_unscored(runs))
    missing = make_section("Missing runs", *_tabulate_missing(material)) if runs else None
    return make_section(
        "Runs",
        make_paragraph(*sentences),
        _tabulate_states(material),
        write_networks(material),
        sections=(failures, predictions, metrics, missing),
    )


def _list_states(runs: Sequence[CollectedRun]) -> str:
    counts = Counter(run.state for run in runs)
    return ", ".join(f"{counts[state]:,} {state}" for state in _STATES if counts[state])


def _list_settings(material: Material) -> Items:
    study = material.study
    groupings = join_names([explain_label(name) for name in study.groupings])
    unit = ""
    if study.scales:
        is_cap = isinstance(study.scales[0], int)
        unit = " (maximum number of samples per task)" if is_cap else " (fraction of each task's training samples)"
    variants = "; ".join(
        escape_markdown(name) + (f" ({escape_markdown(' '.join(overrides))})" if overrides else "")
        for name, overrides in study.variants.items()
    )
    weights = study.get_setting("model.weights")
    network = (
        f"{_format_setting(material, 'model.name')}, encoder {_format_setting(material, 'model.encoder')}, "
        f"{f'pretrained weights {escape_markdown(weights)}' if weights else 'trained from scratch'}, "
        f"{describe_network(study)}, input of {_format_setting(material, 'data.image_size')} pixels"
    )
    training = (
        f"{_format_setting(material, 'training.budget')} per task under every grouping"
        f"{describe_exceptions(material)}, batch size {_format_setting(material, 'training.batch_size')}, learning "
        f"rate {_format_setting(material, 'training.learning_rate')}; the "
        f"{_format_setting(material, 'training.score_weights')} weights are scored"
    )
    return Items(
        (
            f"Groupings: {groupings}. The others are compared with {escape_markdown(material.reference)}, the "
            "reference.",
            f"Scales: {', '.join(f'{scale:g}' for scale in study.scales)}{unit}.",
            f"Seeds: {', '.join(map(str, study.seeds))}.",
            f"Variants: {variants}.",
            f"Model: {network}.",
            *_list_pixel_normalizations(material),
            f"Training: {training}.",
            *_list_report_settings(study),
        )
    )


def _list_report_settings(study: StudyFacts) -> list[str]:
    """Return a line with the report's settings that its command has changed; study.yaml has others."""
    if not study.report_overrides:
        return []
    changes = " ".join(f"report.{name}={value}" for name, value in study.report_overrides.items())
    return [f"Settings of this report, in place of those of the study: {escape_markdown(changes)}."]


def _list_pixel_normalizations(material: Material) -> list[str]:
    """Return a line for each network with pretrained weights, with the normalization of its images and the reason."""
    results = [run.result for run in material.collection.runs if run.result is not None]
    normalizations = {result.input_scale for result in results if result.input_scale is not None}
    lines = [
        f"Normalization of images: {escape_markdown(line)}." for line in sorted(n.describe() for n in normalizations)
    ]
    if not lines and results and material.study.get_setting("model.weights"):
        return ["Normalization of images: not recorded for these runs; `usaggr plan` prints it for the study."]
    return lines


def _format_setting(material: Material, key: str) -> str:
    value = material.study.get_setting(key)
    return "not recorded" if value is None else escape_markdown(value)


def _tabulate_blocks(material: Material) -> Block | None:
    """Return a table of the tasks that share a model under each grouping."""
    lines = []
    for grouping in material.study.groupings:
        blocks = sorted({run.row.tasks for run in material.collection.runs if grouping in run.row.groupings})
        if not blocks:
            continue
        shared = [", ".join(block) for block in blocks if len(block) > 1]
        # Blocks of one task are not listed: in a grouping of many tasks they would hide the shared ones.
        if any(len(block) == 1 for block in blocks):
            shared.append("each of the others alone" if shared else "none")
        lines.append((grouping_label(grouping), grouping, str(len(blocks)), "; ".join(shared)))
    columns = ("label", "grouping", "models", "tasks that share a model")
    return TextTable(columns, tuple(lines), ("models",), name="groupings") if lines else None


def _tabulate_states(material: Material) -> Block | None:
    """Return a table with the number of runs in each state, for each grouping and scale."""
    lines = []
    for variant, scale, grouping in material.comparison.settings:
        states = Counter(run.state for run in material.comparison.list_runs(variant, scale, grouping))
        counts = [str(states[state]) for state in _STATES]
        lines.append((grouping_label(grouping), f"{scale:g}", variant, str(states.total()), *counts))
    columns = ("grouping", "scale", "variant", "runs", *_STATES)
    return TextTable(columns, tuple(lines), ("scale", "runs", *_STATES)) if lines else None


def _tabulate_failures(material: Material) -> tuple[Block | None, ...]:
    """Return a table of failed runs, each with the first line of its error, and the way to repeat them."""
    failed = [run for run in material.collection.planned if run.state == "failed"]
    lines = [_make_failure_cells(run) for run in failed[:_MOST_FAILURES]]
    more = f"And {len(failed) - len(lines):,} more." if len(failed) > len(lines) else ""
    table = TextTable(("run", "groupings", "error"), tuple(lines))
    remedy = (
        "`usaggr sweep --retry-failed` trains these runs again. The complete error is in the run's status.json and "
        "log.txt."
    )
    return table, make_paragraph(more, remedy)


def _make_failure_cells(run: CollectedRun) -> tuple[str, ...]:
    error = (run.error or "").strip().splitlines() or ["no reason is stored"]
    labels = ", ".join(grouping_label(name) for name in run.row.groupings) or "first stage"
    return run.path.name if run.path else run.row.run_id, labels, error[0]


def _name_unpredicted(runs: Sequence[CollectedRun]) -> Block | None:
    """Name the finished runs whose predictions.parquet is missing, with the consequence and the remedy."""
    names = [run.path.name if run.path else run.row.run_id for run in runs[:_MOST_FAILURES]]
    more = f", and {len(runs) - len(names):,} more" if len(runs) > len(names) else ""
    return make_paragraph(
        f"predictions.parquet is missing in {pluralize(len(runs), 'finished run')}: "
        f"{escape_markdown(', '.join(names))}{more}. Their scores are used, but without verdicts, because the "
        "variation between test subjects cannot be estimated. Restore the files, or remove these runs and let the same "
        "`usaggr sweep` train them again."
    )


def _name_unscored(runs: Sequence[CollectedRun]) -> Block | None:
    """Name the finished runs that an older version scored without some metrics, by missing metrics, with the remedy."""
    by_metrics: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        if run.result is None:
            continue
        missing = find_missing_metrics(run.result.scores, run.result.notes)
        if missing:
            labels = tuple(dict.fromkeys(get_metric_label(name) for absent in missing.values() for name in absent))
            by_metrics.setdefault(labels, []).append(run.path.name if run.path else run.row.run_id)
    if not by_metrics:
        return None
    sentences = []
    for metrics, names in by_metrics.items():
        more = f", and {len(names) - _MOST_FAILURES:,} more" if len(names) > _MOST_FAILURES else ""
        lack = "lacks" if len(names) == 1 else "lack"
        sentences.append(
            f"{pluralize(len(names), 'finished run')} {lack} {join_names(metrics)}, which this version computes: "
            f"{escape_markdown(', '.join(names[:_MOST_FAILURES]))}{more}."
        )
    return make_paragraph(*sentences, f"{REMEDY[0].upper()}{REMEDY[1:]}.")


def _tabulate_missing(material: Material) -> tuple[Block | None, ...]:
    """Count the cells with fewer finished seeds than planned, in a table by grouping, scale and variant."""
    lines, cells_affected, cells_planned = [], 0, 0
    for variant, scale, grouping in material.comparison.settings:
        runs = material.comparison.list_runs(variant, scale, grouping)
        planned = Counter(task for run in runs for task in run.row.tasks)
        finished = Counter(task for run in runs if run.state == "done" for task in run.row.tasks)
        cells_planned += len(planned)
        # Tasks by what they lack, such as `2 of 3`: tasks of one block lack the same seeds and share an entry.
        missing: dict[str, list[str]] = {}
        for task in material.collection.tasks:
            if finished[task] < planned[task]:
                missing.setdefault(f"{finished[task]} of {planned[task]}", []).append(task)
        if missing:
            number = sum(map(len, missing.values()))
            cells_affected += number
            label = grouping_label(grouping)
            lines.append((Cell(label), f"{scale:g}", variant, str(number), _name_tasks(missing, len(planned))))
    if not lines:
        return (make_paragraph("None."),)
    columns = ("grouping", "scale", "variant", "cells", "finished of planned seeds: tasks")
    table = TextTable(columns, tuple(lines), ("scale", "cells"))
    return make_paragraph(f"{cells_affected:,} of {pluralize(cells_planned, 'cell')} lack at least one seed:"), table


def _name_tasks(missing: Mapping[str, list[str]], tasks_in_all: int) -> str:
    """Return `2 of 3: task, task; 1 of 3: task`, shortened where every task lacks the same number of seeds."""
    texts = []
    for seeds, tasks in sorted(missing.items()):
        is_every_task = len(tasks) >= tasks_in_all and tasks_in_all != 1
        texts.append(f"{seeds}: {f'all {tasks_in_all} tasks' if is_every_task else ', '.join(tasks)}")
    return "; ".join(texts)
