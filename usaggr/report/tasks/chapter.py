"""Chapter on each task: facts, all metrics under every grouping and scale, curves, and pictures of test samples."""

from collections.abc import Iterator
from typing import assert_never

from usaggr.analysis.cell_rows import CellScore, CellVerdict
from usaggr.analysis.row_tables import group_rows
from usaggr.document.display_names import grouping_label, pluralize
from usaggr.document.elements import Block, Cell, Section, TextTable, escape_markdown
from usaggr.metrics import score_texts
from usaggr.metrics.names import METRICS, get_metric, get_metric_label
from usaggr.report import table_cells
from usaggr.report.material import Material, capitalize, make_paragraph, make_section
from usaggr.results.data_description import TaskFacts
from usaggr.tasks import Task


def write_tasks(material: Material) -> Section | None:
    """Write a section for each task; None if no run has finished."""
    if not material.comparison.runs_done:
        return None
    intro = (
        "All metrics of each task. Verdicts (the marks before Δ) are on the main metric, which is the first. "
        f"{table_cells.EXPLAINED_MARKS}"
    )
    reason = material.examples.reason if material.examples is not None else None
    missing = f"There are no pictures of test samples: {reason}." if reason else ""
    scores = group_rows(material.comparison.cells, lambda row: row.task)
    deltas = group_rows(material.comparison.verdicts, lambda row: row.task)
    tasks = tuple(
        _write_task(material, task, scores[task], deltas.get(task, []))
        for task in material.collection.tasks
        if task in scores
    )
    return make_section("Task by task", make_paragraph(intro, missing), sections=tasks)


def _write_task(material: Material, task: str, cells: list[CellScore], deltas: list[CellVerdict]) -> Section | None:
    """Write the section of one task.

    Args:
        material: Content of the report.
        task: Id of the task.
        cells: Scores of the task.
        deltas: Differences of the task from the reference.
    """
    facts = material.collection.data.tasks[task]
    return make_section(
        task,
        make_paragraph(_describe_task(facts)),
        _make_table(material, task, cells, deltas),
        *material.make_pictures(f"task:{task}"),
        *_list_examples(material, task),
    )


def _describe_task(facts: TaskFacts) -> str:
    task = facts.task
    organ = f", organ: {escape_markdown(task.organ)}" if task.organ else ""
    return (
        f"{capitalize(task.type)} ({_describe_labels(task)}); clinical group: "
        f"{escape_markdown(task.clinical_group)}{organ}. "
        f"{facts.n_train:,} training, {facts.n_val:,} validation and {facts.n_test:,} test samples; "
        f"{pluralize(facts.n_subjects, 'test subject')}."
    )


def _describe_labels(task: Task) -> str:
    """Return a description of the label of an image."""
    match task.type:
        case "segmentation" | "classification":
            names = f": {', '.join(escape_markdown(name) for name in task.class_names)}" if task.class_names else ""
            return f"{pluralize(task.num_classes, 'class', 'classes')}{names}"
        case "detection":
            return "one box per image"
        case "regression":
            return f"{pluralize(task.num_classes, 'landmark')} per image"
        case _:
            assert_never(task.type)


def _make_table(material: Material, task: str, cells: list[CellScore], deltas: list[CellVerdict]) -> Block | None:
    """Return a table with a row per metric, variant and scale, and one or two columns per grouping.

    Args:
        material: Content of the report.
        task: Id of the task.
        cells: Scores of the task.
        deltas: Differences of the task from the reference.
    """
    scores = {(row.variant, row.scale, row.metric, row.grouping): row for row in cells}
    differences = {(row.variant, row.scale, row.metric, row.grouping): row for row in deltas}
    groupings = [name for name in material.comparison.groupings if any(row.grouping == name for row in cells)]
    has_variants = len(material.study.variants) > 1
    columns = ["metric", *(["variant"] if has_variants else []), "scale", "train", "trivial"]
    for name in groupings:
        label = grouping_label(name)
        columns += [label] if name == material.study.reference else [label, f"Δ {label}"]
    lines = []
    for variant, scale, metric in _list_lines(material, task, cells):
        key = (variant, scale, metric)
        line_scores = [scores[(*key, name)] for name in groupings if (*key, name) in scores]
        line = [
            Cell(_label_metric(metric)),
            *([Cell(variant)] if has_variants else []),
            table_cells.make_number_cell(f"{scale:g}", scale),
            table_cells.make_count_cell(
                max((row.n_train for row in line_scores if row.n_train is not None), default=None)
            ),
            _average_trivial(line_scores),
        ]
        for name in groupings:
            line.append(table_cells.make_mean_cell(scores.get((*key, name))))
            if name != material.study.reference:
                line.append(table_cells.make_difference_cell(differences.get((*key, name))))
        lines.append(tuple(line))
    return TextTable(tuple(columns), tuple(lines), tuple(columns[1 + has_variants :])) if lines else None


def _average_trivial(cells: list[CellScore]) -> Cell:
    """Return the trivial score, averaged over groupings, because their runs may have different seeds."""
    scores = [row.trivial for row in cells if not table_cells.is_missing(row.trivial)]
    mean = sum(scores) / len(scores) if scores else None
    return table_cells.make_number_cell(score_texts.format_score(mean, cells[0].metric), mean)


def _list_lines(material: Material, task: str, cells: list[CellScore]) -> Iterator[tuple[str, float | int, str]]:
    """Yield the variant, scale and metric of each row: the main metric first, at all scales.

    Args:
        material: Content of the report.
        task: Id of the task.
        cells: Scores of the task.
    """
    available = {(row.variant, row.scale, row.metric) for row in cells if not table_cells.is_missing(row.mean)}
    for metric in METRICS[material.collection.data.tasks[task].task.type]:
        for variant, scale in material.comparison.scales_by_variant:
            if (variant, scale, metric.name) in available:
                yield variant, scale, metric.name


def _label_metric(name: str) -> str:
    """Return a metric with its unit, and an arrow towards better scores."""
    return f"{get_metric_label(name, True)} {'↑' if get_metric(name).higher_is_better else '↓'}"


def _list_examples(material: Material, task: str) -> tuple[Block | None, ...]:
    """Return pictures of test samples with their captions, or the reason why there are none."""
    if material.examples is None or task not in material.examples.tasks:
        return ()
    examples = material.examples.tasks[task]
    if not examples.pictures:
        return (make_paragraph(f"No pictures of test samples: {examples.reason}.") if examples.reason else None,)
    blocks: list[Block | None] = []
    for picture, caption in zip(examples.pictures, examples.captions, strict=True):
        blocks += [picture, make_paragraph(caption)]
    return tuple(blocks)
