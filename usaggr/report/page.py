"""index.html: the report's document as one page that needs no network, with its pictures, style and script inside.

The template escapes everything; only what markdown-it makes of a line of inline Markdown (raw HTML is off) is trusted.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from usaggr.report.document import Cell, Document, Picture, Section, TextTable

_TEMPLATES = Path(__file__).parent / "templates"
_FILTERED = 8
"""Tables with more rows get a field to filter them."""
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}
_VERDICTS = ("gain", "no_loss", "loss", "undecided")


@dataclass(frozen=True)
class _Heading:
    """A section as the table of contents has it."""

    anchor: str
    section: Section
    level: int
    inner: tuple["_Heading", ...]


def render_page(document: Document, folder: Path) -> str:
    """The whole of index.html; pictures are read from the report's folder and put into the page.

    Of a figure that stands beside its PNG as SVG, the smaller file is taken.

    Raises:
        OSError: a picture is not there.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    inline = MarkdownIt("commonmark", {"html": False}).disable("image")
    anchors: dict[str, int] = {}
    environment.filters |= {
        "inline": lambda text: Markup(inline.renderInline(text)),
        "kind": lambda block: type(block).__name__,
        "image": partial(_image, folder),
        "cells": _cells,
        "kinds": _kinds,
    }
    style, script = ((_TEMPLATES / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    page = environment.get_template("page.html.j2").render(
        document=document,
        headings=[_heading(section, 2, anchors) for section in document.sections],
        style=Markup(style),
        script=Markup(script),
        filtered=_FILTERED,
    )
    return re.sub(r"\n\s*\n+", "\n", page)


def _heading(section: Section, level: int, anchors: dict[str, int]) -> _Heading:
    """A section with an anchor of its own, made of its title."""
    slug = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
    anchors[slug] = anchors.get(slug, 0) + 1
    anchor = slug if anchors[slug] == 1 else f"{slug}-{anchors[slug]}"
    inner = tuple(_heading(part, level + 1, anchors) for part in section.sections)
    return _Heading(anchor, section, level, inner)


def _image(folder: Path, picture: Picture) -> str:
    """A data URI."""
    path = folder / picture.path
    drawn = path.with_suffix(".svg")
    if drawn.is_file() and drawn.stat().st_size < path.stat().st_size:
        path = drawn
    return f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _cells(table: TextTable) -> Iterator[list[dict[str, Any]]]:
    """Rows of cells with what they show, what they are sorted by, and their mark."""
    for row in table.rows:
        cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
        yield [
            {"text": cell.text, "sort": cell.sort, "kind": cell.kind, "number": name in table.numbers}
            for name, cell in zip(table.columns, cells, strict=True)
        ]


def _kinds(table: TextTable) -> list[str]:
    """Verdicts that stand in a table: it can be filtered by them."""
    found = {cell.kind for row in table.rows for cell in row if isinstance(cell, Cell)}
    return [name for name in _VERDICTS if name in found]
