"""Columns of an index that follow from the paths of images: subject_id by a pattern, split by names of folders."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from usaggr.data.read.subject_names import normalize_subject
from usaggr.data.sources.image_folder import parse_subset_folder
from usaggr.data.sources.table import SourceRow, SourceTable
from usaggr.document.display_names import pluralize
from usaggr.errors import ConfigError
from usaggr.results.split import SUBSETS
from usaggr.tasks import has_class_label


def add_subjects(source_rows: Iterable[SourceRow], pattern: str | None, images: Path) -> list[SourceRow]:
    """Return the rows with the subject that a regular expression finds in the names or paths of their images.

    The file's name is searched first, then its path below `images`. The subject is the first group of the expression,
    or the complete match if it has no group. With None, the rows are returned unchanged.

    Args:
        source_rows: The rows.
        pattern: The regular expression.
        images: Folder of the images.

    Raises:
        ConfigError: The pattern is not a regular expression, or it finds nothing or a missing value in a path.
    """
    if pattern is None:
        return list(source_rows)
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--subject: '{pattern}' is not a regular expression: {error}") from error
    completed: list[SourceRow] = []
    for row in source_rows:
        path = _get_relative_path(row.image, images)
        match = compiled.search(row.image.name) or compiled.search(path.as_posix())
        subject = match and (match[1] if compiled.groups else match[0])
        if not subject:
            raise ConfigError(f"--subject: '{pattern}' finds no subject in '{path}', the path of {row.image}")
        if not normalize_subject(subject):
            raise ConfigError(f"--subject: '{pattern}' finds '{subject}' in '{path}', which is read as a missing value")
        completed.append(replace(row, columns={**row.columns, "subject_id": subject}))
    return completed


def describe_folder_subjects(table: SourceTable, pattern: str | None, images: Path) -> tuple[str, ...]:
    """Return a note if some subjects are found in names of files and others only in folders, which may be a mistake.

    Args:
        table: The samples with their subjects.
        pattern: The regular expression that found them; None if there is none.
        images: Folder of the images.
    """
    if pattern is None:
        return ()
    in_folders = [row for row in table.rows if not re.search(pattern, row.image.name)]
    if not in_folders or len(in_folders) == len(table.rows):
        return ()
    row = in_folders[0]
    return (
        f"{len(in_folders)} of {len(table.rows)} subjects are found in folders and not in names of files, such as "
        f"{row.columns.get('subject_id')} in {_get_relative_path(row.image, images)}",
    )


def add_subsets(table: SourceTable, images: Path) -> SourceTable:
    """Return the table with a column `split`, if all images are in folders of subsets such as train/, val/ and test/.

    A split without a training or test set is not taken over: usaggr draws the split then, and a note says so.

    Args:
        table: The samples.
        images: Folder of the images; the first two folders of paths below it can be those of subsets.
    """
    names = table.class_names if has_class_label(table.type) else ()
    subsets = {
        row.image: _find_subset(_get_relative_path(row.image, images), names)
        for row in table.rows
        if "split" not in row.columns
    }
    counts = Counter(subset for subset in subsets.values() if subset is not None)
    if not counts:
        return table
    listed = ", ".join(f"{subset} {counts[subset]}" for subset in SUBSETS if counts[subset])
    if len(subsets) > counts.total():
        reason = f"{pluralize(len(subsets) - counts.total(), 'image is', 'images are')} in no such folder"
    elif not counts["train"] or not counts["test"]:
        reason = f"there is no {'training' if not counts['train'] else 'test'} set"
    else:
        completed = tuple(
            replace(row, columns={**row.columns, "split": str(subsets[row.image])}) if row.image in subsets else row
            for row in table.rows
        )
        return replace(table, rows=completed, notes=(*table.notes, f"split by folders: {listed}"))
    note = f"folders name subsets ({listed}), but {reason}: the column split is not written, and usaggr draws the split"
    return replace(table, notes=(*table.notes, note))


def _find_subset(path: Path, class_names: tuple[str, ...]) -> str | None:
    """Return the subset that one of the first two folders of a path names, unless it is the folder of a class."""
    folders = [folder for folder in path.parts[:-1][:2] if folder not in class_names]
    return next((subset for folder in folders if (subset := parse_subset_folder(folder)) is not None), None)


def _get_relative_path(path: Path, folder: Path) -> Path:
    """Return the path of a file below a folder; its name if it is elsewhere."""
    return path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
