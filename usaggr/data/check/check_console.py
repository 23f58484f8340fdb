"""Tables and lines of `usaggr data check` on a terminal, and near-identical images as a CSV."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usaggr.data.check.class_balance import SubsetBalance
from usaggr.data.check.deep_check import Findings
from usaggr.data.check.kind_counts import KIND_COLUMNS
from usaggr.data.check.near_duplicates import NearPair
from usaggr.data.check.perceptual_hash import BITS
from usaggr.data.check.statistics import ImageStatistics
from usaggr.data.samples import Sample
from usaggr.document.display_names import pluralize
from usaggr.results.split import SUBSETS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MAX_PAIRS = 10
"""Largest number of near-identical pairs that are printed."""
MAX_PAIRS_WITH_ERRORS = 3
"""The same if there are errors."""
MAX_TASKS = 4
"""Largest number of tasks that are named for a kind of files."""
MAX_OUTLIERS = 3
"""Largest number of outliers that are printed per task."""
STATISTICS_COLUMNS = ("task", "images", "height x width", "color", "bits", "brightness ± SD", "contrast (SD)", "black")
"""Columns of the table of image statistics; `format_statistics` gives its rows."""


@dataclass(frozen=True)
class _Block:
    """A part of the printed findings."""

    name: str
    """Name of the part in the plural."""
    priority: int
    """If there is no room for all parts, those with the smallest numbers are printed."""
    lines: Sequence[str] = ()
    table: "Table | None" = None
    """Table in the place of lines."""

    def count_lines(self, console: "Console") -> int:
        """Return the height on a terminal, without the wrapping of long lines."""
        if self.table is None:
            return len(self.lines)
        with console.capture() as capture:
            console.print(self.table, highlight=False, markup=False)
        return len(capture.get().splitlines())

    def print_to(self, console: "Console") -> None:
        """Print the part."""
        if self.table is not None:
            console.print(self.table, highlight=False, markup=False)
        for line in self.lines:
            # No wrapping and no markup: paths stay copyable, and names of files may contain square brackets.
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_findings(findings: Findings, console: "Console", room: int | None = None) -> None:
    """Print the balance of the subsets, image statistics, class shares, outliers and near-identical images.

    Args:
        findings: Findings in valid samples.
        console: Terminal.
        room: Largest number of lines; parts that do not fit are named in the last one. None for no limit.
    """
    blocks = _list_blocks(findings, MAX_PAIRS if room is None else MAX_PAIRS_WITH_ERRORS)
    omitted: list[str] = []
    if room is not None:
        remaining = room - 1
        for block in sorted(blocks, key=lambda block: block.priority):
            if (height := block.count_lines(console)) <= remaining:
                remaining -= height
            else:
                omitted.append(block.name)
    for block in blocks:
        if block.name not in omitted:
            block.print_to(console)
    if omitted:
        line = f"note: not printed because of the errors: {', '.join(omitted)} (--html FILE shows them)"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _list_blocks(findings: Findings, most_pairs: int) -> list[_Block]:
    """Return all parts of the findings in the order in which they are printed."""
    shares = [
        f"{entry.task}: share of pixels of each class: "
        + ", ".join(f"{name} {100 * share:.2g} %" for name, share in entry.shares.items())
        for entry in findings.shares
    ]
    if findings.split_error:
        text = "note: the subsets were not checked, because there is no valid split (see the error below)"
        blocks = [_Block("balance of the subsets", 5, [text])]
    else:
        blocks = [_Block("balance of the subsets", 5, table=_make_balance_table(findings.balance))]
        if findings.proof is not None:
            blocks.append(_Block("proof of disjoint subsets", 2, [findings.proof.describe()]))
    return [
        *blocks,
        _Block("statistics of images", 4, table=_make_statistics_table(findings.statistics)),
        _Block("kinds of files", 3, table=_make_kinds_table(findings)),
        _Block("shares of classes", 6, shares),
        _Block("outliers", 7, _list_outliers(findings.statistics)),
        _Block("near-identical images", 1, _list_near_pairs(findings, most_pairs)),
    ]


def _list_outliers(entries: Sequence[ImageStatistics]) -> list[str]:
    lines: list[str] = []
    for statistics in entries:
        for outlier in statistics.outliers[:MAX_OUTLIERS]:
            position = f"{outlier.sample.csv_file}, line {outlier.sample.row}"
            lines.append(f"outlier: {position}: {format_image_path(outlier.sample)}: {outlier.reason}")
        if (more := len(statistics.outliers) - MAX_OUTLIERS) > 0:
            lines.append(f"outlier: {more} more in {statistics.task} (--html FILE shows them)")
    return lines


def _list_near_pairs(findings: Findings, most_pairs: int) -> list[str]:
    lines = [f"near-identical: {describe_pair(pair)}" for pair in findings.near_pairs[:most_pairs]]
    if (more := len(findings.near_pairs) - most_pairs) > 0:
        lines.append(f"near-identical: {pluralize(more, 'more pair')} (--pairs FILE lists all)")
    if not findings.split_error:
        lines.append(count_pairs(findings.near_pairs))
        if findings.near_pairs:
            lines.append("If two images show the same patient, give them the same subject_id: they stay in one subset.")
    return lines


def count_pairs(pairs: Sequence[NearPair]) -> str:
    """Return the number of near-identical pairs in words."""
    images = "pair of near-identical images" if len(pairs) == 1 else "pairs of near-identical images"
    return f"{len(pairs)} {images} in different subsets"


def describe_pair(pair: NearPair) -> str:
    """Return one line with the distance of a pair, and the file, tasks, subset and subject of both images."""
    images = [
        f"{format_image_path(image.sample)} ({', '.join(image.tasks)}; {image.subset}; "
        f"subject {format_subject(image.sample)})"
        for image in (pair.first, pair.second)
    ]
    return f"{' and '.join(images)}: {pair.distance} of {BITS} bits differ"


def write_pairs(pairs: Sequence[NearPair], path: Path) -> None:
    """Write near-identical images as a CSV with one row per pair."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = ("image", "tasks", "fold", "subject_id", "csv_file", "row")
        writer.writerow(["distance", *(f"{column}_{number}" for number in (1, 2) for column in columns)])
        for pair in pairs:
            cells: list[object] = [pair.distance]
            for image in (pair.first, pair.second):
                sample = image.sample
                cells += [sample.sample_id, " ".join(image.tasks), image.subset]
                cells += [sample.subject_id, sample.csv_file, sample.row]
            writer.writerow(cells)


