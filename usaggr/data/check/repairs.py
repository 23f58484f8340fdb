"""Repairs of index rows whose correct content is certain."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from usaggr.config.study import DataConfig
from usaggr.data.check.coordinate_repairs import (
    ORDERS,
    Order,
    Size,
    clip_box,
    find_only_order,
    is_box_inside,
    scale_fractions,
    swap_sides,
    to_corners,
)
from usaggr.data.check.mask_repairs import MaskContext, convert_mask
from usaggr.data.read.file_facts import FileFacts, ProbeKey, probe_files
from usaggr.data.read.index import IndexRow, format_task_type, list_label_columns
from usaggr.data.read.index_tasks import Declaration, parse_declaration
from usaggr.data.read.labels import BOX_COLUMNS, parse_point
from usaggr.data.read.paths import FileFinder, ListedFile, find_cache_folder
from usaggr.data.samples import Fault
from usaggr.progress import Progress
from usaggr.tasks import has_box_label

Step = tuple[str, str, str, str]
"""Column, name of the repair, cell before, cell after."""
FaultyRow = tuple[IndexRow, Sequence[Fault]]
"""A row with all its errors."""
Group = tuple[str, str, str]
"""Index file, task and kind of error of rows that are repaired together."""


@dataclass(frozen=True)
class RepairedRow:
    """Cells of a row after its repair."""

    cells: dict[str, str]
    steps: tuple[Step, ...]
    """Changes, one per cell; empty for a row without errors."""
    mask_context: MaskContext | None = None
    """Facts that `convert_mask` needs; None if the mask file is not converted."""


@dataclass(frozen=True)
class RepairContext:
    """Facts that repairs need in addition to a row."""

    data: DataConfig
    finder: FileFinder
    declared: Mapping[str, Declaration]
    """Type and number of classes of each task, by its id in the index."""
    images: Mapping[ListedFile, FileFacts]
    """Facts about the images of the rows with errors."""
    colors: Mapping[str, Mapping[str, int]]
    """Class by color in the valid masks with a palette, by task."""
    orders: Mapping[Group, Order | None]
    """Order of the numbers of the boxes of a group; None if it is not certain."""

    def find_image(self, row: IndexRow) -> FileFacts | None:
        """Return the facts about a row's image; None if it cannot be used."""
        file = self.finder.find(row.get_text("image_path"))
        facts = self.images.get(file) if isinstance(file, ListedFile) else None
        return None if facts is None or facts.error else facts

    def find_size(self, row: IndexRow) -> Size | None:
        """Return height and width of a row's image as it is read: turned by its EXIF orientation if that is applied."""
        facts = self.find_image(row)
        if facts is None:
            return None
        is_turned = self.data.exif_orientation == "apply" and facts.kind.is_transposed
        return (facts.width, facts.height) if is_turned else (facts.height, facts.width)


def make_context(
    data: DataConfig,
    finder: FileFinder,
    faulty: Sequence[FaultyRow],
    valid: Sequence[IndexRow],
    progress: Progress,
) -> RepairContext:
    """Collect what the repairs of rows need to know.

    Args:
        data: Configuration of the data set.
        finder: Finds files of the index.
        faulty: Rows with errors.
        valid: Rows without errors.
        progress: Shows the progress of reading files that are not in the cache.
    """
    folder = find_cache_folder(data)
    files = (finder.find(row.get_text("image_path")) for row, _ in faulty)
    keys = [ProbeKey(file, False) for file in files if isinstance(file, ListedFile)]
    facts = probe_files(keys, folder, data.max_pixels, data.workers, progress)
    declared: dict[str, Declaration] = {}
    for row in (*valid, *(row for row, _ in faulty)):
        if row.get_text("task_id") not in declared and (declaration := parse_declaration(row)[0]) is not None:
            declared[row.get_text("task_id")] = declaration
    conflicts = Counter(row.get_text("task_id") for row, faults in faulty if _has_kind(faults, "palette"))
    tasks = {row.get_text("task_id") for row, faults in faulty if _has_kind(faults, "palette", "unreadable_file")}
    masks = [(row, finder.find(row.get_text("mask_path"))) for row in valid if row.get_text("task_id") in tasks]
    mask_keys = [(row, ProbeKey(file, True)) for row, file in masks if isinstance(file, ListedFile)]
    mask_facts = probe_files((key for _, key in mask_keys), folder, data.max_pixels, data.workers, progress)
    colored = [(row, mask_facts[key].kind.colors) for row, key in mask_keys if mask_facts[key].kind.colors]
    context = RepairContext(
        data,
        finder,
        declared,
        {key.file: item for key, item in facts.items()},
        _collect_colors(colored, conflicts),
        {},
    )
    return replace(context, orders=_find_orders(faulty, context))


