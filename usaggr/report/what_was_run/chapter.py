"""What was asked and what was run: groupings, scales, model, budget; runs by state, failures, holes."""

from collections import Counter
from collections.abc import Sequence

from usaggr.analysis.collect import CollectedRun
from usaggr.document.display_names import grouping_label, listed, plural
from usaggr.document.elements import Block, Cell, Items, Section, TextTable, literal
from usaggr.metrics.missing_metrics import REMEDY, missing_metrics
from usaggr.metrics.names import metric_label
from usaggr.report.material import Material, paragraph, section
from usaggr.report.what_was_run.exposure_section import but_in
from usaggr.report.what_was_run.networks_section import describe_network, write_networks
from usaggr.results.run_result import State

_STATES: tuple[State, ...] = ("done", "failed", "running", "queued", "stale", "pending")
_MOST_FAILURES = 30


def write_asked(material: Material) -> Section | None:
    """The study as it was asked for."""
    return section("What was asked", _setup(material), _blocks(material))


def write_run(material: Material) -> Section | None:
    """Runs by state, with failures and holes."""
    runs = material.collection.runs
    states = Counter(run.state for run in runs)
    counted = ", ".join(f"{states[state]:,} {state}" for state in _STATES if states[state]) or "none"
    shared = sum(len(run.row.groupings) - 1 for run in runs)
    sentences = [f"{plural(len(runs), 'distinct run')}: {counted}."]
    if shared:
        sentences.append(
            "A block that stands in several groupings is trained once: "
            f"{plural(shared, 'run')} fewer than if each grouping had its own."
        )
    if first := material.collection.first_stages:
        ended = Counter(run.state for run in first)
        said = ", ".join(f"{ended[state]:,} {state}" for state in _STATES if ended[state])
        sentences.append(
            f"{plural(len(first), 'first stage')} of staged groupings, no model of any grouping, besides: {said}."
        )
    unplanned = material.collection.unplanned
    if unplanned:
        sentences.append(
            f"{plural(unplanned, 'finished run')} that the study does not ask for {'is' if unplanned == 1 else 'are'} "
            "left out of everything here."
        )
    directories = material.collection.directories
    if len(directories) > 1:
        sentences.append(f"Joined from {', '.join(literal(path) for path in directories)}.")
    failures = section("Failed runs", *_failures(material)) if states["failed"] else None
    without = [run for run in runs if run.state == "done" and run.pseudovalues is None]
    gone = section("Runs without predictions", _gone(without)) if without else None
    lacking = section("Runs without all metrics", _lacking(runs))
    holes = section("Holes", *_holes(material)) if runs else None
    return section(
        "What was run",
        paragraph(*sentences),
        _counts(material),
        write_networks(material),
        sections=(failures, gone, lacking, holes),
    )


def _setup(material: Material) -> Items:
    study = material.study
    labels = ", ".join(literal(grouping_label(name)) for name in study.groupings)
    unit = ""
    if study.scales:
        whole = isinstance(study.scales[0], int)
        unit = " (samples a task at the most)" if whole else " (fraction of each task's training samples)"
    variants = "; ".join(
        literal(name) + (f" ({literal(' '.join(overrides))})" if overrides else "")
        for name, overrides in study.variants.items()
    )
    weights = study.setting("model.weights")
    return Items(
        (
            f"Groupings: {labels}; compared with {literal(material.reference)} (the reference).",
            f"Scales: {', '.join(f'{scale:g}' for scale in study.scales)}{unit}.",
            f"Seeds: {', '.join(map(str, study.seeds))}.",
            f"Variants: {variants}.",
            f"Model: {_said(material, 'model.name')}, encoder {_said(material, 'model.encoder')}, "
            f"{f'pretrained weights {literal(weights)}' if weights else 'from scratch'}, "
            f"{describe_network(study)}, input of {_said(material, 'data.image_size')} pixels.",
            *_input_scales(material),
            f"Training: {_said(material, 'training.budget')} a task under every grouping{but_in(material)}, batches of "
            f"{_said(material, 'training.batch_size')}, learning rate {_said(material, 'training.learning_rate')}; the "
            f"{_said(material, 'training.score_weights')} weights are scored.",
        )
    )


def _input_scales(material: Material) -> list[str]:
    """Say for each network with pretrained weights on which scale it was given images, and why."""
    results = [run.result for run in material.collection.runs if run.result is not None]
    found = {result.input_scale for result in results if result.input_scale is not None}
    lines = [f"Scale of images: {literal(scale.line())}." for scale in sorted(found, key=lambda one: one.line())]
    if not lines and results and material.study.setting("model.weights"):
        return ["Scale of images: not noted when these runs were trained; `usaggr plan` of the study says it."]
    return lines


def _said(material: Material, key: str) -> str:
    value = material.study.setting(key)
    return "of no record" if value is None else literal(value)


