"""Reader of tables of landmarks, boxes or classes in CSV files, as annotation programs and clinics write them.

The user names the columns. Each row of the table belongs to one image of a folder; an image may have several rows. The
result is a `SourceTable`: one task, with one `SourceRow` for each image that has a label.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from usaggr.data.read.subject_names import clean_text
from usaggr.data.sources.image_folder import ImageFolder, list_images, parse_subset_folder
from usaggr.data.sources.left_out import LeftOut
from usaggr.data.sources.masks import Several
from usaggr.data.sources.point_columns import PointColumns, parse_point_columns
from usaggr.data.sources.table import SourceRow, SourceTable, check_task_name
from usaggr.data.sources.table_file import Record, TableFile, read_table_file
from usaggr.errors import ConfigError, DataError, explain_unknown_name

TableBoxes = Literal["xyxy", "xywh", "center"]
"""Meaning of the four columns of a box; all values are in pixels.

* xyxy: x_min, y_min, x_max, y_max.
* xywh: x_min, y_min, width, height.
* center: x and y of the center, width, height.
"""
_MAX_REVERSED_SHARE = 0.1
"""Largest share of boxes with x_max <= x_min or y_max <= y_min.

A larger share shows that the four columns are not corners. A smaller one is taken for errors of annotation."""


@dataclass(frozen=True)
class TableColumns:
    """Names of a table's columns. Exactly one of `points`, `box` and `label` is given."""

    image: str
    """Column with the path or name of the image; the suffix, such as .png, may be missing."""
    points: str | None = None
    """Columns of landmarks, in one of three forms; {i} stands for the number of a landmark.

    * `x{i},y{i}`: two columns for each landmark.
    * `p{i}`: one column for each landmark, with both coordinates.
    * `apex=ax,ay;base=bx,by`: a name and two columns for each landmark.
    """
    landmark: str | None = None
    """Column with the name of the landmark, if each row has one landmark; `points` is then one pair of columns."""
    box: str | None = None
    """Four columns of a box, separated by commas."""
    label: str | None = None
    """Column with the class."""
    subject: str | None = None
    """Column with the patient or video."""
    split: str | None = None
    """Column with the subset: train, val or test."""


def read_table(
    path: Path,
    images: Path,
    task: str,
    columns: TableColumns,
    names: Sequence[str] = (),
    separator: str | None = None,
    decimal: str = ".",
    box_format: TableBoxes = "xyxy",
    several: Several = "refuse",
) -> SourceTable:
    """Read one task from a table of landmarks, boxes or classes.

    Rows without an image, images without a row, and images without a complete label are left out. The result lists
    them with the reason.

    Args:
        path: The table, a text file with one row per image, box or landmark.
        images: Folder of the images.
        task: Id of the task.
        columns: Names of the columns.
        names: Names of the classes or landmarks in order, or one name for the box. Empty: those of the table.
        separator: Character that separates columns; None: it is detected.
        decimal: Decimal separator, a point or a comma.
        box_format: Meaning of the four columns of a box.
        several: Treatment of several boxes in one image: "refuse" (an error), "largest", or "union" (around all).

    Raises:
        ConfigError: The table or a column does not exist, `names` does not fit, or `columns` does not select one kind
            of label.
        DataError: A value is not a number, an image has several labels, or no image of the table is in the folder.
    """
    check_task_name(task)
    names = [clean_text(name) for name in names]
    if len(set(names)) < len(names):
        raise ConfigError(f"--names: {', '.join(names)} must be different names")
    if sum(value is not None for value in (columns.points, columns.box, columns.label)) != 1:
        raise ConfigError("--points, --box, --label: give one of them, the columns of the labels to read")
    table = read_table_file(path, columns.image, separator, decimal)
    # Columns of points and boxes are checked where their options are parsed, because one option has several columns.
    for option, column in (("--subject-column", columns.subject), ("--split-column", columns.split),
                           ("--landmark", columns.landmark), ("--label", columns.label)):  # fmt: skip
        if column is not None:
            table.check_column(option, column)
    folder = list_images(images)
    records, left_out = _group_by_image(table, columns.image, folder)
    reader = _RowReader(table, columns, box_format, several)
    if columns.points is not None:
        source = _read_points(reader, task, records, names)
    elif columns.box is not None:
        source = _read_boxes(reader, task, records, names)
    else:
        source = _read_labels(reader, task, records, names)
    without_row = [LeftOut(str(image), f"is not in {path}") for image in folder.images if image not in records]
    return replace(source, left_out=(*left_out, *source.left_out, *without_row, *folder.list_left_out()))


