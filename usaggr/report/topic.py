"""Topic of the report: one object with everything that answers one question of the reader.

A new topic needs a folder with a TOPIC, and a line in `topics.py`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from usaggr.document.elements import Section
from usaggr.report.figures import Drawing
from usaggr.report.material import Material
from usaggr.report.tables import Tables

Entry = tuple[str, str]
"""Title and text of a step of the methods, or a term of the glossary and its meaning."""


@dataclass(frozen=True)
class Term:
    """Term, or name of columns, that a topic adds to the glossary."""

    name: str
    meaning: str
    """Meaning of the term, without a period at its end."""
    after: str = ""
    """General term after which it is listed; empty: at the end."""

    @property
    def entry(self) -> Entry:
        """Term and meaning."""
        return self.name, self.meaning


@dataclass(frozen=True)
class TableFile:
    """Table of the report's folder tables/."""

    name: str
    """File name without extension."""
    columns: tuple[str, ...]
    table: pd.DataFrame
    """Rows to write; other columns are ignored, and without rows there is no file."""


@dataclass(frozen=True)
class Topic:
    """Contributions of a topic to the report: functions whose result is empty if they do not apply to a study."""

    chapter: Callable[[Material], Section | None]
    """Returns the chapter, or None if it does not apply."""
    tables: Callable[[Tables], Iterable[TableFile]] = lambda tables: ()
    drawings: Callable[[Tables, str], Iterable[Drawing]] = lambda tables, variant: ()
    """Figures of one variant; a generator, so that only one figure is in memory at a time."""
    common_drawings: Callable[[Tables], Iterable[Drawing]] = lambda tables: ()
    """Figures that cover all variants."""
    design: Callable[[Material], Iterable[Entry]] = lambda material: ()
    """Steps of the methods before the comparison, such as data and training; empty texts are left out."""
    methods: Callable[[Material], Iterable[Entry]] = lambda material: ()
    """Steps of the methods after the comparison."""
    limits: Callable[[Material], Iterable[str]] = lambda material: ()
    """Sentences on the limits of the study."""
    terms: Callable[[Material], Iterable[Term]] = lambda material: ()
    """Terms of its chapter, for the glossary."""
    columns: Callable[[Material], Iterable[Term]] = lambda material: ()
    """Columns of its tables, for the glossary."""
