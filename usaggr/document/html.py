"""index.html: the report's document as one page that needs no network, with its pictures, style and script inside.

The template escapes everything; only what comes of a line of inline Markdown (raw HTML is off) is trusted. The page's
policy lets nothing be fetched, and no script run but its own, whatever else should come to stand in it.
"""

import base64
import hashlib
import re
import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from usaggr.document.elements import Document, Picture, Section
from usaggr.document.html_table import shown_table
from usaggr.document.inline import inline_html, inline_plain

_TEMPLATES = Path(__file__).parent / "templates"
_FILTERED = 8
"""Tables with more rows get a field to filter them."""
_WIDE = 8
"""Tables with more columns have their intervals under the numbers."""
_DEEPEST = 6
"""Levels of headings that HTML has."""
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class _Heading:
    """A section as the table of contents has it."""

    anchor: str
    section: Section
    level: int
    inner: tuple["_Heading", ...]


@dataclass(frozen=True)
class _Image:
    uri: str
    """The file itself, as a data URI."""
    width: int | None
    """Pixels; None where they are not known."""
    height: int | None


def render_page(document: Document, folder: Path) -> str:
    """The whole of index.html; pictures are read from the report's folder and put into the page.

    Of a figure that stands beside its PNG as SVG, the smaller file is taken.

    Raises:
        OSError: a picture is not there.
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
        "inline": lambda text: Markup(inline_html(text)),
        "plain": inline_plain,
        "kind": lambda block: type(block).__name__,
        "image": partial(_image, folder),
        "shown": shown_table,
        "marked": lambda title: re.sub(r"^(\W) ", "\\1\u00a0", title),  # a mark stays with its word
        "breakable": lambda text: Markup(str(escape(text)).replace("_", "_<wbr>")),
    }
    style, script = (_dense((_TEMPLATES / f"page.{kind}").read_text(encoding="utf-8")) for kind in ("css", "js"))
    page = environment.get_template("page.html.j2").render(
        document=document,
        headings=[_heading(section, 2, anchors) for section in document.sections],
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'",
        filtered=_FILTERED,
        wide=_WIDE,
    )
    return _dense(page)


def _dense(text: str) -> str:
    """Without empty lines; a dense text stays as it is."""
    return re.sub(r"\n\s*\n", "\n", text)


def _hash(text: str) -> str:
    """What a policy knows an inline style or script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _heading(section: Section, level: int, anchors: dict[str, int]) -> _Heading:
    """A section with an anchor of its own, made of its title."""
    slug = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
    anchors[slug] = anchors.get(slug, 0) + 1
    anchor = slug if anchors[slug] == 1 else f"{slug}--{anchors[slug]}"  # no title alone has two hyphens in a row
    inner = tuple(_heading(part, level + 1, anchors) for part in section.sections)
    return _Heading(anchor, section, min(level, _DEEPEST), inner)


def _image(folder: Path, picture: Picture) -> _Image:
    path = folder / picture.path
    drawn = path.with_suffix(".svg")
    if drawn.is_file() and drawn.stat().st_size < path.stat().st_size:
        path = drawn
    content = path.read_bytes()
    uri = f"data:{_TYPES[path.suffix.lower()]};base64,{base64.b64encode(content).decode()}"
    if not content.startswith(b"\x89PNG\r\n"):
        return _Image(uri, None, None)
    width, height = struct.unpack(">II", content[16:24])
    return _Image(uri, width, height)
