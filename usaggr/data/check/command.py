"""The command `usaggr data check`: errors of the index, findings in valid samples, and the requested files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.config.study import DataConfig
from usaggr.data.check.check_console import print_findings, write_pairs
from usaggr.data.check.check_page import write_page
from usaggr.data.check.deep_check import examine_dataset
from usaggr.data.check.fix import check_output_folder, fix_data
from usaggr.data.read.load_dataset import check_dataset
from usaggr.data.show.overview import list_check, write_faults
from usaggr.errors import ConfigError
from usaggr.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

MAX_LINES = 38
"""Number of lines to which the output is limited if there are errors, so that they stay visible."""


@dataclass(frozen=True)
class Outputs:
    """Files that the command writes in addition to what it prints; None for files that were not requested."""

    faults: Path | None = None
    """CSV of the errors."""
    pairs: Path | None = None
    """CSV of near-identical images in different subsets."""
    html: Path | None = None
    """Page with all findings and pictures."""
    fixed: Path | None = None
    """Folder of corrected data."""
    copy: bool = False
    """True if the corrected data contain copies of files instead of hard links."""
    recheck: str = ""
    """Command that checks the corrected data."""


def run_check(data: DataConfig, outputs: Outputs, console: "Console", progress: Progress) -> int:
    """Check a data set, print the results, and write the requested files.

    Args:
        data: Configuration that the data set is read with.
        outputs: Files to write.
        console: Terminal that tables and findings are printed to.
        progress: Shows the progress of reading, scanning and comparing.

    Returns:
        The exit status: 2 if a task has no valid row, if there are errors and `data.on_bad_sample` is "error", or if
        `usaggr plan` refuses the valid samples; otherwise 0. If corrected data are written, the status is theirs: an
        error that was repaired counts as none.

    Raises:
        DataError: There is no index, it contradicts itself, or the folder for corrected data cannot be used.
        ConfigError: `--copy` was given without `--fix`, or class names of the configuration do not fit the index.
    """
    if outputs.copy and outputs.fixed is None:
        raise ConfigError("--copy selects copies instead of links for --fix DIR, which is missing; add --fix DIR")
    if outputs.fixed is not None:
        # Checked first, because the check of a large data set takes minutes.
        check_output_folder(outputs.fixed, data)
    dataset, faults = check_dataset(data, progress)
    lines = list_check(dataset, faults, MAX_LINES - 2)  # one for a refused plan, one for what is not printed
    plan_error = ""
    if dataset is not None:
        findings = examine_dataset(dataset, data, progress)
        plan_error = findings.plan_error
        print_findings(findings, console, MAX_LINES - len(lines) - bool(plan_error) if faults else None)
        if outputs.pairs is not None:
            write_pairs(findings.near_pairs, outputs.pairs)
        if outputs.html is not None:
            write_page(dataset, faults, findings, data, outputs.html, progress)
            console.print(f"page: {outputs.html}", highlight=False, markup=False, soft_wrap=True)
    elif outputs.pairs is not None or outputs.html is not None:
        print("note: --pairs and --html were not written, because a task has no valid row; fix the errors below first")
    for line in lines:
        print(line)
    if plan_error:
        line = f"error: `usaggr plan` refuses these data: {plan_error}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if outputs.faults is not None:
        write_faults(faults, outputs.faults, with_remedy=True)
    if outputs.fixed is not None:
        fixed = fix_data(data, outputs.fixed, outputs.copy, progress)
        for line in fixed.describe(outputs.recheck):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        has_error = bool(fixed.plan_error) or (bool(fixed.unresolved) and data.on_bad_sample == "error")
    else:
        has_error = dataset is None or bool(plan_error) or (bool(faults) and data.on_bad_sample == "error")
    return 2 if has_error else 0
