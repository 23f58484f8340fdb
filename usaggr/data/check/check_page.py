"""`usaggr data check --html FILE`: all that was found as one page that needs no network, with pictures.

The template escapes everything, and the page's policy lets nothing be fetched and no script run.
"""

import base64
import hashlib
import io
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usaggr.config.study import DataConfig
from usaggr.data.check.check_console import told_fold, told_statistics
from usaggr.data.check.deep_check import Findings
from usaggr.data.check.label_maps import LabelMap
from usaggr.data.check.near_duplicates import Appearance
from usaggr.data.check.perceptual_hash import BITS
from usaggr.data.read.images import read_image
from usaggr.data.samples import Dataset, Fault, Sample
from usaggr.data.show.sample_sheet import draw_sheet
from usaggr.io.atomic_files import write_atomic
from usaggr.progress import Progress
from usaggr.results.split import FOLDS

PAIRS = 40
"""Near-duplicates that are shown with their pictures."""
OUTLIERS = 8
"""Of each task."""
FAULTS = 200
"""Listed."""
_SIDE = 240
"""Pixels of a small picture, at the most."""
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class _Shown:
    """A small picture with what stands under it."""

    uri: str
    name: str
    lines: tuple[str, ...]


def write_page(
    dataset: Dataset, faults: Sequence[Fault], findings: Findings, data: DataConfig, path: Path, progress: Progress
) -> None:
    """Write the page.

    Raises:
        DataError: an image cannot be read any more.
        WriteError: the page cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    pairs = findings.near[:PAIRS]
    outliers = [(entry, entry.outliers[:OUTLIERS]) for entry in findings.statistics if entry.outliers]
    progress.start("drawing the page", len(pairs) + len(outliers) + len(dataset.tasks))

    def shown(sample: Sample, *lines: str) -> _Shown:
        return _Shown(_small(sample.image_path, data.max_pixels), sample.sample_id.removeprefix("../"), lines)

    try:
        pictures = []
        for pair in pairs:
            sides = [shown(side.sample, *_side_lines(side)) for side in (pair.first, pair.second)]
            pictures.append((pair.distance, sides))
            progress.advance()
        odd = []
        for entry, few in outliers:
            odd.append((entry.task, len(entry.outliers), [shown(outlier.sample, outlier.what) for outlier in few]))
            progress.advance()
        sheet, maps = _sheet(dataset, data.max_pixels), _maps(findings.maps)
        progress.advance(len(dataset.tasks))
    finally:
        progress.finish()
    style = (_TEMPLATES / "check.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template("check.html.j2").render(
        style=Markup(style),
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'",
        dataset=dataset,
        faults=faults[:FAULTS],
        fault_count=len(faults),
        kinds=Counter(fault.kind for fault in faults).most_common(),
        findings=findings,
        folds=FOLDS,
        balance=_balance_rows(findings),
        statistics=[told_statistics(entry) for entry in findings.statistics],
        pairs=pictures,
        bits=BITS,
        outliers=odd,
        sheet=sheet,
        maps=maps,
    )
    write_atomic(path, re.sub(r"\n\s*\n", "\n", page) + "\n")


def _side_lines(side: Appearance) -> tuple[str, ...]:
    sample = side.sample
    subject = "not known" if sample.subject_id == sample.image_hash else sample.subject_id
    return f"{side.fold}; {', '.join(side.tasks)}", f"subject {subject}", f"{sample.csv_file}, line {sample.row}"


def _balance_rows(findings: Findings) -> list[tuple[str, list[str]]]:
    tasks = dict.fromkeys(entry.task for entry in findings.balance)
    return [(task, [told_fold(entry) for entry in findings.balance if entry.task == task]) for task in tasks]


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _small(path: Path, max_pixels: int) -> str:
    """An image made small, as a data URI."""
    from PIL import Image

    image = Image.fromarray(read_image(path, 3, max_pixels))
    image.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=80)
    return _uri(content.getvalue(), "jpeg")


def _sheet(dataset: Dataset, max_pixels: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.png"
        draw_sheet(dataset, path, max_pixels)
        return _uri(path.read_bytes(), "png")


def _maps(maps: Sequence[LabelMap]) -> list[tuple[str, str, str]]:
    """Task, what the map is of and its largest value, and the picture of each map."""
    return [
        (entry.task, f"{entry.name}: up to {100 * entry.shares.max():.0f} % of samples", _picture(entry))
        for entry in maps
    ]


def _picture(entry: LabelMap) -> str:
    from matplotlib import colormaps
    from PIL import Image

    colours: Callable[..., Any] = colormaps["viridis"]
    scaled = entry.shares / max(entry.shares.max(), 1e-9)
    image = Image.fromarray((255 * colours(scaled)[:, :, :3]).astype("uint8")).resize(
        (160, 160), Image.Resampling.NEAREST
    )
    content = io.BytesIO()
    image.save(content, "PNG")
    return _uri(content.getvalue(), "png")
