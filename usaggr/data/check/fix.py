"""The command `usaggr data check --fix DIR`: a corrected data set in a new folder; the original is never changed.

DIR is a complete data set: new index files, converted masks, and hard links to all other files. Links need no space and
no time, and stay valid if the original is moved or removed. They are inside the new root, as the reader requires. DIR
is written under another name and renamed at the end, so it never holds a part of the data.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from usaggr.config.study import DataConfig
from usaggr.data.check.corrected_files import (
    LOG,
    Change,
    CorrectedRow,
    FileWriter,
    map_lines_to_rows,
    write_data,
    write_log,
)
from usaggr.data.check.deep_check import describe_plan_error
from usaggr.data.check.repairs import make_context, repair_row
from usaggr.data.read.fault_groups import list_fault_groups
from usaggr.data.read.index import read_index
from usaggr.data.read.load_dataset import check_dataset
from usaggr.data.read.paths import FileFinder, find_data_root
from usaggr.data.samples import Fault
from usaggr.errors import DataError
from usaggr.io.atomic_folders import creating_folder, remove_leftover
from usaggr.io.home import expand_home
from usaggr.progress import Progress

Faults = Mapping[int, Sequence[Fault]]
"""Errors of corrected rows, by `id` of the row."""


@dataclass(frozen=True)
class FixResult:
    """Result of a correction."""

    folder: Path
    rows: int
    """Number of rows of the corrected index."""
    changed: int
    """Number of rows that were fixed."""
    left_out: int
    """Number of rows that were left out of the corrected index."""
    unresolved: tuple[Fault, ...]
    """Errors of the rows that could not be fixed, at their lines in the original index; without dropped duplicates."""
    lost_tasks: tuple[str, ...]
    """Tasks of which no row is left."""
    plan_error: str
    """Reason why `usaggr plan` refuses the corrected data; empty if it accepts them."""

    def describe(self, command: str) -> list[str]:
        """Return the lines that are printed; `command` checks the corrected data."""
        lines = [f"left out: {line}" for line in list_fault_groups(self.unresolved, with_repair=False)]
        if self.lost_tasks:
            lines.append(f"left out: all rows of {', '.join(self.lost_tasks)}")
        if self.unresolved:
            lines.append("The rows that are left out need a decision. data.on_bad_sample=skip does without them.")
        lines.append(
            f"corrected data: {self.folder}: {self.rows} rows, {self.changed} fixed, {self.left_out} left out "
            f"(every change is in {self.folder / LOG})"
        )
        if self.plan_error:
            lines.append(f"error: `usaggr plan` refuses the corrected data: {self.plan_error}")
        return [*lines, f"next: {command}"]


def check_output_folder(folder: Path, data: DataConfig) -> None:
    """Check that corrected data can be written to a folder, and remove what a killed correction has left next to it.

    Raises:
        DataError: The data are phantoms, the folder contains the original or is inside it, or it is not empty.
    """
    if data.name == "synthetic":
        raise DataError("--fix: the phantoms (data=synthetic) have no errors; use --fix with your index (data=fmuia)")
    root, target = find_data_root(data), expand_home(folder, "--fix").resolve()
    if target == root or target.is_relative_to(root) or root.is_relative_to(target):
        raise DataError(f"--fix {folder}: overlaps with the original data {root}; give a new folder next to it")
    remove_leftover(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        hint = "; it holds corrected data already" if (target / LOG).is_file() else ""
        raise DataError(f"--fix {folder}: exists and is not empty; give a new folder{hint}")


def fix_data(data: DataConfig, folder: Path, copy: bool, progress: Progress) -> FixResult:
    """Write corrected data to a new folder with a log of every change, and check that no error is left.

    Args:
        data: Configuration of the original data.
        folder: New folder for the corrected data.
        copy: True to copy files instead of linking them.
        progress: Shows the progress of checking and writing.

    Raises:
        DataError: The folder cannot be used (`check_output_folder`), no valid row is left, or a file cannot be linked.
        WriteError: The folder cannot be written.
    """
    check_output_folder(folder, data)
    target = expand_home(folder, "--fix").resolve()
    _, faults = check_dataset(data, progress)
    with creating_folder(target) as building:
        correction = _Correction(data, folder, FileWriter(_make_finder(data), building, copy), progress)
        result = correction.run(faults)
        write_log(correction.log, building / LOG)
    return result


def _make_finder(data: DataConfig) -> FileFinder:
    return FileFinder(str(find_data_root(data)), data.follow_links)


class _Correction:
    """Rounds of repairs: repaired rows are checked, and repaired again or left out."""

    def __init__(self, data: DataConfig, folder: Path, writer: FileWriter, progress: Progress) -> None:
        """Prepare a correction.

        Args:
            data: Configuration of the original data.
            folder: New folder as the user writes it, for messages.
            writer: Writes files into the folder under its temporary name.
            progress: Shows the progress.
        """
        self._data = data
        self._folder = folder
        self._writer = writer
        self._progress = progress
        self._unresolved: list[Fault] = []
        self.log: list[Change] = []
        """All changes of rows."""

    def run(self, faults: Sequence[Fault]) -> FixResult:
        """Write the corrected data, and return the result.

        Args:
            faults: All errors of the original data.
        """
        index_rows, _ = read_index(Path(self._writer.finder.root), follow_links=self._data.follow_links)
        corrected_rows = [CorrectedRow(row, dict(row.cells)) for row in index_rows]
        task_ids = {row.get_text("task_id") for row in index_rows} - {""}
        row_faults = self._assign(faults, {(row.origin.csv_file, row.origin.line): row for row in corrected_rows})
        corrected = self._data.model_copy(update={"root": str(self._writer.target), "on_bad_sample": "skip"})
        while True:
            corrected_rows = self._repair(corrected_rows, row_faults)
            if not corrected_rows:
                raise DataError(
                    f"--fix {self._folder}: no valid row is left, so nothing was written; correct the index by hand"
                )
            write_data(corrected_rows, self._writer, self._progress)
            dataset, remaining = check_dataset(corrected, self._progress)
            if not remaining:
                break
            # A repaired row may have further errors, or repeat another row, which only this check finds.
            row_faults = self._assign(remaining, map_lines_to_rows(corrected_rows))
        self.log += [change for row in corrected_rows for change in row.logged_changes]
        return FixResult(
            self._folder,
            rows=len(corrected_rows),
            changed=sum(bool(row.changes) for row in corrected_rows),
            left_out=len({(change.file, change.row) for change in self.log if not change.after}),
            unresolved=tuple(sorted(self._unresolved, key=lambda fault: (fault.csv_file, fault.row))),
            lost_tasks=tuple(sorted(task_ids - {row.cells["task_id"] for row in corrected_rows})),
            plan_error=describe_plan_error(dataset, corrected) if dataset is not None else "",
        )

    def _assign(self, faults: Iterable[Fault], lines: Mapping[tuple[str, int], CorrectedRow]) -> Faults:
        """Return the errors of each row by its `id`; errors of lines that are no rows are left out.

        Args:
            faults: Errors.
            lines: Rows by index file and line.
        """
        assigned: dict[int, list[Fault]] = defaultdict(list)
        for fault in faults:
            row = lines.get((fault.csv_file, fault.row))
            if row is None:
                self._leave_out([fault], fault.row)
            else:
                assigned[id(row)].append(fault)
        return assigned

    def _repair(self, corrected_rows: Sequence[CorrectedRow], faults: Faults) -> list[CorrectedRow]:
        """Return the valid rows and the repaired rows; the others are left out."""
        faulty = [(row.current, faults[id(row)]) for row in corrected_rows if id(row) in faults]
        valid = [row.current for row in corrected_rows if id(row) not in faults]
        context = make_context(self._data, self._writer.finder, faulty, valid, self._progress)
        remaining: list[CorrectedRow] = []
        for row in corrected_rows:
            row_faults = faults.get(id(row), [])
            kinds = {fault.kind for fault in row_faults}
            repaired = None
            if row_faults and not kinds & row.repaired_kinds:
                repaired = repair_row(row.current, row_faults, context)
            if repaired is not None:
                row.cells = repaired.cells
                row.mask_context = repaired.mask_context or row.mask_context
                row.repaired_kinds |= kinds
                row.changes = _merge_changes(
                    [*row.changes, *(Change(row.origin.csv_file, row.origin.line, *step) for step in repaired.steps)]
                )
            if repaired is not None or not row_faults:
                remaining.append(row)
            else:
                self._leave_out(row_faults, row.origin.line)
        return remaining

    def _leave_out(self, faults: Sequence[Fault], line: int) -> None:
        """Log a row that is left out because of its errors.

        Args:
            faults: All errors of the row.
            line: Its line in the original index.
        """
        for fault in faults:
            repair = "duplicate" if fault.kind == "duplicate" else f"left out: {fault.kind}"
            before = f"{fault.file} {fault.message}".strip()
            self.log.append(Change(fault.csv_file, line, fault.column, repair, before, ""))
            if fault.kind != "duplicate":
                self._unresolved.append(replace(fault, row=line))


def _merge_changes(changes: Sequence[Change]) -> list[Change]:
    """Return one change for each column: from the first cell to the last one, with the names of all repairs."""
    merged: dict[str, Change] = {}
    for change in changes:
        earlier = merged.get(change.column)
        if earlier is not None:
            change = replace(change, before=earlier.before, repair=f"{earlier.repair}, {change.repair}")
        merged[change.column] = change
    return list(merged.values())