def _has_kind(faults: Sequence[Fault], *kinds: str) -> bool:
    return any(fault.kind in kinds for fault in faults)


def _collect_colors(
    colored: Iterable[tuple[IndexRow, Sequence[tuple[int, str]]]], conflicts: Mapping[str, int]
) -> dict[str, dict[str, int]]:
    """Return the class of each color in the valid masks of a task, for tasks with more such masks than other ones.

    Args:
        colored: Valid rows with index and color of each used entry of the mask's palette.
        conflicts: Number of masks by task that number colors otherwise.
    """
    classes: dict[str, dict[str, int]] = defaultdict(dict)
    counts: Counter[str] = Counter()
    for row, colors in colored:
        counts[row.get_text("task_id")] += 1
        classes[row.get_text("task_id")] |= {color: index for index, color in colors}
    return {task_id: classes[task_id] for task_id in classes if counts[task_id] > conflicts.get(task_id, 0)}


def _find_orders(faulty: Sequence[FaultyRow], context: RepairContext) -> dict[Group, Order | None]:
    """Return the order of the boxes of each group that looks like fractions or another order."""
    groups: dict[Group, list[tuple[list[float], Size]]] = defaultdict(list)
    for row, faults in faulty:
        for kind in {fault.kind for fault in faults} & {"fractions", "box_order"}:
            values, size = _read_coordinates(row, context), context.find_size(row)
            scaled = scale_fractions(values, size) if kind == "fractions" and size is not None else values
            if size is not None and scaled is not None and len(scaled) == 4:
                groups[row.csv_file, row.get_text("task_id"), kind].append((scaled, size))
    orders: dict[Group, Order | None] = {}
    for group, boxes in groups.items():
        allowed = ORDERS if group[2] == "fractions" else ORDERS[1:]
        orders[group] = find_only_order([box for box, _ in boxes], [size for _, size in boxes], allowed)
    return orders


def repair_row(row: IndexRow, faults: Sequence[Fault], context: RepairContext) -> RepairedRow | None:
    """Repair a row if the correct content is certain for each of its errors.

    Args:
        row: A row with errors.
        faults: All errors of the row.
        context: What is known about its image and its task.

    Returns:
        The repaired row; None if one of the errors cannot be repaired.
    """
    repaired = RepairedRow(dict(row.cells), ())
    for kind in dict.fromkeys(fault.kind for fault in faults):
        repair = _REPAIRS.get(kind)
        members = [fault for fault in faults if fault.kind == kind]
        step = repair(replace(row, cells=repaired.cells), members, context) if repair is not None else None
        if step is None:
            return None
        repaired = RepairedRow(step.cells, (*repaired.steps, *step.steps), step.mask_context or repaired.mask_context)
    return repaired


def _repair_mask(row: IndexRow, faults: Sequence[Fault], context: RepairContext) -> RepairedRow | None:
    file, task = context.finder.find(row.get_text("mask_path")), context.declared.get(row.get_text("task_id"))
    if not isinstance(file, ListedFile) or task is None or any(fault.column != "mask_path" for fault in faults):
        return None
    image = context.find_image(row)
    mask_context = MaskContext(
        num_classes=task.num_classes,
        max_pixels=context.data.max_pixels,
        size=context.find_size(row),
        image_orientation=image.kind.orientation if image is not None else 1,
        exif_orientation=context.data.exif_orientation,
        colors=context.colors.get(row.get_text("task_id"), {}),
        recolor=_has_kind(faults, "palette"),
    )
    converted = convert_mask(Path(file.path), mask_context)
    if converted is None:
        return None
    _, repair = converted
    path = row.get_text("mask_path")
    return RepairedRow(row.cells, (("mask_path", repair, path, path),), mask_context)


def _clip_box(row: IndexRow, faults: Sequence[Fault], context: RepairContext) -> RepairedRow | None:
    size, sides = context.find_size(row), _read_coordinates(row, context)
    clipped = clip_box(sides, size) if size is not None and sides else None
    return _replace_sides(row, clipped, "box_clipped") if clipped is not None else None


def _swap_sides(row: IndexRow, faults: Sequence[Fault], context: RepairContext) -> RepairedRow | None:
    size, sides = context.find_size(row), _read_coordinates(row, context)
    swapped = swap_sides(sides, size) if size is not None and sides else None
    return _replace_sides(row, swapped, "box_swapped") if swapped is not None else None