def _blocks(material: Material) -> Block | None:
    """Which tasks share a model under each grouping."""
    rows = []
    for grouping in material.study.groupings:
        blocks = sorted({run.row.tasks for run in material.collection.runs if grouping in run.row.groupings})
        if not blocks:
            continue
        shared = [", ".join(block) for block in blocks if len(block) > 1]
        if any(len(block) == 1 for block in blocks):
            shared.append("each of the others alone" if shared else "every task alone")
        rows.append((grouping_label(grouping), grouping, str(len(blocks)), "; ".join(shared)))
    columns = ("label", "grouping", "models", "tasks that share a model")
    return TextTable(columns, tuple(rows), ("models",), name="groupings") if rows else None


def _counts(material: Material) -> Block | None:
    """How many runs of each grouping and scale are done, and what the others are."""
    rows = []
    for variant, scale, grouping in material.comparison.settings:
        states = Counter(run.state for run in material.comparison.runs(variant, scale, grouping))
        counts = [str(states[state]) for state in _STATES]
        rows.append((grouping_label(grouping), f"{scale:g}", variant, str(states.total()), *counts))
    columns = ("grouping", "scale", "variant", "runs", *_STATES)
    return TextTable(columns, tuple(rows), ("scale", "runs", *_STATES)) if rows else None


def _failures(material: Material) -> tuple[Block | None, ...]:
    """Runs that failed, each with the first line of its error."""
    failed = [run for run in material.collection.runs if run.state == "failed"]
    rows = [_failure(run) for run in failed[:_MOST_FAILURES]]
    more = f"And {len(failed) - len(rows):,} more." if len(failed) > len(rows) else ""
    table = TextTable(("run", "groupings", "error"), tuple(rows))
    how = "`usaggr sweep --retry-failed` tries them once more; the whole error is in the run's status.json and log.txt."
    return table, paragraph(more, how)


def _gone(runs: Sequence[CollectedRun]) -> Block | None:
    """Names of finished runs whose predictions.parquet is not there, and what to do."""
    names = [run.path.name if run.path else run.row.run_id for run in runs[:_MOST_FAILURES]]
    more = f", and {len(runs) - len(names):,} more" if len(runs) > len(names) else ""
    return paragraph(
        f"predictions.parquet is gone from {plural(len(runs), 'finished run')}: {literal(', '.join(names))}{more}. "
        "Their scores stand, without verdicts, since test subjects are not covered. Put the files back, or remove "
        "these runs and let the same `usaggr sweep` train them again."
    )


def _lacking(runs: Sequence[CollectedRun]) -> Block | None:
    """Finished runs that an older version has scored, by the metrics that they lack, and what to do."""
    by_metrics: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        if run.result is None:
            continue
        missing = missing_metrics(run.result.scores, run.result.notes)
        if missing:
            labels = tuple(dict.fromkeys(metric_label(name) for absent in missing.values() for name in absent))
            by_metrics.setdefault(labels, []).append(run.path.name if run.path else run.row.run_id)
    if not by_metrics:
        return None
    parts = []
    for metrics, names in by_metrics.items():
        more = f", and {len(names) - _MOST_FAILURES:,} more" if len(names) > _MOST_FAILURES else ""
        lack = "lacks" if len(names) == 1 else "lack"
        parts.append(
            f"{plural(len(names), 'finished run')} {lack} {listed(metrics)}, which this version computes: "
            f"{literal(', '.join(names[:_MOST_FAILURES]))}{more}."
        )
    return paragraph(*parts, f"{REMEDY[0].upper()}{REMEDY[1:]}.")


def _failure(run: CollectedRun) -> tuple[str, ...]:
    said = (run.error or "").strip().splitlines() or ["no reason is stored"]
    labels = ", ".join(grouping_label(name) for name in run.row.groupings)
    return run.path.name if run.path else run.row.run_id, labels, said[0]


def _holes(material: Material) -> tuple[Block | None, ...]:
    """Where values are missing: tasks with fewer seeds than planned, by grouping, scale and variant."""
    rows, lacking, cells = [], 0, 0
    for variant, scale, grouping in material.comparison.settings:
        runs = material.comparison.runs(variant, scale, grouping)
        planned = Counter(task for run in runs for task in run.row.tasks)
        done = Counter(task for run in runs if run.state == "done" for task in run.row.tasks)
        cells += len(planned)
        holes: dict[str, list[str]] = {}
        for task in material.collection.tasks:
            if done[task] < planned[task]:
                holes.setdefault(f"{done[task]} of {planned[task]}", []).append(task)
        if holes:
            said = [f"{seeds}: {_all_or_names(tasks, len(planned))}" for seeds, tasks in sorted(holes.items())]
            number = sum(map(len, holes.values()))
            lacking += number
            label = grouping_label(grouping)
            rows.append((Cell(label), f"{scale:g}", variant, str(number), "; ".join(said)))
    if not rows:
        return (paragraph("There are none: every cell has all its seeds."),)
    columns = ("grouping", "scale", "variant", "cells", "seeds done of those planned: tasks")
    table = TextTable(columns, tuple(rows), ("scale", "cells"))
    return paragraph(f"{lacking:,} of {plural(cells, 'cell')} lack at least one seed:"), table


def _all_or_names(tasks: list[str], of: int) -> str:
    return ", ".join(tasks) if len(tasks) < of or of == 1 else f"all {of} tasks"
