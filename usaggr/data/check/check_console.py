"""Tables and lines of `usaggr data check` on a terminal, and near-duplicates as a CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.data.check.class_balance import FoldBalance
from usaggr.data.check.deep_check import Findings
from usaggr.data.check.near_duplicates import NearPair
from usaggr.data.check.perceptual_hash import BITS
from usaggr.data.check.statistics import ImageStatistics
from usaggr.data.samples import Sample
from usaggr.results.split import SUBSETS

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_PAIRS = 10
SHOWN_OUTLIERS = 3
"""Largest number of outliers printed per task."""
STATISTICS = ("task", "images", "height x width", "colours", "bits", "mean ± SD over images", "contrast", "black")
"""Columns of the table of image statistics; `statistics_cells` gives its rows."""


def print_findings(findings: Findings, console: "Console") -> None:
    """Print the balance of the folds, image statistics, class shares, outliers and near-duplicates."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if findings.no_split:
        say(f"note: no folds to look at: {findings.no_split}")
    else:
        _print_balance(findings.balance, console)
        if findings.proof is not None:
            say(findings.proof.sentence())
    _print_statistics(findings.statistics, console)
    for entry in findings.shares:
        say(f"{entry.task}: share of pixels: " + ", ".join(f"{n} {100 * s:.2g} %" for n, s in entry.shares.items()))
    for statistics in findings.statistics:
        for outlier in statistics.outliers[:SHOWN_OUTLIERS]:
            say(f"outlier: {outlier.sample.csv_file}, line {outlier.sample.row}: {sample_name(outlier.sample)}: "
                f"{outlier.what}")  # fmt: skip
        if (more := len(statistics.outliers) - SHOWN_OUTLIERS) > 0:
            say(f"outlier: {more} more of {statistics.task} (--html FILE shows them)")
    for pair in findings.near[:SHOWN_PAIRS]:
        say(f"near-duplicate: {describe_pair(pair)}")
    if (more := len(findings.near) - SHOWN_PAIRS) > 0:
        say(f"near-duplicate: {more} more pairs (--pairs FILE lists them all)")
    if not findings.no_split:
        say(
            f"{len(findings.near)} near-duplicate pairs over folds"
            + ("; one subject_id for what is one patient keeps them together" if findings.near else "")
        )


def describe_pair(pair: NearPair) -> str:
    """Return one line with the distance of a pair, and the file, tasks, fold and subject of both images."""
    sides = (
        f"{sample_name(side.sample)} ({', '.join(side.tasks)}; {side.fold}; subject {subject_name(side.sample)})"
        for side in (pair.first, pair.second)
    )
    return f"{pair.distance} of {BITS} bits differ: " + " and ".join(sides)


def write_pairs(pairs: Sequence[NearPair], path: Path) -> None:
    """Write near-duplicates as a CSV with one row per pair."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        sides = ("image", "tasks", "fold", "subject_id", "csv_file", "row")
        writer.writerow(["distance", *(f"{side}_{number}" for number in (1, 2) for side in sides)])
        for pair in pairs:
            cells: list[object] = [pair.distance]
            for side in (pair.first, pair.second):
                sample = side.sample
                cells += [
                    sample.sample_id, " ".join(side.tasks), side.fold, sample.subject_id, sample.csv_file, sample.row,
                ]  # fmt: skip
            writer.writerow(cells)


def subject_name(sample: Sample) -> str:
    """Return the subject of a sample, as the index gives it."""
    return "not known" if sample.subject_id == sample.image_hash else sample.subject_id


def sample_name(sample: Sample) -> str:
    """Return the path of a sample's image, without the way out of the folder of index files."""
    return sample.sample_id.removeprefix("../")


def _print_balance(entries: Sequence[FoldBalance], console: "Console") -> None:
    from rich.table import Table

    table = Table("task", title="samples / subjects, and the smallest class, in each fold", title_justify="left")
    for fold in SUBSETS:
        table.add_column(fold)
    for task in dict.fromkeys(entry.task for entry in entries):
        table.add_row(task, *(balance_cell(entry) for entry in entries if entry.task == task))
    console.print(table, highlight=False, markup=False)


def balance_cell(entry: FoldBalance) -> str:
    """Return the samples, subjects and smallest class of a task in a fold, in a few words."""
    words = f"{entry.samples} / {entry.subjects}"
    return f"{words}, {entry.smallest[0]} {entry.smallest[1]}" if entry.smallest else words


def _print_statistics(entries: Sequence[ImageStatistics], console: "Console") -> None:
    from rich.table import Table

    table = Table(*STATISTICS, title="images", title_justify="left")
    for entry in entries:
        table.add_row(*statistics_cells(entry))
    console.print(table, highlight=False, markup=False)


def statistics_cells(entry: ImageStatistics) -> tuple[str, ...]:
    """Return the row of a task in the table of image statistics, in the order of `STATISTICS`."""
    low, high = (f"{entry.height[end]} x {entry.width[end]}" for end in (0, 1))
    return (
        entry.task,
        str(entry.images),
        low if low == high else f"{low} to {high}",
        "none" if not entry.coloured else "all" if entry.coloured == entry.images else f"{entry.coloured} images",
        ", ".join(f"{bits}" if len(entry.bits) == 1 else f"{bits} ({n})" for bits, n in entry.bits.items()),
        f"{entry.mean:.0f} ± {entry.mean_sd:.0f}",
        f"{entry.sd:.0f}",
        f"{100 * entry.black:.0f} %",
    )
