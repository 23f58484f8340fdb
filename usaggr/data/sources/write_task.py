"""Index of a task that was read from another layout: its columns, its masks, its file, and the next command."""

import csv
import re
import shlex
from dataclasses import replace
from itertools import islice
from pathlib import Path

from usaggr.config.overrides import quote
from usaggr.data.read.subject_names import normalize_subject
from usaggr.data.sources.left_out import count_files, list_left_out
from usaggr.data.sources.made_masks import NO_CHANGES, MaskChanges, change_masks
from usaggr.data.sources.path_columns import add_subjects, add_subsets, describe_folder_subjects
from usaggr.data.sources.table import SourceTable, check_writable, write_index
from usaggr.document.display_names import pluralize
from usaggr.errors import DataError
from usaggr.io.bounded_content import parse_csv_table
from usaggr.io.bounded_files import UnusableContentError, read_bounded
from usaggr.io.terminal_text import escape_line

_ROWS_READ = 3
"""Number of rows of each index whose files are read to find masks of 0 and 255, and links."""


def write_task(
    table: SourceTable, images: Path, root: Path, subject: str | None = None, changes: MaskChanges = NO_CHANGES
) -> list[str]:
    """Write the index of a task, and return lines about it for the user.

    Args:
        table: The samples.
        images: Folder of the images, below which subjects and subsets are searched in paths.
        root: Folder in which csv_files/ is written.
        subject: Regular expression that finds the subject in the name or path of an image.
        changes: Changes of the masks.

    Raises:
        ConfigError: The subject is not found.
        DataError: There is no sample, a file is outside the root, the index exists, or a mask cannot be made.
    """
    table = replace(table, rows=tuple(add_subjects(table.rows, subject, images)))
    table = replace(table, notes=(*table.notes, *describe_folder_subjects(table, subject, images)))
    table = add_subsets(table, images)
    check_writable(table, root)
    table = change_masks(table, root, changes)
    path = write_index(table, root)
    subjects = {normalize_subject(row.columns.get("subject_id", "")) or str(row.image) for row in table.rows}
    count = count_files(table.left_out)
    lines = [
        *(f"left out: {line}" for line in list_left_out(table.left_out)),
        *(f"note: {line}" for line in table.notes),
        f"{path}: {pluralize(len(table.rows), 'sample')} of {pluralize(len(subjects), 'subject')}, "
        f"{pluralize(count, 'file')} left out",
    ]
    return [escape_line(line) for line in lines]


def suggest_check(root: Path) -> str:
    """Return the command that checks all tasks in the index of a folder."""
    text = str(root)
    is_plain = re.fullmatch(r"[\w./ -]+", text)
    words = ["data=fmuia", f"data.root={text if is_plain else quote(text)}"]
    indexes = sorted((root / "csv_files").glob("*.csv"))
    if any(_has_masks_of_255(path) for path in indexes):
        words.append("data.foreground_255=true")
    if any(_has_links(path, root) for path in indexes):
        words.append("data.follow_links=true")
    return shlex.join(["usaggr", "data", "check", *words])


def _has_masks_of_255(index: Path) -> bool:
    """Return whether the first masks of a task of two classes have no other values than 0 and 255."""
    from usaggr.data.read.images import read_mask

    values: set[int] = set()
    try:
        for row in _read_first_rows(index):
            if row.get("mask_path") and row.get("num_classes") == "2":
                values |= set(read_mask(index.parent / row["mask_path"], False, 10**8).flat)
    except DataError:  # `data check` reports what is wrong with the index
        return False
    return 255 in values and values <= {0, 255}


def _has_links(index: Path, root: Path) -> bool:
    """Return whether the first images of an index are links out of the root."""
    texts = [row["image_path"] for row in _read_first_rows(index) if row.get("image_path")]
    return any(not (index.parent / text).resolve().is_relative_to(root.resolve()) for text in texts)


def _read_first_rows(index: Path) -> list[dict[str, str]]:
    """Return the first rows of an index; none if it cannot be read, which `data check` reports."""
    try:
        return list(islice(parse_csv_table(read_bounded(index).decode("utf-8-sig", "replace")), _ROWS_READ))
    except (OSError, csv.Error, UnusableContentError):
        return []
