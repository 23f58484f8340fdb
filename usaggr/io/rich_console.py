"""Console of the package rich whose texts cannot command the terminal; imported only where something is printed."""

from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from usaggr.io.terminal_text import escape_text


class SafeConsole(Console):
    """A console that escapes unsafe characters in texts; its own colors and cursor movements are not escaped."""

    @property
    def file(self) -> IO[str]:
        """Stream to write to: the one below all streams that would escape the console's own commands."""
        stream: Any = super().file
        while (inner := getattr(stream, "rich_proxied_file", None)) is not None:
            stream = inner
        return stream  # type: ignore[no-any-return]

    @file.setter
    def file(self, stream: IO[str]) -> None:
        self._file = stream

    def render_str(self, text: str, *args: Any, **options: Any) -> Text:
        """Convert a string, such as a cell of a table, whose width is then that of its escapes."""
        return super().render_str(escape_text(text), *args, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the parts of an output; texts that no string was converted to are escaped here."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else escape_text(segment.text)
            yield segment if text == segment.text else Segment(text, segment.style)