def parse_table_boxes(text: str) -> TableBoxes:
    """Return the format of boxes with a name that a user has written on the command line.

    Raises:
        ConfigError: The name is unknown.
    """
    for name in get_args(TableBoxes):
        if name == text:
            return name  # type: ignore[no-any-return]
    raise ConfigError(explain_unknown_name("--box-format", text, get_args(TableBoxes)))


def _group_by_image(
    table: TableFile, column: str, folder: ImageFolder
) -> tuple[dict[Path, list[Record]], list[LeftOut]]:
    """Return the rows of each image, and the rows that belong to no image of the folder.

    Args:
        table: The table.
        column: Column with the path or name of the image.
        folder: Folder of the images.

    Returns:
        Rows by path of the image, sorted by path, and the rows without an image with the reason.

    Raises:
        DataError: No row has an image in the folder.
    """
    records: dict[Path, list[Record]] = defaultdict(list)
    left_out: list[LeftOut] = []
    for record in table.records:
        text = record.get_text(column)
        image = folder.find(text) if text else None
        if image is not None:
            records[image].append(record)
        else:
            # A name without a suffix may fit several images; `find` returns None for it, too.
            reason = f"is not one image in {folder.folder}" if text else f"has no {column}"
            left_out.append(LeftOut(text or f"{table.path}, line {record.line}", reason))
    if not records:
        example = f", such as '{left_out[0].file}'" if left_out else ""
        raise DataError(f"{table.path}: no image of the column {column} is in {folder.folder}{example}")
    return dict(sorted(records.items())), left_out


@dataclass(frozen=True)
class _RowReader:
    """A table and the options for reading its rows."""

    table: TableFile
    columns: TableColumns
    box_format: TableBoxes
    several: Several

    def read_name(self, record: Record, column: str) -> str:
        """Return the name in a cell; 1.0 (or 1,0), which spreadsheet programs write for a whole number, becomes 1."""
        text = clean_text(record.get_text(column))
        return re.sub(rf"^(-?\d+){re.escape(self.table.decimal)}0+$", r"\1", text)

    def read_subject_and_split(self, image: Path, records: Sequence[Record]) -> dict[str, str]:
        """Return the cells `subject_id` and `split` of an image in an index; a cell that would be empty is left out.

        Raises:
            DataError: The rows of the image disagree, or the subset is unknown.
        """
        cells: dict[str, str] = {}
        for index_column, column in (("subject_id", self.columns.subject), ("split", self.columns.split)):
            if column is None:
                continue
            texts = {self.read_name(record, column) for record in records} - {""}
            if len(texts) > 1:
                raise DataError(
                    f"{self.table.path}: {image.name} has several values of {column}: {', '.join(sorted(texts))}"
                )
            if texts:
                cells[index_column] = texts.pop()
        if "split" in cells:
            subset = parse_subset_folder(cells["split"])
            if subset is None:
                raise DataError(
                    f"{self.table.path}, line {records[0].line}: {self.columns.split} is '{cells['split']}'; allowed: "
                    "train, val, test"
                )
            cells["split"] = subset
        return cells


