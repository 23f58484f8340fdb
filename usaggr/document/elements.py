"""Elements of a document: sections of paragraphs, lists, tables and pictures, independent of how a page shows them.

The report, the advice and the page of `usaggr data check` are documents; `html.py`, `markdown.py` and `latex.py` write
them. Text is one line of inline Markdown (`**bold**`, `*italic*`, backticks for code). Text from data goes through
`escape_markdown` first.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """A cell of a table: plain text, not escaped."""

    text: str
    sort: float | str | None = None
    """Sort key of the cell; None: the text."""
    kind: str = ""
    """Meaning shown by a mark or color: a verdict (gain, no_loss, loss, undecided), the result of a claim
    (supported, contradicted, undecided) or a state (failed, missing)."""


@dataclass(frozen=True)
class TextTable:
    """A table for readers; its cells are plain text, not escaped."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    numbers: tuple[str, ...] = ()
    """Names of columns that are aligned right."""
    left_out: int = 0
    """Number of rows that were left out because the table would be too long."""
    name: str = ""
    """Name of its file tables/<name>.tex; a table without a name has no file."""
    caption: str = ""
    """Inline Markdown that says what the table shows."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of inline Markdown."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of items in inline Markdown."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """An image file in the document's folder."""

    path: str
    """Relative to the document's folder, as figures/name.png."""
    title: str
    """Plain text."""
    description: str
    """Plain text that describes the image to readers who cannot see it."""


@dataclass(frozen=True)
class Gallery:
    """Small pictures, at most 240 pixels wide, shown side by side at their own size."""

    pictures: tuple[Picture, ...]
    caption: str = ""
    """Inline Markdown above the pictures."""


@dataclass(frozen=True)
class Details:
    """Blocks that a page may fold away under a summary in inline Markdown."""

    summary: str
    blocks: tuple["Block", ...]


Block = Paragraph | Items | TextTable | Picture | Gallery | Details


@dataclass(frozen=True)
class Section:
    """A title with blocks and further sections."""

    title: str
    """Plain text."""
    blocks: tuple[Block, ...] = ()
    sections: tuple["Section", ...] = ()


@dataclass(frozen=True)
class Document:
    """A whole document."""

    title: str
    """Plain text."""
    lead: tuple[Block, ...] = field(default=())
    """Blocks above all sections."""
    sections: tuple[Section, ...] = ()


def walk_blocks(document: Document) -> Iterator[Block]:
    """Return all blocks in reading order, including those inside `Details`."""
    yield from _walk_details(document.lead)
    for section in document.sections:
        yield from _walk_section(section)


def walk_tables(document: Document) -> Iterator[TextTable]:
    """Return all tables in reading order."""
    return (block for block in walk_blocks(document) if isinstance(block, TextTable))


def _walk_section(section: Section) -> Iterator[Block]:
    yield from _walk_details(section.blocks)
    for inner in section.sections:
        yield from _walk_section(inner)


def _walk_details(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from _walk_details(block.blocks)


def escape_markdown(value: object) -> str:
    r"""Escape text, on one line, so that Markdown shows it unchanged: `a|b` becomes `a\|b`."""
    line = " ".join(str(value).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*|~])", r"\\\1", line)
    # A bracket before one of these would end a link's text; the brackets of intervals stay as they are.
    line = re.sub(r"\](?=[(\[:])", r"\\]", line)
    # An underscore within a word, as in fetal_head, is no markup, and a name stays legible in the source.
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)
