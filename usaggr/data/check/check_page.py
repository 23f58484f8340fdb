"""The page of `usaggr data check --html FILE`: all findings with pictures, in one file that loads nothing."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usaggr.config.study import DataConfig
from usaggr.data.check.check_console import (
    STATISTICS_COLUMNS,
    count_pairs,
    format_balance,
    format_image_path,
    format_statistics,
    format_subject,
)
from usaggr.data.check.deep_check import Findings
from usaggr.data.check.image_scan import BLACK
from usaggr.data.check.kind_counts import KIND_COLUMNS
from usaggr.data.check.label_maps import LabelMap
from usaggr.data.check.near_duplicates import DistinctImage
from usaggr.data.check.perceptual_hash import BITS
from usaggr.data.read.images import read_image
from usaggr.data.read.remedies import describe_with_remedy
from usaggr.data.samples import Dataset, Fault, Sample
from usaggr.data.show.sample_sheet import draw_sheet
from usaggr.document.display_names import pluralize
from usaggr.document.elements import (
    Block,
    Document,
    Gallery,
    Items,
    Paragraph,
    Picture,
    Section,
    TextTable,
    escape_markdown,
)
from usaggr.document.html import render_page
from usaggr.io.atomic_files import write_atomic
from usaggr.progress import Progress
from usaggr.results.split import SUBSETS

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PAIRS = 40
"""Largest number of near-identical pairs with pictures."""
MAX_OUTLIERS = 8
"""Largest number of outliers with pictures per task."""
MAX_FAULTS = 200
"""Largest number of errors in the table."""
_PICTURE_SIDE = 240
"""Largest height and width of a small picture, in pixels."""
_LABEL_MAP_SIDE = 160
"""Height and width of the picture of a label map, in pixels."""


def write_page(
    dataset: Dataset, faults: Sequence[Fault], findings: Findings, data: DataConfig, path: Path, progress: Progress
) -> None:
    """Write the page; pictures are drawn in a temporary folder and then embedded in it.

    Args:
        dataset: The valid samples.
        faults: Errors of the invalid rows.
        findings: Findings in the valid samples.
        data: Configuration that the data set was read with.
        path: The HTML file.
        progress: Advances by one for each pair, each task with outliers, and each task of the sample sheet.

    Raises:
        DataError: An image that was read before cannot be read now.
        WriteError: The page cannot be written.
    """
    pairs = min(len(findings.near_pairs), MAX_PAIRS)
    tasks_with_outliers = sum(bool(entry.outliers) for entry in findings.statistics)
    progress.start("drawing the page", pairs + tasks_with_outliers + len(dataset.tasks))
    try:
        with tempfile.TemporaryDirectory() as folder:
            pictures = _Pictures(Path(folder), data.max_pixels)
            document = Document(
                f"Data check: {dataset.root.name}",
                (Paragraph(_summarize(dataset, faults, findings)),),
                (
                    Section("Errors", tuple(_list_errors(dataset, faults))),
                    Section(
                        "Near-identical images in different subsets", tuple(_show_pairs(findings, pictures, progress))
                    ),
                    Section("Balance of the subsets", tuple(_show_balance(findings))),
                    Section("Images", (_tabulate_images(findings), _tabulate_kinds(findings))),
                    _show_outliers(findings, pictures, progress),
                    Section("Labels", tuple(_show_labels(findings, pictures))),
                    Section("Samples with their labels", (pictures.draw_sheet(dataset),)),
                ),
            )
            progress.advance(len(dataset.tasks))
            write_atomic(path, render_page(document, Path(folder)))
    finally:
        progress.finish()


class _Pictures:
    """Draws the image files of the page in a temporary folder; the page then contains their content."""

    def __init__(self, folder: Path, max_pixels: int) -> None:
        self._folder = folder
        self._max_pixels = max_pixels
        self._count = 0

    def draw_sample(self, sample: Sample, description: str) -> Picture:
        """Return a small picture of a sample's image."""
        from PIL import Image

        image = Image.fromarray(read_image(sample.image_path, 3, self._max_pixels, sample.reading))
        image.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
        return Picture(self._save(image, "jpg"), format_image_path(sample), description)

    def draw_label_map(self, entry: LabelMap) -> Picture:
        """Return a picture of a label map, with its largest value in yellow."""
        from matplotlib import colormaps
        from PIL import Image

        colormap: Callable[..., Any] = colormaps["viridis"]
        scaled = entry.shares / max(entry.shares.max(), 1e-9)  # no division by zero for a map that is 0 everywhere
        image = Image.fromarray((255 * colormap(scaled)[:, :, :3]).astype("uint8"))
        image = image.resize((_LABEL_MAP_SIDE, _LABEL_MAP_SIDE), Image.Resampling.NEAREST)
        description = f"{entry.name}: up to {100 * entry.shares.max():.0f} % of samples"
        return Picture(self._save(image, "png"), entry.task, description)

    def draw_sheet(self, dataset: Dataset) -> Picture:
        """Draw the sample sheet, which shows samples of each task with their labels."""
        draw_sheet(dataset, self._folder / "sheet.png", self._max_pixels)
        return Picture("sheet.png", "Sample sheet", "Samples of each task with their labels drawn in.")

    def _save(self, image: "Image", suffix: str) -> str:
        self._count += 1
        name = f"{self._count}.{suffix}"
        image.save(self._folder / name, quality=80)  # the quality applies to JPEG; PNG ignores it
        return name


