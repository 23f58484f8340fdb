"""Text, tables and numbers of the page sections that benchmarks write between two markers; all other text is kept."""

import math
import os
import platform
import re
import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch


def write_part(page: Path, name: str, text: str) -> None:
    """Write a text between the markers `<!-- NAME: begin -->` and `<!-- NAME: end -->` of a page.

    Raises:
        ValueError: if the page does not contain each marker exactly once, in this order.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    content = page.read_text(encoding="utf-8")
    before, opening, remainder = content.partition(begin)
    _, closing, after = remainder.partition(end)
    if not opening or not closing or begin in remainder or end in after:
        raise ValueError(f"{page}: needs the lines {begin} and {end}, once each and in this order")
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")


def prose(text: str) -> str:
    """Return the text as one paragraph, wrapped at 120 characters like the pages."""
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def wrap(text: str) -> str:
    """Return the text with each paragraph wrapped as by `prose`; headings stay single lines."""
    blocks = text.strip().split("\n\n")
    return "\n\n".join(block if block.startswith("#") else prose(block) for block in blocks)


def table(columns: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns after the first are aligned to the right."""
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, rule, *body))


def number(value: float) -> str:
    """Return a number with three significant digits and the suffix k, M or G."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{three_digits(value / unit)}{name}"
    return f"{value:.0f}"


def three_digits(value: float) -> str:
    """Return a number with three significant digits, or all digits before the decimal point, without an exponent.

    >>> [three_digits(value) for value in (0, 0.0123, 1.234, 99.99, 1234.5)]
    ['0', '0.0123', '1.23', '100', '1234']
    """
    rounded = float(f"{value:.3g}")
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}" if rounded else "0"


def machine(threads: int) -> str:
    """Return processor, cores, threads and versions of torch and timm as text."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = f"torch {torch.__version__}, timm {version('timm')}"
    return f"{_processor()}, {cores} cores, {threads} {'thread' if threads == 1 else 'threads'}, float32, {versions}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    match = (
        re.search(r"^model name\s*: (.+)$", info.read_text(encoding="utf-8"), re.MULTILINE) if info.is_file() else None
    )
    return match[1] if match else platform.processor() or platform.machine()