def _read_boxes(
    reader: _RowReader, task: str, records: Mapping[Path, Sequence[Record]], names: Sequence[str]
) -> SourceTable:
    """Read a detection task; the parameters are those of `_read_labels`, with at most one name."""
    columns = [name.strip() for name in (reader.columns.box or "").split(",")]
    if len(columns) != 4:
        raise ConfigError(
            f"--box: '{reader.columns.box}' must be four columns separated by commas, such as x1,y1,x2,y2"
        )
    for column in columns:
        reader.table.check_column("--box", column)
    if len(names) > 1:
        raise ConfigError(f"--names: has {len(names)} names, but a box has one")
    source_rows: list[SourceRow] = []
    left_out: list[LeftOut] = []
    n_boxes = n_reversed = 0
    for image, image_records in records.items():
        boxes = [box for record in image_records if (box := _read_box(reader, record, columns)) is not None]
        n_boxes += len(boxes)
        n_reversed += sum(box[2] <= box[0] or box[3] <= box[1] for box in boxes)
        if not boxes:
            left_out.append(LeftOut(str(image), "has no box"))
            continue
        if len(set(boxes)) > 1 and reader.several == "refuse":
            raise DataError(
                f"{reader.table.path}: {image.name} has {len(set(boxes))} boxes, but a sample has one; add --several "
                "largest, or --several union for the box around all"
            )
        # The largest box, or the only one. The area of a box with two negative sides would be positive without `max`.
        box = max(boxes, key=lambda box: max(0, box[2] - box[0]) * max(0, box[3] - box[1]))
        if reader.several == "union":
            x_min, y_min, x_max, y_max = zip(*boxes, strict=True)
            box = (min(x_min), min(y_min), max(x_max), max(y_max))
        source_rows.append(SourceRow(image, box=box, columns=reader.read_subject_and_split(image, image_records)))
    if reader.box_format == "xyxy" and n_reversed > _MAX_REVERSED_SHARE * n_boxes:
        raise DataError(
            f"{reader.table.path}: {n_reversed} of {n_boxes} boxes end before they begin, so they are not "
            "x_min, y_min, x_max, y_max; add --box-format xywh or center"
        )
    return SourceTable(task, "detection", 1, tuple(source_rows), tuple(names), tuple(left_out))


def _read_box(reader: _RowReader, record: Record, columns: Sequence[str]) -> tuple[float, float, float, float] | None:
    """Return (x_min, y_min, x_max, y_max) of a row; None if one of its four cells is empty."""
    numbers = [reader.table.get_number(record, column) for column in columns]
    values = [number for number in numbers if number is not None]
    if len(values) < 4:
        return None
    x, y, third, fourth = values  # the meaning of the last two depends on the format
    match reader.box_format:
        case "xyxy":
            return x, y, third, fourth
        case "xywh":
            return x, y, x + third, y + fourth
        case "center":
            return x - third / 2, y - fourth / 2, x + third / 2, y + fourth / 2


def _read_points(
    reader: _RowReader, task: str, records: Mapping[Path, Sequence[Record]], names: Sequence[str]
) -> SourceTable:
    """Read a regression task of landmarks; the parameters are those of `_read_labels`, with names of landmarks."""
    points = parse_point_columns(reader.columns.points or "", reader.table)
    if reader.columns.landmark is not None:
        return _read_long_points(reader, task, records, points, names)
    if names and len(names) != len(points.pairs):
        raise ConfigError(f"--names: has {len(names)} names for {len(points.pairs)} landmarks")
    source_rows: list[SourceRow] = []
    left_out: list[LeftOut] = []
    for image, image_records in records.items():
        distinct_landmarks = {points.read_points(reader.table, record) for record in image_records}
        if len(distinct_landmarks) > 1:
            raise DataError(
                f"{reader.table.path}: {image.name} has {len(image_records)} rows (lines "
                f"{', '.join(str(record.line) for record in image_records[:5])}) with other landmarks; "
                "keep one, or name the column of landmarks with --landmark"
            )
        landmarks = distinct_landmarks.pop()
        if landmarks is None:
            left_out.append(LeftOut(str(image), "a landmark is missing"))
        else:
            cells = reader.read_subject_and_split(image, image_records)
            source_rows.append(SourceRow(image, points=landmarks, columns=cells))
    class_names = tuple(names) or points.names
    return SourceTable(task, "regression", len(points.pairs), tuple(source_rows), class_names, tuple(left_out))


