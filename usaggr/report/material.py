"""What chapters are written from: the collected runs, the tables, the pictures; and how they are picked out."""

from dataclasses import dataclass, field

from usaggr.analysis.collect import Collection
from usaggr.analysis.compare_study import Scale, StudyComparison
from usaggr.document.display_names import grouping_label, scale_label
from usaggr.document.elements import Block, Paragraph, Picture, Section
from usaggr.report.figures import FigureFile
from usaggr.report.tables import Tables
from usaggr.report.tasks.examples import Examples
from usaggr.results.stored_study import StudyFacts


@dataclass(frozen=True)
class Material:
    """Everything that the report says is taken from here."""

    tables: Tables
    figures: tuple[FigureFile, ...] = field(default=())
    examples: Examples | None = None
    """Pictures of test samples; None where none were looked for."""

    @property
    def comparison(self) -> StudyComparison:
        return self.tables.comparison

    @property
    def collection(self) -> Collection:
        return self.comparison.collection

    @property
    def study(self) -> StudyFacts:
        return self.comparison.study

    @property
    def reference(self) -> str:
        """The reference's label."""
        return grouping_label(self.study.reference)

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
