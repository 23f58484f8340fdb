"""What chapters are written from: the collected runs, the tables, the pictures; and how they are picked out."""

from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from usaggr.analysis.collect import CollectedRun, Collection
from usaggr.document.display_names import grouping_label, scale_label
from usaggr.document.elements import Block, Paragraph, Picture, Section
from usaggr.report.figure_files import FigureFile
from usaggr.report.tables import Tables
from usaggr.report.tasks.examples import Examples
from usaggr.results.stored_study import StudyFacts

Scale = float | int


@dataclass(frozen=True)
class Material:
    """Everything that the report says is taken from here."""

    collection: Collection
    tables: Tables
    figures: tuple[FigureFile, ...] = field(default=())
    examples: Examples | None = None
    """Pictures of test samples; None where none were looked for."""

    @property
    def study(self) -> StudyFacts:
        return self.collection.study

    @property
    def reference(self) -> str:
        """The reference's label."""
        return grouping_label(self.study.reference)

    @cached_property
    def settings(self) -> tuple[tuple[str, Scale, str], ...]:
        """Variant, scale and grouping of all that is planned, in the study's order."""
        planned = {(r.row.variant, r.row.scale, name) for r in self.collection.runs for name in r.row.groupings}
        study = self.study
        wanted = [(v, s, g) for v in study.variants for s in study.scales for g in study.groupings]
        return tuple(setting for setting in wanted if setting in planned)

    @cached_property
    def comparisons(self) -> tuple[tuple[str, Scale], ...]:
        """Variant and scale of what is planned: variant by variant, the largest scale first."""
        found = dict.fromkeys((variant, scale) for variant, scale, _ in self.settings)
        variants = list(self.study.variants)
        return tuple(sorted(found, key=lambda where: (variants.index(where[0]), -where[1])))

    @cached_property
    def groupings(self) -> tuple[str, ...]:
        """The reference first, then the others in the study's order."""
        return tuple(sorted(self.study.groupings, key=lambda name: name != self.study.reference))

    @property
    def others(self) -> tuple[str, ...]:
        """Groupings but for the reference."""
        return tuple(name for name in self.study.groupings if name != self.study.reference)

    @cached_property
    def done(self) -> int:
        """Runs that are done."""
        return sum(run.state == "done" for run in self.collection.runs)

    def runs(self, variant: str, scale: Scale, grouping: str) -> list[CollectedRun]:
        return [
            run
            for run in self.collection.runs
            if (run.row.variant, run.row.scale) == (variant, scale) and grouping in run.row.groupings
        ]

    def models(self, grouping: str) -> int:
        """Blocks of a grouping: how many models serve all tasks."""
        return len({run.row.tasks for run in self.collection.runs if grouping in run.row.groupings})

    def compared(self, variant: str, scale: Scale) -> pd.DataFrame:
        """The comparison's rows of the main metrics at a scale."""
        table = self.tables.comparison
        return table[(table["variant"] == variant) & (table["scale"] == scale) & table["main"].astype(bool)]

    def cells(self, variant: str, scale: Scale) -> pd.DataFrame:
        """The cells' rows of the main metrics at a scale."""
        table = self.tables.cells
        return table[(table["variant"] == variant) & (table["scale"] == scale) & table["main"].astype(bool)]

    def summary(self, variant: str, scale: Scale) -> pd.DataFrame:
        """The summary's rows of a scale."""
        table = self.tables.summary
        return table[(table["variant"] == variant) & (table["scale"] == scale)]

    def where(self, variant: str, scale: Scale) -> str:
        """A scale, and the variant where there are several."""
        several = f", variant {variant}" if len(self.study.variants) > 1 else ""
        return scale_label(scale) + several

    def pictures(self, *places: str) -> tuple[Block, ...]:
        """The figures of a place, each with its description."""
        return tuple(
            Picture(f"figures/{figure.name}.{_format(figure)}", figure.title, figure.description)
            for figure in self.figures
            if figure.place in places
        )


def _format(figure: FigureFile) -> str:
    return "png" if "png" in figure.formats else figure.formats[0]


def capital(said: str) -> str:
    """A sentence or title with a capital letter."""
    return said[:1].upper() + said[1:]


def section(title: str, *blocks: Block | None, sections: tuple[Section | None, ...] = ()) -> Section | None:
    """A section of what there is; None where there is nothing."""
    told = tuple(block for block in blocks if block is not None)
    inner = tuple(part for part in sections if part is not None)
    return Section(title, told, inner) if told or inner else None


def paragraph(*sentences: str) -> Paragraph | None:
    """Sentences that are not empty, as one paragraph; None without any."""
    said = " ".join(sentence for sentence in sentences if sentence)
    return Paragraph(said) if said else None
