"""Text for a terminal: characters that it would take for commands, or that hide or reorder text, become escapes.

Names of files, tasks, columns and runs may come from strangers. The command line passes all of its output through here.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control codes except tab and line feed, such as ESC
    "\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # invisible
    "\u2028\u2029"  # separators of lines and paragraphs
    "\ud800-\udfff]"  # lone surrogates, which stand for bytes that are not UTF-8
)
"""Invisible characters include those that change the direction of text. Joiners, which some scripts need, are kept."""
_LINE_BREAKS = re.compile(r"[\n\t]")


def escape_text(text: str) -> str:
    r"""Return a text in which unsafe characters are escapes such as `\x1b`; line feeds and tabs are kept.

    >>> escape_text("nodules\x1b[2J")
    'nodules\\x1b[2J'
    """
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escape, text)


def escape_line(text: str) -> str:
    r"""Return a text of one line, such as a name: line feeds and tabs are escapes too.

    >>> escape_line("a\nnote: all is well")
    'a\\nnote: all is well'
    """
    return _LINE_BREAKS.sub(_escape, escape_text(text))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


class EscapingStream:
    """A text stream that escapes what is written to it; everything else is left to the stream that it wraps."""

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream  # the name by which rich finds the stream for its colors

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)

    def write(self, text: str) -> int:
        """Write a text with escapes."""
        self.rich_proxied_file.write(escape_text(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts with escapes."""
        for line in lines:
            self.write(line)


@contextmanager
def escape_output() -> Iterator[None]:
    """Escape what is written to standard output and standard error within the context."""
    previous = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, EscapingStream(stream)) for stream in previous)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = previous
