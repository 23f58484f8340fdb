"""A topic of the report: all that one question of the reader needs, as one object.

A new topic is a folder with a TOPIC, and a line in `topics.py`.
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
    """A term, or a name of columns, that a topic adds to the glossary."""

    name: str
    meaning: str
    """Without a full stop."""
    after: str = ""
    """The general term that it follows; empty: at the end."""

    @property
    def entry(self) -> Entry:
        """The term and its meaning."""
        return self.name, self.meaning


@dataclass(frozen=True)
class TableFile:
    """A table of the report's folder tables/."""

    name: str
    """Of the file, without its ending."""
    columns: tuple[str, ...]
    table: pd.DataFrame
    """May have other columns too, which are not written. Without rows there is no file."""


@dataclass(frozen=True)
class Topic:
    """What a topic adds to the report; a function that is asked for nothing returns nothing."""

    chapter: Callable[[Material], Section | None]
    """Returns None where there is nothing to say."""
    tables: Callable[[Tables], Iterable[TableFile]] = lambda tables: ()
    drawings: Callable[[Tables, str], Iterable[Drawing]] = lambda tables, variant: ()
    """For one variant. Drawn one after the other, so that no more than one figure is in memory."""
    drawings_of_all: Callable[[Tables], Iterable[Drawing]] = lambda tables: ()
    """Once for all variants."""
    design: Callable[[Material], Iterable[Entry]] = lambda material: ()
    """Steps of the methods before the comparison, such as data and training; empty texts are left out."""
    methods: Callable[[Material], Iterable[Entry]] = lambda material: ()
    """Steps of the methods after the comparison."""
    limits: Callable[[Material], Iterable[str]] = lambda material: ()
    """Sentences on what the study cannot tell."""
    terms: Callable[[Material], Iterable[Term]] = lambda material: ()
    """Terms that its chapter uses, for the glossary."""
    columns: Callable[[Material], Iterable[Term]] = lambda material: ()
    """Columns of its tables, for the glossary."""
