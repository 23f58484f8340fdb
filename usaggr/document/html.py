"""A document as one HTML page that needs no network: pictures, style and script are embedded.

The template escapes everything and trusts only the HTML made from inline Markdown, in which raw HTML is off. The page's
Content-Security-Policy forbids all requests, and every script but the page's own, even if a script got into the page.
"""

import base64
import hashlib
import re
import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from usaggr.document.elements import Document, Picture, Section
from usaggr.document.html_table import prepare_table
from usaggr.document.inline import render_inline_html, strip_markup

_TEMPLATES = Path(__file__).parent / "templates"
_FILTERED = 8
"""Tables with more rows than this get a field to filter them."""
_WIDE = 8
"""Tables with more columns than this have their intervals under the numbers."""
_DEEPEST = 6
"""Deepest heading level in HTML: h6."""
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class _Heading:
    """A section with its anchor and heading level, for the table of contents."""

    anchor: str
    section: Section
    level: int
    inner: tuple["_Heading", ...]


@dataclass(frozen=True)
class _Image:
    uri: str
    """Content of the file, as a data URI."""
    width: int | None
    """Pixels; None for other files than PNG."""
    height: int | None


def render_page(document: Document, folder: Path) -> str:
    """Return the page, with the pictures of the document's folder embedded.

    If a picture exists as PNG and as SVG, the smaller file is used.

    Raises:
        OSError: a picture does not exist.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    anchors: dict[str, int] = {}
    environment.filters |= {
        "inline": lambda text: Markup(render_inline_html(text)),
        "plain": strip_markup,
        "kind": lambda block: type(block).__name__,
        "image": partial(_embed_image, folder),
        "shown": prepare_table,
        "marked": lambda title: re.sub(r"^(\W) ", "\\1\u00a0", title),  # no line break between a mark and its word
        "breakable": lambda text: Markup(str(escape(text)).replace("_", "_<wbr>")),
    }
    style, script = (
        _remove_empty_lines((_TEMPLATES / f"page.{kind}").read_text(encoding="utf-8")) for kind in ("css", "js")
    )
    page = environment.get_template("page.html.j2").render(
        document=document,
        headings=[_make_heading(section, 2, anchors) for section in document.sections],
        style=Markup(style),
        script=Markup(script),
        policy="; ".join([
            "default-src 'none'", "base-uri 'none'", "form-action 'none'", "img-src data:",
            f"style-src '{_hash_for_policy(style)}'", f"script-src '{_hash_for_policy(script)}'",
        ]),
        filtered=_FILTERED,
        wide=_WIDE,
    )  # fmt: skip
    return _remove_empty_lines(page)


def _remove_empty_lines(text: str) -> str:
    """Return text without empty lines.

    Style and script go through it before their hashes are computed, so that removing the page's empty lines later does
    not change them.
    """
    return re.sub(r"\n\s*\n", "\n", text)


def _hash_for_policy(text: str) -> str:
    """Return the hash that allows an inline style or script in a Content-Security-Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _make_heading(section: Section, level: int, anchors: dict[str, int]) -> _Heading:
    """Give a section and those under it unique anchors, made from their titles."""
    slug = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
    anchors[slug] = anchors.get(slug, 0) + 1
    anchor = slug if anchors[slug] == 1 else f"{slug}--{anchors[slug]}"  # no title alone has two hyphens in a row
    inner = tuple(_make_heading(subsection, level + 1, anchors) for subsection in section.sections)
    return _Heading(anchor, section, min(level, _DEEPEST), inner)


def _embed_image(folder: Path, picture: Picture) -> _Image:
    """Return a picture's file as a data URI, from the SVG of the same name if that is smaller."""
    path = folder / picture.path
    vector = path.with_suffix(".svg")
    if vector.is_file() and vector.stat().st_size < path.stat().st_size:
        path = vector
    content = path.read_bytes()
    uri = f"data:{_TYPES[path.suffix.lower()]};base64,{base64.b64encode(content).decode()}"
    if not content.startswith(b"\x89PNG\r\n"):
        return _Image(uri, None, None)
    # A PNG begins with a signature of 8 bytes, 8 bytes that name the first chunk, and that chunk's width and height.
    width, height = struct.unpack(">II", content[16:24])
    return _Image(uri, width, height)