def _summarize(dataset: Dataset, faults: Sequence[Fault], findings: Findings) -> str:
    errors = f"**{pluralize(len(faults), 'error')}**" if faults else "no errors"
    if findings.split_error:
        pairs_text = "**no valid split**"
    elif findings.near_pairs:
        pairs_text = f"**{count_pairs(findings.near_pairs)}**"
    else:
        pairs_text = "no near-identical images in different subsets"
    return (
        f"{pluralize(len(dataset.samples), 'valid sample')} of {pluralize(len(dataset.tasks), 'task')}; "
        f"{errors}; {pairs_text}. Images in {escape_markdown(dataset.root)}."
    )


def _list_errors(dataset: Dataset, faults: Sequence[Fault]) -> Iterator[Block]:
    if faults:
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(fault.kind for fault in faults).most_common())
        yield Paragraph(
            f"{escape_markdown(kinds)}. The rows below are left out until they are fixed. `--fix DIR` fixes errors "
            "that need no guess."
        )
        table_rows = tuple(
            (fault.csv_file, str(fault.row), fault.column, fault.file, describe_with_remedy(fault))
            for fault in faults[:MAX_FAULTS]
        )
        yield TextTable(
            ("index", "line", "column", "file", "error"),
            table_rows,
            ("line",),
            left_out=max(len(faults) - MAX_FAULTS, 0),
        )
    else:
        yield Paragraph("All rows and files are valid.")
    for warning in dataset.warnings:
        yield Paragraph(f"Note: {escape_markdown(warning)}")


def _show_pairs(findings: Findings, pictures: _Pictures, progress: Progress) -> Iterator[Block]:
    if findings.split_error:
        yield Paragraph(f"There are no subsets to compare: {escape_markdown(findings.split_error)}")
        return
    if not findings.near_pairs:
        yield Paragraph("No two images in different subsets look the same.")
        return
    yield Paragraph(
        "These images look the same but are in different subsets, because neither their bytes nor their subject "
        "connect them. A model would be tested on images that it was trained on. If two images show the same patient, "
        "give them the same `subject_id`."
    )
    for pair in findings.near_pairs[:MAX_PAIRS]:
        images = (pair.first, pair.second)
        shown = tuple(pictures.draw_sample(image.sample, _describe_image(image)) for image in images)
        yield Gallery(shown, f"**{pair.distance} of {BITS} bits differ**")
        progress.advance()
    if (more := len(findings.near_pairs) - MAX_PAIRS) > 0:
        yield Paragraph(f"{pluralize(more, 'more pair is', 'more pairs are')} not shown; `--pairs FILE` lists all.")


def _describe_image(image: DistinctImage) -> str:
    sample = image.sample
    subject = format_subject(sample)
    return f"{image.subset}; {', '.join(image.tasks)}; subject {subject}; {sample.csv_file}, line {sample.row}"


def _show_balance(findings: Findings) -> Iterator[Block]:
    if findings.proof is not None:
        sentence = escape_markdown(findings.proof.describe())
        sentence = f"{sentence[:1].upper()}{sentence[1:]}."
        yield Paragraph(sentence if findings.proof.is_disjoint else f"**{sentence}**")
    if not findings.balance:
        yield Paragraph("There are no subsets.")
        return
    cells: dict[str, list[str]] = {}
    for entry in findings.balance:
        cells.setdefault(entry.task, [entry.task]).append(format_balance(entry))
    yield TextTable(
        ("task", *SUBSETS),
        tuple(map(tuple, cells.values())),
        caption="Samples / subjects in each subset, and the class with the fewest samples (for segmentation: masks "
        "that show it).",
    )


def _tabulate_images(findings: Findings) -> TextTable:
    return TextTable(
        STATISTICS_COLUMNS,
        tuple(map(format_statistics, findings.statistics)),
        caption="Gray values are from 0 to 255. Brightness is the mean gray value, with its standard deviation over "
        "images. Contrast is the standard deviation within an image, averaged over images. Black is the share of "
        f"pixels with values up to {BLACK}.",
    )


def _tabulate_kinds(findings: Findings) -> TextTable:
    return TextTable(
        KIND_COLUMNS,
        tuple(entry.format_row(len(findings.statistics), None) for entry in findings.kinds),
        ("files",),
        caption="Kinds of files, how they are read where there is a choice, and the number of files in each task.",
    )


def _show_outliers(findings: Findings, pictures: _Pictures, progress: Progress) -> Section:
    sections = []
    for entry in findings.statistics:
        if entry.outliers:
            shown = tuple(
                pictures.draw_sample(outlier.sample, outlier.reason) for outlier in entry.outliers[:MAX_OUTLIERS]
            )
            sections.append(Section(f"{entry.task}: {len(entry.outliers)}", (Gallery(shown),)))
            progress.advance()
    text = (
        "These images differ strongly from the others of their task in brightness, contrast, size or shape, or are "
        "of a rare kind."
        if sections
        else "There are no outliers."
    )
    return Section("Outliers", (Paragraph(text),), tuple(sections))


def _show_labels(findings: Findings, pictures: _Pictures) -> Iterator[Block]:
    if findings.shares:
        yield Paragraph("Share of pixels of each class, over all masks of a task:")
        yield Items(
            tuple(
                escape_markdown(
                    f"{entry.task}: " + ", ".join(f"{name} {100 * s:.2g} %" for name, s in entry.shares.items())
                )
                for entry in findings.shares
            )
        )
    if findings.maps:
        yield Paragraph(
            "The maps show where labels are, with each image stretched to a square. Yellow is the map's largest value, "
            "dark blue is zero. A label that is always at the same place can be guessed without the image."
        )
        yield Gallery(tuple(map(pictures.draw_label_map, findings.maps)))
