"""Elements of a document: sections of paragraphs, lists, tables and pictures, independent of how a page shows them.

The report, the advice and the page of `usaggr data check` are documents; `html.py`, `markdown.py` and `latex.py` write
them. Text is one line of inline Markdown (`**bold**`, `*italic*`, backticks for code). Text from data goes through
`literal` first.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """Plain text in a table, not yet escaped for any page."""

    text: str
    sort: float | str | None = None
    """What the column is sorted by; None: by the text."""
    kind: str = ""
    """What a page may show by a mark or colour of its own: a verdict (gain, no_loss, loss, undecided), what comes
    of a claim (supported, contradicted, undecided) or a state (failed, missing)."""


@dataclass(frozen=True)
class TextTable:
    """A table as people read it; cells are plain text, not yet escaped for any page."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    numbers: tuple[str, ...] = ()
    """Columns that are set flush right."""
    left_out: int = 0
    """Rows that are not shown, for their number."""
    name: str = ""
    """Of its own file tables/<name>.tex; without a name it has none."""
    caption: str = ""
    """Inline Markdown: what the table shows."""


@dataclass(frozen=True)
class Paragraph:
    """Inline Markdown."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list, each item inline Markdown."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """An image file in the document's folder."""

    path: str
    """Relative to the document's folder, as figures/name.png."""
    title: str
    """Plain text."""
    description: str
    """What there is to see, for those who cannot see it: plain text."""


@dataclass(frozen=True)
class Gallery:
    """Small pictures, at most 240 pixels wide, shown side by side at their own size."""

    pictures: tuple[Picture, ...]
    caption: str = ""
    """Inline Markdown above the pictures."""


@dataclass(frozen=True)
class Details:
    """Blocks that a page may fold away under a line of inline Markdown."""

    summary: str
    blocks: tuple["Block", ...]


Block = Paragraph | Items | TextTable | Picture | Gallery | Details


@dataclass(frozen=True)
class Section:
    """A title with what stands under it."""

    title: str
    """Plain text."""
    blocks: tuple[Block, ...] = ()
    sections: tuple["Section", ...] = ()


@dataclass(frozen=True)
class Document:
    """The whole report."""

    title: str
    """Plain text."""
    lead: tuple[Block, ...] = field(default=())
    """What stands above all sections."""
    sections: tuple[Section, ...] = ()


def blocks_of(document: Document) -> Iterator[Block]:
    """All blocks, in the order in which they are read; those that are folded away too."""
    yield from _unfolded(document.lead)
    for section in document.sections:
        yield from _blocks_under(section)


def tables_of(document: Document) -> Iterator[TextTable]:
    """All tables, in the order in which they are read."""
    return (block for block in blocks_of(document) if isinstance(block, TextTable))


def _blocks_under(section: Section) -> Iterator[Block]:
    yield from _unfolded(section.blocks)
    for inner in section.sections:
        yield from _blocks_under(inner)


def _unfolded(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from _unfolded(block.blocks)


def literal(value: object) -> str:
    r"""Text that Markdown shows as it is, on one line: `a|b` becomes `a\|b`, markup and HTML lose their meaning."""
    line = " ".join(str(value).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*|~])", r"\\\1", line)
    line = re.sub(r"\](?=[(\[:])", r"\\]", line)  # of a link; intervals keep their brackets
    # An underscore within a word, as in fetal_head, is no markup, and a name stays legible in the source.
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)
