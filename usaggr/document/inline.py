"""Inline Markdown of a document's texts, one line each, as HTML or plain text.

HTML and images in it stay text, and links lead only to the web or within the page: nothing is loaded or executed.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_LINKS = ("https://", "http://", "#")


def render_inline_html(text: str) -> str:
    """Return safe HTML: strong, em, code and links; everything else is escaped."""
    return str(_make_parser().renderInline(text))


def strip_markup(text: str) -> str:
    """Return the text without markup."""
    tokens = [token for block in _make_parser().parseInline(text) for token in block.children or []]
    return "".join(" " if token.type in ("softbreak", "hardbreak") else token.content for token in tokens).strip()


@lru_cache(maxsize=1)
def _make_parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False})
    parser.disable("image")  # a browser would fetch it
    parser.validateLink = lambda url: url.startswith(_LINKS)  # type: ignore[method-assign]
    return parser
