"""Figure of the report, before and after it is written to files."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureFile:
    """Figure that was written to files."""

    name: str
    """File name without folder and extension."""
    title: str
    description: str
    """Caption, which also describes the figure to readers who cannot see it."""
    formats: tuple[str, ...]
    slot: str = "answer"
    """Place in a chapter that shows the figure; a topic's drawings set it, and its chapter requests it."""


@dataclass(frozen=True)
class Drawing:
    """Figure that is not written yet; `figure` is None if there is nothing to show."""

    name: str
    title: str
    description: str
    slot: str
    """See `FigureFile.slot`."""
    figure: "Figure | None"
