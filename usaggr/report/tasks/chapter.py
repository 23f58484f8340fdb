"""Task by task: what it is, all metrics under every grouping and scale, curves, and test samples as pictures."""

from collections.abc import Iterator
from typing import assert_never

from usaggr.analysis.cell_rows import CellScore, CellVerdict
from usaggr.analysis.row_tables import group_rows
from usaggr.document import numbers as text
from usaggr.document.display_names import grouping_label, plural
from usaggr.document.elements import Block, Cell, Section, TextTable, literal
from usaggr.metrics.names import METRICS, metric_label
from usaggr.metrics.names import metric as metric_of
from usaggr.report import table_cells
from usaggr.report.material import Material, capital, paragraph, section
from usaggr.results.data_description import TaskFacts
from usaggr.tasks import Task


def write_tasks(material: Material) -> Section | None:
    """A section a task; none where no run is done."""
    if not material.comparison.runs_done:
        return None
    intro = "All metrics of every task. Verdicts (marks before Δ) are on the main metric, which is the first."
    pictures = material.examples.reason if material.examples is not None else None
    missing = f"There are no pictures of test samples: {pictures}." if pictures else ""
    known = group_rows(material.comparison.cells, lambda row: row.task)
    deltas = group_rows(material.comparison.verdicts, lambda row: row.task)
    tasks = tuple(
        _task(material, task, known[task], deltas.get(task, [])) for task in material.collection.tasks if task in known
    )
    return section("Task by task", paragraph(intro, missing), sections=tasks)


def _task(material: Material, task: str, cells: list[CellScore], deltas: list[CellVerdict]) -> Section | None:
    facts = material.collection.data.tasks[task]
    return section(
        task,
        paragraph(_what(facts)),
        _table(material, task, cells, deltas),
        *material.pictures(f"task:{task}"),
        *_examples(material, task),
    )


def _what(facts: TaskFacts) -> str:
    task = facts.task
    organ = f", organ: {literal(task.organ)}" if task.organ else ""
    return (
        f"{capital(task.type)} ({_labels(task)}); clinical group: {literal(task.clinical_group)}{organ}. "
        f"{facts.n_train:,} training, {facts.n_val:,} validation and {facts.n_test:,} test samples; "
        f"{plural(facts.n_subjects, 'test subject')}."
    )


def _labels(task: Task) -> str:
    """Return what the label of an image consists of."""
    match task.type:
        case "segmentation" | "classification":
            names = f": {', '.join(literal(name) for name in task.class_names)}" if task.class_names else ""
            return f"{plural(task.num_classes, 'class', 'classes')}{names}"
        case "detection":
            return "one box an image"
        case "regression":
            return f"{plural(task.num_classes, 'landmark')} an image"
        case _:
            assert_never(task.type)


def _table(material: Material, task: str, cells: list[CellScore], deltas: list[CellVerdict]) -> Block | None:
    """Metric x (variant, scale), a column or two a grouping."""
    of_cell = {(r.variant, r.scale, r.metric, r.grouping): r for r in cells}
    of_delta = {(r.variant, r.scale, r.metric, r.grouping): r for r in deltas}
    groupings = [name for name in material.comparison.groupings if any(row.grouping == name for row in cells)]
    variants = len(material.study.variants) > 1
    columns = ["metric", *(["variant"] if variants else []), "scale", "train", "trivial"]
    for name in groupings:
        label = grouping_label(name)
        columns += [label] if name == material.study.reference else [label, f"Δ {label}"]
    rows = []
    for variant, scale, metric in _lines(material, task, cells):
        where = (variant, scale, metric)
        some = [of_cell[(*where, name)] for name in groupings if (*where, name) in of_cell]
        row = [
            Cell(_with_arrow(some[0])),
            *([Cell(variant)] if variants else []),
            table_cells.number(f"{scale:g}", scale),
        ]
        row.append(table_cells.count(max((r.n_train for r in some if r.n_train is not None), default=None)))
        trivials = [r.trivial for r in some if not table_cells.is_missing(r.trivial)]
        trivial = sum(trivials) / len(trivials) if trivials else None
        row.append(table_cells.number(text.score(trivial, metric), trivial))
        for name in groupings:
            row.append(table_cells.mean(of_cell.get((*where, name))))
            if name != material.study.reference:
                row.append(table_cells.delta(of_delta.get((*where, name))))
        rows.append(tuple(row))
    return TextTable(tuple(columns), tuple(rows), tuple(columns[1 + variants :])) if rows else None


def _lines(material: Material, task: str, cells: list[CellScore]) -> Iterator[tuple[str, float | int, str]]:
    """Variant, scale and metric of each line: the main metric first, at all scales."""
    there = {(row.variant, row.scale, row.metric) for row in cells if not table_cells.is_missing(row.mean)}
    for metric in METRICS[material.collection.data.tasks[task].task.type]:
        for variant, scale in material.comparison.scales_by_variant:
            if (variant, scale, metric.name) in there:
                yield variant, scale, metric.name


def _with_arrow(row: CellScore) -> str:
    return f"{metric_label(row.metric, True)} {'↑' if metric_of(row.metric).higher_is_better else '↓'}"


def _examples(material: Material, task: str) -> tuple[Block | None, ...]:
    """The best and worst test samples, each with what it shows; or why there are none."""
    if material.examples is None or task not in material.examples.tasks:
        return ()
    found = material.examples.tasks[task]
    if not found.pictures:
        return (paragraph(f"No pictures of test samples: {found.reason}.") if found.reason else None,)
    shown: list[Block | None] = []
    for picture, caption in zip(found.pictures, found.captions, strict=True):
        shown += [picture, paragraph(caption)]
    return tuple(shown)
