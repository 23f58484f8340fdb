"""Parts of a page that a benchmark writes, between two markers; what people write around them stays as it is."""

import math
import os
import platform
import re
import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch


def write_part(page: Path, part: str, text: str) -> None:
    """Put a text between the markers `<!-- PART: begin -->` and `<!-- PART: end -->` of a page.

    Raises:
        ValueError: the page does not have each marker once, the first before the second.
    """
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    content = page.read_text()
    before, found, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed or begin in rest or end in after:
        raise ValueError(f"{page}: needs the lines {begin} and {end}, once each and in this order")
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def prose(text: str) -> str:
    """One paragraph, in lines as long as those around it."""
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, rule, *rows))


def number(value: float) -> str:
    """Three digits, with k, M or G."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{three_digits(value / unit)}{name}"
    return f"{value:.0f}"


def three_digits(value: float) -> str:
    """Three significant digits and all those before the point, never in powers of ten.

    >>> [three_digits(value) for value in (0, 0.0123, 1.234, 99.99, 1234.5)]
    ['0', '0.0123', '1.23', '100', '1234']
    """
    rounded = float(f"{value:.3g}")
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}" if rounded else "0"


def machine(threads: int) -> str:
    """Processor, cores, threads and versions, in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = f"torch {torch.__version__}, timm {version('timm')}"
    return f"{_processor()}, {cores} cores, {threads} {'thread' if threads == 1 else 'threads'}, float32, {versions}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", info.read_text(), re.MULTILINE) if info.is_file() else None
    return found[1] if found else platform.processor() or platform.machine()