def _convert_fractions(row: IndexRow, faults: Sequence[Fault], context: RepairContext) -> RepairedRow | None:
    size, task = context.find_size(row), context.declared.get(row.get_text("task_id"))
    values = _read_coordinates(row, context)
    pixels = scale_fractions(values, size) if size is not None and values else None
    if pixels is None or size is None or task is None:
        return None
    if has_box_label(task.type):
        return _reorder_box(row, pixels, size, context.orders.get((row.csv_file, row.get_text("task_id"), "fractions")))
    cells, steps = dict(row.cells), list[Step]()
    for i, column in enumerate(list_label_columns(task.type, task.num_classes)):
        cells[column] = f"[{_format(pixels[2 * i])}, {_format(pixels[2 * i + 1])}]"
        steps.append((column, "fractions", row.get_text(column), cells[column]))
    return RepairedRow(cells, tuple(steps))


def _convert_order(row: IndexRow, faults: Sequence[Fault], context: RepairContext) -> RepairedRow | None:
    size, values = context.find_size(row), _read_coordinates(row, context)
    if size is None or not values:
        return None
    return _reorder_box(row, values, size, context.orders.get((row.csv_file, row.get_text("task_id"), "box_order")))


def _reorder_box(row: IndexRow, values: Sequence[float], size: Size, order: Order | None) -> RepairedRow | None:
    """Return a row with the corners of its box; None if the order of its numbers is not certain, or it does not fit.

    Args:
        row: The row.
        values: Its four numbers, in pixels.
        size: Height and width of the image.
        order: Order of the numbers; None if it is not certain.
    """
    corners = to_corners(values, order) if order is not None else None
    if corners is None or not is_box_inside(corners, size):
        return None
    return _replace_sides(row, corners, "box_order" if order != "corners" else "fractions")


def _correct_path(row: IndexRow, faults: Sequence[Fault], context: RepairContext) -> RepairedRow | None:
    """Correct separators, letter case, and absolute paths into the root."""
    cells, steps = dict(row.cells), list[Step]()
    for column in (fault.column for fault in faults):
        text = row.get_text(column)
        corrected = context.finder.find_corrected(text)
        if corrected is None:
            return None
        cells[column] = corrected
        steps.append((column, "path", text, corrected))
    return RepairedRow(cells, tuple(steps))


def _complete_task(row: IndexRow, faults: Sequence[Fault], context: RepairContext) -> RepairedRow | None:
    """Give a row the type and the number of classes of its task's other rows, which all have the same."""
    task = context.declared.get(row.get_text("task_id"))
    if task is None:
        return None
    values = {"task_name": format_task_type(task.type), "num_classes": str(task.num_classes)}
    columns = [fault.column for fault in faults]
    steps = tuple((column, "task", row.get_text(column), values[column]) for column in columns)
    return RepairedRow({**row.cells, **{column: values[column] for column in columns}}, steps)


def _read_coordinates(row: IndexRow, context: RepairContext) -> list[float]:
    """Return x, y, x, y, ... of the box or the landmarks of a row; an empty list if one is not a number."""
    task = context.declared.get(row.get_text("task_id"))
    values: list[float] = []
    if task is None:
        return values
    for column in list_label_columns(task.type, task.num_classes):
        try:
            values += (
                [float(row.get_text(column))] if has_box_label(task.type) else parse_point(row.get_text(column)) or ()
            )
        except ValueError:
            return []
    return values if len(values) == (4 if has_box_label(task.type) else 2 * task.num_classes) else []


def _replace_sides(row: IndexRow, sides: Sequence[float], repair: str) -> RepairedRow:
    """Return a row with other sides of its box; `repair` is the name of the repair."""
    cells, steps = dict(row.cells), list[Step]()
    for side, value in zip(BOX_COLUMNS, sides, strict=True):
        if float(row.get_text(side)) != value:
            cells[side] = _format(value)
            steps.append((side, repair, row.get_text(side), cells[side]))
    return RepairedRow(cells, tuple(steps))


def _format(value: float) -> str:
    return f"{value:.10g}"


_REPAIRS: dict[str, Callable[[IndexRow, Sequence[Fault], RepairContext], RepairedRow | None]] = {
    "mask_values": _repair_mask,
    "palette": _repair_mask,
    "unreadable_file": _repair_mask,
    "box_outside": _clip_box,
    "box_empty": _swap_sides,
    "fractions": _convert_fractions,
    "box_order": _convert_order,
    "missing_file": _correct_path,
    "path_outside": _correct_path,
    "task_name": _complete_task,
    "num_classes": _complete_task,
}
"""Repair by `Fault.kind`; the errors of other kinds need a decision."""
