"""One line of inline Markdown, as the document's texts are, turned into HTML or plain text.

HTML and images in it stay text, and links lead only to the web or within the page: nothing is loaded, nothing runs.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_LINKS = ("https://", "http://", "#")


def inline_html(text: str) -> str:
    """Safe HTML: strong, em, code and links; all else is escaped."""
    return str(_parser().renderInline(text))


def inline_plain(text: str) -> str:
    """The words alone."""
    tokens = [token for block in _parser().parseInline(text) for token in block.children or []]
    return "".join(" " if token.type in ("softbreak", "hardbreak") else token.content for token in tokens).strip()


@lru_cache(maxsize=1)
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False})
    parser.disable("image")  # it would be fetched from where it lies
    parser.validateLink = lambda url: url.startswith(_LINKS)  # type: ignore[method-assign]
    return parser
