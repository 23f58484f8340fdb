"""Renderer of a document as GitHub-flavored Markdown, for a terminal, a repository or a pull request.

`Details` blocks, which are collapsed in HTML, are written in full under a bold summary.
"""

import re
from collections.abc import Iterator
from urllib.parse import quote

from usaggr.document.elements import (
    Block,
    Cell,
    Details,
    Document,
    Gallery,
    Items,
    Paragraph,
    Picture,
    Section,
    TextTable,
    escape_markdown,
)

_DEEPEST = 6
"""Deepest heading level in Markdown."""


def render_markdown(document: Document) -> str:
    """Return the Markdown of a document; picture links are relative to its folder."""
    parts = [f"# {escape_markdown(document.title)}", *_render_blocks(document.lead)]
    for section in document.sections:
        parts += _render_section(section, 2)
    return "\n\n".join(block for block in parts if block) + "\n"


def render_markdown_table(table: TextTable) -> str:
    """Return a table with escaped cells, its caption above, and the number of rows left out below."""
    rule = ["---:" if name in table.numbers else "---" for name in table.columns]
    lines = [
        [escape_markdown(name) for name in table.columns],
        rule,
        *([_render_cell(cell) for cell in row] for row in table.rows),
    ]
    shown = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    more = f"And {table.left_out:,} more, not shown." if table.left_out else ""
    return "\n\n".join(block for block in (_render_line(table.caption), shown, more) if block)


def _render_section(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * min(level, _DEEPEST)} {escape_markdown(section.title)}"
    yield from _render_blocks(section.blocks)
    for inner in section.sections:
        yield from _render_section(inner, level + 1)


def _render_blocks(blocks: tuple[Block, ...]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Paragraph(text):
                yield _render_line(text)
            case Items(items):
                yield "\n".join(f"- {_render_line(item)}" for item in items)
            case TextTable():
                yield render_markdown_table(block)
            case Picture():
                yield _render_picture(block)
            case Gallery(pictures, caption):
                yield from (_render_line(caption), *map(_render_picture, pictures))
            case Details(summary, inner):
                yield f"**{summary}**"
                yield from _render_blocks(inner)


def _render_picture(picture: Picture) -> str:
    # The text of an image ends at a bracket. The last step restores brackets that were escaped before.
    shown = escape_markdown(picture.description).replace("[", r"\[").replace("]", r"\]").replace(r"\\]", r"\]")
    return f"![{shown}]({quote(picture.path)})\n\n*{escape_markdown(picture.title)}*"


def _render_cell(cell: str | Cell) -> str:
    return escape_markdown(cell.text if isinstance(cell, Cell) else cell)


def _render_line(text: str) -> str:
    """Return text on one line that cannot begin a heading, a list, a quotation or a rule."""
    line = " ".join(text.split())
    return re.sub(r"^(\d+)([.)])(?= |$)", r"\1\\\2", re.sub(r"^([#>+=-])", r"\\\1", line))
