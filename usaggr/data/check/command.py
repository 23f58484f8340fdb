"""`usaggr data check` from start to end: faults, findings in sound samples, and what is written of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.config.study import DataConfig
from usaggr.data.check.check_console import print_findings, write_pairs
from usaggr.data.check.check_page import write_page
from usaggr.data.check.deep_check import look_deeper
from usaggr.data.check.fix import fix_data, refuse_place
from usaggr.data.read.load_dataset import check_dataset
from usaggr.data.show.overview import print_check, write_faults
from usaggr.errors import ConfigError
from usaggr.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Outputs:
    """What is written beside the text, and where."""

    faults: Path | None = None
    """A CSV."""
    pairs: Path | None = None
    """A CSV of near-duplicates."""
    html: Path | None = None
    """A page."""
    fixed: Path | None = None
    """Folder of corrected data."""
    copy: bool = False
    """The corrected data hold copies of files, not links to the same content."""


def run_check(data: DataConfig, outputs: Outputs, console: "Console", progress: Progress) -> int:
    """Check a data set, print what was found, and give the exit status: 2 where faults are an error.

    Raises:
        DataError: no index, one that contradicts itself, or a folder for corrected data that cannot be used.
        ConfigError: an output that needs another one, or names of classes that do not fit the index.
    """
    if outputs.copy and outputs.fixed is None:
        raise ConfigError("--copy: says how --fix DIR writes its files; give --fix DIR too")
    if outputs.fixed is not None:
        refuse_place(outputs.fixed, data)
    dataset, faults = check_dataset(data, progress)
    if dataset is not None:
        findings = look_deeper(dataset, data, progress)
        print_findings(findings, console)
        if outputs.pairs is not None:
            write_pairs(findings.near, outputs.pairs)
        if outputs.html is not None:
            write_page(dataset, faults, findings, data, outputs.html, progress)
            console.print(f"page: {outputs.html}", highlight=False, markup=False, soft_wrap=True)
    elif outputs.pairs is not None or outputs.html is not None:
        print("note: nothing was looked at but faults, since a task has no sound row: neither --pairs nor --html")
    print_check(dataset, faults)
    if outputs.faults is not None:
        write_faults(faults, outputs.faults)
    if outputs.fixed is not None:
        fixed = fix_data(data, outputs.fixed, outputs.copy, progress)
        for line in fixed.told():
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 2 if dataset is None or (faults and data.on_bad_sample == "error") else 0