def format_subject(sample: Sample) -> str:
    """Return the normalized subject of a sample, or "unknown" if the index has none."""
    # A sample without a subject has the hash of its image as its subject_id.
    return "unknown" if sample.subject_id == sample.image_hash else sample.subject_id


def format_image_path(sample: Sample) -> str:
    """Return the path of a sample's image relative to the data's root, without the index's leading `../`."""
    return sample.sample_id.removeprefix("../")


def _make_balance_table(entries: Sequence[SubsetBalance]) -> "Table":
    from rich.table import Table

    table = Table("task", title="samples / subjects, and the smallest class, in each subset", title_justify="left")
    for subset in SUBSETS:
        table.add_column(subset)
    for task in dict.fromkeys(entry.task for entry in entries):
        table.add_row(task, *(format_balance(entry) for entry in entries if entry.task == task))
    return table


def format_balance(entry: SubsetBalance) -> str:
    """Return the samples, subjects and smallest class of a task in a subset, such as "70 / 35, benign 12"."""
    counts = f"{entry.samples} / {entry.subjects}"
    return f"{counts}, {entry.smallest[0]} {entry.smallest[1]}" if entry.smallest else counts


def _make_statistics_table(entries: Sequence[ImageStatistics]) -> "Table":
    from rich.table import Table

    table = Table(*STATISTICS_COLUMNS, title="images", title_justify="left")
    for entry in entries:
        table.add_row(*format_statistics(entry))
    return table


def _make_kinds_table(findings: Findings) -> "Table":
    from rich.table import Table

    table = Table(*KIND_COLUMNS, title="kinds of files", title_justify="left")
    for entry in findings.kinds:
        table.add_row(*entry.format_row(len(findings.statistics), MAX_TASKS))
    return table


def format_statistics(entry: ImageStatistics) -> tuple[str, ...]:
    """Return the row of a task in the table of image statistics, in the order of `STATISTICS_COLUMNS`."""
    smallest, largest = (f"{entry.height[end]} x {entry.width[end]}" for end in (0, 1))
    if entry.color_images == 0:
        color = "grayscale"
    elif entry.color_images == entry.images:
        color = "color"
    else:
        color = f"{entry.color_images} in color"
    if len(entry.bits) == 1:
        bits = str(next(iter(entry.bits)))
    else:
        bits = ", ".join(f"{depth} ({n})" for depth, n in entry.bits.items())
    return (
        entry.task,
        str(entry.images),
        smallest if smallest == largest else f"{smallest} to {largest}",
        color,
        bits,
        f"{entry.mean:.0f} ± {entry.mean_sd:.0f}",
        f"{entry.sd:.0f}",
        f"{100 * entry.black:.0f} %",
    )