def _read_long_points(
    reader: _RowReader, task: str, records: Mapping[Path, Sequence[Record]], points: PointColumns, names: Sequence[str]
) -> SourceTable:
    """Read a regression task from a table in long format: one row for each landmark of an image.

    Args:
        reader: Table with its options.
        task: Id of the task.
        records: Rows of each image.
        points: Columns of x and y, the same for every landmark.
        names: Names of the landmarks in order. Empty: the names in the table, sorted.
    """
    column = reader.columns.landmark or ""
    if len(points.pairs) != 1:
        raise ConfigError(
            f"--points: '{reader.columns.points}' must be one pair of columns with --landmark, such as x,y"
        )
    all_records = (record for image_records in records.values() for record in image_records)
    table_names = {clean_text(record.get_text(column)) for record in all_records} - {""}
    order = tuple(names) or tuple(sorted(table_names, key=_make_natural_key))
    if set(order) != table_names:
        raise ConfigError(
            f"--names: {', '.join(order)} must be the landmarks in {column}, each once: "
            f"{', '.join(sorted(table_names))}"
        )
    source_rows: list[SourceRow] = []
    left_out: list[LeftOut] = []
    for image, image_records in records.items():
        by_name: dict[str, tuple[float, float]] = {}
        for record in image_records:
            row_points = points.read_points(reader.table, record)
            name = clean_text(record.get_text(column))
            if row_points is None or not name:
                continue
            (point,) = row_points  # `points` has one pair of columns
            # The same row may be repeated; two positions of one landmark are an error.
            if by_name.setdefault(name, point) != point:
                raise DataError(f"{reader.table.path}, line {record.line}: {image.name} has the landmark {name} twice")
        if set(by_name) != set(order):
            left_out.append(LeftOut(str(image), "a landmark is missing"))
            continue
        coordinates = tuple(by_name[name] for name in order)
        cells = reader.read_subject_and_split(image, image_records)
        source_rows.append(SourceRow(image, points=coordinates, columns=cells))
    return SourceTable(task, "regression", len(order), tuple(source_rows), order, tuple(left_out))


def _read_labels(
    reader: _RowReader, task: str, records: Mapping[Path, Sequence[Record]], names: Sequence[str]
) -> SourceTable:
    """Read a classification task.

    Args:
        reader: Table with its options.
        task: Id of the task.
        records: Rows of each image; several rows of one image must have the same label.
        names: Names of the classes in order. Empty: the labels in the table, sorted.
    """
    column = reader.columns.label or ""
    labels: dict[Path, str] = {}
    left_out: list[LeftOut] = []
    for image, image_records in records.items():
        texts = {reader.read_name(record, column) for record in image_records} - {""}
        # Texts such as "none" count as missing values, unless the user names them as classes.
        missing_marks = {record.marks[column] for record in image_records if column in record.marks}
        texts |= missing_marks.intersection(names)
        if len(texts) > 1:
            raise DataError(
                f"{reader.table.path}: {image.name} has several values of {column}: {', '.join(sorted(texts))}"
            )
        if texts:
            labels[image] = texts.pop()
        else:
            hint = (
                f" ('{min(missing_marks)}' is read as a missing value unless --names has it)" if missing_marks else ""
            )
            left_out.append(LeftOut(str(image), f"has no {column}{hint}"))
    classes = sorted(set(labels.values()), key=_make_natural_key)
    if len({text.casefold() for text in classes}) < len(classes):
        raise DataError(
            f"{reader.table.path}: labels in {column} differ only in letter case: {', '.join(classes)}; write them "
            "alike"
        )
    order = tuple(names) or tuple(classes)
    if not set(classes) <= set(order):
        raise ConfigError(
            f"--names: {', '.join(order)} must contain all labels in {column}, each once: {', '.join(classes)}"
        )
    if len(order) < 2:
        raise ConfigError(
            f"{reader.table.path}: {column} has one label ({', '.join(classes)}); a classification needs at least 2"
        )
    source_rows = tuple(
        SourceRow(image, label=order.index(text), columns=reader.read_subject_and_split(image, records[image]))
        for image, text in labels.items()
    )
    note = f"classes: {', '.join(f'{number} = {name}' for number, name in enumerate(order))}"
    return SourceTable(task, "classification", len(order), source_rows, order, tuple(left_out), (note,))


def _make_natural_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that compares numbers within texts by value: p2 comes before p10.

    Each run of digits or of other characters gives a pair. Its first element puts numbers before other characters, so
    that numbers are never compared with texts.
    """
    # Python converts at most 4300 digits to a number; 18 at a time are always accepted.
    runs = re.findall(r"\d{1,18}|\D+", text)
    return tuple((0, int(run)) if run.isdecimal() else (1, run) for run in runs)
